/* Shapes of forwarded requests, and the sample of them; see sample.h. */
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Names that some server acts on are part of the shape as they are; of others only their form. */
static const char *const telling[] = {
    "accept",     "cache-",  "content", "depth", "dest", "from",  "host",  "if",       "max-",
    "pragma",     "prefer",  "range",   "sec-",  "te",   "trace", "trail", "trans",    "upgrade",
    "user-agent", "x-accel", "x-send",  "warn",  "date", "link",  "via",   "location",
};
/* These differ in every request and mean nothing. */
static const char *const passing[] = {"x-request-id:", "content-length:"};

bool sample_init(struct sample *sample, size_t max, uint64_t seed)
{
    *sample = (struct sample){.max = max, .random = seed * 2 + 1};
    sample->shapes = calloc(SHAPES_MAX, sizeof(*sample->shapes));
    sample->kept = calloc(max, sizeof(*sample->kept));
    return sample->shapes && sample->kept;
}

static uint64_t mix(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * UINT64_C(0x100000001b3); /* FNV-1a */
}

/* Runs of letters, digits and of one and the same byte count as one; long runs as another. */
static uint64_t mix_form(uint64_t hash, const char *at, size_t len)
{
    unsigned char before = 0;
    size_t run = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)at[i], small = byte | 0x20;
        unsigned char class = small >= 'a' && small <= 'z' ? 'a'
                              : byte >= '0' && byte <= '9' ? '0'
                                                           : byte;
        run = class == before ? run + 1 : 0;
        if (run == 0 || run == 64 || run == 1024)
            hash = mix(hash, class);
        before = class;
    }
    return mix(hash, '\n');
}

static bool begins_with_one(const char *line, size_t len, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (len >= strlen(words[i]) && strncasecmp(line, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* A line's method, or its name when it is a telling one, as it is; and the form of the rest. */
static uint64_t mix_line(uint64_t hash, const char *line, size_t len, bool first)
{
    if (!first && begins_with_one(line, len, passing, sizeof(passing) / sizeof(*passing)))
        return hash;
    bool verbatim =
        first || begins_with_one(line, len, telling, sizeof(telling) / sizeof(*telling));
    const char *stop = verbatim ? memchr(line, first ? ' ' : ':', len) : NULL, *at = line;
    for (; stop && at < stop; at++)
        hash = mix(hash, (unsigned char)(*at | 0x20));
    return mix_form(hash, at, (size_t)(line + len - at));
}

static uint64_t shape_of(const char *bytes, size_t head_len)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t at = 0; at < head_len;) {
        const char *end = memchr(bytes + at, '\n', head_len - at);
        size_t len = end ? (size_t)(end - bytes) + 1 - at : head_len - at;
        hash = mix_line(hash, bytes + at, len, at == 0);
        at += len;
    }
    return hash ? hash : 1;
}

/* True: it was not there. A table that is nearly full knows everything. */
static bool shape_add(struct sample *sample, uint64_t shape)
{
    if (sample->shape_count > SHAPES_MAX / 4 * 3)
        return false;
    uint64_t at = shape ^ shape >> 32;
    while (sample->shapes[at % SHAPES_MAX] && sample->shapes[at % SHAPES_MAX] != shape)
        at++;
    if (sample->shapes[at % SHAPES_MAX])
        return false;
    sample->shapes[at % SHAPES_MAX] = shape;
    sample->shape_count++;
    return true;
}

/* Reservoir sampling: the n-th new shape comes in with a chance of max/n. */
static struct sampled *draw(struct sample *sample)
{
    if (sample->count < sample->max)
        return &sample->kept[sample->count++];
    sample->random = sample->random * UINT64_C(6364136223846793005) + 1442695040888963407U;
    uint64_t at = (sample->random >> 16) % sample->shape_count;
    return at < sample->max ? &sample->kept[at] : NULL;
}

void sample_offer(struct sample *sample, uint64_t mutant, const char *bytes, size_t head_len,
                  size_t len)
{
    if (!shape_add(sample, shape_of(bytes, head_len)))
        return;
    struct sampled *place = draw(sample);
    char *copy = place ? malloc(len) : NULL;
    if (!copy)
        return;
    memcpy(copy, bytes, len);
    free(place->bytes);
    *place = (struct sampled){mutant, copy, len};
}

bool sample_write(const struct sample *sample, const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return false;
    for (size_t i = 0; i < sample->count; i++) {
        const struct sampled *kept = &sample->kept[i];
        fprintf(file, "%llu %zu\n", (unsigned long long)kept->mutant, kept->len);
        fwrite(kept->bytes, 1, kept->len, file);
    }
    bool bad = ferror(file);
    return fclose(file) == 0 && !bad;
}

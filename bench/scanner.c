/* How fast the JSON scanner reads, by kind of text: chat prose, an image in base64, and the dense
 * schemas of tools. Linked with the gateway's own objects by bench/run. Bodies are fed in pieces of
 * a body block's size, with a listener that does nothing; what is counted is processor time, so
 * that another process on the core does not count.
 *
 * usage: scanner ROUNDS      prints "KIND BYTES_PER_SECOND", the median of the rounds */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "measure.h"
#include "proto/json.h"

enum { PIECE_BYTES = 32 * 1024, BODY_BYTES = 1024 * 1024, ROUND_NS = 200 * 1000 * 1000 };

struct body {
    char *text;
    size_t len;
};

static void body_add(struct body *body, const char *text)
{
    size_t len = strlen(text);
    if (body->len + len > 2 * BODY_BYTES)
        fail("scanner: a body is too long");
    memcpy(body->text + body->len, text, len);
    body->len += len;
}

static void write_chat(struct body *body)
{
    body_add(body, "{\"model\":\"bench\",\"messages\":[");
    for (unsigned i = 0; body->len < BODY_BYTES; i++) {
        body_add(body,
                 i ? ",{\"role\":\"user\",\"content\":\"" : "{\"role\":\"user\",\"content\":\"");
        for (unsigned j = 0; j < 12; j++)
            body_add(body,
                     "The keeper of the gate reads every letter before it passes, \\\"even the "
                     "long ones\\\", and so the caf\xc3\xa9 behind the wall stays quiet.\\n\\n");
        body_add(body, "\"}");
    }
    body_add(body, "],\"max_tokens\":128}");
}

static void write_base64(struct body *body)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    body_add(body, "{\"model\":\"bench\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                   "\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,");
    uint32_t state = 1;
    while (body->len < BODY_BYTES) {
        state = state * 1664525U + 1013904223U;
        body->text[body->len++] = alphabet[state >> 26];
    }
    body_add(body, "\"}}]}]}");
}

static void write_schemas(struct body *body)
{
    body_add(body, "{\"model\":\"bench\",\"messages\":[],\"tools\":[");
    for (unsigned i = 0; body->len < BODY_BYTES; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s{\"type\":\"function\",\"function\":{\"name\":\"tool_%u\",",
                 i ? "," : "", i);
        body_add(body, name);
        body_add(
            body,
            "\"description\":\"Reads a file and answers its lines.\",\"parameters\":{\"type\":"
            "\"object\",\"properties\":{\"path\":{\"type\":\"string\",\"description\":\"Where it "
            "is.\"},\"offset\":{\"type\":\"integer\",\"minimum\":0,\"default\":0},\"limit\":{"
            "\"type\":\"integer\",\"minimum\":1,\"maximum\":2000},\"mode\":{\"type\":\"string\","
            "\"enum\":[\"text\",\"bytes\",\"lines\"]},\"follow\":{\"type\":\"boolean\"}},"
            "\"required\":[\"path\"],\"additionalProperties\":false}}}");
    }
    body_add(body, "]}");
}

static void listen_to_nothing(void *context, const struct json_value *value)
{
    uint64_t *seen = context;
    *seen += value->depth;
}

static void scan(const struct body *body)
{
    static char first[64 * 1024];
    struct arena arena;
    uint64_t seen = 0;
    arena_init(&arena, first, sizeof(first), 64 * 1024 * 1024);
    struct json *json = json_create(&arena, listen_to_nothing, &seen);
    if (!json)
        fail("scanner: no memory");
    for (size_t at = 0; at < body->len; at += PIECE_BYTES) {
        size_t left = body->len - at;
        struct slice piece = slice_make(body->text + at, left < PIECE_BYTES ? left : PIECE_BYTES);
        if (json_feed(json, piece) != OK)
            fail("scanner: %s", json_fault_sentence(json_fault(json)));
    }
    if (json_end(json) != OK || !seen)
        fail("scanner: the body is not whole");
    arena_finish(&arena);
}

static double median_rate(const struct body *body, unsigned rounds)
{
    double rates[100];
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t begin = cpu_ns(), now = begin, bytes = 0;
        for (; now - begin < ROUND_NS; now = cpu_ns()) {
            scan(body);
            bytes += body->len;
        }
        rates[i] = (double)bytes * 1e9 / (double)(now - begin);
    }
    return median(rates, rounds);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*write)(struct body *body);
    } kinds[] = {
        {"chat text",    write_chat   },
        {"base64",       write_base64 },
        {"tool schemas", write_schemas},
    };
    unsigned rounds = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    if (rounds < 1 || rounds > 100) {
        fprintf(stderr, "usage: scanner ROUNDS (1 to 100)\n");
        return 2;
    }
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct body body = {.text = malloc(2 * BODY_BYTES)};
        if (!body.text)
            fail("scanner: no memory");
        kinds[i].write(&body);
        scan(&body); /* warm up */
        printf("%s %.0f\n", kinds[i].name, median_rate(&body, rounds));
        free(body.text);
    }
    return 0;
}

/* The JSON scanner against jansson: what we accept it accepts, and the values, keys and places we
 * tell are those of its tree; what it accepts we accept but for the choices below; any cut tells
 * the same.
 *
 * We refuse what it accepts: deeper than 64 levels, more than 100,000 members, a number of more
 * than 64 characters, an exponent beyond 999 (also where the value would be zero). It refuses what
 * we accept: a key with \u0000 in it, which its C strings cannot hold. And it passes over a NUL
 * byte behind a number or a word, so a text with one says nothing of us. */
#include "proto/json.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "fuzz.h"

enum {
    TEXT_BYTES_MAX = 8 * 1024 * 1024,
    ARENA_BYTES_MAX = 16 * 1024 * 1024,
    NUMBER_BYTES_MAX = 64
};

struct told {
    struct slice input;
    struct buffer facts;  /* what was told, in a form that a tree can be printed in too */
    struct buffer places; /* and where it stood */
    struct json *json;
    enum err err;
    enum json_fault fault;
    uint64_t offset;
};

static void told_finish(struct told *told)
{
    buffer_finish(&told->facts);
    buffer_finish(&told->places);
}

static void print_fact(struct buffer *out, enum json_event event, unsigned depth,
                       const struct slice *path)
{
    buffer_printf(out, "\n%d %u", (int)event, depth);
    for (unsigned i = 0; i < depth && i < JSON_PATH_KEPT; i++) {
        buffer_text(out, "/");
        buffer_append(out, path[i]);
    }
}

static void print_string(struct buffer *out, struct slice text, bool kept, uint64_t characters)
{
    buffer_printf(out, " %d %llu ", kept, (unsigned long long)characters);
    buffer_append(out, kept ? text : slice_make(NULL, 0));
}

static void print_number(struct buffer *out, double number)
{
    buffer_printf(out, " %a", number);
}

/* The first and the last byte of a value say what it is. */
static void check_place(struct slice input, const struct json_value *value)
{
    static const char first[] = "{}[]\"", last[] = "{}[]\"";
    must(value->begin < value->end && value->end <= input.len);
    char from = input.ptr[value->begin], to = input.ptr[value->end - 1];
    if (value->event <= JSON_SAW_STRING)
        must(from == first[value->event] && to == last[value->event]);
    else if (value->event == JSON_SAW_NUMBER)
        must(value->end - value->begin == value->text.len &&
             memcmp(input.ptr + value->begin, value->text.ptr, value->text.len) == 0);
    else
        must(from == (value->event == JSON_SAW_TRUE    ? 't'
                      : value->event == JSON_SAW_FALSE ? 'f'
                                                       : 'n'));
}

static void listen(void *context, const struct json_value *value)
{
    struct told *told = context;
    check_place(told->input, value);
    print_fact(&told->facts, value->event, value->depth, value->path);
    buffer_printf(&told->places, "%llu-%llu ", (unsigned long long)value->begin,
                  (unsigned long long)value->end);
    if (value->event == JSON_SAW_STRING) {
        must(!value->kept || value->text.len <= JSON_STRING_KEPT);
        print_string(&told->facts, value->text, value->kept, value->characters);
    } else if (value->event == JSON_SAW_NUMBER) {
        char copy[NUMBER_BYTES_MAX + 1] = {0};
        must(value->text.len <= NUMBER_BYTES_MAX);
        memcpy(copy, value->text.ptr, value->text.len);
        print_number(&told->facts, strtod(copy, NULL));
    }
}

static bool take(void *context, struct slice piece)
{
    struct told *told = context;
    told->err = json_feed(told->json, piece);
    return told->err == OK;
}

static void scan(struct told *told, struct slice input, unsigned cut)
{
    AUTO(arena) arena;
    arena_init(&arena, NULL, 0, ARENA_BYTES_MAX);
    *told = (struct told){
        .input = input, .facts = BUFFER_MAX(TEXT_BYTES_MAX), .places = BUFFER_MAX(TEXT_BYTES_MAX)};
    told->json = json_create(&arena, listen, told);
    must(told->json);
    fuzz_cut(input, cut, take, told);
    enum err end = json_end(told->json);
    must(told->err == OK || end == told->err);
    told->err = end;
    told->fault = json_fault(told->json);
    told->offset = json_offset(told->json);
    must(end == OK || end == ERR_SYNTAX);
    must((end == OK) == (told->fault == JSON_FINE));
    must(told->offset <= input.len);
    must(json_fault_name(told->fault) && json_fault_sentence(told->fault));
    if (end == ERR_SYNTAX)
        must(json_feed(told->json, SLICE(" ")) == ERR_SYNTAX);
}

struct walk {
    struct buffer *out;
    struct slice path[JSON_PATH_KEPT];
};

static uint64_t characters_of(struct slice text)
{
    uint64_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return count;
}

static void walk_value(struct walk *walk, unsigned depth, json_t *value);

static void walk_members(struct walk *walk, unsigned depth, json_t *value)
{
    const char *key;
    size_t key_len;
    json_t *member;
    print_fact(walk->out, JSON_SAW_OBJECT_BEGIN, depth, walk->path);
    json_object_keylen_foreach(value, key, key_len, member)
    {
        size_t kept = key_len < JSON_KEY_KEPT ? key_len : JSON_KEY_KEPT;
        if (depth < JSON_PATH_KEPT)
            walk->path[depth] = slice_make(key, kept);
        walk_value(walk, depth + 1, member);
    }
    print_fact(walk->out, JSON_SAW_OBJECT_END, depth, walk->path);
}

static void walk_elements(struct walk *walk, unsigned depth, json_t *value)
{
    print_fact(walk->out, JSON_SAW_ARRAY_BEGIN, depth, walk->path);
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (depth < JSON_PATH_KEPT)
            walk->path[depth] = slice_make(NULL, 0);
        walk_value(walk, depth + 1, json_array_get(value, i));
    }
    print_fact(walk->out, JSON_SAW_ARRAY_END, depth, walk->path);
}

static void walk_value(struct walk *walk, unsigned depth, json_t *value)
{
    struct slice text;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        walk_members(walk, depth, value);
        break;
    case JSON_ARRAY:
        walk_elements(walk, depth, value);
        break;
    case JSON_STRING:
        text = slice_make(json_string_value(value), json_string_length(value));
        print_fact(walk->out, JSON_SAW_STRING, depth, walk->path);
        print_string(walk->out, text, text.len <= JSON_STRING_KEPT, characters_of(text));
        break;
    case JSON_INTEGER: /* all numbers are read as real ones */
    case JSON_REAL:
        print_fact(walk->out, JSON_SAW_NUMBER, depth, walk->path);
        print_number(walk->out, json_number_value(value));
        break;
    case JSON_TRUE:
        print_fact(walk->out, JSON_SAW_TRUE, depth, walk->path);
        break;
    case JSON_FALSE:
        print_fact(walk->out, JSON_SAW_FALSE, depth, walk->path);
        break;
    case JSON_NULL:
        print_fact(walk->out, JSON_SAW_NULL, depth, walk->path);
        break;
    }
}

static bool our_choice(enum json_fault fault)
{
    return fault == JSON_TOO_DEEP || fault == JSON_TOO_MANY_MEMBERS ||
           fault == JSON_NUMBER_TOO_LONG || fault == JSON_NUMBER_RANGE;
}

static void check_other_reader(struct slice input, const struct told *ours)
{
    json_error_t error;
    json_t *tree = json_loadb(input.len ? input.ptr : "", input.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL |
                                  JSON_DECODE_INT_AS_REAL,
                              &error);
    if (!tree) {
        must(ours->err != OK || json_error_code(&error) == json_error_null_byte_in_key);
        return;
    }
    if (ours->err == OK) {
        AUTO(buffer) theirs = BUFFER_MAX(TEXT_BYTES_MAX);
        struct walk walk = {.out = &theirs};
        walk_value(&walk, 0, tree);
        must_equal(buffer_slice(&ours->facts), buffer_slice(&theirs));
    } else if (slice_find(input, '\0') == input.len) {
        must_equal(slice_of(our_choice(ours->fault) ? "" : json_fault_name(ours->fault)),
                   SLICE(""));
    }
    json_decref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make((const char *)bytes, size);
    AUTO(told) whole;
    scan(&whole, input, 0);
    for (unsigned cut = 1; cut < FUZZ_CUTS; cut++) {
        AUTO(told) part;
        scan(&part, input, cut);
        must(part.fault == whole.fault && part.offset == whole.offset);
        must_equal(buffer_slice(&whole.facts), buffer_slice(&part.facts));
        must_equal(buffer_slice(&whole.places), buffer_slice(&part.places));
    }
    check_other_reader(input, &whole);
    return 0;
}

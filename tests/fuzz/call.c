/* The neutral call: there is a model only where an object has exactly one member that any server
 * could take for it, a plain text; and the order of members changes nothing. jansson's tree is the
 * oracle. */
#include "llm/call.h"

#include <jansson.h>
#include <stdlib.h>

#include "fuzz.h"

enum {
    TEXT_BYTES_MAX = 8 * 1024 * 1024,
    ARENA_BYTES_MAX = 16 * 1024 * 1024,
    MODEL_BYTES_MAX = 256,
    LOAD_FLAGS =
        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL,
};

struct reading {
    struct arena arena;
    struct call call;
    bool well_formed;
};

static void reading_finish(struct reading *reading)
{
    arena_finish(&reading->arena);
}

static void read_call(struct reading *reading, struct slice input, enum call_kind kind,
                      const struct dialect *dialect)
{
    *reading = (struct reading){0};
    arena_init(&reading->arena, NULL, 0, ARENA_BYTES_MAX);
    call_init(&reading->call, kind, dialect, &reading->arena);
    struct call_reader reader = {&reading->call, dialect, &reading->arena};
    struct json *json = json_create(&reading->arena, call_listen, &reader);
    must(json);
    reading->well_formed = json_feed(json, input) == OK && json_end(json) == OK;
    call_finish(&reading->call);
    must(!reading->call.has_model || reading->call.model.len > 0);
    must(!reading->call.has_model || reading->call.fault == CALL_FINE);
}

/* As a reader that minds neither case nor the two letters that fold to ASCII has it. */
static bool looks_like(struct slice name, const char *word)
{
    char folded[64];
    size_t len = 0;
    for (size_t i = 0; i < name.len && len < sizeof folded; i++) {
        struct slice rest = slice_from(name, i);
        bool long_s = slice_starts(rest, SLICE("\u017f"));
        bool kelvin = slice_starts(rest, SLICE("\u212a"));
        char byte = name.ptr[i];
        folded[len++] = long_s                       ? 's'
                        : kelvin                     ? 'k'
                        : byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20)
                                                     : byte;
        i += long_s ? 1 : kelvin ? 2 : 0;
    }
    return slice_equal(slice_make(folded, len), slice_of(word));
}

/* What the tree says: NULL when the body names no model that may be believed. */
static const char *believed_model(json_t *tree, const char **stream)
{
    const char *key, *model = NULL;
    json_t *member;
    *stream = "default";
    if (!json_is_object(tree))
        return NULL;
    json_object_foreach(tree, key, member)
    {
        bool exactly_stream = strcmp(key, "stream") == 0;
        if (looks_like(slice_of(key), "stream")) {
            if (!exactly_stream || !(json_is_boolean(member) || json_is_null(member)))
                return NULL;
            if (!json_is_null(member))
                *stream = json_is_true(member) ? "true" : "false";
        }
        if (!looks_like(slice_of(key), "model"))
            continue;
        if (strcmp(key, "model") != 0 || !json_is_string(member))
            return NULL;
        model = json_string_value(member);
        size_t len = json_string_length(member);
        if (len == 0 || len > MODEL_BYTES_MAX)
            return NULL;
        for (size_t i = 0; i < len; i++)
            if ((unsigned char)model[i] < 0x20 || model[i] == 0x7f)
                return NULL;
    }
    return model;
}

static void check_tree(json_t *tree, const struct reading *reading, const struct dialect *dialect)
{
    const struct call *call = &reading->call;
    const char *stream, *model = believed_model(tree, &stream);
    bool may_stream = call->kind == CALL_CHAT || call->kind == CALL_COMPLETION;
    must(call->has_model == (model != NULL));
    if (!model)
        return;
    must_equal(call->model, slice_of(model));
    must(call->has_stream == (strcmp(stream, "default") != 0));
    must(call->stream ==
         (call->has_stream ? strcmp(stream, "true") == 0 : may_stream && dialect->stream_default));
    json_t *messages = json_object_get(tree, "messages");
    if (!messages || json_is_array(messages))
        must(call->messages == json_array_size(messages));
}

/* The same members the other way round. */
static void print_reversed(struct buffer *out, json_t *tree)
{
    const char *key, *keys[256];
    json_t *member;
    size_t count = 0;
    json_object_foreach(tree, key, member)
    {
        if (count < COUNT_OF(keys))
            keys[count] = key;
        count++;
    }
    if (count > COUNT_OF(keys)) {
        out->failed = ERR_LIMIT;
        return;
    }
    buffer_text(out, "{");
    for (size_t i = count; i > 0; i--) {
        char *text = json_dumps(json_object_get(tree, keys[i - 1]), JSON_ENCODE_ANY);
        buffer_json_string(out, slice_of(keys[i - 1]));
        buffer_text(out, ":");
        buffer_text(out, text ? text : "null");
        buffer_text(out, i > 1 ? "," : "");
        free(text);
    }
    buffer_text(out, "}");
}

static void check_order(json_t *tree, const struct reading *before, const struct dialect *dialect)
{
    AUTO(buffer) text = BUFFER_MAX(TEXT_BYTES_MAX);
    if (!json_is_object(tree))
        return;
    print_reversed(&text, tree);
    if (text.failed)
        return;
    AUTO(reading) after;
    read_call(&after, buffer_slice(&text), before->call.kind, dialect);
    must(after.well_formed);
    must((before->call.fault == CALL_FINE) == (after.call.fault == CALL_FINE));
    must(before->call.has_model == after.call.has_model);
    if (!before->call.has_model)
        return;
    must_equal(before->call.model, after.call.model);
    must(before->call.stream == after.call.stream);
    must(before->call.messages == after.call.messages);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct {
        enum call_kind kind;
        const struct dialect *dialect;
    } rows[] = {
        {CALL_CHAT,      &dialect_openai   },
        {CALL_CHAT,      &dialect_ollama   },
        {CALL_CHAT,      &dialect_anthropic},
        {CALL_EMBEDDING, &dialect_ollama   },
        {CALL_LOCAL,     &dialect_openai   },
    };
    struct slice input = slice_make((const char *)bytes, size);
    json_error_t error;
    json_t *tree = json_loadb(size ? input.ptr : "", size, LOAD_FLAGS, &error);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(reading) reading;
        read_call(&reading, input, rows[i].kind, rows[i].dialect);
        if (reading.well_formed) /* a key with NUL in it is what jansson cannot hold */
            must(tree || json_error_code(&error) == json_error_null_byte_in_key);
        if (!reading.well_formed || !tree)
            continue;
        check_tree(tree, &reading, rows[i].dialect);
        check_order(tree, &reading, rows[i].dialect);
    }
    json_decref(tree);
    return 0;
}

#include "api/document.h"

#include <stdio.h>

#include "api/verb.h"
#include "base/utf8.h"

enum { PAIRS_MAX = 16, DECODED_BYTES_MAX = 128 * 1024 };

static enum err refuse(struct document_refusal *refusal, const char *code, const char *message)
{
    snprintf(refusal->code, sizeof refusal->code, "%s", code);
    snprintf(refusal->message, sizeof refusal->message, "%s", message);
    return ERR_DENIED;
}

/* --- requests -----------------------------------------------------------------------------------
 */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Percent-escapes and, in forms and queries, '+' for a space. ERR_SYNTAX: not well formed, or not
 * UTF-8 text. ERR_MEMORY. */
static enum err decode(struct slice text, bool plus, json_t **value)
{
    AUTO(buffer) out = BUFFER_MAX(DECODED_BYTES_MAX);
    if (!buffer_reserve(&out, text.len + 1)) /* at once: a buffer that grows leaves copies behind */
        return ERR_MEMORY;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '+' && plus)
            c = ' ';
        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return ERR_SYNTAX;
            c = (char)(high << 4 | low);
            i += 2;
        }
        buffer_byte(&out, c);
    }
    struct slice decoded = buffer_slice(&out);
    bool valid = utf8_valid(decoded);
    *value = valid ? json_stringn(decoded.len ? decoded.ptr : "", decoded.len) : NULL;
    explicit_bzero(out.bytes, out.len);
    return *value ? OK : valid ? ERR_MEMORY : ERR_SYNTAX;
}

/* One pair of a form or a query; twice the same name is refused, as in JSON. */
static enum err add_pair(json_t *object, struct slice name, struct slice value)
{
    json_t *key, *text;
    TRY(decode(name, true, &key));
    enum err err = decode(value, true, &text);
    const char *word = json_string_value(key);
    if (err == OK &&
        (!word[0] || strlen(word) != json_string_length(key) || json_object_get(object, word))) {
        json_decref(text);
        err = ERR_SYNTAX;
    } else if (err == OK && json_object_set_new(object, word, text) != 0) {
        err = ERR_MEMORY;
    }
    json_decref(key);
    return err;
}

/* Each pair becomes a member, and each value a text: who reads it knows what may be a number. */
static enum err add_pairs(json_t *object, struct slice pairs, struct document_refusal *refusal,
                          const char *what)
{
    for (unsigned count = 0; pairs.len; count++) {
        struct slice value = slice_cut(&pairs, '&'), name = slice_cut(&value, '=');
        enum err err = count < PAIRS_MAX ? add_pair(object, name, value) : ERR_SYNTAX;
        if (err == ERR_SYNTAX)
            return refuse(refusal, "usage", what);
        TRY(err);
    }
    return OK;
}

/* The gate's own scanner has read the text already; there are a few things that JSON allows and
 * jansson does not take. */
static enum err read_json(struct slice body, json_t **object, struct document_refusal *refusal)
{
    json_error_t wrong;
    enum err err = json_read(body, object, &wrong);
    if (err == ERR_MEMORY || json_is_object(*object))
        return err;
    if (err == OK)
        return refuse(refusal, "usage", "The request body must be a JSON object.");
    bool number = json_error_code(&wrong) == json_error_numeric_overflow;
    /* Nothing of the library's own sentence: it quotes what it read, a password perhaps. */
    return refuse(refusal, "usage",
                  number ? "The request body has a number that is too large."
                         : "The request body is nested too deeply, or has a NUL in a string.");
}

/* What stands in the body, as an object. */
static enum err read_body(const struct document_request *request, json_t **object,
                          struct document_refusal *refusal)
{
    if (!request->form && request->body.len)
        return read_json(request->body, object, refusal);
    *object = json_object();
    return *object ? add_pairs(*object, request->body, refusal, "The form is not well formed.")
                   : ERR_MEMORY;
}

static enum err make_request(const struct document_request *request, json_t **object,
                             struct document_refusal *refusal)
{
    TRY(read_body(request, object, refusal));
    TRY(add_pairs(*object, request->query, refusal, "The query of the URL is not well formed."));
    const char *taken = json_object_get(*object, "verb")                    ? "verb"
                        : request->id.len && json_object_get(*object, "id") ? "id"
                                                                            : NULL;
    if (taken) { /* not the sender's to say */
        snprintf(refusal->param, sizeof refusal->param, "%s", taken);
        return refuse(refusal, "usage", "There is no such member here.");
    }
    json_t *id = NULL;
    enum err err = request->id.len ? decode(request->id, false, &id) : OK;
    if (err == ERR_SYNTAX)
        return refuse(refusal, "not_found", "There is nothing at this path. Check its spelling.");
    TRY(err);
    if ((id && json_object_set_new(*object, "id", id) != 0) ||
        json_object_set_new(*object, "verb", json_string(request->verb)) != 0)
        return ERR_MEMORY;
    return OK;
}

/* --- responses ----------------------------------------------------------------------------------
 */

static enum err take_refusal(const json_t *response, struct document_refusal *refusal)
{
    const char *code = json_string_value(json_object_get(response, "error"));
    const char *message = json_string_value(json_object_get(response, "message"));
    const char *param = json_string_value(json_object_get(response, "param"));
    json_t *wait = json_object_get(response, "retry_after_s");
    snprintf(refusal->param, sizeof refusal->param, "%s", param ? param : "");
    refusal->retry_after_s = json_is_integer(wait) ? (uint64_t)json_integer_value(wait) : 0;
    refusal->tried = (uint64_t)json_integer_value(json_object_get(response, "tried"));
    return refuse(refusal, code ? code : "internal", message ? message : "");
}

/* A list as OpenAI's API has it, so that its clients can read it. */
static json_t *list_value(const json_t *response, json_t *list)
{
    json_t *next = json_object_get(response, "next");
    bool more = json_is_integer(next);
    return json_pack("{s:s, s:O, s:b, s:O?}", "object", "list", "data", list, "has_more", more,
                     "next", more ? next : NULL);
}

static enum err print(const json_t *response, const struct document_answer *answer)
{
    if (!answer->member)
        return OK;
    json_t *value = json_object_get(response, answer->member);
    json_t *document = answer->list ? list_value(response, value) : json_incref(value);
    size_t size = document ? json_dumpb(document, NULL, 0, JSON_COMPACT) : 0;
    char *room = size ? buffer_reserve(answer->body, size) : NULL;
    bool printed = room && json_dumpb(document, room, size, JSON_COMPACT) == size;
    if (printed)
        buffer_grow(answer->body, size);
    json_decref(document);
    return printed ? OK : ERR_MEMORY;
}

enum err document_run(const struct desk *desk, const struct caller *caller,
                      const struct document_request *request, struct document_answer *answer,
                      struct document_refusal *refusal)
{
    json_t *object = NULL, *response = NULL;
    *refusal = (struct document_refusal){0};
    enum err err = make_request(request, &object, refusal);
    if (err == OK) {
        response = verb_run(desk, caller, object);
        err = !response                                       ? ERR_MEMORY
              : json_is_true(json_object_get(response, "ok")) ? print(response, answer)
                                                              : take_refusal(response, refusal);
    }
    json_decref(object);
    json_decref(response);
    return err;
}

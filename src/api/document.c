#include "api/document.h"

#include <stdio.h>

#include "api/verb.h"

enum { FORM_FIELDS_MAX = 16 };

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

/* Percent-escapes and, in forms and queries, '+' for a space. NULL: not well formed, or not UTF-8
 * text. */
static json_t *decoded_value(struct slice text, bool plus)
{
    AUTO(buffer) out = BUFFER_MAX(64 * 1024);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '+' && plus)
            c = ' ';
        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return NULL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        buffer_byte(&out, c);
    }
    json_t *value = out.failed ? NULL : json_stringn(out.len ? out.bytes : "", out.len);
    if (out.bytes)
        explicit_bzero(out.bytes, out.len);
    return value;
}

/* Each pair becomes a member; twice the same is refused, as in JSON. */
static bool add_pairs(json_t *object, struct slice pairs)
{
    for (unsigned count = 0; pairs.len; count++) {
        struct slice value = slice_cut(&pairs, '&'), name = slice_cut(&value, '=');
        json_t *key = count < FORM_FIELDS_MAX ? decoded_value(name, true) : NULL;
        json_t *text = key ? decoded_value(value, true) : NULL;
        const char *word = json_string_value(key);
        bool good = text && word && word[0] && !json_object_get(object, word) &&
                    json_object_set(object, word, text) == 0;
        json_decref(key);
        json_decref(text);
        if (!good)
            return false;
    }
    return true;
}

/* What stands in the body, as an object. */
static enum err read_body(const struct document_request *request, json_t **object,
                          struct document_refusal *refusal)
{
    json_error_t wrong;
    if (request->form || request->body.len == 0) {
        *object = json_object();
        if (!*object)
            return ERR_MEMORY;
        return add_pairs(*object, request->body)
                   ? OK
                   : refuse(refusal, "usage", "The form is not well formed.");
    }
    *object = json_loadb(request->body.ptr, request->body.len, JSON_REJECT_DUPLICATES, &wrong);
    if (json_is_object(*object))
        return OK;
    if (!*object && json_error_code(&wrong) == json_error_out_of_memory)
        return ERR_MEMORY;
    /* Nothing of the library's sentence: it quotes what it read, a password perhaps. */
    return refuse(refusal, "usage",
                  *object ? "The request body must be a JSON object."
                          : "The request body is not acceptable JSON: it must be one JSON text in "
                            "UTF-8, no key twice in an object, nothing after its end.");
}

static enum err make_request(const struct document_request *request, json_t **object,
                             struct document_refusal *refusal)
{
    TRY(read_body(request, object, refusal));
    if (!add_pairs(*object, request->query))
        return refuse(refusal, "usage", "The query of the URL is not well formed.");
    if (json_object_get(*object, "verb") || (request->id.len && json_object_get(*object, "id"))) {
        snprintf(refusal->param, sizeof refusal->param, "%s",
                 json_object_get(*object, "verb") ? "verb" : "id");
        return refuse(refusal, "usage", "There is no such member here.");
    }
    json_t *id = request->id.len ? decoded_value(request->id, false) : NULL;
    if (request->id.len && !id)
        return refuse(refusal, "not_found", "There is nothing at this path. Check its spelling.");
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

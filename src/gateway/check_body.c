/* What is sent along: the type, the size, and every byte of it as strict JSON. The body is read and
 * scanned as it arrives (exchange_feed_body) and waits in pooled blocks; the very bytes that were
 * checked are the ones that go upstream. */
#include "base/log.h"
#include "gateway/gate.h"

/* "application/json", perhaps with charset=utf-8 and nothing else. */
static bool is_json(struct slice type)
{
    struct slice media = slice_trim(slice_cut(&type, ';'));
    if (!slice_equal_nocase(media, SLICE("application/json")))
        return false;
    type = slice_trim(type);
    return type.len == 0 || slice_equal_nocase(type, SLICE("charset=utf-8")) ||
           slice_equal_nocase(type, SLICE("charset=\"utf-8\""));
}

static bool is_form(struct slice type)
{
    struct slice media = slice_trim(slice_cut(&type, ';'));
    return slice_equal_nocase(media, SLICE("application/x-www-form-urlencoded"));
}

static enum verdict check_head(struct exchange *x)
{
    const struct request_head *head = x->head;
    x->body_is_form = x->native && x->native->body == NATIVE_FORM && is_form(head->content_type);
    if (head->content_encoding.ptr &&
        !slice_equal_nocase(head->content_encoding, SLICE("identity")))
        return refuse(x, REFUSE_CONTENT_ENCODING);
    if (!x->body_is_form && (!head->content_type.ptr || !is_json(head->content_type)))
        return refuse(x, REFUSE_CONTENT_TYPE);
    return PASS;
}

static enum verdict too_large(struct exchange *x)
{
    const struct settings *settings = exchange_settings(x);
    if (x->native)
        return refuse_with(x, REFUSE_BODY_TOO_LARGE, NULL,
                           "The request body is larger than %llu bytes, the limit here.",
                           (unsigned long long)exchange_body_max(x));
    return refuse_with(
        x, REFUSE_BODY_TOO_LARGE, NULL,
        "The request body is larger than %llu bytes, the limit that server.max_body sets "
        "(preset \"%s\").",
        (unsigned long long)settings->server.max_body_bytes,
        settings->server.preset == PRESET_AGENTS ? "agents" : "standard");
}

static bool wants_body(const struct exchange *x)
{
    if (x->native)
        return x->native->body == NATIVE_MAYBE_JSON ? request_has_body(x->head)
                                                    : x->native->body != NATIVE_NO_BODY;
    return x->endpoint && x->endpoint->call != CALL_NONE;
}

enum verdict check_body(struct exchange *x)
{
    const struct request_head *head = x->head;
    if (x->body_complete)
        return PASS;
    if (x->has_body)
        return WAIT; /* it is on its way */
    if (!wants_body(x)) {
        if (request_has_body(head))
            return refuse_with(x, REFUSE_BAD_REQUEST, NULL, "This endpoint takes no request body.");
        x->body_complete = true;
        return PASS;
    }
    if (!head->chunked && !head->streamed && head->content_length == HTTP_NO_LENGTH)
        return refuse(x, REFUSE_LENGTH_REQUIRED);
    if (check_head(x) == REFUSE)
        return REFUSE;
    if (head->content_length != HTTP_NO_LENGTH && head->content_length > exchange_body_max(x))
        return too_large(x);
    if (exchange_begin_body(x) != OK)
        return REFUSE;
    x->front->want_body(x);
    return WAIT;
}

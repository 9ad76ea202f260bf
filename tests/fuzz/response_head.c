/* Response heads: what we accept llhttp accepts, with the same status, fields and framing, and no
 * beginning of it is judged otherwise.
 *
 * Where llhttp is known to differ: it reads Proxy-Connection as if it were Connection, and expects
 * the content that a 204 or 1xx with a Content-Length announces; we end such an answer with its
 * head and do not keep the connection. */
#include "heads.h"
#include "other_reader.h"

static struct response_head parsed; /* of the last call of parse */
static enum http_method method;

static struct head_outcome parse(struct slice bytes)
{
    struct head_outcome outcome;
    outcome.err =
        response_head_parse(bytes, &head_limits, method, &parsed, &outcome.used, &outcome.fault);
    return outcome;
}

static bool has_field(const char *name)
{
    for (unsigned i = 0; i < parsed.field_count; i++)
        if (slice_equal_nocase(parsed.fields[i].name, slice_of(name)))
            return true;
    return false;
}

static void check_other_reader(struct slice bytes)
{
    AUTO(buffer) ours = BUFFER_MAX(64 * 1024);
    AUTO(other_message) theirs = {.response = true, .bodyless = method == METHOD_HEAD};
    other_message_read(&theirs, bytes);
    must_equal(slice_of(theirs.accepted ? "" : theirs.reason), SLICE(""));
    must(theirs.head_complete);
    buffer_printf(&ours, "%u ", parsed.status);
    head_text(&ours, parsed.reason, parsed.minor_version, parsed.fields, parsed.field_count);
    must_equal(buffer_slice(&ours), buffer_slice(&theirs.head));
    must(parsed.status == theirs.status);
    must(parsed.chunked == theirs.chunked);
    must((parsed.content_length != HTTP_NO_LENGTH) == theirs.has_length);
    must(!theirs.has_length || parsed.content_length == theirs.content_length);
    bool framed = parsed.chunked || parsed.content_length != HTTP_NO_LENGTH;
    if (!parsed.no_body)
        must(theirs.until_close == !framed);
    if (parsed.keep_alive && method != METHOD_HEAD && !has_field("proxy-connection"))
        must(theirs.keep_alive);
}

/* Where the body ends is known, or the connection is not used again. */
static void check_framing(void)
{
    bool framed = parsed.chunked || parsed.content_length != HTTP_NO_LENGTH;
    heads_check_fields(parsed.fields, parsed.field_count, true);
    must(parsed.status >= 100 && parsed.status <= 599 && parsed.minor_version <= 1);
    must(!parsed.chunked || parsed.content_length == HTTP_NO_LENGTH);
    must(!parsed.keep_alive || framed || parsed.no_body);
    bool never = parsed.status < 200 || parsed.status == 204;
    if (never && (parsed.chunked || (framed && parsed.content_length > 0)))
        must(!parsed.keep_alive);
    must(parsed.no_body == (never || parsed.status == 304 || method == METHOD_HEAD));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const enum http_method methods[] = {METHOD_GET, METHOD_HEAD};
    struct slice input = slice_make((const char *)bytes, size);
    struct head_outcome outcomes[COUNT_OF(methods)];
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        method = methods[i];
        outcomes[i] = i == 0 ? heads_check(input, parse) : parse(input);
        if (outcomes[i].err != OK)
            continue;
        struct slice head_bytes = slice_to(input, outcomes[i].used);
        must(parse(head_bytes).err == OK);
        check_framing();
        check_other_reader(head_bytes);
    }
    must(outcomes[0].err == outcomes[1].err && outcomes[0].fault == outcomes[1].fault);
    return 0;
}

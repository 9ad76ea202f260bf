/* Request heads: what we accept llhttp accepts and reads the same, it can be printed and read again
 * to the same, and no beginning of it is judged otherwise.
 *
 * Where llhttp is known to differ: it reads Proxy-Connection as if it were Connection, and with
 * both `close` and `keep-alive` on HTTP/1.0 it keeps the connection; we close it. */
#include <stdlib.h>

#include "heads.h"
#include "other_reader.h"

static struct request_head parsed; /* of the last call of parse */

static struct head_outcome parse(struct slice bytes)
{
    struct head_outcome outcome;
    outcome.err = request_head_parse(bytes, &head_limits, &parsed, &outcome.used, &outcome.fault);
    return outcome;
}

static void print_text(struct buffer *out, const struct request_head *head)
{
    buffer_text(out, http_method_name(head->method));
    buffer_text(out, " ");
    head_text(out, head->target, head->minor_version, head->fields, head->field_count);
}

static bool has_field(const struct request_head *head, const char *name)
{
    for (unsigned i = 0; i < head->field_count; i++)
        if (slice_equal_nocase(head->fields[i].name, slice_of(name)))
            return true;
    return false;
}

static void check_other_reader(const struct request_head *head, struct slice bytes)
{
    AUTO(buffer) ours = BUFFER_MAX(64 * 1024);
    AUTO(other_message) theirs = {.response = false};
    other_message_read(&theirs, bytes);
    must_equal(slice_of(theirs.reason && !theirs.accepted ? theirs.reason : ""), SLICE(""));
    must(theirs.head_complete);
    print_text(&ours, head);
    must_equal(buffer_slice(&ours), buffer_slice(&theirs.head));
    must(head->chunked == theirs.chunked);
    must((head->content_length != HTTP_NO_LENGTH) == theirs.has_length);
    must(!theirs.has_length || head->content_length == theirs.content_length);
    if (head->keep_alive && !has_field(head, "proxy-connection"))
        must(theirs.keep_alive);
}

/* Without white space around values, so that no limit is passed that was not passed before. */
static void check_printed(const struct request_head *head)
{
    AUTO(buffer) text = BUFFER_MAX(64 * 1024);
    AUTO(buffer) before = BUFFER_MAX(64 * 1024);
    AUTO(buffer) after = BUFFER_MAX(64 * 1024);
    print_text(&before, head);
    buffer_printf(&text, "%s %.*s HTTP/1.%u\r\n", http_method_name(head->method),
                  SLICE_ARG(head->target), head->minor_version);
    for (unsigned i = 0; i < head->field_count; i++)
        buffer_printf(&text, "%.*s:%.*s\r\n", SLICE_ARG(head->fields[i].name),
                      SLICE_ARG(head->fields[i].value));
    buffer_text(&text, "\r\n");
    struct request_head first = *head; /* `head` is overwritten by the next parse */
    struct head_outcome outcome = parse(buffer_slice(&text));
    must(outcome.err == OK && outcome.used == text.len);
    print_text(&after, &parsed);
    must_equal(buffer_slice(&before), buffer_slice(&after));
    must_equal(first.path, parsed.path);
    must_equal(first.query, parsed.query);
    must_equal(first.host, parsed.host);
    must(first.chunked == parsed.chunked && first.content_length == parsed.content_length);
    must(first.keep_alive == parsed.keep_alive);
    must(first.expect_continue == parsed.expect_continue);
}

/* A request that reaches policy can be framed in one way and goes to one place. */
static void check_meaning(const struct request_head *head)
{
    unsigned hosts = 0, lengths = 0, codings = 0;
    heads_check_fields(head->fields, head->field_count, false);
    for (unsigned i = 0; i < head->field_count; i++) {
        hosts += slice_equal_nocase(head->fields[i].name, SLICE("host"));
        lengths += slice_equal_nocase(head->fields[i].name, SLICE("content-length"));
        codings += slice_equal_nocase(head->fields[i].name, SLICE("transfer-encoding"));
        (void)http_hop_by_hop(head->fields, head->field_count, &head->fields[i]);
    }
    must(hosts == 1 || (hosts == 0 && head->minor_version == 0));
    must(lengths + codings <= 1);
    must(head->chunked == (codings == 1));
    must((head->content_length != HTTP_NO_LENGTH) == (lengths == 1));
    must(head->path.len > 0);
    must(head->path.ptr[0] == '/' || slice_equal(head->path, SLICE("*")));
}

/* The head still says the same when its bytes have moved. */
static void check_rebase(struct request_head *head, struct slice bytes)
{
    AUTO(buffer) before = BUFFER_MAX(64 * 1024);
    AUTO(buffer) after = BUFFER_MAX(64 * 1024);
    char *moved = fuzz_copy(bytes), *kept = fuzz_copy(bytes);
    must(parse(slice_make(kept, bytes.len)).err == OK);
    print_text(&before, head);
    request_head_rebase(head, kept, moved);
    memset(kept, 0, bytes.len);
    print_text(&after, head);
    must_equal(buffer_slice(&before), buffer_slice(&after));
    must(head->line.ptr >= moved && head->line.ptr + head->line.len <= moved + bytes.len);
    must(head->path.ptr >= moved && head->path.ptr + head->path.len <= moved + bytes.len);
    free(kept);
    free(moved);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make((const char *)bytes, size);
    struct head_outcome whole = heads_check(input, parse);
    if (whole.err != OK)
        return 0;
    struct slice head_bytes = slice_to(input, whole.used);
    check_rebase(&parsed, head_bytes);
    must(parse(head_bytes).err == OK);
    check_meaning(&parsed);
    check_other_reader(&parsed, head_bytes);
    check_printed(&parsed);
    return 0;
}

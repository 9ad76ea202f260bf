/* The chunked coding: any cut gives the same content, the same end and the same fault; what we
 * accept llhttp decodes to the same content, with the same end.
 *
 * llhttp knows neither a second extension behind one with a value nor a backslash in a quoted value
 * (RFC 9112, 7.1.1), so a text with one of them is not compared. */
#include "proto/chunked.h"

#include "fuzz.h"
#include "other_reader.h"

enum { CONTENT_BYTES_MAX = 256 * 1024 };

struct reading {
    struct chunked chunked;
    struct buffer content, framing;
    enum err err;
    size_t read_bytes;
};

static void reading_finish(struct reading *reading)
{
    buffer_finish(&reading->content);
    buffer_finish(&reading->framing);
}

static bool take(void *context, struct slice piece)
{
    struct reading *reading = context;
    struct slice rest = piece, content;
    do {
        struct slice before = rest;
        reading->err = chunked_next(&reading->chunked, &rest, &content);
        must(reading->err == OK || content.len == 0);
        must(reading->err != OK || content.len > 0);
        buffer_append(&reading->content, content);
        buffer_append(&reading->framing, slice_to(before, before.len - rest.len - content.len));
    } while (reading->err == OK);
    reading->read_bytes += piece.len - rest.len;
    must(reading->err != ERR_AGAIN || rest.len == 0);
    return reading->err == ERR_AGAIN;
}

static void read_cut(struct reading *reading, struct slice input, unsigned cut,
                     uint64_t overhead_bytes)
{
    *reading = (struct reading){.content = BUFFER_MAX(CONTENT_BYTES_MAX),
                                .framing = BUFFER_MAX(CONTENT_BYTES_MAX),
                                .err = ERR_AGAIN};
    chunked_init(&reading->chunked);
    reading->chunked.overhead_bytes = overhead_bytes;
    fuzz_cut(input, cut, take, reading);
    must((reading->err == ERR_SYNTAX) == (reading->chunked.fault != HTTP_FINE));
    must(reading->content.len == reading->chunked.content_bytes);
    /* What was decided stays so, whatever comes. */
    struct slice more = SLICE("0\r\n\r\n"), content;
    if (reading->err != ERR_AGAIN) {
        must(chunked_next(&reading->chunked, &more, &content) == reading->err);
        must(more.len == 5);
    }
}

static void check_other_reader(const struct reading *ours, struct slice coded)
{
    static const struct slice head = SLICE("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    AUTO(buffer) text = BUFFER_MAX(CONTENT_BYTES_MAX);
    AUTO(other_message) theirs = {.response = false};
    buffer_append(&text, head);
    buffer_append(&text, coded);
    other_message_read(&theirs, buffer_slice(&text));
    must_equal(slice_of(theirs.accepted ? "" : theirs.reason), SLICE(""));
    must(theirs.complete);
    must(theirs.end == text.len);
    must_equal(buffer_slice(&ours->content), buffer_slice(&theirs.body));
}

static bool comparable(struct slice framing)
{
    while (framing.len) {
        struct slice line = slice_cut(&framing, '\n');
        struct slice value = slice_from(line, slice_find(line, '='));
        if (slice_find(value, ';') < value.len || slice_find(value, '\\') < value.len)
            return false;
    }
    return true;
}

/* `overhead_bytes`: as if so much framing had come before. */
static void check(struct slice input, uint64_t overhead_bytes)
{
    AUTO(reading) whole;
    read_cut(&whole, input, 0, overhead_bytes);
    for (unsigned cut = 1; cut < FUZZ_CUTS; cut++) {
        AUTO(reading) part;
        read_cut(&part, input, cut, overhead_bytes);
        must(part.err == whole.err && part.chunked.fault == whole.chunked.fault);
        must(part.read_bytes == whole.read_bytes);
        must_equal(buffer_slice(&part.content), buffer_slice(&whole.content));
    }
    if (whole.err == ERR_CLOSED && comparable(buffer_slice(&whole.framing)))
        check_other_reader(&whole, slice_to(input, whole.read_bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make((const char *)bytes, size);
    check(input, 0);
    check(input, 100 * 1024); /* where framing begins to be weighed against content */
    return 0;
}

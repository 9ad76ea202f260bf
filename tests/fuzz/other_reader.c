/* See other_reader.h. */
#include "other_reader.h"

#include <llhttp.h>

enum { TEXT_BYTES_MAX = 256 * 1024 };

struct reading {
    llhttp_t parser; /* first: llhttp's callbacks get a pointer to it */
    struct other_message *message;
};

static struct other_message *message_of(llhttp_t *parser)
{
    return ((struct reading *)(void *)parser)->message;
}

static int on_first(llhttp_t *parser, const char *at, size_t len)
{
    buffer_append(&message_of(parser)->first, slice_make(at, len));
    return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    buffer_append(&message_of(parser)->name, slice_make(at, len));
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    buffer_append(&message_of(parser)->value, slice_make(at, len));
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    buffer_append(&message_of(parser)->body, slice_make(at, len));
    return 0;
}

static void print_first(struct buffer *out, struct slice first, unsigned major, unsigned minor)
{
    buffer_append(out, first);
    buffer_printf(out, " %u.%u\n", major, minor);
}

static void print_field(struct buffer *out, struct slice name, struct slice value)
{
    buffer_append(out, name);
    buffer_text(out, ": ");
    for (size_t i = 0; i < value.len; i++)
        buffer_byte(out, value.ptr[i] == '\t' ? ' ' : value.ptr[i]);
    buffer_text(out, "\n");
}

/* llhttp keeps white space at the end of a value; RFC 9112, 5 says it is not part of it. */
static int on_field(llhttp_t *parser)
{
    struct other_message *message = message_of(parser);
    if (!message->head_complete) /* else a trailer */
        print_field(&message->head, buffer_slice(&message->name),
                    slice_trim(buffer_slice(&message->value)));
    buffer_clear(&message->name);
    buffer_clear(&message->value);
    return 0;
}

static int on_head(llhttp_t *parser)
{
    struct other_message *message = message_of(parser);
    struct buffer fields = message->head;
    message->head = BUFFER_MAX(TEXT_BYTES_MAX);
    message->status = parser->status_code;
    if (message->response) {
        buffer_printf(&message->head, "%u ", message->status);
    } else {
        buffer_text(&message->head, llhttp_method_name((llhttp_method_t)parser->method));
        buffer_text(&message->head, " ");
    }
    print_first(&message->head, buffer_slice(&message->first), parser->http_major,
                parser->http_minor);
    buffer_append(&message->head, buffer_slice(&fields));
    buffer_finish(&fields);
    message->head_complete = true;
    message->has_length = (parser->flags & F_CONTENT_LENGTH) != 0;
    message->chunked = (parser->flags & F_CHUNKED) != 0;
    message->content_length = parser->content_length;
    message->keep_alive = llhttp_should_keep_alive(parser);
    message->until_close = llhttp_message_needs_eof(parser);
    return message->bodyless ? 1 : 0;
}

static int on_end(llhttp_t *parser)
{
    message_of(parser)->complete = true;
    return HPE_PAUSED;
}

/* llhttp takes no TAB for white space behind a Content-Length, "chunked" or "keep-alive". RFC 9110,
 * 5.6.3 gives TAB and space one meaning in fields, so it reads spaces, and print_field writes them.
 */
static void space_tabs(char *bytes, size_t len)
{
    size_t line = 0; /* the first one has no white space but the two spaces */
    for (size_t at = 0, begin = 0; at < len; at++) {
        if (bytes[at] == '\t' && line > 0)
            bytes[at] = ' ';
        if (bytes[at] != '\n')
            continue;
        bool empty = at - begin < 2;
        if (empty && line > 0) /* the body follows */
            return;
        begin = at + 1;
        line += !empty; /* there may be empty ones before the first: RFC 9112, 2.2 */
    }
}

void other_message_read(struct other_message *message, struct slice bytes)
{
    static llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_url = on_first;
    settings.on_status = on_first;
    settings.on_header_field = on_name;
    settings.on_header_value = on_value;
    settings.on_header_value_complete = on_field;
    settings.on_headers_complete = on_head;
    settings.on_body = on_body;
    settings.on_message_complete = on_end;
    struct buffer *const texts[] = {&message->head, &message->name, &message->value,
                                    &message->first, &message->body};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        buffer_init(texts[i], TEXT_BYTES_MAX);

    AUTO(buffer) copy = BUFFER_MAX(TEXT_BYTES_MAX);
    buffer_append(&copy, bytes);
    space_tabs(copy.bytes, copy.len);
    struct reading reading = {.message = message};
    llhttp_init(&reading.parser, message->response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    llhttp_errno_t err = llhttp_execute(&reading.parser, copy.bytes, copy.len);
    message->accepted =
        err == HPE_OK || err == HPE_PAUSED_UPGRADE || (err == HPE_PAUSED && message->complete);
    message->reason = err == HPE_OK ? "" : llhttp_errno_name(err);
    if (message->complete)
        message->end = (size_t)(llhttp_get_error_pos(&reading.parser) - copy.bytes);
}

void other_message_finish(struct other_message *message)
{
    buffer_finish(&message->head);
    buffer_finish(&message->name);
    buffer_finish(&message->value);
    buffer_finish(&message->first);
    buffer_finish(&message->body);
}

void head_text(struct buffer *out, struct slice first, unsigned minor_version,
               const struct field *fields, unsigned count)
{
    print_first(out, first, 1, minor_version);
    for (unsigned i = 0; i < count; i++)
        print_field(out, fields[i].name, fields[i].value);
}

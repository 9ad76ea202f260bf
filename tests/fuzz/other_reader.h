/* The other reader of HTTP/1 messages: llhttp, Node's parser, in its strict mode. It is more
 * lenient than ours, so the promise is one-sided: what ours accepts, it accepts and reads the same.
 */
#ifndef FUZZ_OTHER_READER_H
#define FUZZ_OTHER_READER_H

#include "base/buffer.h"
#include "proto/http.h"

struct other_message {
    bool response;
    bool bodyless; /* in: the answer to HEAD */
    bool accepted; /* no fault up to the end of the bytes */
    bool head_complete, complete;
    const char *reason;               /* when it was not accepted */
    struct buffer head;               /* in head_text's form */
    struct buffer name, value, first; /* of the line being read */
    struct buffer body;
    bool has_length, chunked, keep_alive, until_close;
    uint64_t content_length;
    unsigned status;
    size_t end; /* where the message ended, when it did */
};

/* Reads one message from the start of `bytes`; other_message_finish releases it. */
void other_message_read(struct other_message *message, struct slice bytes);
void other_message_finish(struct other_message *message);

/* What was read of a head, as text: a first line, then "name: value" lines. */
void head_text(struct buffer *out, struct slice first, unsigned minor_version,
               const struct field *fields, unsigned count);

#endif

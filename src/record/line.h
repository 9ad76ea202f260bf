/* The two lines written about each exchange: the access log's and the application log's. One event
 * is one line of valid JSON whatever bytes the client sent, and no field ever shows an API key. */
#ifndef RECORD_LINE_H
#define RECORD_LINE_H

#include "base/buffer.h"
#include "record/record.h"

/* No line is longer: fields are cut (line.c), and escaping makes six bytes of one at worst. */
enum { LINE_MAX_BYTES = 32 * 1024 };

/* The texts of the last second that was printed; zero at first. One per thread. */
struct second_text {
    uint64_t epoch_s;
    char rfc3339[20]; /* "2025-11-03T10:30:00Z" */
    char plain[19];   /* "2025-11-03 10:30:00" */
};

/* The status that is logged: 499 when no answer was begun, nearly always since the client was gone.
 */
unsigned line_status(const struct exchange_record *record);

/* Each appends one line with its newline. Their time is that of the exchange's end, as nginx has
 * it. */
void line_print_access(struct buffer *out, const struct exchange_record *record,
                       struct second_text *second);
void line_print_app(struct buffer *out, const struct exchange_record *record,
                    struct second_text *second);
/* INFO, WARNING for 4xx, ERROR for 5xx. */
enum log_level line_level(const struct exchange_record *record);

#endif

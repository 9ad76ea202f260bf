/* A line of the audit log: from an event to bytes, and from bytes to the parts that make the chain.
 */
#ifndef RECORD_AUDIT_LINE_H
#define RECORD_AUDIT_LINE_H

#include "record/audit.h"
#include "record/audit_chain.h"

enum {
    AUDIT_WORD_MAX = 128,
    AUDIT_PATH_MAX = 256,
    AUDIT_METHOD_MAX = 16,
    /* Escaping makes six bytes of one at worst; 3 * 128 + 256 + 16 bytes are 3936 then, and all
     * that is fixed is less than 500. The newline counts. */
    AUDIT_LINE_MAX = 5 * 1024,
};

struct audit_text {
    uint16_t len;
    char bytes[AUDIT_PATH_MAX];
};
struct audit_word {
    uint16_t len;
    char bytes[AUDIT_WORD_MAX];
};

/* A record as it waits to be written: copies, cut and without what may be a credential. */
struct audit_entry {
    uint64_t wall_us;
    uint64_t since_us; /* monotonic */
    uint64_t count;
    enum audit_event event;
    unsigned status;
    struct address ip;
    struct audit_word actor, reason, request_id;
    struct audit_text path;
    struct {
        uint16_t len;
        char bytes[AUDIT_METHOD_MAX];
    } method;
};
void audit_entry_set(struct audit_entry *entry, const struct audit_record *record);

/* Appends the line of the record behind `link` and moves `link` on to it. ERR_MEMORY; ERR_LIMIT
 * when `out` has no room: neither has changed then. */
enum err audit_line_print(struct buffer *out, const struct audit_entry *entry,
                          const struct audit_key *key, struct audit_link *link) MUST_CHECK;

/* The parts of a line, which point into it. */
struct audit_parts {
    uint64_t seq;
    struct slice sealed; /* what the hash is of: all up to and including `prev` */
    struct slice prev, hash;
};
/* A line without its newline. ERR_SYNTAX: it is not laid out as ours are. Nothing is proved yet. */
enum err audit_line_parse(struct slice line, struct audit_parts *parts) MUST_CHECK;

/* What people search by; the actor as JSON has it, with its quotation marks and escapes. */
struct audit_front {
    struct slice timestamp, event, actor, ip;
};
/* ERR_SYNTAX as above. */
enum err audit_line_front(struct slice line, struct audit_front *front) MUST_CHECK;

#endif

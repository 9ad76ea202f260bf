/* The deny-list's file as text: its lines, and what holds by them. No file is touched here.
 *
 * A line is document 004's: `ENTRY  # Blocked: REASON at 2025-11-03 10:30:00 for 900s`, the time in
 * UTC. Without `for` it holds until somebody removes it; of the comment nothing is needed. ENTRY is
 * an address (IPv6: its /64), a range, or `key:` with the public id of a key behind it, or the
 * key_id of one of a file. */
#ifndef GUARD_DENYLIST_H
#define GUARD_DENYLIST_H

#include "base/fault.h"
#include "guard/bans.h"

enum {
    DENY_KEY_MAX = 64,
    DENY_REASON_MAX = 128,
    DENY_SECONDS_MAX = 365 * 86400,
    DENYLIST_ENTRIES_MAX = 1 << 18,
    DENYLIST_BYTES_MAX = 32 * 1024 * 1024,
};

enum deny_kind { DENY_ADDRESS, DENY_RANGE, DENY_KEY, DENY_KIND_COUNT };
const char *deny_kind_name(enum deny_kind kind); /* "address" */

struct deny_entry {
    enum deny_kind kind;
    struct cidr range; /* of a client too: 32 or 64 bits */
    char key[DENY_KEY_MAX + 1];
    char reason[DENY_REASON_MAX + 1];
    uint64_t at_epoch_s; /* when it was banned; 0: the line does not say */
    uint64_t seconds;    /* from then on; 0: until it is removed */
};

/* What stands in front of the comment. ERR_SYNTAX. */
enum err deny_entry_parse(struct slice text, struct deny_entry *entry) MUST_CHECK;
/* The client at this address, as limits know it. */
struct deny_entry deny_entry_of_client(const struct address *address);
/* The key with this id. ERR_SYNTAX: some that a file of keys may have, with a space in it, have no
 * place on a line. */
enum err deny_entry_of_key(struct slice id, struct deny_entry *entry) MUST_CHECK;
void deny_entry_print(struct buffer *out, const struct deny_entry *entry);
/* May this be a reason? Printable UTF-8, 1 to 128 bytes. */
bool deny_reason_valid(struct slice reason);
/* What is looked up in guard/bans.h. */
struct ban deny_entry_ban(const struct deny_entry *entry, uint64_t until_us);

/* A line without its newline. ERR_NOT_FOUND: there is no entry on it. ERR_SYNTAX: `*fault` is what
 * is wrong. With OK too it may say something; else it is NULL. */
enum err deny_line_parse(struct slice line, struct deny_entry *entry,
                         const char **fault) MUST_CHECK;
/* With its newline. It reads back the same. */
void deny_line_print(struct buffer *out, const struct deny_entry *entry);

/* One line that bans somebody. */
struct denial {
    struct ban ban;
    enum deny_kind kind;
    uint64_t line_hash;
    uint32_t at, len; /* in the text, without the newline */
    uint32_t line;
};

/* The text of a file, read. Zero is an empty one. */
struct deny_text {
    char *bytes;
    size_t len;
    struct denial *denials; /* in the order of the lines */
    size_t count;
    uint32_t *index; /* by identity and by line, open addressing: the number of a denial plus one */
    size_t mask;
};

/* The same moment on both clocks. */
struct deny_now {
    uint64_t wall_us, now_us;
};

/* Copies `bytes` and reads them. A line that stands in `before` (may be NULL) keeps its end, so
 * that a jump of the wall clock moves none. Broken lines are told to `faults` (may be NULL) and ban
 * nobody. ERR_MEMORY, ERR_LIMIT: more than DENYLIST_ENTRIES_MAX. */
enum err deny_text_read(struct deny_text *made, struct slice bytes, const struct deny_text *before,
                        struct deny_now now, const char *path, struct faults *faults) MUST_CHECK;
void deny_text_finish(struct deny_text *text);
/* Any line of that identity; with `line_hash`, the line itself. NULL: there is none. */
const struct denial *deny_text_find(const struct deny_text *text, uint64_t identity,
                                    uint64_t line_hash);
/* The line of a denial once more. */
void deny_text_entry(const struct deny_text *text, const struct denial *denial,
                     struct deny_entry *entry);
/* Is it to go from the file: of this identity (0: of none), or over? */
bool denial_goes(const struct denial *denial, uint64_t identity, uint64_t now_us);
/* The text without the lines of those; all others as they are. */
void deny_text_without(const struct deny_text *text, uint64_t identity, uint64_t now_us,
                       struct buffer *out);

#endif

/* Lines of the deny-list. The file is the operator's as much as ours, so the text itself is kept,
 * and what is not ours is never touched: a line that cannot be read costs that line only, and a
 * removal leaves all others as they are, byte for byte. */
#include "guard/denylist.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "identity/key.h"

enum { TIME_LEN = 19, FOR_DIGITS_MAX = 8 };

static const struct slice blocked = SLICE("Blocked: "), key_prefix = SLICE("key:");

const char *deny_kind_name(enum deny_kind kind)
{
    static const char *const names[] = {
        [DENY_ADDRESS] = "address", [DENY_RANGE] = "range", [DENY_KEY] = "key"};
    return names[kind];
}

/* --- entries ------------------------------------------------------------------------------------
 */

static bool printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    return utf8_valid(text);
}

enum err deny_entry_of_key(struct slice id, struct deny_entry *entry)
{
    *entry = (struct deny_entry){.kind = DENY_KEY};
    if (id.len == 0 || id.len > DENY_KEY_MAX || !printable(id) || slice_find(id, ' ') < id.len ||
        slice_find(id, '#') < id.len)
        return ERR_SYNTAX;
    memcpy(entry->key, id.ptr, id.len);
    entry->key[id.len] = 0;
    return OK;
}

static enum err read_range(struct slice text, struct deny_entry *entry)
{
    TRY(cidr_parse(text, &entry->range));
    struct cidr *range = &entry->range;
    unsigned client_bits = address_identity_bits(range->network.family);
    if (slice_find(text, '/') == text.len)
        range->bits = client_bits;
    range->network = address_prefix(&range->network, range->bits);
    entry->kind = range->bits == client_bits ? DENY_ADDRESS : DENY_RANGE;
    return OK;
}

enum err deny_entry_parse(struct slice text, struct deny_entry *entry)
{
    *entry = (struct deny_entry){0};
    if (slice_starts(text, key_prefix))
        return deny_entry_of_key(slice_from(text, key_prefix.len), entry);
    return read_range(text, entry);
}

struct deny_entry deny_entry_of_client(const struct address *address)
{
    struct deny_entry entry = {.kind = DENY_ADDRESS};
    entry.range.bits = address_identity_bits(address->family);
    entry.range.network = address_identity(address);
    return entry;
}

void deny_entry_print(struct buffer *out, const struct deny_entry *entry)
{
    if (entry->kind == DENY_KEY) {
        buffer_append(out, key_prefix);
        buffer_text(out, entry->key);
        return;
    }
    address_print(out, &entry->range.network);
    if (entry->range.network.family == ADDRESS_V6 || entry->kind == DENY_RANGE)
        buffer_printf(out, "/%u", entry->range.bits);
}

struct ban deny_entry_ban(const struct deny_entry *entry, uint64_t until_us)
{
    if (entry->kind == DENY_KEY)
        return (struct ban){.identity = key_ban_identity(slice_of(entry->key)),
                            .until_us = until_us};
    return ban_of_range(&entry->range, until_us);
}

bool deny_reason_valid(struct slice reason)
{
    return reason.len > 0 && reason.len <= DENY_REASON_MAX && printable(reason);
}

/* --- lines --------------------------------------------------------------------------------------
 */

/* "2025-11-03 10:30:00". */
static enum err read_time(struct slice text, uint64_t *epoch_s)
{
    char copy[TIME_LEN + 1];
    if (text.len != TIME_LEN || text.ptr[10] != ' ')
        return ERR_SYNTAX;
    memcpy(copy, text.ptr, TIME_LEN);
    copy[10] = 'T';
    copy[TIME_LEN] = 'Z';
    return clock_parse_rfc3339(slice_make(copy, sizeof copy), epoch_s);
}

/* Cuts the last `mark` off `*text` with what follows it, which it returns; empty: there is none. */
static struct slice cut_last(struct slice *text, struct slice mark)
{
    for (size_t at = text->len; at-- > 0;)
        if (slice_starts(slice_from(*text, at), mark)) {
            struct slice behind = slice_from(*text, at + mark.len);
            text->len = at;
            return behind;
        }
    return slice_make(NULL, 0);
}

/* " for 900s" at the end. */
static void read_seconds(struct slice *text, struct deny_entry *entry)
{
    struct slice before = *text, digits = cut_last(&before, SLICE(" for "));
    uint64_t seconds;
    if (digits.len < 2 || digits.len > FOR_DIGITS_MAX + 1 || !slice_ends(digits, SLICE("s")) ||
        !slice_number(slice_to(digits, digits.len - 1), DENY_SECONDS_MAX, &seconds) || !seconds)
        return;
    entry->seconds = seconds;
    *text = before;
}

/* For people and for JSON: what is not text becomes '?'. A cut may leave a space at the end. */
static void keep_reason(struct slice text, struct deny_entry *entry)
{
    text = slice_trim(text);
    if (text.len > DENY_REASON_MAX)
        text = slice_trim(slice_to(text, DENY_REASON_MAX));
    for (size_t i = 0, len; i < text.len; i += len) {
        len = utf8_sequence(slice_from(text, i));
        bool shown = len > 1 || (len == 1 && text.ptr[i] >= 0x20 && text.ptr[i] != 0x7f);
        len = len ? len : 1;
        if (shown)
            memcpy(entry->reason + i, text.ptr + i, len);
        else
            memset(entry->reason + i, '?', len);
    }
}

/* Why a comment without a time at its end may not be what was meant; NULL: it has none. `behind` is
 * what follows its last "at". */
static const char *time_fault(const struct deny_entry *entry, struct slice behind)
{
    uint64_t ignored;
    if (entry->seconds)
        return "it says for how long, but not since when (at YYYY-MM-DD HH:MM:SS, in UTC): it "
               "holds until it is removed";
    if (behind.len > TIME_LEN && read_time(slice_to(behind, TIME_LEN), &ignored) == OK)
        return "behind its time may only stand for how long, in seconds up to a year (for 900s): "
               "it holds until it is removed";
    return NULL;
}

/* From the right, since a reason may hold any of these words. */
static const char *read_comment(struct slice comment, struct deny_entry *entry)
{
    comment = slice_trim(comment);
    if (slice_starts(comment, blocked))
        comment = slice_from(comment, blocked.len);
    struct slice rest = comment;
    read_seconds(&rest, entry);
    struct slice reason = rest, time = cut_last(&reason, SLICE(" at "));
    const char *fault = NULL;
    if (read_time(slice_trim(time), &entry->at_epoch_s) != OK) {
        reason = comment;
        fault = time_fault(entry, slice_trim(time));
        entry->seconds = 0;
    }
    keep_reason(reason, entry);
    return fault;
}

enum err deny_line_parse(struct slice line, struct deny_entry *entry, const char **fault)
{
    *fault = NULL;
    if (slice_ends(line, SLICE("\r")))
        line.len--;
    line = slice_trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return ERR_NOT_FOUND;
    size_t end = 0;
    while (end < line.len && line.ptr[end] != ' ' && line.ptr[end] != '\t' && line.ptr[end] != '#')
        end++;
    struct slice rest = slice_trim(slice_from(line, end));
    if (rest.len && rest.ptr[0] != '#')
        *fault = "behind the entry only a comment may stand, after a #";
    else if (deny_entry_parse(slice_to(line, end), entry) != OK)
        *fault = "it does not begin with an address, a range without bits behind its length "
                 "(10.0.0.0/8), or key: and the id of a key";
    if (*fault)
        return ERR_SYNTAX;
    if (rest.len)
        *fault = read_comment(slice_from(rest, 1), entry);
    return OK;
}

void deny_line_print(struct buffer *out, const struct deny_entry *entry)
{
    deny_entry_print(out, entry);
    buffer_text(out, "  # ");
    buffer_append(out, blocked);
    buffer_text(out, entry->reason);
    if (entry->at_epoch_s) {
        buffer_text(out, " at ");
        clock_print_plain(out, entry->at_epoch_s * SECOND_US);
    }
    if (entry->seconds)
        buffer_printf(out, " for %llus", (unsigned long long)entry->seconds);
    buffer_byte(out, '\n');
}

/* --- a whole text -------------------------------------------------------------------------------
 */

void deny_text_finish(struct deny_text *text)
{
    free(text->bytes);
    free(text->denials);
    free(text->index);
    *text = (struct deny_text){0};
}

/* The index's place for what is looked for, a denial's number and 1; or 0, in a free one. It is
 * looked for by its line's hash, if there is one, else by its identity: so that not even a file
 * that says the same in every line makes long chains. */
static uint32_t *place_of(const struct deny_text *text, uint64_t identity, uint64_t line_hash)
{
    for (size_t at = (size_t)(line_hash ? line_hash : identity);; at++) {
        uint32_t *place = &text->index[at & text->mask];
        if (!*place)
            return place;
        const struct denial *denial = &text->denials[*place - 1];
        if (denial->ban.identity == identity && (!line_hash || denial->line_hash == line_hash))
            return place;
    }
}

const struct denial *deny_text_find(const struct deny_text *text, uint64_t identity,
                                    uint64_t line_hash)
{
    const uint32_t *place = text->index ? place_of(text, identity, line_hash) : NULL;
    return place && *place ? &text->denials[*place - 1] : NULL;
}

/* What is left of it now. Between what the line says and nothing, whatever the clock was when it
 * was written. */
static uint64_t end_of(const struct deny_entry *entry, struct deny_now now)
{
    if (entry->seconds == 0)
        return BAN_FOREVER;
    uint64_t all_us = entry->seconds * SECOND_US, end_us = entry->at_epoch_s * SECOND_US + all_us;
    uint64_t left_us = end_us > now.wall_us ? end_us - now.wall_us : 0;
    return now.now_us + (left_us < all_us ? left_us : all_us);
}

static enum err add_denial(struct deny_text *text, struct denial denial, size_t *room)
{
    if (text->count == DENYLIST_ENTRIES_MAX)
        return ERR_LIMIT;
    if (text->count == *room) {
        size_t more = *room ? *room * 2 : 64;
        struct denial *grown = realloc(text->denials, more * sizeof *grown);
        if (!grown)
            return ERR_MEMORY;
        text->denials = grown;
        *room = more;
    }
    text->denials[text->count++] = denial;
    return OK;
}

/* How long it holds is told by the line itself, unless it is known already. */
static uint64_t until_of(const struct deny_entry *entry, const struct denial *denial,
                         const struct deny_text *before, struct deny_now now)
{
    const struct denial *known =
        before ? deny_text_find(before, denial->ban.identity, denial->line_hash) : NULL;
    return known ? known->ban.until_us : end_of(entry, now);
}

static enum err read_lines(struct deny_text *text, const struct deny_text *before,
                           struct deny_now now, const char *path, struct faults *faults)
{
    size_t room = 0;
    struct slice rest = slice_make(text->bytes, text->len);
    for (uint32_t number = 1; rest.len; number++) {
        struct slice line = slice_cut(&rest, '\n');
        struct deny_entry entry;
        const char *fault;
        enum err err = deny_line_parse(line, &entry, &fault);
        if (fault && faults)
            faults_warn(faults, path, number, NULL, "%s", fault);
        if (err)
            continue;
        struct denial denial = {.ban = deny_entry_ban(&entry, 0),
                                .kind = entry.kind,
                                .line_hash = hash_bytes(line) | 1,
                                .at = (uint32_t)(line.ptr - text->bytes),
                                .len = (uint32_t)line.len,
                                .line = number};
        denial.ban.until_us = until_of(&entry, &denial, before, now);
        TRY(add_denial(text, denial, &room));
    }
    return OK;
}

static void put_in_index(struct deny_text *text, size_t number, uint64_t line_hash)
{
    uint32_t *place = place_of(text, text->denials[number].ban.identity, line_hash);
    if (!*place)
        *place = (uint32_t)number + 1;
}

/* Each identity once, and each line. */
static enum err make_index(struct deny_text *text)
{
    size_t size = 64;
    while (size < text->count * 4)
        size *= 2;
    text->index = calloc(size, sizeof *text->index);
    if (!text->index)
        return ERR_MEMORY;
    text->mask = size - 1;
    for (size_t i = 0; i < text->count; i++) {
        put_in_index(text, i, 0);
        put_in_index(text, i, text->denials[i].line_hash);
    }
    return OK;
}

enum err deny_text_read(struct deny_text *made, struct slice bytes, const struct deny_text *before,
                        struct deny_now now, const char *path, struct faults *faults)
{
    *made = (struct deny_text){.bytes = malloc(bytes.len + 1), .len = bytes.len};
    enum err err = made->bytes ? OK : ERR_MEMORY;
    if (!err && bytes.len)
        memcpy(made->bytes, bytes.ptr, bytes.len);
    if (!err)
        err = read_lines(made, before, now, path, faults);
    if (!err)
        err = make_index(made);
    if (err)
        deny_text_finish(made);
    return err;
}

void deny_text_entry(const struct deny_text *text, const struct denial *denial,
                     struct deny_entry *entry)
{
    const char *fault;
    enum err err =
        deny_line_parse(slice_make(text->bytes + denial->at, denial->len), entry, &fault);
    invariant(err == OK);
}

bool denial_goes(const struct denial *denial, uint64_t identity, uint64_t now_us)
{
    return denial->ban.until_us <= now_us || (identity && denial->ban.identity == identity);
}

void deny_text_without(const struct deny_text *text, uint64_t identity, uint64_t now_us,
                       struct buffer *out)
{
    size_t kept = 0; /* up to here it was copied, or left out */
    for (size_t i = 0; i < text->count; i++) {
        const struct denial *denial = &text->denials[i];
        if (!denial_goes(denial, identity, now_us))
            continue;
        buffer_append(out, slice_make(text->bytes + kept, denial->at - kept));
        kept = denial->at + denial->len;
        kept += kept < text->len; /* the newline */
    }
    buffer_append(out, slice_make(text->bytes + kept, text->len - kept));
}

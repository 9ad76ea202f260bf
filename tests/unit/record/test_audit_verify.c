/* Whatever is done to a log is found, at the place where it was done. */
#include "audit_place.h"

enum { RECORDS = 200, TAMPERINGS = 10000 };

/* One intact log in memory, and its lines. */
static struct audit_key key, other_key;
static char *text;
static size_t text_len;
static struct slice lines[RECORDS]; /* with their newlines */
static struct audit_checkpoint checkpoint;

/* xorshift64: the same tamperings in every run. */
static uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);

static unsigned draw(unsigned below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 16) % below);
}

static int set_up(void **state)
{
    (void)state;
    struct buffer out = BUFFER_MAX(RECORDS * AUDIT_LINE_MAX);
    struct place place = {0};
    char bytes[AUDIT_KEY_BYTES] = "a test's key, none of the world";
    assert_int_equal(audit_key_init(&key, slice_make(bytes, sizeof bytes)), OK);
    bytes[0] ^= 1;
    assert_int_equal(audit_key_init(&other_key, slice_make(bytes, sizeof bytes)), OK);
    audit_link_init(&checkpoint.link);
    for (unsigned i = 0; i < RECORDS; i++) {
        char reason[32];
        struct audit_entry entry;
        snprintf(reason, sizeof reason, "number %u", draw(1000000));
        struct audit_record record =
            happened(&place, (enum audit_event)(1 + draw(AUDIT_EVENT_COUNT - 1)), "admin", reason);
        audit_entry_set(&entry, &record);
        entry.count = 1 + draw(3);
        size_t before = out.len;
        assert_int_equal(audit_line_print(&out, &entry, &key, &checkpoint.link), OK);
        lines[i].len = out.len - before;
    }
    text = out.bytes;
    text_len = out.len;
    for (size_t i = 0, at = 0; i < RECORDS; at += lines[i++].len)
        lines[i].ptr = text + at;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(text);
    audit_key_finish(&key);
    audit_key_finish(&other_key);
    return 0;
}

static struct audit_verdict prove_text(struct slice bytes)
{
    struct audit_verifier verifier;
    audit_verifier_init(&verifier, &key, NULL, &checkpoint);
    assert_int_equal(audit_verifier_feed(&verifier, bytes), OK);
    return *audit_verifier_end(&verifier);
}

static void expect(struct audit_verdict verdict, enum audit_fault fault, uint64_t line)
{
    if (verdict.fault != fault || verdict.line != line || verdict.seq != line ||
        verdict.records != line - 1)
        fail_msg("expected: line %u %s; got: line %u, record %u %s", (unsigned)line,
                 audit_fault_sentence(fault), (unsigned)verdict.line, (unsigned)verdict.seq,
                 audit_fault_sentence(verdict.fault));
}

static void an_intact_log_is_whole_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 3 * AUDIT_LINE_MAX; piece += piece < 8 ? 1 : 997) {
        struct audit_verifier verifier;
        audit_verifier_init(&verifier, &key, NULL, &checkpoint);
        for (size_t at = 0; at < text_len; at += piece) {
            size_t len = text_len - at < piece ? text_len - at : piece;
            assert_int_equal(audit_verifier_feed(&verifier, slice_make(text + at, len)), OK);
        }
        const struct audit_verdict *verdict = audit_verifier_end(&verifier);
        assert_int_equal(verdict->fault, AUDIT_WHOLE);
        assert_int_equal(verdict->records, RECORDS);
    }
}

/* The log with line `at` (from 0) left out, put in again or exchanged. */
static void add_lines(struct buffer *out, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        buffer_append(out, lines[i]);
}

/* What each tampering does with the log, and where and as what it has to be found. */
struct found {
    enum audit_fault fault; /* AUDIT_FAULT_COUNT: any but whole */
    unsigned line;          /* from 1 */
};

static struct found change_byte(struct buffer *out)
{
    unsigned line = draw(RECORDS);
    add_lines(out, 0, RECORDS);
    size_t at = (size_t)(lines[line].ptr - text) + draw((unsigned)lines[line].len);
    out->bytes[at] = (char)(out->bytes[at] ^ (1 << draw(8)));
    return (struct found){AUDIT_FAULT_COUNT, line + 1};
}

static struct found remove_line(struct buffer *out)
{
    unsigned line = draw(RECORDS);
    add_lines(out, 0, line);
    add_lines(out, line + 1, RECORDS);
    return (struct found){line + 1 == RECORDS ? AUDIT_TRUNCATED : AUDIT_REMOVED, line + 1};
}

static struct found swap_lines(struct buffer *out)
{
    unsigned one = draw(RECORDS - 1), other = one + 1 + draw(RECORDS - 1 - one);
    add_lines(out, 0, one);
    buffer_append(out, lines[other]);
    add_lines(out, one + 1, other);
    buffer_append(out, lines[one]);
    add_lines(out, other + 1, RECORDS);
    return (struct found){AUDIT_REORDERED, one + 1};
}

static struct found duplicate_line(struct buffer *out)
{
    unsigned line = draw(RECORDS), behind = line + draw(RECORDS - line);
    add_lines(out, 0, behind + 1);
    buffer_append(out, lines[line]);
    add_lines(out, behind + 1, RECORDS);
    return (struct found){AUDIT_INSERTED, behind + 2};
}

static struct found truncate_log(struct buffer *out)
{
    size_t len = draw((unsigned)text_len);
    unsigned whole = 0;
    add_lines(out, 0, RECORDS);
    for (out->len = 0; out->len + lines[whole].len <= len; whole++)
        out->len += lines[whole].len;
    bool clean = out->len == len;
    out->len = len;
    return (struct found){clean ? AUDIT_TRUNCATED : AUDIT_NOT_OURS, whole + 1};
}

static struct found replace_hash(struct buffer *out)
{
    unsigned line = draw(RECORDS - 1), other = (line + 1 + draw(RECORDS - 1)) % RECORDS;
    add_lines(out, 0, RECORDS);
    size_t end = (size_t)(lines[line].ptr - text) + lines[line].len - 3;
    memcpy(out->bytes + end - AUDIT_HASH_LEN,
           lines[other].ptr + lines[other].len - 3 - AUDIT_HASH_LEN, AUDIT_HASH_LEN);
    return (struct found){AUDIT_CHANGED, line + 1};
}

/* Prints line `i` anew with the other key, behind `link`. */
static void forge(struct buffer *out, unsigned i, struct audit_link *link)
{
    struct place place = {0};
    struct audit_entry entry;
    struct audit_record record = happened(&place, AUDIT_LOGIN, "nobody", "nothing");
    link->seq = i;
    audit_entry_set(&entry, &record);
    assert_int_equal(audit_line_print(out, &entry, &other_key, link), OK);
}

static void link_before(unsigned i, struct audit_link *link)
{
    struct audit_parts parts;
    audit_link_init(link);
    if (!i)
        return;
    assert_int_equal(audit_line_parse(slice_make(lines[i - 1].ptr, lines[i - 1].len - 1), &parts),
                     OK);
    memcpy(link->hash, parts.hash.ptr, AUDIT_HASH_LEN);
}

static struct found rehash_rest(struct buffer *out)
{
    unsigned from = draw(RECORDS - 1);
    struct audit_link link;
    link_before(from, &link);
    add_lines(out, 0, from);
    for (unsigned i = from; i < RECORDS; i++)
        forge(out, i, &link);
    return (struct found){AUDIT_OTHER_KEY, from + 1};
}

static struct found forge_line(struct buffer *out)
{
    unsigned line = draw(RECORDS - 1);
    struct audit_link link;
    link_before(line, &link);
    add_lines(out, 0, line);
    forge(out, line, &link);
    add_lines(out, line + 1, RECORDS);
    return (struct found){AUDIT_CHANGED, line + 1};
}

static struct found put_in_forged_line(struct buffer *out)
{
    unsigned line = draw(RECORDS);
    struct audit_link link;
    link_before(line, &link);
    add_lines(out, 0, line);
    forge(out, line, &link);
    add_lines(out, line, RECORDS);
    return (struct found){AUDIT_INSERTED, line + 1};
}

static struct found put_in_strange_line(struct buffer *out)
{
    static const char *const strange[] = {"\n", "# comment\n", "{}\n", " \n", "\0\n"};
    unsigned line = draw(RECORDS + 1), which = draw(COUNT_OF(strange));
    add_lines(out, 0, line);
    buffer_append(out, slice_make(strange[which], which == 4 ? 2 : strlen(strange[which])));
    add_lines(out, line, RECORDS);
    return (struct found){AUDIT_NOT_OURS, line + 1};
}

static struct found (*const tamperings[])(struct buffer *out) = {
    change_byte,  change_byte, remove_line, swap_lines,         duplicate_line,      truncate_log,
    replace_hash, rehash_rest, forge_line,  put_in_forged_line, put_in_strange_line,
};

static void ten_thousand_tamperings_are_found_where_they_are(void **state)
{
    (void)state;
    unsigned found = 0;
    AUTO(buffer) out = BUFFER_MAX((RECORDS + 1) * AUDIT_LINE_MAX);
    for (unsigned i = 0; i < TAMPERINGS; i++) {
        buffer_clear(&out);
        struct found wanted = tamperings[i % COUNT_OF(tamperings)](&out);
        assert_int_equal(out.failed, OK);
        struct audit_verdict verdict = prove_text(buffer_slice(&out));
        if (verdict.fault == AUDIT_WHOLE)
            fail_msg("tampering %u was not found", i);
        if (wanted.fault == AUDIT_FAULT_COUNT)
            wanted.fault = verdict.fault;
        expect(verdict, wanted.fault, wanted.line);
        found++;
    }
    assert_int_equal(found, TAMPERINGS);
}

/* Every bit of one line: none is without meaning, digits in upper case neither. */
static void every_bit_of_a_line_counts(void **state)
{
    (void)state;
    enum { LINE = 100 };
    AUTO(buffer) out = BUFFER_MAX(RECORDS * AUDIT_LINE_MAX);
    for (size_t i = 0; i < lines[LINE].len * 8; i++) {
        buffer_clear(&out);
        add_lines(&out, LINE, LINE + 2);
        out.bytes[i / 8] = (char)(out.bytes[i / 8] ^ (1 << i % 8));
        struct audit_verifier verifier;
        struct audit_link link;
        link_before(LINE, &link);
        link.seq = LINE;
        audit_verifier_init(&verifier, &key, &link, NULL);
        assert_int_equal(audit_verifier_feed(&verifier, buffer_slice(&out)), OK);
        const struct audit_verdict *verdict = audit_verifier_end(&verifier);
        assert_int_not_equal(verdict->fault, AUDIT_WHOLE);
        assert_int_equal(verdict->seq, LINE + 1);
        assert_int_equal(verdict->line, 1);
    }
}

static void a_part_of_a_log_is_proved_as_a_part(void **state)
{
    (void)state;
    AUTO(buffer) out = BUFFER_MAX(RECORDS * AUDIT_LINE_MAX);
    add_lines(&out, 50, 60);
    expect(prove_text(buffer_slice(&out)), AUDIT_REMOVED, 1);
    struct audit_verifier verifier;
    audit_verifier_init(&verifier, &key, NULL, NULL);
    audit_verifier_allow_part(&verifier);
    assert_int_equal(audit_verifier_feed(&verifier, buffer_slice(&out)), OK);
    const struct audit_verdict *verdict = audit_verifier_end(&verifier);
    assert_int_equal(verdict->fault, AUDIT_WHOLE);
    assert_int_equal(verdict->records, 10);
}

static void the_file_with_the_fault_is_named(void **state)
{
    (void)state;
    struct audit_verifier verifier;
    AUTO(buffer) out = BUFFER_MAX(RECORDS * AUDIT_LINE_MAX);
    audit_verifier_init(&verifier, &key, NULL, &checkpoint);
    add_lines(&out, 0, 70);
    assert_int_equal(audit_verifier_feed(&verifier, buffer_slice(&out)), OK);
    audit_verifier_next_file(&verifier);
    buffer_clear(&out);
    add_lines(&out, 70, RECORDS);
    out.bytes[lines[70].len + 40] ^= 1;
    assert_int_equal(audit_verifier_feed(&verifier, buffer_slice(&out)), OK);
    const struct audit_verdict *verdict = audit_verifier_end(&verifier);
    assert_int_equal(verdict->fault, AUDIT_CHANGED);
    assert_int_equal(verdict->file, 1);
    assert_int_equal(verdict->line, 2);
    assert_int_equal(verdict->seq, 72);
}

/* A half line at the end of one file does not run together with the start of the next. */
static void files_do_not_run_together(void **state)
{
    (void)state;
    struct audit_verifier verifier;
    audit_verifier_init(&verifier, &key, NULL, &checkpoint);
    assert_int_equal(audit_verifier_feed(&verifier, slice_to(lines[0], 20)), OK);
    audit_verifier_next_file(&verifier);
    assert_int_equal(audit_verifier_feed(&verifier, slice_from(lines[0], 20)), OK);
    const struct audit_verdict *verdict = audit_verifier_end(&verifier);
    assert_int_equal(verdict->fault, AUDIT_NOT_OURS);
    assert_int_equal(verdict->file, 0);
}

/* The chain written anew by somebody who has the key shows against the checkpoint. */
static void another_chain_by_the_same_key_is_found(void **state)
{
    (void)state;
    struct audit_checkpoint wrong = checkpoint;
    struct audit_verifier verifier;
    wrong.link.hash[0] = wrong.link.hash[0] == '0' ? '1' : '0';
    audit_verifier_init(&verifier, &key, NULL, &wrong);
    assert_int_equal(audit_verifier_feed(&verifier, slice_make(text, text_len)), OK);
    expect(*audit_verifier_end(&verifier), AUDIT_CHANGED, RECORDS);
}

static void a_line_without_end_takes_no_memory(void **state)
{
    (void)state;
    char block[4096];
    struct audit_verifier verifier;
    memset(block, 'x', sizeof block);
    audit_verifier_init(&verifier, &key, NULL, &checkpoint);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(audit_verifier_feed(&verifier, slice_make(block, sizeof block)), OK);
    assert_int_equal(audit_verifier_end(&verifier)->fault, AUDIT_NOT_OURS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_intact_log_is_whole_however_it_is_cut),
        cmocka_unit_test(ten_thousand_tamperings_are_found_where_they_are),
        cmocka_unit_test(every_bit_of_a_line_counts),
        cmocka_unit_test(a_part_of_a_log_is_proved_as_a_part),
        cmocka_unit_test(the_file_with_the_fault_is_named),
        cmocka_unit_test(files_do_not_run_together),
        cmocka_unit_test(another_chain_by_the_same_key_is_found),
        cmocka_unit_test(a_line_without_end_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* htpasswd files. Each line is read by itself, and what the file says must be what its lines say
 * together, in whatever order: of two with one name the first counts. Which lines are entries, the
 * regular expressions here say a second time, and libxcrypt takes the forms that are its own.
 *
 * No password is ever verified: that is slow on purpose. */
#include "identity/htpasswd.h"

#include <crypt.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "fuzz.h"
#include "identity/password.h"
#include "plain_text.h"

enum { INPUT_BYTES_MAX = 64 * 1024, TEXT_BYTES_MAX = 4 * 1024 * 1024 };

#define FILE_NAME ".htpasswd"
/* Before a text, so that one that its first line begins with is a part of that line. */
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* --- stored forms -------------------------------------------------------------------------------
 */

#define CRYPT "[./A-Za-z0-9]"
#define BASE64 "[+/A-Za-z0-9]"
#define ROUNDS "(rounds=([1-9][0-9]{3,5}|1000000)\\$)?"

// clang-format off
static struct form {
    const char *pattern;
    bool weak, crypts; /* libxcrypt's */
    regex_t compiled;
} forms[] = {
    {"^\\$argon2id\\$v=19\\$m=([0-9]{1,6}),t=([0-9]{1,5}),p=([0-9]{1,2})\\$" BASE64 "{11,64}\\$" BASE64 "{22,86}$",
     false, false, {0}},
    {"^\\$2[aby]\\$(0[4-9]|1[0-5])\\$" CRYPT "{53}$",                  false, true,  {0}},
    {"^\\$5\\$" ROUNDS CRYPT "{1,16}\\$" CRYPT "{43}$",                false, true,  {0}},
    {"^\\$6\\$" ROUNDS CRYPT "{1,16}\\$" CRYPT "{86}$",                false, true,  {0}},
    {"^\\$apr1\\$" CRYPT "{1,8}\\$" CRYPT "{22}$",                     true,  false, {0}},
    {"^\\{SHA\\}" BASE64 "{27}=$",                                     true,  false, {0}},
};
// clang-format on
enum { GROUPS = 4, ARGON2ID = 0 };

static void compile_once(void)
{
    static bool done;
    if (done)
        return;
    hash_seed();
    for (size_t i = 0; i < COUNT_OF(forms); i++)
        must(regcomp(&forms[i].compiled, forms[i].pattern, REG_EXTENDED) == 0);
    done = true;
}

/* The number of a group, in the one way that it is printed. */
static bool number_of(const char *text, const regmatch_t *group, uint64_t *number)
{
    char printed[24];
    size_t len = (size_t)(group->rm_eo - group->rm_so);
    *number = strtoull(text + group->rm_so, NULL, 10);
    return (size_t)snprintf(printed, sizeof printed, "%ju", (uintmax_t)*number) == len;
}

/* RFC 9106, section 3.1, and the bounds of what we are ready to do. */
static bool argon2id_bearable(const char *text, const regmatch_t groups[GROUPS])
{
    uint64_t kib, passes, lanes;
    return number_of(text, &groups[1], &kib) && number_of(text, &groups[2], &passes) &&
           number_of(text, &groups[3], &lanes) && lanes >= 1 && lanes <= 16 && passes >= 1 &&
           kib >= 8 * lanes && kib <= 128 * 1024 && kib * passes <= 512 * 1024;
}

/* NULL: it is none that we take. */
static const struct form *form_of(struct slice stored)
{
    char text[PASSWORD_STORED_SIZE] = "";
    if (stored.len >= sizeof text || (stored.len && memchr(stored.ptr, '\0', stored.len)))
        return NULL;
    if (stored.len)
        memcpy(text, stored.ptr, stored.len);
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        regmatch_t groups[GROUPS];
        if (regexec(&forms[i].compiled, text, GROUPS, groups, 0) == 0)
            return i != ARGON2ID || argon2id_bearable(text, groups) ? &forms[i] : NULL;
    }
    return NULL;
}

static void check_stored(struct slice stored)
{
    const struct form *form = form_of(stored);
    bool known = strcmp(password_scheme_name(stored), "unknown") != 0;
    enum err err = password_check_stored(stored, PASSWORD_OF_HTPASSWD);
    must((err == OK) == (form != NULL));
    must(err == OK || err == ERR_UNSUPPORTED || err == ERR_SYNTAX || err == ERR_RANGE);
    must((err == ERR_UNSUPPORTED) == !known);
    if (!form)
        return;
    must(password_is_weak(stored) == form->weak);
    must((password_check_stored(stored, PASSWORD_OF_ACCOUNT) == OK) == !form->weak);
    if (form->crypts) {
        char text[PASSWORD_STORED_SIZE] = "";
        memcpy(text, stored.ptr, stored.len);
        int verdict = crypt_checksalt(text);
        must(verdict != CRYPT_SALT_INVALID && verdict != CRYPT_SALT_METHOD_DISABLED);
    }
}

/* --- lines --------------------------------------------------------------------------------------
 */

enum kind { NOTHING, ENTRY, BAD };

struct line {
    struct slice text, name, stored; /* without its end; of an entry */
    enum kind kind;
    char *sentence; /* of a bad one */
};

struct reading {
    struct htpasswd *table;
    struct faults faults;
};

static void reading_finish(struct reading *reading)
{
    htpasswd_unref(reading->table);
    faults_finish(&reading->faults);
}

static void read_file(struct reading *reading, struct slice text)
{
    char *copy = fuzz_copy(text);
    *reading = (struct reading){.table = NULL};
    must(htpasswd_parse(slice_make(copy, text.len), FILE_NAME, &reading->faults, &reading->table) ==
         OK);
    free(copy);
    must(reading->table && reading->faults.errors == 0);
    for (unsigned i = 0; i < reading->faults.count; i++) {
        must(reading->faults.list[i].warning && reading->faults.list[i].sentence);
        must(strcmp(reading->faults.list[i].file, FILE_NAME) == 0);
    }
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

/* By the rules: white space around it does not count, nor does what begins with '#'. */
static void divide(struct line *line)
{
    struct slice text = line->text;
    if (text.len && text.ptr[text.len - 1] == '\r')
        text.len--;
    while (text.len && blank(text.ptr[0]))
        text = slice_from(text, 1);
    while (text.len && blank(text.ptr[text.len - 1]))
        text.len--;
    size_t colon = slice_find(text, ':');
    line->kind = text.len == 0 || text.ptr[0] == '#' ? NOTHING : BAD;
    if (line->kind == NOTHING || colon == text.len)
        return;
    line->name = slice_to(text, colon);
    line->stored = slice_from(text, colon + 1);
    line->stored.len = slice_find(line->stored, ':');
    check_stored(line->stored);
    if (colon >= 1 && colon <= HTPASSWD_NAME_BYTES_MAX && plain_text(line->name) &&
        form_of(line->stored))
        line->kind = ENTRY;
}

/* As the second line of a file that has no other, where a byte order mark is no mark. */
static void read_line(struct line *line)
{
    AUTO(buffer) text = BUFFER_MAX(TEXT_BYTES_MAX);
    AUTO(reading) alone;
    divide(line);
    buffer_byte(&text, '\n');
    buffer_append(&text, line->text);
    read_file(&alone, buffer_slice(&text));
    must(htpasswd_count(alone.table) == (line->kind == ENTRY));
    if (line->kind == ENTRY) {
        must_equal(htpasswd_find(alone.table, line->name), line->stored);
        must(alone.faults.count == password_is_weak(line->stored));
        must(alone.faults.count == 0 || alone.faults.list[0].line == 0);
        return;
    }
    must(alone.faults.count == (line->kind == BAD));
    if (line->kind == BAD) {
        must(alone.faults.list[0].line == 2);
        line->sentence = strdup(alone.faults.list[0].sentence);
        must(line->sentence);
    }
}

/* --- a file -------------------------------------------------------------------------------------
 */

struct lines {
    struct line *list;
    unsigned count;
};

static void lines_finish(struct lines *lines)
{
    for (unsigned i = 0; i < lines->count; i++)
        free(lines->list[i].sentence);
    free(lines->list);
}

/* What stands behind the last line's end is a line when there is something. */
static void lines_read(struct lines *lines, struct slice text)
{
    unsigned ends = 0;
    for (size_t i = 0; i < text.len; i++)
        ends += text.ptr[i] == '\n';
    *lines = (struct lines){.list = calloc(ends + 1, sizeof *lines->list)};
    must(lines->list);
    while (text.len) {
        struct line *line = &lines->list[lines->count++];
        line->text = slice_cut(&text, '\n');
        read_line(line);
    }
}

/* What a file with these lines says. */
struct expected {
    const struct line **entries;
    unsigned count, bad, weak;
    struct faults faults;
};

static void expected_finish(struct expected *expected)
{
    free(expected->entries);
    faults_finish(&expected->faults);
}

static void expect_bad(struct expected *expected, unsigned number, const char *sentence)
{
    if (expected->bad++ < HTPASSWD_FAULTS_MAX)
        faults_warn(&expected->faults, FILE_NAME, number, NULL, "%s", sentence);
}

/* The number of the first line with that name, or 0. */
static unsigned first_with(const struct lines *lines, struct slice name, unsigned before)
{
    for (unsigned i = 0; i < before; i++)
        if (lines->list[i].kind == ENTRY && slice_equal(lines->list[i].name, name))
            return i + 1;
    return 0;
}

static void expect(struct expected *expected, const struct lines *lines)
{
    *expected = (struct expected){.entries = calloc(lines->count + 1, sizeof *expected->entries)};
    must(expected->entries);
    for (unsigned i = 0; i < lines->count; i++) {
        const struct line *line = &lines->list[i];
        unsigned first = line->kind == ENTRY ? first_with(lines, line->name, i) : 0;
        char again[80];
        snprintf(again, sizeof again, "the same name as in line %u; the line is left out", first);
        if (line->kind == BAD)
            expect_bad(expected, i + 1, line->sentence);
        if (first)
            expect_bad(expected, i + 1, again);
        if (line->kind == ENTRY && !first) {
            expected->entries[expected->count++] = line;
            expected->weak += password_is_weak(line->stored);
        }
    }
}

static void check_faults(const struct expected *expected, const struct faults *faults)
{
    char more[80], weak[80];
    unsigned at = expected->faults.count;
    for (unsigned i = 0; i < at; i++) {
        must(faults->count > i && faults->list[i].line == expected->faults.list[i].line);
        must_equal(slice_of(faults->list[i].sentence), slice_of(expected->faults.list[i].sentence));
    }
    snprintf(more, sizeof more, "%u more lines are left out", expected->bad - at);
    snprintf(weak, sizeof weak, "%u of %u passwords are in a weak form ", expected->weak,
             expected->count);
    if (expected->bad > at) {
        must(faults->count > at && faults->list[at].line == 0);
        must_equal(slice_of(faults->list[at].sentence), slice_of(more));
        at++;
    }
    if (expected->weak) {
        must(faults->count > at && faults->list[at].line == 0);
        must(slice_starts(slice_of(faults->list[at].sentence), slice_of(weak)));
        at++;
    }
    must(faults->count == at);
}

/* An unknown name costs what some known one does, and always the same. */
static void check_decoy(const struct htpasswd *table, const struct expected *expected,
                        struct slice name)
{
    struct slice decoy = htpasswd_decoy(table, name);
    bool found = false;
    must(decoy.ptr == htpasswd_decoy(table, name).ptr);
    must((decoy.ptr != NULL) == (expected->count > 0));
    for (unsigned i = 0; i < expected->count; i++)
        found |= slice_equal(decoy, expected->entries[i]->stored);
    must(found == (expected->count > 0));
}

static void check_file(const struct lines *lines, struct slice text)
{
    AUTO(expected) expected;
    AUTO(reading) reading;
    expect(&expected, lines);
    read_file(&reading, text);
    must(htpasswd_count(reading.table) == expected.count);
    for (unsigned i = 0; i < expected.count; i++)
        must_equal(htpasswd_find(reading.table, expected.entries[i]->name),
                   expected.entries[i]->stored);
    for (unsigned i = 0; i < lines->count; i++) {
        struct slice name = lines->list[i].name;
        if (name.len && !first_with(lines, name, lines->count))
            must(!htpasswd_find(reading.table, name).ptr);
    }
    check_faults(&expected, &reading.faults);
    check_decoy(reading.table, &expected, SLICE("nobody"));
    check_decoy(reading.table, &expected, text);
}

/* With `end` behind each line but the last, and behind that one as well when it is `closed`. */
static void check_joined(const struct lines *lines, const char *before, const char *end,
                         bool closed)
{
    AUTO(buffer) text = BUFFER_MAX(TEXT_BYTES_MAX);
    buffer_text(&text, before);
    for (unsigned i = 0; i < lines->count; i++) {
        buffer_append(&text, lines->list[i].text);
        if (closed || i + 1 < lines->count)
            buffer_text(&text, end);
    }
    must(!text.failed);
    check_file(lines, buffer_slice(&text));
}

static void check_reversed(const struct lines *lines)
{
    AUTO(lines) reversed = {.list = calloc(lines->count + 1, sizeof *reversed.list)};
    must(reversed.list);
    for (unsigned i = lines->count; i--;) {
        struct line *line = &reversed.list[reversed.count++];
        *line = lines->list[i];
        line->sentence = line->sentence ? strdup(line->sentence) : NULL;
    }
    check_joined(&reversed, BYTE_ORDER_MARK, "\n", true);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice text = slice_make((const char *)bytes, size), rest = text;
    AUTO(lines) lines = {.list = NULL};
    if (size > INPUT_BYTES_MAX)
        return 0;
    compile_once();
    if (slice_starts(rest, SLICE(BYTE_ORDER_MARK)))
        rest = slice_from(rest, 3);
    lines_read(&lines, rest);
    check_file(&lines, text);
    check_joined(&lines, BYTE_ORDER_MARK, "\n", true);
    check_joined(&lines, BYTE_ORDER_MARK, "\n", false);
    if (slice_find(text, '\r') == text.len)
        check_joined(&lines, BYTE_ORDER_MARK, "\r\n", true);
    check_reversed(&lines);
    return 0;
}

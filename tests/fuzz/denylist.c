/* The deny-list's text: what stands on a line is printed and read again to the same, every entry is
 * found by its identity, and taking one out leaves every other line as it was. */
#include "guard/denylist.h"

#include <stdlib.h>

#include "fuzz.h"

static const struct deny_now now = {.wall_us = UINT64_C(1762165800000000), .now_us = 1000000};

static void check_line(const struct deny_entry *entry)
{
    char memory[1024];
    struct buffer text = BUFFER_OVER(memory, sizeof memory);
    struct deny_entry again;
    const char *fault;
    deny_line_print(&text, entry);
    must(!text.failed && slice_find(buffer_slice(&text), '\n') + 1 == text.len);
    must(deny_line_parse(slice_to(buffer_slice(&text), text.len - 1), &again, &fault) == OK);
    must(deny_entry_ban(entry, 0).identity == deny_entry_ban(&again, 0).identity);
    must(again.kind == entry->kind);
    if (!entry->at_epoch_s) /* what is left of a longer comment may look like a time of its own */
        return;
    must(again.at_epoch_s == entry->at_epoch_s && again.seconds == entry->seconds);
    must_equal(slice_of(again.reason), slice_of(entry->reason));
}

static size_t count_of(const struct deny_text *text, uint64_t identity)
{
    size_t count = 0;
    for (size_t i = 0; i < text->count; i++)
        count += text->denials[i].ban.identity == identity;
    return count;
}

static void check_removal(const struct deny_text *text, uint64_t identity)
{
    AUTO(buffer) rest = BUFFER_MAX(DENYLIST_BYTES_MAX);
    struct deny_text left;
    deny_text_without(text, identity, 0, &rest);
    must(!rest.failed && rest.len < text->len);
    must(deny_text_read(&left, buffer_slice(&rest), text, now, "", NULL) == OK);
    must(left.count + count_of(text, identity) == text->count);
    must(!deny_text_find(&left, identity, 0));
    for (size_t i = 0; i < left.count; i++) {
        const struct denial *same =
            deny_text_find(text, left.denials[i].ban.identity, left.denials[i].line_hash);
        must(same && same->ban.until_us == left.denials[i].ban.until_us);
    }
    deny_text_finish(&left);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct deny_text text;
    struct slice input = slice_make((const char *)bytes, size);
    AUTO(faults) faults = {0};
    must(deny_text_read(&text, input, NULL, now, "denylist.txt", &faults) == OK);
    must_equal(slice_make(text.bytes, text.len), input);
    for (size_t i = 0; i < text.count; i++) {
        struct deny_entry entry;
        must(deny_text_find(&text, text.denials[i].ban.identity, text.denials[i].line_hash) !=
             NULL);
        deny_text_entry(&text, &text.denials[i], &entry);
        check_line(&entry);
        check_removal(&text, text.denials[i].ban.identity);
    }
    deny_text_finish(&text);
    return 0;
}

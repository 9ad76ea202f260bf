/* Called by `sallyport audit show` and by the verb audit_list. Its hard problem is a log of any
 * size behind a question that is to cost little: files are read from their ends, a block at a time,
 * and whoever goes on where a search ended is taken there by halving, since the numbers of the
 * records rise through a file. */
#include "record/audit_search.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "record/audit_line.h"

enum { BLOCK_BYTES = 64 * 1024, LEAP_BYTES = 4 * AUDIT_LINE_MAX };

/* --- one record ---------------------------------------------------------------------------------
 */

static bool text_fits(struct slice wanted, struct slice text)
{
    return wanted.len == 0 || slice_equal(wanted, text);
}

/* A line has the actor's name escaped, and so is what it is compared with. */
static bool actor_fits(struct slice wanted, struct slice printed)
{
    char memory[6 * AUDIT_WORD_MAX + 2];
    struct buffer text = BUFFER_OVER(memory, sizeof memory);
    if (wanted.len == 0)
        return true;
    buffer_json_string(&text, wanted);
    return !text.failed && slice_equal(buffer_slice(&text), printed);
}

static bool time_fits(const struct audit_filter *filter, struct slice timestamp)
{
    uint64_t epoch_s;
    if (!filter->since_epoch_s && !filter->until_epoch_s)
        return true;
    return clock_parse_rfc3339(timestamp, &epoch_s) == OK && epoch_s >= filter->since_epoch_s &&
           (!filter->until_epoch_s || epoch_s < filter->until_epoch_s);
}

static void look_at(struct audit_search *search, struct slice line)
{
    const struct audit_filter *filter = &search->filter;
    struct audit_parts parts;
    struct audit_front front;
    if (audit_line_parse(line, &parts) != OK || audit_line_front(line, &front) != OK) {
        search->strangers++;
        return;
    }
    if (filter->before_seq && parts.seq >= filter->before_seq)
        return;
    search->seq = parts.seq;
    if (!text_fits(filter->event, front.event) || !text_fits(filter->ip, front.ip) ||
        !actor_fits(filter->actor, front.actor) || !time_fits(filter, front.timestamp))
        return;
    if (!search->take(search->context, line)) {
        search->next_seq = parts.seq + 1;
        search->ended = true;
    }
}

/* --- one block ----------------------------------------------------------------------------------
 */

static enum err read_at(int fd, char *bytes, size_t size, uint64_t offset, size_t *len)
{
    for (*len = 0; *len < size;) {
        ssize_t n = pread(fd, bytes + *len, size - *len, (off_t)(offset + *len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_IO;
        if (n == 0)
            break;
        *len += (size_t)n;
    }
    return OK;
}

/* The length of `block` without what stands behind its last newline. */
static size_t whole_lines(struct slice block)
{
    const char *end = block.len ? memrchr(block.ptr, '\n', block.len) : NULL;
    return end ? (size_t)(end - block.ptr) + 1 : 0;
}

/* Looks at the lines from the last to the first. Returns how many bytes at the front are left: the
 * end of a line that begins before the block. */
static size_t look_at_lines(struct audit_search *search, struct slice block, bool from_start)
{
    size_t left = block.len;
    while (left && !search->ended) {
        size_t begin = whole_lines(slice_to(block, left - 1));
        if (begin == 0 && !from_start)
            break;
        look_at(search, slice_make(block.ptr + begin, left - 1 - begin));
        left = begin;
    }
    return left;
}

/* --- one file -----------------------------------------------------------------------------------
 */

/* The number of the first record that begins behind `offset`. ERR_NOT_FOUND: there is none near. */
static enum err seq_behind(int fd, uint64_t offset, uint64_t *seq)
{
    char bytes[LEAP_BYTES];
    size_t len;
    TRY(read_at(fd, bytes, sizeof bytes, offset, &len));
    struct slice rest = slice_make(bytes, len);
    slice_cut(&rest, '\n'); /* the end of a line that began before */
    while (rest.len) {
        struct audit_parts parts;
        if (audit_line_parse(slice_cut(&rest, '\n'), &parts) == OK) {
            *seq = parts.seq;
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}

/* Moves `*end` towards the first record that is not wanted; never before the last that is. */
static enum err skip_newer(int fd, uint64_t before_seq, uint64_t *end)
{
    uint64_t low = 0, high = *end;
    while (high - low > BLOCK_BYTES) {
        uint64_t middle = low + (high - low) / 2, seq;
        enum err err = seq_behind(fd, middle, &seq);
        if (err == ERR_NOT_FOUND)
            break;
        TRY(err);
        if (seq >= before_seq)
            high = middle;
        else
            low = middle;
    }
    /* The line in which `high` lies may be wanted still. */
    *end = high + AUDIT_LINE_MAX < *end ? high + AUDIT_LINE_MAX : *end;
    return OK;
}

static void pause_when_tired(struct audit_search *search)
{
    if (search->ended || !search->read_bytes_max || !search->seq ||
        search->read_bytes < search->read_bytes_max)
        return;
    search->next_seq = search->seq;
    search->ended = true;
}

static enum err search_backwards(struct audit_search *search, int fd, uint64_t end)
{
    char bytes[BLOCK_BYTES];
    bool last = true;
    while (end && !search->ended) {
        size_t size = end < sizeof bytes ? (size_t)end : sizeof bytes, len;
        TRY(read_at(fd, bytes, size, end - size, &len));
        struct slice block = slice_make(bytes, len);
        /* What is being written at this moment has no end yet. */
        if (last)
            block = slice_to(block, whole_lines(block));
        last = false;
        size_t left = look_at_lines(search, block, end == size);
        if (left == block.len && left) { /* one line longer than a block: none of ours */
            search->strangers++;
            left = 0;
        }
        end -= size - left;
        search->read_bytes += len;
        pause_when_tired(search);
    }
    return OK;
}

static enum err search_file(struct audit_search *search, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return ERR_IO;
    enum err err = fstat(fd, &status) == 0 ? OK : ERR_IO;
    if (err == OK && !S_ISREG(status.st_mode)) {
        errno = EINVAL;
        err = ERR_IO;
    }
    uint64_t end = err == OK ? (uint64_t)status.st_size : 0;
    if (err == OK && search->filter.before_seq)
        err = skip_newer(fd, search->filter.before_seq, &end);
    if (err == OK)
        err = search_backwards(search, fd, end);
    int why = errno;
    close(fd);
    errno = why;
    return err;
}

enum err audit_search(struct audit_search *search, char *const *paths, unsigned count,
                      unsigned *failed)
{
    search->next_seq = search->strangers = search->seq = search->read_bytes = 0;
    search->ended = false;
    for (unsigned i = count; i-- && !search->ended;) {
        *failed = i;
        TRY(search_file(search, paths[i]));
    }
    return OK;
}

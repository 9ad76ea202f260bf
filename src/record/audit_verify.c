/* The verifier. Called by audit_open.c for the end of a log and by `sallyport audit verify` for all
 * of it. Its hard problem is to say what was done rather than only where: the first bad line stops
 * the proof, and what follows it decides between the ways in which it can have come about. */
#include "record/audit_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024 };

const char *audit_fault_sentence(enum audit_fault fault)
{
    static const char *const sentences[AUDIT_FAULT_COUNT] = {
        [AUDIT_WHOLE] = "is whole",
        [AUDIT_CHANGED] = "was changed after it was written",
        [AUDIT_REMOVED] = "was removed",
        [AUDIT_REORDERED] = "was moved: it comes later",
        [AUDIT_INSERTED] = "has another line in its place that was put in",
        [AUDIT_TRUNCATED] = "was cut off: the signed checkpoint knows it",
        [AUDIT_OTHER_KEY] = "and all behind it are not by this key",
        [AUDIT_NOT_OURS] = "is no line of an audit log, or half of one",
    };
    return (unsigned)fault < AUDIT_FAULT_COUNT ? sentences[fault] : "unknown";
}

void audit_verifier_init(struct audit_verifier *verifier, const struct audit_key *key,
                         const struct audit_link *link, const struct audit_checkpoint *checkpoint)
{
    *verifier = (struct audit_verifier){.key = key, .checkpoint = checkpoint};
    if (link)
        verifier->link = *link;
    else
        audit_link_init(&verifier->link);
}

void audit_verifier_allow_part(struct audit_verifier *verifier)
{
    verifier->part = true;
}

static void set_fault(struct audit_verifier *verifier, enum audit_fault fault)
{
    if (verifier->verdict.fault)
        return;
    verifier->verdict.fault = fault;
    verifier->verdict.file = verifier->file;
    verifier->verdict.line = verifier->line;
    verifier->verdict.seq = verifier->link.seq + 1;
}

/* Whether the line's hash is the one that our key gives. The text is compared, not the number: the
 * same digits in upper case would be a change too. */
static enum err check_seal(const struct audit_verifier *verifier, const struct audit_parts *parts,
                           bool *genuine)
{
    char hash[AUDIT_HASH_LEN];
    TRY(audit_key_seal(verifier->key, parts->sealed, hash));
    *genuine = digest_equal(hash, parts->hash.ptr, AUDIT_HASH_LEN);
    return OK;
}

static bool follows(const struct audit_verifier *verifier, const struct audit_parts *parts)
{
    return parts->seq == verifier->link.seq + 1 &&
           memcmp(parts->prev.ptr, verifier->link.hash, AUDIT_HASH_LEN) == 0;
}

/* A line behind the fault, which it may explain. */
static enum err look_behind(struct audit_verifier *verifier, struct slice line)
{
    struct audit_verdict *verdict = &verifier->verdict;
    struct audit_parts parts;
    bool genuine = false;
    verifier->followers++;
    if (verdict->fault != AUDIT_CHANGED && verdict->fault != AUDIT_REMOVED)
        return OK;
    if (audit_line_parse(line, &parts) != OK)
        return OK;
    TRY(check_seal(verifier, &parts, &genuine));
    if (!genuine)
        return OK;
    verifier->good_follows = true;
    if (verdict->fault == AUDIT_REMOVED && parts.seq == verdict->seq)
        verdict->fault = AUDIT_REORDERED;
    else if (verdict->fault == AUDIT_CHANGED && verifier->followers == 1 &&
             follows(verifier, &parts))
        verdict->fault = AUDIT_INSERTED;
    return OK;
}

static void accept(struct audit_verifier *verifier, const struct audit_parts *parts)
{
    const struct audit_checkpoint *checkpoint = verifier->checkpoint;
    if (checkpoint && parts->seq == checkpoint->link.seq &&
        memcmp(parts->hash.ptr, checkpoint->link.hash, AUDIT_HASH_LEN) != 0) {
        set_fault(verifier, AUDIT_CHANGED); /* somebody with the key wrote the chain anew */
        return;
    }
    verifier->link.seq = parts->seq;
    memcpy(verifier->link.hash, parts->hash.ptr, AUDIT_HASH_LEN);
    verifier->verdict.records++;
}

static enum err take_line(struct audit_verifier *verifier, struct slice line)
{
    struct audit_parts parts;
    bool genuine = false;
    verifier->line++;
    if (verifier->verdict.fault)
        return look_behind(verifier, line);
    if (audit_line_parse(line, &parts) != OK) {
        set_fault(verifier, AUDIT_NOT_OURS);
        return OK;
    }
    TRY(check_seal(verifier, &parts, &genuine));
    bool first = verifier->part && verifier->verdict.records == 0;
    if (!genuine)
        set_fault(verifier, AUDIT_CHANGED);
    else if (first || follows(verifier, &parts))
        accept(verifier, &parts);
    else if (parts.seq > verifier->link.seq + 1)
        set_fault(verifier, AUDIT_REMOVED);
    else
        /* Of this key, but not what belongs here: seen before, or out of another copy of the log.
         */
        set_fault(verifier, AUDIT_INSERTED);
    return OK;
}

/* Keeps a piece of a line for its end to come. */
static void keep(struct audit_verifier *verifier, struct slice piece)
{
    size_t room = sizeof verifier->bytes - verifier->len;
    if (piece.len > room) {
        verifier->overlong = true;
        piece.len = room;
    }
    if (piece.len)
        memcpy(verifier->bytes + verifier->len, piece.ptr, piece.len);
    verifier->len += piece.len;
}

static enum err end_line(struct audit_verifier *verifier)
{
    /* A line that is too long is none of ours, and an empty one neither. */
    struct slice line = slice_make(verifier->bytes, verifier->overlong ? 0 : verifier->len);
    verifier->len = 0;
    verifier->overlong = false;
    return take_line(verifier, line);
}

enum err audit_verifier_feed(struct audit_verifier *verifier, struct slice bytes)
{
    while (bytes.len) {
        size_t end = slice_find(bytes, '\n');
        keep(verifier, slice_to(bytes, end));
        if (end == bytes.len)
            return OK;
        TRY(end_line(verifier));
        bytes = slice_from(bytes, end + 1);
    }
    return OK;
}

/* What ends without a newline was not written whole. */
static void end_file(struct audit_verifier *verifier)
{
    if (!verifier->len)
        return;
    verifier->line++;
    set_fault(verifier, AUDIT_NOT_OURS);
    verifier->len = 0;
    verifier->overlong = false;
}

void audit_verifier_next_file(struct audit_verifier *verifier)
{
    end_file(verifier);
    verifier->file++;
    verifier->line = 0;
}

const struct audit_verdict *audit_verifier_end(struct audit_verifier *verifier)
{
    struct audit_verdict *verdict = &verifier->verdict;
    end_file(verifier);
    if (verdict->fault == AUDIT_CHANGED && verifier->followers > 0 && !verifier->good_follows)
        verdict->fault = AUDIT_OTHER_KEY;
    if (!verdict->fault && verifier->checkpoint &&
        verifier->link.seq < verifier->checkpoint->link.seq) {
        verifier->line++;
        set_fault(verifier, AUDIT_TRUNCATED);
    }
    return verdict;
}

static enum err feed_file(struct audit_verifier *verifier, const char *path, char *block)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return ERR_IO;
    enum err err = OK;
    for (ssize_t n = 1; err == OK && n != 0;) {
        n = read(fd, block, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        err = n < 0 ? ERR_IO : audit_verifier_feed(verifier, slice_make(block, (size_t)n));
        if (err == OK && verifier->is_wanted && !verifier->is_wanted(verifier->context))
            err = ERR_CLOSED;
    }
    int why = errno;
    close(fd);
    errno = why;
    return err;
}

enum err audit_verify_files(struct audit_verifier *verifier, char *const *paths, unsigned count,
                            unsigned *failed)
{
    char block[READ_BYTES];
    for (unsigned i = 0; i < count; i++) {
        *failed = i;
        if (i)
            audit_verifier_next_file(verifier);
        TRY(feed_file(verifier, paths[i], block));
    }
    return OK;
}

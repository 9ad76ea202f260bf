/* An attack on the gateway as a row of a table: what is sent, how often, and which answers show
 * that it was what its name says. attack_table.c has the rows, attack.c carries them out. */
#ifndef BENCH_ATTACK_H
#define BENCH_ATTACK_H

#include <stdbool.h>
#include <stddef.h>

/* What one connection of an attack does. */
enum manner {
    ASK,       /* sends a payload whole, reads the answers, closes */
    DRIP,      /* sends a payload byte by byte, and begins again when it was thrown out */
    READ_LESS, /* sends a payload whole and then reads a little now and then */
    LEAVE /* sends a payload if there is one and closes at once, every other time with a reset */
};

struct attack {
    const char *name;
    const char *title;
    void (*prepare)(void); /* calls payload_add; connections take the payloads in turn */
    enum manner manner;
    unsigned rate_per_s;  /* at most so many connections begin */
    unsigned connections; /* at most so many are open */
    unsigned answers;     /* to one payload of an ASK */
    const char *statuses; /* the answers that are expected, "400 413"; NULL: none is */
    unsigned pause_ms;    /* between the bytes of a DRIP, the reads of READ_LESS */
    unsigned addresses;   /* it comes from so many, in turn; 0: from one */
    bool may_be_closed;   /* instead of an answer: a gateway may ban whoever does this */
};

extern const struct attack attacks[];
extern const unsigned attack_count;

/* For the rows: keys that the gateway knows, and well-formed ones that it does not; the same body
 * that the good client sends. */
extern char **known_keys, **wrong_keys;
extern size_t known_key_count, wrong_key_count;
extern const char *chat_body;

/* Takes the bytes, which came from malloc. */
void payload_add(char *bytes, size_t len);

#endif

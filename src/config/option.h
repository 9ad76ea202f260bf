/* The option table: one row per option. Reading, `check`, masking and the reference page are all
 * drawn from it, so adding an option is adding a row and a field in settings.h. */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include "base/buffer.h"
#include "base/slice.h"

enum option_type {
    OPTION_BOOL,
    OPTION_INTEGER,
    OPTION_SIZE,     /* "10MB" (MB = 1,048,576) or a number of bytes; uint64_t */
    OPTION_DURATION, /* "500ms", "30s", "15m", "24h", "7d"; uint64_t in microseconds */
    OPTION_RATE,     /* "60/minute"; struct rate, whose burst is an option of its own */
    OPTION_CHOICE,   /* a word out of `choices`; an enum or a bool */
    OPTION_TEXT,
    OPTION_PATH,      /* resolved against the configuration file's folder when it stands there */
    OPTION_URL,       /* an upstream's; char * of struct upstream_settings */
    OPTION_TEXT_LIST, /* struct text_list */
    OPTION_PATTERNS,  /* struct text_list of URL paths, or prefixes ending in '*' */
    OPTION_LISTEN,    /* struct text_list of addresses to listen on */
    OPTION_PATH_LIST, /* struct text_list of paths; one alone may stand without brackets */
    OPTION_ORIGINS,   /* struct text_list of web origins, or "*" */
    OPTION_HOSTS,     /* struct text_list of host names, "*.name" and addresses, or "*" */
    OPTION_METHODS,   /* struct text_list of HTTP methods */
    OPTION_FIELDS,    /* struct text_list of names of header fields */
    OPTION_CIDR_LIST, /* "private" and "unix" are words for ranges */
    OPTION_DATABASE,  /* settings.store */
    OPTION_ACCESS,    /* settings.log.access as one path */
    OPTION_SECRET,    /* struct secret: never printed, has NAME_FILE forms */
    OPTION_TYPES
};

/* Which struct `offset` counts from. */
enum option_home { OF_SETTINGS, OF_UPSTREAM, OF_ACCESS_LOG, OF_LIMIT_ROUTE };

struct choice {
    const char *word; /* NULL ends the list; the first word of a value is the one printed */
    int value;
};

/* An address to listen on may come as two variables, host and port, one behind the other in
 * `names`. */
enum environment_part { PART_WHOLE, PART_HOST, PART_PORT };

struct environment_name {
    const char *name;
    uint64_t unit; /* of a bare number: MAX_BODY_MB counts in 1,048,576; 0 is 1 */
    enum environment_part part;
    const char *when_true; /* the variable is a switch: what its "true" stands for */
    bool generic;          /* a credential's, and other programs have it too: it is announced */
    /* Of a secret: the variable is for this option only when nothing else says it, and for that one
     * otherwise. */
    const char *otherwise;
};

enum { OPTION_NAMES_MAX = 4 };

struct option {
    const char *path; /* in TOML: "server.listen"; "upstream.url" of [[upstream]] */
    enum option_home home;
    enum option_type type;
    size_t offset, size;  /* of the field */
    const char *standard; /* default, as one would write it in the environment; NULL: none */
    const char *agents;   /* what preset `agents` says instead; NULL: the same */
    uint64_t min, max;    /* of numbers, sizes (bytes) and durations (microseconds); inclusive */
    const struct choice *choices;
    struct environment_name names[OPTION_NAMES_MAX]; /* besides SALLYPORT_<SECTION>_<NAME> */
    bool fixed;                                      /* takes effect at the next start only */
    const char *help;                                /* one line */
};

unsigned option_count(void);
const struct option *option_at(unsigned index); /* index < option_count() */
unsigned option_index(const struct option *option);
/* NULL when there is none. */
const struct option *option_find(struct slice path);
/* Whether some option's path begins with `path` and a dot. */
bool option_section(struct slice path);
/* The option's default under a preset, as text; NULL: none. */
const char *option_default(const struct option *option, bool agents);
bool option_is_list(const struct option *option);

enum { OPTION_NAME_MAX = 80 };
/* "SALLYPORT_SERVER_LISTEN" for "server.listen", with room left for "_FILE" behind it; false for
 * rows of [[log.access]] and [[limits.route]], which have no variable. */
bool option_own_name(const struct option *option, char name[OPTION_NAME_MAX]);

/* What people may have meant by an unknown `path`; NULL when nothing is near. */
const char *option_nearest(struct slice path);

#endif

/* What can go wrong, in one enum for the whole program, and the two macros that hide control flow.
 *
 * A function that can fail returns `enum err` and is marked MUST_CHECK. OK is zero. Text for people
 * travels in a `struct fault` (fault.h) in configuration and command code; the hot path returns
 * codes. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err {
    OK = 0,
    ERR_AGAIN,       /* not yet: more bytes are needed, or the socket would block */
    ERR_CLOSED,      /* the peer ended the connection */
    ERR_SYNTAX,      /* the bytes break their grammar */
    ERR_LIMIT,       /* a bound was reached: too long, too many, too deep */
    ERR_RANGE,       /* a number or a word outside what is allowed */
    ERR_UNSUPPORTED, /* well formed, but nothing we do */
    ERR_MEMORY,      /* an allocation failed */
    ERR_IO,          /* the operating system refused; errno still says why */
    ERR_TIMEOUT,     /* a deadline passed */
    ERR_TLS,         /* a handshake or a certificate failed */
    ERR_NOT_FOUND,   /* no such thing */
    ERR_EXISTS,      /* there is one already */
    ERR_DENIED,      /* it exists, but not for this caller */
    ERR_BUSY,        /* a bounded queue or table is full */
    ERR_STORE,       /* durable state could not be read or written */
    ERR_CONFIG,      /* the configuration is wrong; a struct fault says where */
    ERR_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, first_at) __attribute__((format(printf, format_at, first_at)))

/* Returns the error of `expr` from the calling function, if there is one. A function that uses TRY
 * owns nothing except through AUTO or an arena. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum err try_err_ = (expr);                                                                \
        if (try_err_ != OK)                                                                        \
            return try_err_;                                                                       \
    } while (0)

/* Declares a `struct noun` that is released by noun_finish(&it) when its scope ends, on every path.
 */
#define AUTO(noun) __attribute__((cleanup(noun##_finish))) struct noun

/* A word for logs ("timeout", "syntax"); never NULL. */
const char *err_name(enum err err);

/* Always on, also in release builds, and for our own mistakes only: input is never asserted. */
#define invariant(condition)                                                                       \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            invariant_broken(#condition, __FILE__, __LINE__);                                      \
    } while (0)

_Noreturn void invariant_broken(const char *condition, const char *file, int line);

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that holds `member`, from a pointer to that member. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif

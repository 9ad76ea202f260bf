#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const names[ERR_COUNT] = {
    [OK] = "ok",
    [ERR_AGAIN] = "again",
    [ERR_CLOSED] = "closed",
    [ERR_SYNTAX] = "syntax",
    [ERR_LIMIT] = "limit",
    [ERR_RANGE] = "range",
    [ERR_UNSUPPORTED] = "unsupported",
    [ERR_MEMORY] = "memory",
    [ERR_IO] = "io",
    [ERR_TIMEOUT] = "timeout",
    [ERR_TLS] = "tls",
    [ERR_NOT_FOUND] = "not_found",
    [ERR_EXISTS] = "exists",
    [ERR_DENIED] = "denied",
    [ERR_BUSY] = "busy",
    [ERR_STORE] = "store",
    [ERR_CONFIG] = "config",
};

const char *err_name(enum err err)
{
    return (unsigned)err < ERR_COUNT && names[err] ? names[err] : "unknown";
}

_Noreturn void invariant_broken(const char *condition, const char *file, int line)
{
    fprintf(stderr, "sallyport: internal error: %s does not hold (%s:%d)\n", condition, file, line);
    abort();
}

#include "base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"

static void from_kernel(char *out, size_t size)
{
    while (size) {
        ssize_t n = getrandom(out, size, 0);
        invariant(n > 0 || errno == EINTR);
        if (n > 0) {
            out += n;
            size -= (size_t)n;
        }
    }
}

void random_bytes(void *out, size_t size)
{
    static _Thread_local char store[1024];
    static _Thread_local size_t left;
    if (size > sizeof store / 4) {
        from_kernel(out, size);
        return;
    }
    if (left < size) {
        from_kernel(store, sizeof store);
        left = sizeof store;
    }
    left -= size;
    memcpy(out, store + left, size);
    explicit_bzero(store + left, size);
}

uint64_t random_number(void)
{
    uint64_t number;
    random_bytes(&number, sizeof number);
    return number;
}

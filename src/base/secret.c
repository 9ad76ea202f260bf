#include "base/secret.h"

#include <stdlib.h>

enum err secret_set(struct secret *secret, struct slice bytes)
{
    unsigned char *copy = malloc(bytes.len ? bytes.len : 1);
    if (!copy)
        return ERR_MEMORY;
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    secret_finish(secret);
    secret->hidden = copy;
    secret->size = bytes.len;
    return OK;
}

void secret_finish(struct secret *secret)
{
    if (secret->hidden)
        explicit_bzero(secret->hidden, secret->size);
    free(secret->hidden);
    *secret = (struct secret){0};
}

bool secret_equal(const struct secret *secret, struct slice presented)
{
    unsigned char difference = secret->size != presented.len || secret->size == 0;
    for (size_t i = 0; i < presented.len; i++) {
        unsigned char ours = secret->size ? secret->hidden[i % secret->size] : 0;
        difference |= (unsigned char)(ours ^ (unsigned char)presented.ptr[i]);
    }
    return difference == 0;
}

bool digest_equal(const void *a, const void *b, size_t size)
{
    const unsigned char *x = a, *y = b;
    unsigned char difference = 0;
    for (size_t i = 0; i < size; i++)
        difference |= (unsigned char)(x[i] ^ y[i]);
    return difference == 0;
}

/* SHA-256 through OpenSSL. Called by the keyring on every request. Its one hard problem is that
 * OpenSSL 3 looks an algorithm up anew on each EVP_sha256() call, at several times the price of the
 * hash; so each thread fetches it once and keeps a context, which the thread's end frees. */
#include "identity/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

struct hasher {
    EVP_MD *algorithm;
    EVP_MD_CTX *context;
};

static _Thread_local struct hasher *own;
static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void destroy(void *memory)
{
    struct hasher *hasher = memory;
    EVP_MD_CTX_free(hasher->context);
    EVP_MD_free(hasher->algorithm);
    free(hasher);
}

static void prepare(void)
{
    invariant(pthread_key_create(&at_thread_end, destroy) == 0);
}

static struct hasher *create(void)
{
    pthread_once(&once, prepare);
    struct hasher *hasher = calloc(1, sizeof *hasher);
    if (!hasher)
        return NULL;
    hasher->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    hasher->context = EVP_MD_CTX_new();
    if (!hasher->algorithm || !hasher->context || pthread_setspecific(at_thread_end, hasher) != 0) {
        destroy(hasher);
        return NULL;
    }
    return hasher;
}

enum err sha256_of(struct slice s, uint8_t digest[SHA256_BYTES])
{
    if (!own)
        own = create();
    unsigned size = 0;
    if (!own || !EVP_DigestInit_ex2(own->context, own->algorithm, NULL) ||
        !EVP_DigestUpdate(own->context, s.ptr, s.len) ||
        !EVP_DigestFinal_ex(own->context, digest, &size) || size != SHA256_BYTES)
        return ERR_MEMORY;
    return OK;
}

/* Signing and verifying under the token secrets. Called by token.c only. The algorithm is fixed
 * here and not chosen by what is presented (RFC 8725, section 3.1). Its one hard problem is the one
 * of digest.c: OpenSSL 3 looks an algorithm up anew unless it is told not to, so each thread
 * fetches HMAC and its hash once and gives the kept context a key for each call. */
#include "identity/token_keys.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>

struct signer {
    EVP_MAC *algorithm;
    EVP_MAC_CTX *context; /* holds the last key until the next call; OpenSSL wipes it */
};

static _Thread_local struct signer *own;
static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void destroy(void *memory)
{
    struct signer *signer = memory;
    EVP_MAC_CTX_free(signer->context);
    EVP_MAC_free(signer->algorithm);
    free(signer);
}

static void prepare(void)
{
    invariant(pthread_key_create(&at_thread_end, destroy) == 0);
}

static struct signer *create(void)
{
    char hash[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0),
        OSSL_PARAM_construct_end(),
    };
    pthread_once(&once, prepare);
    struct signer *signer = calloc(1, sizeof *signer);
    if (!signer)
        return NULL;
    signer->algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (signer->algorithm)
        signer->context = EVP_MAC_CTX_new(signer->algorithm);
    if (!signer->context || !EVP_MAC_CTX_set_params(signer->context, parameters) ||
        pthread_setspecific(at_thread_end, signer) != 0) {
        destroy(signer);
        return NULL;
    }
    return signer;
}

static enum err mac_under(const struct secret *secret, struct slice text,
                          uint8_t mac[TOKEN_MAC_BYTES])
{
    struct slice key = secret_reveal(secret);
    size_t size = 0;
    /* HMAC under an empty secret is something everybody can compute. */
    if (key.len < TOKEN_SECRET_BYTES_MIN)
        return ERR_DENIED;
    if (!own)
        own = create();
    if (!own || !EVP_MAC_init(own->context, (const unsigned char *)key.ptr, key.len, NULL) ||
        !EVP_MAC_update(own->context, (const unsigned char *)text.ptr, text.len) ||
        !EVP_MAC_final(own->context, mac, &size, TOKEN_MAC_BYTES) || size != TOKEN_MAC_BYTES)
        return ERR_MEMORY;
    return OK;
}

enum err token_keys_init(struct token_keys *keys, struct slice signing, struct slice retiring)
{
    *keys = (struct token_keys){0};
    if (signing.len < TOKEN_SECRET_BYTES_MIN ||
        (retiring.len && retiring.len < TOKEN_SECRET_BYTES_MIN))
        return ERR_RANGE;
    enum err err = secret_set(&keys->signing, signing);
    if (err == OK && retiring.len && !secret_equal(&keys->signing, retiring))
        err = secret_set(&keys->retiring, retiring);
    if (err != OK)
        token_keys_finish(keys);
    return err;
}

void token_keys_finish(struct token_keys *keys)
{
    secret_finish(&keys->signing);
    secret_finish(&keys->retiring);
}

enum err token_keys_sign(const struct token_keys *keys, struct slice text,
                         uint8_t mac[TOKEN_MAC_BYTES])
{
    return mac_under(&keys->signing, text, mac);
}

static enum err verify_under(const struct secret *secret, struct slice text,
                             const uint8_t mac[TOKEN_MAC_BYTES])
{
    uint8_t ours[TOKEN_MAC_BYTES];
    enum err err = mac_under(secret, text, ours);
    if (err == OK && !digest_equal(ours, mac, TOKEN_MAC_BYTES))
        err = ERR_DENIED;
    /* The right signature of whatever was presented must not stay on the stack. */
    explicit_bzero(ours, sizeof ours);
    return err;
}

enum err token_keys_verify(const struct token_keys *keys, struct slice text,
                           const uint8_t mac[TOKEN_MAC_BYTES])
{
    enum err err = verify_under(&keys->signing, text, mac);
    if (err == ERR_DENIED && !secret_empty(&keys->retiring))
        err = verify_under(&keys->retiring, text, mac);
    return err;
}

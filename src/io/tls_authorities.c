/* See tls_authorities.h; called when a configuration is made ready. The hard problem: OpenSSL takes
 * an allocation that failed for the end of the file, or for a key of a kind that it does not know,
 * and says that all is well; how strong a key is it may not come to note; what a certificate's
 * extensions say it notes in the first handshake that asks, and does not try twice. Either would
 * close the way to a model server until the next start. So all is noted here, twice, and has to
 * come out the same. */
#include "io/tls_authorities.h"

#include <openssl/x509v3.h>
#include <stdbool.h>

/* How many of the authorities in `ca_file` a certificate may come from; -1: it cannot be read. */
static int load(X509_STORE *store, const char *ca_file)
{
    int loaded =
        ca_file ? X509_STORE_load_file(store, ca_file) : X509_STORE_set_default_paths(store);
    if (loaded != 1)
        return -1;
    int usable = 0;
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        X509 *one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i)); /* or a revocation list */
        EVP_PKEY *key = one ? X509_get0_pubkey(one) : NULL;
        usable += key && EVP_PKEY_get_security_bits(key) > 0 && X509_check_purpose(one, -1, 0) == 1;
    }
    return usable;
}

enum err tls_authorities_load(SSL_CTX *context, const char *ca_file)
{
    X509_STORE *again = X509_STORE_new();
    int once = load(SSL_CTX_get_cert_store(context), ca_file);
    int twice = again ? load(again, ca_file) : -1;
    X509_STORE_free(again);
    if (once < 0)
        return ERR_TLS;
    return once == twice ? OK : ERR_MEMORY;
}

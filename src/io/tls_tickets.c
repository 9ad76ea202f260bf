/* See tls_tickets.h. The lock is held for a copy of one key, and only in handshakes. */
#include "io/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

enum { NAME_BYTES = 16, KEY_BYTES = 32, IV_BYTES = 16 };

struct ticket_key {
    unsigned char name[NAME_BYTES]; /* stands in the ticket, so that its key is found */
    unsigned char cipher[KEY_BYTES], mac[KEY_BYTES];
};

struct tls_tickets {
    pthread_mutex_t lock;
    struct ticket_key now, before;
    uint64_t made_us;   /* when `now` was made */
    EVP_CIPHER *cipher; /* fetched once */
};

struct tls_tickets *tls_tickets_create(uint64_t now_us)
{
    struct tls_tickets *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (!made->cipher) {
        free(made);
        return NULL;
    }
    pthread_mutex_init(&made->lock, NULL);
    random_bytes(&made->now, sizeof made->now);
    random_bytes(&made->before, sizeof made->before); /* nobody has a ticket of that one */
    made->made_us = now_us;
    return made;
}

void tls_tickets_destroy(struct tls_tickets *tickets)
{
    if (!tickets)
        return;
    pthread_mutex_destroy(&tickets->lock);
    EVP_CIPHER_free(tickets->cipher);
    explicit_bzero(tickets, sizeof *tickets);
    free(tickets);
}

void tls_tickets_turn(struct tls_tickets *tickets, uint64_t now_us)
{
    pthread_mutex_lock(&tickets->lock);
    uint64_t age_us = now_us > tickets->made_us ? now_us - tickets->made_us : 0;
    if (age_us >= 2 * TICKET_PERIOD_US) /* nobody looked for long: both are too old */
        random_bytes(&tickets->before, sizeof tickets->before);
    else if (age_us >= TICKET_PERIOD_US)
        tickets->before = tickets->now;
    if (age_us >= TICKET_PERIOD_US) {
        random_bytes(&tickets->now, sizeof tickets->now);
        tickets->made_us = now_us;
    }
    pthread_mutex_unlock(&tickets->lock);
}

/* The key to seal with, or the one of that name. False: it is gone. */
static bool find_key(struct tls_tickets *tickets, const unsigned char *name, struct ticket_key *key,
                     bool *old)
{
    pthread_mutex_lock(&tickets->lock);
    bool current = !name || memcmp(name, tickets->now.name, NAME_BYTES) == 0;
    *old = !current && memcmp(name, tickets->before.name, NAME_BYTES) == 0;
    if (current || *old)
        *key = current ? tickets->now : tickets->before;
    pthread_mutex_unlock(&tickets->lock);
    return current || *old;
}

static bool use_key(const EVP_CIPHER *kind, const struct ticket_key *key, const unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, KEY_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, kind, NULL, key->cipher, iv, sealing) == 1 &&
           EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/* Returns what SSL_CTX_set_tlsext_ticket_key_evp_cb asks for: 1 go on, 2 go on and give the client
 * a new ticket, 0 no such key (a whole handshake follows), -1 failed. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int sealing)
{
    struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key key;
    bool old;
    if (!find_key(tickets, sealing ? NULL : name, &key, &old))
        return 0;
    if (sealing) {
        memcpy(name, key.name, NAME_BYTES);
        random_bytes(iv, IV_BYTES);
    }
    bool used = use_key(tickets->cipher, &key, iv, cipher, mac, sealing);
    explicit_bzero(&key, sizeof key);
    return !used ? -1 : old ? 2 : 1;
}

void tls_tickets_serve(struct tls_tickets *tickets, SSL_CTX *context)
{
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_app_data(context, tickets) != 1) {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET); /* no memory: without resumption, then */
        SSL_CTX_set_num_tickets(context, 0);
        return;
    }
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_timeout(context, (long)(TICKET_PERIOD_US / 1000000));
}

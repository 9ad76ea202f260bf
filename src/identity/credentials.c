/* The live table of remembered credentials. Event loops look them up for every request; jobs, one
 * at a time, add and forget. Its one hard problem is that all names must cost the same, whichever
 * of the two places they are in, or neither: both are asked, unless the first one knows. */
#include "identity/credentials.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/random.h"
#include "base/secret.h"
#include "identity/accounts.h"
#include "identity/live_table.h"

/* What somebody may do of whom nothing is written down but a password. */
enum { PLAIN_USE = READ_MODELS | RUN_INFERENCE | USE_STREAMING, KEY_BYTES = 32 };

struct credentials {
    struct live_table live; /* by digest; with the table's reference each */
    pthread_mutex_t writer;
    struct list all; /* in the order in which they are looked at when one has to go */
    unsigned char key[KEY_BYTES];
};

static uint64_t digest_hash(const uint8_t digest[SHA256_BYTES])
{
    uint64_t hash;
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

static uint64_t hash_of(const void *entry)
{
    const struct credential *credential = entry;
    return digest_hash(credential->digest);
}

static bool has_digest(const void *entry, const void *digest)
{
    const struct credential *credential = entry;
    return digest_equal(credential->digest, digest, SHA256_BYTES);
}

struct credentials *credentials_create(void (*grace)(void *context), void *context)
{
    struct credentials *made = calloc(1, sizeof *made);
    if (!made || live_table_init(&made->live, hash_of, grace, context) != OK) {
        free(made);
        return NULL;
    }
    pthread_mutex_init(&made->writer, NULL);
    list_init(&made->all);
    random_bytes(made->key, sizeof made->key);
    return made;
}

void credentials_destroy(struct credentials *credentials)
{
    if (!credentials)
        return;
    for (struct list *link; (link = list_pop(&credentials->all));)
        credential_unref(LIST_OF(link, struct credential, link));
    live_table_finish(&credentials->live);
    pthread_mutex_destroy(&credentials->writer);
    explicit_bzero(credentials->key, sizeof credentials->key);
    free(credentials);
}

size_t credentials_count(const struct credentials *credentials)
{
    return live_table_count(&credentials->live);
}

void credential_ref(struct credential *credential)
{
    /* Relaxed: whoever adds a reference holds one, or is a reader that `grace` waits for. */
    atomic_fetch_add_explicit(&credential->references, 1, memory_order_relaxed);
}

void credential_unref(struct credential *credential)
{
    if (!credential ||
        atomic_fetch_sub_explicit(&credential->references, 1, memory_order_acq_rel) != 1)
        return;
    account_unref(credential->account);
    explicit_bzero(credential->stored, sizeof credential->stored);
    free(credential);
}

/* --- for event loops ----------------------------------------------------------------------------
 */

enum err credentials_digest(const struct credentials *credentials, const struct basic *basic,
                            uint8_t digest[SHA256_BYTES])
{
    char text[KEY_BYTES + BASIC_BYTES_MAX];
    invariant(basic->text.len <= BASIC_BYTES_MAX);
    memcpy(text, credentials->key, KEY_BYTES);
    memcpy(text + KEY_BYTES, basic->text.ptr, basic->text.len);
    enum err err = sha256_of(slice_make(text, KEY_BYTES + basic->text.len), digest);
    explicit_bzero(text, KEY_BYTES + basic->text.len);
    return err;
}

bool credential_stands(const struct credential *credential, const struct htpasswd *file)
{
    if (credential->account)
        return account_stands(credential->account, credential->passwords_set);
    return file && slice_equal(htpasswd_find(file, slice_of(credential->name)),
                               slice_of(credential->stored));
}

permissions credential_permissions(const struct credential *credential)
{
    const struct account *account = credential->account;
    return account ? role_permissions(atomic_load_explicit(&account->role, memory_order_relaxed))
                   : PLAIN_USE;
}

static struct credential *look_up(const struct credentials *credentials,
                                  const uint8_t digest[SHA256_BYTES])
{
    return live_table_find(&credentials->live, digest_hash(digest), has_digest, digest);
}

struct credential *credentials_find(struct credentials *credentials,
                                    const uint8_t digest[SHA256_BYTES], const struct htpasswd *file)
{
    struct credential *found = look_up(credentials, digest);
    if (!found || !credential_stands(found, file))
        return NULL;
    credential_ref(found);
    /* Not written for every request, so that loops do not fight for the cache line. */
    if (!atomic_load_explicit(&found->used, memory_order_relaxed))
        atomic_store_explicit(&found->used, true, memory_order_relaxed);
    return found;
}

/* --- remembering --------------------------------------------------------------------------------
 */

static void unlink_credential(struct credentials *credentials, struct credential *credential,
                              struct list *gone)
{
    live_table_unlink(&credentials->live, credential);
    list_remove(&credential->link);
    list_append(gone, &credential->link);
}

/* The first one that nobody used since it was looked at last; one round later, that is anyone. */
static void forget_one(struct credentials *credentials, struct list *gone)
{
    for (;;) {
        struct list *link = list_pop(&credentials->all);
        struct credential *credential = LIST_OF(link, struct credential, link);
        list_append(&credentials->all, link);
        if (!atomic_exchange_explicit(&credential->used, false, memory_order_relaxed)) {
            unlink_credential(credentials, credential, gone);
            return;
        }
    }
}

/* With the lock held. Without memory it is not remembered: the next request verifies it anew. */
static void remember(struct credentials *credentials, struct credential *made)
{
    struct list gone;
    list_init(&gone);
    struct credential *old = look_up(credentials, made->digest);
    if (old) /* it did not stand */
        unlink_credential(credentials, old, &gone);
    while (live_table_count(&credentials->live) >= CREDENTIALS_MAX)
        forget_one(credentials, &gone);
    if (live_table_reserve(&credentials->live) == OK) {
        credential_ref(made);
        list_append(&credentials->all, &made->link);
        live_table_put(&credentials->live, made);
    }
    if (!list_empty(&gone))
        live_table_wait(&credentials->live);
    for (struct list *link; (link = list_pop(&gone));)
        credential_unref(LIST_OF(link, struct credential, link));
}

/* --- verifying ----------------------------------------------------------------------------------
 */

static bool is_account(struct accounts *accounts, struct slice name)
{
    struct account_view view;
    return accounts_view(accounts, name, &view) == OK;
}

/* The file is asked also about names that it cannot answer for: that takes as long. ERR_DENIED,
 * ERR_MEMORY. */
static enum err prove_by_file(struct accounts *accounts, const struct htpasswd *file,
                              const struct basic *basic, struct credential *made)
{
    if (!file || htpasswd_count(file) == 0)
        return ERR_DENIED;
    enum err err = htpasswd_verify(file, basic->name, basic->password);
    if (err == ERR_MEMORY)
        return err;
    struct slice stored = htpasswd_find(file, basic->name);
    /* Whose account is closed, or has another password, does not come in by the other door. */
    if (err != OK || is_account(accounts, basic->name) || stored.len >= sizeof made->stored)
        return ERR_DENIED;
    memcpy(made->stored, stored.ptr, stored.len);
    const uint64_t words[4] = {hash_bytes(basic->name), 0, 0, 0}; /* as no other identity is */
    made->rate_hash = hash_bytes(slice_make((const char *)words, sizeof words));
    return OK;
}

static enum err prove(struct accounts *accounts, const struct htpasswd *file,
                      const struct basic *basic, struct credential *made)
{
    enum err err = ERR_DENIED;
    if (!accounts_empty(accounts))
        err = accounts_verify(accounts, basic->name, basic->password, &made->account,
                              &made->passwords_set);
    if (err == OK)
        made->rate_hash = made->account->rate_hash;
    return err == ERR_DENIED ? prove_by_file(accounts, file, basic, made) : err;
}

/* What was remembered while this one waited its turn; NULL: nothing. */
static struct credential *find_locked(struct credentials *credentials,
                                      const uint8_t digest[SHA256_BYTES],
                                      const struct htpasswd *file)
{
    pthread_mutex_lock(&credentials->writer);
    struct credential *found = credentials_find(credentials, digest, file);
    pthread_mutex_unlock(&credentials->writer);
    return found;
}

enum err credentials_verify(struct credentials *credentials, struct accounts *accounts,
                            const struct htpasswd *file, const struct basic *basic,
                            struct credential **found)
{
    uint8_t digest[SHA256_BYTES];
    if (account_name_fault(basic->name) && (!file || !htpasswd_find(file, basic->name).ptr))
        return ERR_DENIED; /* nobody's name, and everybody knows */
    TRY(credentials_digest(credentials, basic, digest));
    *found = find_locked(credentials, digest, file);
    if (*found)
        return OK;
    struct credential *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    atomic_init(&made->references, 1);
    list_init(&made->link);
    memcpy(made->digest, digest, sizeof made->digest);
    enum err err = prove(accounts, file, basic, made);
    if (err != OK) {
        credential_unref(made);
        return err;
    }
    memcpy(made->name, basic->name.ptr, basic->name.len);
    pthread_mutex_lock(&credentials->writer);
    remember(credentials, made);
    pthread_mutex_unlock(&credentials->writer);
    *found = made;
    return OK;
}

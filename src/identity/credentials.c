/* The live table of remembered credentials. Event loops look them up for every request; jobs, one
 * at a time, add and forget. Its one hard problem is that all names must cost the same, whichever
 * of the two places they are in, or neither: both are asked, unless the first one knows. */
#include "identity/credentials.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/random.h"
#include "base/secret.h"
#include "identity/accounts.h"
#include "identity/key.h"
#include "identity/key_text.h"
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
    api_key_unref(credential->key);
    explicit_bzero(credential->stored, sizeof credential->stored);
    free(credential);
}

/* --- for event loops ----------------------------------------------------------------------------
 */

/* A password's text and a key's may be the same bytes; they are told apart by the byte before. */
enum err credentials_digest(const struct credentials *credentials, const struct claim *claim,
                            uint8_t digest[SHA256_BYTES])
{
    char text[KEY_BYTES + 1 + BASIC_BYTES_MAX];
    size_t size = KEY_BYTES + 1 + claim->text.len;
    invariant(claim->text.len <= BASIC_BYTES_MAX);
    memcpy(text, credentials->key, KEY_BYTES);
    text[KEY_BYTES] = claim->by_key ? 'k' : 'p';
    memcpy(text + KEY_BYTES + 1, claim->text.ptr, claim->text.len);
    enum err err = sha256_of(slice_make(text, size), digest);
    explicit_bzero(text, size);
    return err;
}

static const struct htpasswd *names_of(const struct credential_files *files)
{
    return files ? files->names : NULL;
}

static const struct keys_file *keys_of(const struct credential_files *files)
{
    return files ? files->keys : NULL;
}

static const struct file_key *entry_of(const struct credential *credential,
                                       const struct credential_files *files)
{
    const struct keys_file *keys = keys_of(files);
    return keys ? keys_file_find(keys, slice_of(credential->name)) : NULL;
}

static bool key_is_over(const struct file_key *entry, uint64_t now_epoch_s)
{
    return entry->expires_epoch_s && now_epoch_s >= entry->expires_epoch_s;
}

bool credential_stands(const struct credential *credential, const struct credential_files *files,
                       uint64_t now_epoch_s)
{
    struct slice stored = slice_of(credential->stored), now_stored = {0};
    const struct htpasswd *names = names_of(files);
    const struct file_key *entry = NULL;
    switch (credential->home) {
    case CREDENTIAL_OF_ACCOUNT:
        return account_stands(credential->account, credential->passwords_set);
    case CREDENTIAL_OF_STORE:
        return api_key_stands(credential->key, now_epoch_s);
    case CREDENTIAL_OF_NAMES:
        if (names && accounts_added(credential->accounts, slice_of(credential->name)) ==
                         credential->accounts_added)
            now_stored = htpasswd_find(names, slice_of(credential->name));
        break;
    case CREDENTIAL_OF_KEYS:
        entry = entry_of(credential, files);
        if (entry && !key_is_over(entry, now_epoch_s))
            now_stored = slice_of(entry->hash);
        break;
    }
    return now_stored.ptr && slice_equal(now_stored, stored);
}

permissions credential_permissions(const struct credential *credential,
                                   const struct credential_files *files)
{
    const struct file_key *entry;
    switch (credential->home) {
    case CREDENTIAL_OF_ACCOUNT:
        return role_permissions(
            atomic_load_explicit(&credential->account->role, memory_order_relaxed));
    case CREDENTIAL_OF_STORE:
        return api_key_permissions(credential->key);
    case CREDENTIAL_OF_NAMES:
        return PLAIN_USE;
    case CREDENTIAL_OF_KEYS:
        entry = entry_of(credential, files);
        return entry ? entry->permissions : PERMISSIONS_NONE;
    }
    return PERMISSIONS_NONE;
}

static struct credential *look_up(const struct credentials *credentials,
                                  const uint8_t digest[SHA256_BYTES])
{
    return live_table_find(&credentials->live, digest_hash(digest), has_digest, digest);
}

struct credential *credentials_find(struct credentials *credentials,
                                    const uint8_t digest[SHA256_BYTES],
                                    const struct credential_files *files, uint64_t now_epoch_s)
{
    struct credential *found = look_up(credentials, digest);
    if (!found || !credential_stands(found, files, now_epoch_s))
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
    if (live_table_reserve(&credentials->live, 1) == OK) {
        credential_ref(made);
        list_append(&credentials->all, &made->link);
        live_table_put(&credentials->live, made);
    }
    if (!list_empty(&gone))
        live_table_wait(&credentials->live);
    for (struct list *link; (link = list_pop(&gone));)
        credential_unref(LIST_OF(link, struct credential, link));
}

/* --- claims -------------------------------------------------------------------------------------
 */

struct claim claim_of_basic(const struct basic *basic)
{
    return (struct claim){.text = basic->text,
                          .name = basic->name,
                          .secret = basic->password,
                          .public_id = slice_to(basic->text, 0)};
}

static bool may_be_of_file(const struct keys_file *keys, struct slice public_id)
{
    if (!keys)
        return false;
    return public_id.len ? keys_file_find_public(keys, public_id) != NULL
                         : keys_file_unnamed(keys) > 0;
}

/* One of our form is of the entry that its id names, or of none. */
bool claim_of_key(const struct credential_files *files, struct keyring *keyring, struct slice text,
                  struct claim *claim)
{
    const struct keys_file *keys = keys_of(files);
    struct key_text parts;
    *claim = (struct claim){
        .by_key = true, .text = text, .name = text, .secret = text, .public_id = slice_to(text, 0)};
    /* As bcrypt has it for everybody, so that it may be quick. */
    if (text.len == 0 || text.len > PASSWORD_BCRYPT_BYTES_MAX)
        return false;
    if (key_text_parse(text, &parts) == OK)
        claim->public_id = parts.id;
    return may_be_of_file(keys, claim->public_id) ||
           keyring_has_imported(keyring, claim->public_id);
}

/* --- verifying ----------------------------------------------------------------------------------
 */

static bool is_account(struct accounts *accounts, struct slice name)
{
    struct account_view view;
    return accounts_view(accounts, name, &view) == OK;
}

/* Over four words, as no other identity in the rate table is. */
static uint64_t rate_hash_of(enum credential_home home, struct slice name)
{
    const uint64_t words[4] = {hash_bytes(name), home, 0, 0};
    return hash_bytes(slice_make((const char *)words, sizeof words));
}

/* It is this entry's of a file. */
static enum err take_entry(struct credential *made, enum credential_home home, struct slice name,
                           struct slice stored)
{
    if (name.len >= sizeof made->name || stored.len >= sizeof made->stored)
        return ERR_DENIED;
    made->home = home;
    memcpy(made->name, name.ptr, name.len);
    memcpy(made->stored, stored.ptr, stored.len);
    made->rate_hash = rate_hash_of(home, name);
    return OK;
}

/* The file is asked also about names that it cannot answer for: that takes as long. ERR_DENIED,
 * ERR_MEMORY. */
static enum err prove_by_names(struct accounts *accounts, const struct htpasswd *names,
                               const struct claim *claim, struct credential *made)
{
    if (!names || htpasswd_count(names) == 0)
        return ERR_DENIED;
    enum err err = htpasswd_verify(names, claim->name, claim->secret);
    if (err == ERR_MEMORY)
        return err;
    /* Whose account is closed, or has another password, does not come in by the other door; nor
     * does, remembered, who gets one later. */
    made->accounts = accounts;
    made->accounts_added = accounts_added(accounts, claim->name);
    if (err != OK || is_account(accounts, claim->name))
        return ERR_DENIED;
    return take_entry(made, CREDENTIAL_OF_NAMES, claim->name, htpasswd_find(names, claim->name));
}

static enum err prove_password(struct accounts *accounts, const struct htpasswd *names,
                               const struct claim *claim, struct credential *made)
{
    enum err err = ERR_DENIED;
    if (account_name_fault(claim->name) && (!names || !htpasswd_find(names, claim->name).ptr))
        return ERR_DENIED; /* nobody's name, and everybody knows */
    if (!accounts_empty(accounts))
        err = accounts_verify(accounts, claim->name, claim->secret, &made->account,
                              &made->passwords_set);
    if (err == ERR_DENIED)
        return prove_by_names(accounts, names, claim, made);
    if (err != OK)
        return err;
    made->home = CREDENTIAL_OF_ACCOUNT;
    made->rate_hash = made->account->rate_hash;
    memcpy(made->name, claim->name.ptr, claim->name.len);
    return OK;
}

static enum err try_entry(const struct file_key *entry, const struct claim *claim,
                          uint64_t now_epoch_s, struct credential *made)
{
    if (key_is_over(entry, now_epoch_s))
        return ERR_DENIED;
    enum err err = password_verify(slice_of(entry->hash), claim->secret, PASSWORD_OF_ACCOUNT);
    if (err != OK)
        return err == ERR_MEMORY ? err : ERR_DENIED;
    made->ban_hash = key_ban_identity(slice_of(entry->key_id));
    return take_entry(made, CREDENTIAL_OF_KEYS, slice_of(entry->key_id), slice_of(entry->hash));
}

static enum err try_imported(struct api_key *key, const struct claim *claim, uint64_t now_epoch_s,
                             struct credential *made)
{
    if (!api_key_stands(key, now_epoch_s))
        return ERR_DENIED;
    enum err err = password_verify(slice_of(key->bcrypt), claim->secret, PASSWORD_OF_ACCOUNT);
    if (err != OK)
        return err == ERR_MEMORY ? err : ERR_DENIED;
    made->home = CREDENTIAL_OF_STORE;
    made->rate_hash = key->rate_hash;
    api_key_ref(key);
    made->key = key;
    snprintf(made->name, sizeof made->name, "%s", key->name);
    return OK;
}

/* The imported one that it names, or all that name nobody. */
static enum err prove_imported(struct keyring *keyring, const struct claim *claim,
                               uint64_t now_epoch_s, struct credential *made)
{
    struct api_key *keys[KEYS_UNNAMED_MAX];
    size_t count = keyring_imported(keyring, claim->public_id, keys);
    enum err err = ERR_DENIED;
    for (size_t i = 0; i < count; i++) {
        if (err == ERR_DENIED)
            err = try_imported(keys[i], claim, now_epoch_s, made);
        api_key_unref(keys[i]);
    }
    return err;
}

/* The entry that it names, or all that name nobody: KEYS_FILE_UNNAMED_MAX at most. */
static enum err prove_of_file(const struct keys_file *keys, const struct claim *claim,
                              uint64_t now_epoch_s, struct credential *made)
{
    enum err err = ERR_DENIED;
    for (size_t i = 0; keys && i < keys_file_count(keys) && err == ERR_DENIED; i++) {
        const struct file_key *entry = keys_file_at(keys, i);
        if (slice_equal(slice_of(entry->public_id), claim->public_id))
            err = try_entry(entry, claim, now_epoch_s, made);
    }
    return err;
}

static enum err prove_key(struct keyring *keyring, const struct keys_file *keys,
                          const struct claim *claim, uint64_t now_epoch_s, struct credential *made)
{
    enum err err = prove_of_file(keys, claim, now_epoch_s, made);
    return err == ERR_DENIED ? prove_imported(keyring, claim, now_epoch_s, made) : err;
}

/* What was remembered while this one waited its turn; NULL: nothing. */
static struct credential *find_locked(struct credentials *credentials,
                                      const uint8_t digest[SHA256_BYTES],
                                      const struct credential_files *files, uint64_t now_epoch_s)
{
    pthread_mutex_lock(&credentials->writer);
    struct credential *found = credentials_find(credentials, digest, files, now_epoch_s);
    pthread_mutex_unlock(&credentials->writer);
    return found;
}

enum err credentials_verify(struct credentials *credentials, struct accounts *accounts,
                            struct keyring *keyring, const struct credential_files *files,
                            const struct claim *claim, uint64_t now_epoch_s,
                            struct credential **found)
{
    uint8_t digest[SHA256_BYTES];
    TRY(credentials_digest(credentials, claim, digest));
    *found = find_locked(credentials, digest, files, now_epoch_s);
    if (*found)
        return OK;
    struct credential *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    atomic_init(&made->references, 1);
    list_init(&made->link);
    memcpy(made->digest, digest, sizeof made->digest);
    enum err err = claim->by_key ? prove_key(keyring, keys_of(files), claim, now_epoch_s, made)
                                 : prove_password(accounts, names_of(files), claim, made);
    if (err != OK) {
        credential_unref(made);
        return err;
    }
    pthread_mutex_lock(&credentials->writer);
    remember(credentials, made);
    pthread_mutex_unlock(&credentials->writer);
    *found = made;
    return OK;
}

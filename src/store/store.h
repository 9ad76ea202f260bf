/* Durable state behind one interface: SQLite now, others as further implementations. A store has
 * one writer, the process that holds the writer lock; inside it any thread may call, one at a time
 * gets its turn. All statements are prepared when the store is opened; nothing builds SQL text at
 * run time. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/err.h"
#include "base/fault.h"
#include "base/slice.h"

struct store;

enum { STORED_ROLE_SIZE = 16 };

/* The user of the name that a key has as its owner; a key without one is held to nothing by it. */
struct stored_owner {
    bool disabled;
    char role[STORED_ROLE_SIZE]; /* ends with a NUL; empty: there is no such user */
};

/* A row of `api_keys`, as stored. All text is borrowed during the call. */
struct stored_key {
    uint64_t number; /* its place in the order of making, from 1; given by the store */
    struct slice id; /* 12 characters */
    uint8_t secret_sha256[32];
    struct slice name, owner;
    uint32_t permissions;
    struct slice models_json;    /* a JSON array of names, or empty: all */
    struct slice endpoints_json; /* the same of paths */
    struct slice ip_ranges_json; /* the same of addresses and CIDR ranges */
    struct slice rate;           /* "60/minute", or empty: the rate of all keys */
    struct slice
        bcrypt;     /* of the whole key, which came from elsewhere; empty: secret_sha256 tells */
    bool unnamed;   /* and its text does not have the id in it */
    uint64_t burst; /* 0: as many as the rate has */
    bool disabled;
    uint64_t created_epoch_s;
    uint64_t expires_epoch_s;    /* 0: never */
    uint64_t revoked_epoch_s;    /* 0: live */
    uint64_t last_used_epoch_s;  /* 0: never */
    struct stored_owner account; /* only read */
};

/* Opens (makes, mode 0600) the database, runs the migrations that are missing, in one transaction
 * each. A database of a newer version, or a damaged one, is refused with a sentence in `faults`;
 * never is it taken for an empty one. ERR_STORE, ERR_MEMORY. */
enum err store_open(const char *path, struct store **store, struct faults *faults) MUST_CHECK;
void store_close(struct store *store);

/* Each is one transaction, on disk (synchronous=FULL) when it returns OK. ERR_EXISTS, ERR_STORE. */
enum err store_add_key(struct store *store, const struct stored_key *key) MUST_CHECK;
/* All of them, or none. */
enum err store_add_keys(struct store *store, const struct stored_key *keys,
                        size_t count) MUST_CHECK;
/* Is there a key, live or revoked, with that id or that digest? ERR_STORE. */
enum err store_key_taken(struct store *store, struct slice id, const uint8_t secret_sha256[32],
                         bool *taken) MUST_CHECK;
/* How many live keys are unnamed. ERR_STORE. */
enum err store_count_unnamed(struct store *store, uint64_t *count) MUST_CHECK;
/* Writes all of the key of that id but its secret or hash, when it was made and when it was used.
 * ERR_NOT_FOUND when there is no such live key. */
enum err store_save_key(struct store *store, const struct stored_key *key) MUST_CHECK;
/* A new key in the place of the live one of the id `old`, which expires at `expires_epoch_s`, or is
 * revoked when that is not after `now_epoch_s`. It never comes to live longer by this.
 * ERR_NOT_FOUND: no such live key; ERR_EXISTS: as store_add_key. */
enum err store_rotate_key(struct store *store, const struct stored_key *key, struct slice old,
                          uint64_t now_epoch_s, uint64_t expires_epoch_s) MUST_CHECK;
/* Forgets the keys that were revoked or had expired before `before_epoch_s`; `*count` is how many.
 */
enum err store_prune_keys(struct store *store, uint64_t before_epoch_s, uint64_t *count) MUST_CHECK;
/* Also when there is no such user. ERR_STORE. */
enum err store_find_owner(struct store *store, struct slice name,
                          struct stored_owner *owner) MUST_CHECK;
/* ERR_NOT_FOUND when there is no such live key. */
enum err store_revoke_key(struct store *store, struct slice id, uint64_t now_epoch_s) MUST_CHECK;
enum err store_touch_key(struct store *store, struct slice id,
                         uint64_t last_used_epoch_s) MUST_CHECK;
/* Several at once in one transaction, so that noting uses costs one wait for the disk, not
 * hundreds. Unknown ids are passed over. */
struct key_use {
    char id[12];
    uint64_t last_used_epoch_s;
};
enum err store_touch_keys(struct store *store, const struct key_use *uses, size_t count) MUST_CHECK;

/* Receives one key; must not call the store. */
typedef enum err store_key_fn(void *context, const struct stored_key *key);
/* Calls `each` for every key, revoked ones included, oldest first; stops at its first error. */
enum err store_each_key(struct store *store, store_key_fn *each, void *context) MUST_CHECK;
/* The same, beginning behind the key of that number: a long list is read page by page. */
enum err store_each_key_after(struct store *store, uint64_t number, store_key_fn *each,
                              void *context) MUST_CHECK;
/* Calls `each` for the one key, revoked or not. ERR_NOT_FOUND. */
enum err store_find_key(struct store *store, struct slice id, store_key_fn *each,
                        void *context) MUST_CHECK;

/* A row of `users`, as stored. All text is borrowed during the call. */
struct stored_user {
    uint64_t number;       /* its place in the order of making, from 1; never used again */
    struct slice name;     /* unique, compared byte for byte */
    struct slice password; /* its stored form (identity/password.h) */
    struct slice role;     /* "admin", "user", "service", "guest" */
    bool disabled;
    uint64_t created_epoch_s;
    uint64_t password_epoch_s;   /* when the password was set */
    uint64_t last_login_epoch_s; /* 0: never */
};

/* Each is one transaction. `number` in `*user` is ignored; `*number` is the one given. ERR_EXISTS:
 * the name is taken; ERR_STORE. */
enum err store_add_user(struct store *store, const struct stored_user *user,
                        uint64_t *number) MUST_CHECK;
/* Writes all of the user of that number but its name and when it was made. ERR_NOT_FOUND,
 * ERR_STORE. */
enum err store_save_user(struct store *store, const struct stored_user *user) MUST_CHECK;
/* With its sessions and their refresh tokens; the keys that have its name as owner are revoked.
 * ERR_NOT_FOUND, ERR_STORE. */
enum err store_delete_user(struct store *store, uint64_t number, uint64_t now_epoch_s) MUST_CHECK;
/* Receives one user; must not call the store. Oldest first; stops at the first error. */
typedef enum err store_user_fn(void *context, const struct stored_user *user);
enum err store_each_user(struct store *store, store_user_fn *each, void *context) MUST_CHECK;

enum { SESSION_ID_LEN = 22, REFRESH_SHA256_BYTES = 32 };

/* A session: one sign-in and all the tokens that came of it, a family (RFC 9700, 4.14.2). */
struct stored_session {
    char id[SESSION_ID_LEN + 1]; /* base64url of 128 random bits */
    uint64_t user_number;
    uint64_t created_epoch_s;
    uint64_t renewed_epoch_s; /* made, or last refreshed; set by store_each_session only */
    uint64_t expires_epoch_s; /* of its last refresh token; moves with each refresh */
    uint64_t revoked_epoch_s; /* 0: live */
};

/* The session and its first refresh token, of which the SHA-256 is kept. One transaction.
 * ERR_EXISTS: id or token is there; ERR_STORE. */
enum err store_add_session(struct store *store, const struct stored_session *session,
                           const uint8_t refresh_sha256[REFRESH_SHA256_BYTES]) MUST_CHECK;
/* One refresh token for the next, in one transaction of which among any number at the same time one
 * wins. `*session` is whose it was, as it is now, whenever OK or ERR_EXISTS is returned. OK: `next`
 * is the session's, which expires at `expires_epoch_s` from now on. ERR_EXISTS: the token was used
 * before: the session has been revoked in the same transaction. ERR_DENIED: the session is revoked
 * or over (`now_epoch_s` >= its end). ERR_NOT_FOUND: no such token. ERR_STORE: nothing changed. */
enum err store_rotate_refresh(struct store *store, const uint8_t used[REFRESH_SHA256_BYTES],
                              const uint8_t next[REFRESH_SHA256_BYTES], uint64_t now_epoch_s,
                              uint64_t expires_epoch_s, struct stored_session *session) MUST_CHECK;
/* Whose refresh token is this, used or not? ERR_NOT_FOUND, ERR_STORE. */
enum err store_find_refresh(struct store *store, const uint8_t sha256[REFRESH_SHA256_BYTES],
                            struct stored_session *session) MUST_CHECK;
/* ERR_NOT_FOUND when there is no such live session. */
enum err store_revoke_session(struct store *store, struct slice id,
                              uint64_t now_epoch_s) MUST_CHECK;
/* All live sessions of the user but the one of the id `spared` (empty: none is). */
enum err store_revoke_user_sessions(struct store *store, uint64_t user_number, struct slice spared,
                                    uint64_t now_epoch_s) MUST_CHECK;
/* Receives one session; must not call the store. Live ones at `now_epoch_s`, oldest first. */
typedef enum err store_session_fn(void *context, const struct stored_session *session);
enum err store_each_session(struct store *store, uint64_t now_epoch_s, store_session_fn *each,
                            void *context) MUST_CHECK;
/* Forgets what ended before `before_epoch_s`, with its refresh tokens. */
enum err store_prune_sessions(struct store *store, uint64_t before_epoch_s) MUST_CHECK;

/* The writer lock: whoever holds it on the data folder is the only writer. */
struct writer_lock {
    int fd;
};
/* ERR_BUSY: somebody else holds it. Makes the folder (0700) when it is missing. ERR_IO, errno says
 * why: EPERM when the folder belongs to somebody else or others may write to it. */
enum err writer_lock_take(struct writer_lock *lock, const char *directory) MUST_CHECK;
void writer_lock_release(struct writer_lock *lock);

#endif

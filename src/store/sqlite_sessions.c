/* Sessions and their refresh tokens in the store; called by whoever is the writer. A token is kept
 * as its SHA-256 and stays when it was used, for as long as its session is known.
 *
 * Its one hard problem is the token that comes twice: from its owner and from a thief, and nobody
 * can tell which is which. The first to come gets the next one; the second ends the session, and
 * with it what the first one got (RFC 9700, section 4.14.2). So looking, deciding and changing are
 * one transaction that takes the writer's lock before it looks, and a use that could not be written
 * is no use: the token is as good as before. */
#include "store/sqlite.h"

static struct slice id_of(const struct stored_session *session)
{
    return slice_make(session->id, strnlen(session->id, sizeof session->id));
}

static bool bind_refresh(struct store *store, const uint8_t sha256[REFRESH_SHA256_BYTES],
                         const struct stored_session *session)
{
    sqlite3_stmt *s = store->database.statements[ADD_REFRESH];
    return bind_bytes(s, 1, sha256, REFRESH_SHA256_BYTES) && bind_text(s, 2, id_of(session));
}

static enum err add(struct store *store, const struct stored_session *session,
                    const uint8_t sha256[REFRESH_SHA256_BYTES])
{
    sqlite3_stmt *s = store->database.statements[ADD_SESSION];
    bool bound = bind_text(s, 1, id_of(session)) && bind_number(s, 2, session->user_number) &&
                 bind_number(s, 3, session->created_epoch_s) &&
                 bind_number(s, 4, session->expires_epoch_s) &&
                 bind_number(s, 5, session->revoked_epoch_s);
    TRY(store_run(store, ADD_SESSION, bound, NULL));
    return store_run(store, ADD_REFRESH, bind_refresh(store, sha256, session), NULL);
}

static enum err add_whole(struct store *store, const struct stored_session *session,
                          const uint8_t sha256[REFRESH_SHA256_BYTES])
{
    TRY(store_run(store, BEGIN, true, NULL));
    return store_end(store, add(store, session, sha256));
}

enum err store_add_session(struct store *store, const struct stored_session *session,
                           const uint8_t refresh_sha256[REFRESH_SHA256_BYTES])
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? add_whole(store, session, refresh_sha256) : taken;
    store_give_turn(store, taken);
    return err;
}

/* With as little trust as a key's row. */
static enum err read_session(sqlite3_stmt *s, struct stored_session *session)
{
    struct slice id = column_text(s, 0);
    bool good = id.len == SESSION_ID_LEN && !memchr(id.ptr, 0, id.len) &&
                column_number(s, 1, INT64_MAX, &session->user_number) && session->user_number > 0 &&
                column_number(s, 2, INT64_MAX, &session->created_epoch_s) &&
                column_number(s, 3, INT64_MAX, &session->expires_epoch_s) &&
                column_number(s, 4, INT64_MAX, &session->revoked_epoch_s);
    if (!good)
        return ERR_STORE;
    memcpy(session->id, id.ptr, id.len);
    session->id[id.len] = 0;
    return OK;
}

/* A refresh token, found: whose it is, and when it was used (0: not yet). */
struct refresh {
    struct stored_session session;
    uint64_t used_epoch_s;
};

static enum err read_refresh(void *context, sqlite3_stmt *row)
{
    struct refresh *refresh = context;
    TRY(read_session(row, &refresh->session));
    return column_number(row, 5, INT64_MAX, &refresh->used_epoch_s) ? OK : ERR_STORE;
}

static enum err find(struct store *store, const uint8_t sha256[REFRESH_SHA256_BYTES],
                     struct refresh *refresh)
{
    sqlite3_stmt *s = store->database.statements[FIND_REFRESH];
    bool bound = bind_bytes(s, 1, sha256, REFRESH_SHA256_BYTES);
    unsigned rows;
    TRY(store_each_row(store, FIND_REFRESH, bound, read_refresh, refresh, &rows));
    return rows ? OK : ERR_NOT_FOUND;
}

enum err store_find_refresh(struct store *store, const uint8_t sha256[REFRESH_SHA256_BYTES],
                            struct stored_session *session)
{
    struct refresh refresh = {0};
    enum err err = store_take_turn_to_read(store);
    if (err == OK)
        err = find(store, sha256, &refresh);
    pthread_mutex_unlock(&store->turn);
    if (err == OK)
        *session = refresh.session;
    return err;
}

/* What is asked for; `now_epoch_s` is never zero. */
struct rotation {
    const uint8_t *used, *next;
    uint64_t now_epoch_s, expires_epoch_s;
};

/* A statement of a rotation changes the one row that the transaction has seen, or makes one. All
 * else is damage; so is a next token that is there, for callers take ERR_EXISTS for a theft. */
static enum err change_one(struct store *store, enum statement which, bool bound)
{
    int changed = 0;
    enum err err = store_run(store, which, bound, &changed);
    return err == OK && changed == 1 ? OK : ERR_STORE;
}

static enum err give_next(struct store *store, const struct rotation *r,
                          struct stored_session *session)
{
    sqlite3_stmt *use = store->database.statements[USE_REFRESH];
    TRY(change_one(store, USE_REFRESH,
                   bind_bytes(use, 1, r->used, REFRESH_SHA256_BYTES) &&
                       bind_number(use, 2, r->now_epoch_s)));
    TRY(change_one(store, ADD_REFRESH, bind_refresh(store, r->next, session)));
    sqlite3_stmt *move = store->database.statements[MOVE_SESSION];
    TRY(change_one(store, MOVE_SESSION,
                   bind_text(move, 1, id_of(session)) && bind_number(move, 2, r->expires_epoch_s)));
    session->expires_epoch_s = r->expires_epoch_s;
    return OK;
}

static enum err end_session(struct store *store, const struct rotation *r,
                            struct stored_session *session)
{
    sqlite3_stmt *s = store->database.statements[REVOKE_SESSION];
    TRY(change_one(store, REVOKE_SESSION,
                   bind_text(s, 1, id_of(session)) && bind_number(s, 2, r->now_epoch_s)));
    session->revoked_epoch_s = r->now_epoch_s;
    return OK;
}

/* OK: it is to be committed, and then `*reused` says what it was. */
static enum err rotate(struct store *store, const struct rotation *r,
                       struct stored_session *session, bool *reused)
{
    struct refresh refresh = {0};
    TRY(find(store, r->used, &refresh));
    *session = refresh.session;
    if (session->revoked_epoch_s || r->now_epoch_s >= session->expires_epoch_s)
        return ERR_DENIED;
    *reused = refresh.used_epoch_s != 0;
    return *reused ? end_session(store, r, session) : give_next(store, r, session);
}

static enum err rotate_whole(struct store *store, const struct rotation *r,
                             struct stored_session *session)
{
    struct stored_session now = {0};
    bool reused = false;
    TRY(store_run(store, BEGIN, true, NULL));
    TRY(store_end(store, rotate(store, r, &now, &reused)));
    *session = now;
    return reused ? ERR_EXISTS : OK;
}

enum err store_rotate_refresh(struct store *store, const uint8_t used[REFRESH_SHA256_BYTES],
                              const uint8_t next[REFRESH_SHA256_BYTES], uint64_t now_epoch_s,
                              uint64_t expires_epoch_s, struct stored_session *session)
{
    struct rotation r = {used, next, store_mark(now_epoch_s), expires_epoch_s};
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? rotate_whole(store, &r, session) : taken;
    store_give_turn(store, taken);
    return err;
}

static enum err revoke(struct store *store, struct slice id, uint64_t now_epoch_s)
{
    sqlite3_stmt *s = store->database.statements[REVOKE_SESSION];
    bool bound = bind_text(s, 1, id) && bind_number(s, 2, store_mark(now_epoch_s));
    int changed = 0;
    TRY(store_run(store, REVOKE_SESSION, bound, &changed));
    return changed ? OK : ERR_NOT_FOUND;
}

enum err store_revoke_session(struct store *store, struct slice id, uint64_t now_epoch_s)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? revoke(store, id, now_epoch_s) : taken;
    store_give_turn(store, taken);
    return err;
}

enum err store_revoke_user_sessions(struct store *store, uint64_t user_number, struct slice spared,
                                    uint64_t now_epoch_s)
{
    enum err taken = store_take_turn(store);
    sqlite3_stmt *s = store->database.statements[REVOKE_USER_SESSIONS];
    enum err err = taken;
    if (taken == OK)
        err = store_run(store, REVOKE_USER_SESSIONS,
                        bind_number(s, 1, user_number) && bind_text(s, 2, spared) &&
                            bind_number(s, 3, store_mark(now_epoch_s)),
                        NULL);
    store_give_turn(store, taken);
    return err;
}

struct session_reader {
    store_session_fn *each;
    void *context;
};

static enum err hand_session_on(void *context, sqlite3_stmt *row)
{
    const struct session_reader *reader = context;
    struct stored_session session = {0};
    TRY(read_session(row, &session));
    if (!column_number(row, 5, INT64_MAX, &session.renewed_epoch_s))
        return ERR_STORE;
    if (session.renewed_epoch_s < session.created_epoch_s)
        session.renewed_epoch_s = session.created_epoch_s;
    return reader->each(reader->context, &session);
}

enum err store_each_session(struct store *store, uint64_t now_epoch_s, store_session_fn *each,
                            void *context)
{
    struct session_reader reader = {each, context};
    unsigned rows;
    enum err err = store_take_turn_to_read(store);
    bool bound = bind_number(store->database.statements[LIST_SESSIONS], 1, now_epoch_s);
    if (err == OK)
        err = store_each_row(store, LIST_SESSIONS, bound, hand_session_on, &reader, &rows);
    pthread_mutex_unlock(&store->turn);
    return err;
}

/* Their tokens go by ON DELETE CASCADE, in the same statement. */
enum err store_prune_sessions(struct store *store, uint64_t before_epoch_s)
{
    enum err taken = store_take_turn(store);
    enum err err = taken;
    if (taken == OK)
        err = store_run(store, PRUNE_SESSIONS,
                        bind_number(store->database.statements[PRUNE_SESSIONS], 1, before_epoch_s),
                        NULL);
    store_give_turn(store, taken);
    return err;
}

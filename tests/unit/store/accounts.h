/* What the tests of accounts share: users, sessions and tokens, and what is seen of them. */
#ifndef TESTS_STORE_ACCOUNTS_H
#define TESTS_STORE_ACCOUNTS_H

#include "place.h"

enum { CREATED = 1700000000, ENDS = 1700001000, LATER = 1700002000 };

static inline struct stored_user sample_user(const char *name)
{
    return (struct stored_user){.name = slice_of(name),
                                .password = SLICE("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"),
                                .role = SLICE("user"),
                                .created_epoch_s = CREATED,
                                .password_epoch_s = CREATED + 1,
                                .last_login_epoch_s = 7};
}

static inline uint64_t add_user(struct store *store, const char *name)
{
    struct stored_user user = sample_user(name);
    uint64_t number = 0;
    assert_int_equal(store_add_user(store, &user, &number), OK);
    assert_true(number > 0);
    return number;
}

/* The id is 22 times `letter`. */
static inline struct stored_session sample_session(char letter, uint64_t user_number)
{
    struct stored_session session = {
        .user_number = user_number, .created_epoch_s = CREATED, .expires_epoch_s = ENDS};
    memset(session.id, letter, SESSION_ID_LEN);
    return session;
}

struct token {
    uint8_t sha256[REFRESH_SHA256_BYTES];
};

static inline struct token token_of(unsigned number)
{
    struct token token = {{0}};
    memcpy(token.sha256, &number, sizeof number);
    return token;
}

static inline void add_session(struct store *store, char letter, uint64_t user_number,
                               unsigned token)
{
    struct stored_session session = sample_session(letter, user_number);
    assert_int_equal(store_add_session(store, &session, token_of(token).sha256), OK);
}

static inline enum err rotate(struct store *store, unsigned used, unsigned next, uint64_t now)
{
    struct stored_session session;
    return store_rotate_refresh(store, token_of(used).sha256, token_of(next).sha256, now, LATER,
                                &session);
}

/* The session of a token that is there. */
static inline struct stored_session session_of(struct store *store, unsigned token)
{
    struct stored_session session = {.id = ""};
    assert_int_equal(store_find_refresh(store, token_of(token).sha256, &session), OK);
    return session;
}

/* By another connection: what has been committed. */
static inline int64_t ask_sql(const struct place *place, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t answer = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return answer;
}

static inline void assert_rows(const struct place *place, int users, int sessions, int tokens)
{
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM users"), users);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM sessions"), sessions);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM refresh_tokens"), tokens);
}

struct seen_users {
    unsigned count, stop_after;
    struct stored_user rows[8]; /* their texts are below */
    char names[8][32], passwords[8][64], roles[8][16];
};

static inline enum err note_user(void *context, const struct stored_user *user)
{
    struct seen_users *seen = context;
    unsigned at = seen->count++;
    assert_true(at < 8);
    seen->rows[at] = *user;
    snprintf(seen->names[at], sizeof seen->names[at], "%.*s", SLICE_ARG(user->name));
    snprintf(seen->passwords[at], sizeof seen->passwords[at], "%.*s", SLICE_ARG(user->password));
    snprintf(seen->roles[at], sizeof seen->roles[at], "%.*s", SLICE_ARG(user->role));
    return seen->count == seen->stop_after ? ERR_LIMIT : OK;
}

struct seen_sessions {
    unsigned count, stop_after;
    char letters[9]; /* the first of each id */
};

static inline enum err note_session(void *context, const struct stored_session *session)
{
    struct seen_sessions *seen = context;
    assert_true(seen->count < 8);
    assert_int_equal(strlen(session->id), SESSION_ID_LEN);
    seen->letters[seen->count++] = session->id[0];
    return seen->count == seen->stop_after ? ERR_LIMIT : OK;
}

static inline void assert_live(struct store *store, uint64_t now, const char *letters)
{
    struct seen_sessions seen = {0};
    assert_int_equal(store_each_session(store, now, note_session, &seen), OK);
    assert_string_equal(seen.letters, letters);
}

#endif

/* Sessions: who gets one, for how long, how they end; what happens between a password and its
 * session; and that a store which fails at any step never leaves one that only one side knows. */
#include "accounts_made.h"

#include <pthread.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/hash.h"
#include "identity/accounts_table.h"

/* What accounts_verify tells besides; nobody here asks. */
static unsigned passwords_set;

/* How often a password was hashed, and with which parameters the last time. */
static struct {
    unsigned count;
    char parameters[PASSWORD_STORED_SIZE];
    unsigned long long len;
} hashed;

static void note_hash(const char *stored, unsigned long long len)
{
    const char *end = stored; /* behind "$argon2id$v=19$m=19456,t=2,p=1" stand salt and digest */
    for (int dollars = 0; *end && dollars < 4; end++)
        dollars += *end == '$';
    hashed.count++;
    hashed.len = len;
    snprintf(hashed.parameters, sizeof hashed.parameters, "%.*s", (int)(end - stored), stored);
}

/* What is done while a password is being verified, as by somebody else. */
static struct {
    void (*done)(const struct gate *gate);
    const struct gate *gate;
} meanwhile;

int crypto_pwhash_argon2id_str_verify(const char stored[crypto_pwhash_argon2id_STRBYTES],
                                      const char *const plain, unsigned long long len)
{
    static int (*real)(const char *, const char *, unsigned long long);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "crypto_pwhash_argon2id_str_verify");
    note_hash(stored, len);
    if (meanwhile.done)
        meanwhile.done(meanwhile.gate);
    meanwhile.done = NULL;
    return real(stored, plain, len);
}

static enum err sign_in_at(const struct gate *gate, const char *name, uint64_t now,
                           struct secret *refresh, struct session **session)
{
    *session = NULL;
    return accounts_sign_in(gate->accounts, gate->store, slice_of(name), WORD, now, LIFETIME,
                            refresh, session);
}

/* A session of the account, of which the id is kept and the reference is not. */
struct entry {
    char id[SESSION_ID_LEN + 1];
    struct secret refresh;
};

static struct entry enter(const struct gate *gate, const char *name)
{
    struct entry entry = {.id = ""};
    struct session *session;
    assert_int_equal(sign_in_at(gate, name, NOW, &entry.refresh, &session), OK);
    assert_non_null(session);
    memcpy(entry.id, session->id, sizeof entry.id);
    session_unref(session);
    return entry;
}

static bool stands(const struct gate *gate, const char *id, uint64_t now)
{
    struct session *session = session_find(gate->accounts, slice_of(id), now);
    session_unref(session);
    return session != NULL;
}

static enum err refresh_at(const struct gate *gate, struct slice presented, uint64_t now,
                           struct secret *next)
{
    struct session *session;
    enum err err =
        accounts_refresh(gate->accounts, gate->store, presented, now, LIFETIME, next, &session);
    assert_true(err == OK || secret_empty(next));
    assert_true(session || err != OK);
    session_unref(session);
    return err;
}

static void open_with_anna(const struct place *place, struct gate *gate)
{
    open_gate(place, gate);
    add_account(gate, "anna", OURS, ROLE_USER);
}

static void the_right_password_opens_a_session(void **state)
{
    struct gate gate;
    AUTO(secret) refresh = {0};
    struct session *session;
    open_with_anna(*state, &gate);
    assert_int_equal(sign_in_at(&gate, "anna", NOW, &refresh, &session), OK);
    assert_int_equal(strlen(session->id), SESSION_ID_LEN);
    assert_string_equal(session->account->name, "anna");
    assert_int_equal(session->created_epoch_s, NOW);
    assert_int_equal(atomic_load(&session->expires_epoch_s), NOW + LIFETIME);
    assert_true(session_stands(session, NOW + LIFETIME - 1));
    assert_false(session_stands(session, NOW + LIFETIME));
    assert_int_equal(view_of(&gate, "anna").sessions, 1);
    assert_int_equal(view_of(&gate, "anna").last_login_epoch_s, NOW);
    assert_rows(*state, 1, 1, 1);
    assert_true(stands(&gate, session->id, NOW));
    assert_false(stands(&gate, session->id, NOW + LIFETIME));
    session_unref(session);
    close_gate(&gate);
}

static void anything_else_opens_none(void **state)
{
    static const struct {
        const char *name;
        struct slice plain;
    } wrong[] = {
        {"anna",   SLICE("correct horsf") },
        {"anna",   SLICE("")              },
        {"anna",   SLICE("correct horse ")},
        {"nobody", WORD                   },
        {"",       WORD                   },
        {"Anna",   WORD                   },
        {"dora",   WORD                   }, /* disabled */
        {"emil",   WORD                   }, /* what is stored is no password */
    };
    struct gate gate;
    open_with_anna(*state, &gate);
    add_account(&gate, "dora", OURS, ROLE_USER);
    add_account(&gate, "emil", "correct horse", ROLE_USER);
    assert_int_equal(
        change(&gate, "dora", (struct account_change){.sets_disabled = true, .disabled = true}),
        OK);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        AUTO(secret) refresh = {0};
        struct session *session = NULL;
        struct account *account = NULL;
        assert_int_equal(accounts_sign_in(gate.accounts, gate.store, slice_of(wrong[i].name),
                                          wrong[i].plain, NOW, LIFETIME, &refresh, &session),
                         ERR_DENIED);
        assert_null(session);
        assert_true(secret_empty(&refresh));
        assert_int_equal(accounts_verify(gate.accounts, slice_of(wrong[i].name), wrong[i].plain,
                                         &account, &passwords_set),
                         ERR_DENIED);
        assert_null(account);
    }
    assert_rows(*state, 3, 0, 0);
    close_gate(&gate);
}

/* Time tells nothing about a name: each of these is one hash of the same cost, in both ways to come
 * in. */
static void whoever_comes_in_vain_costs_one_hash_of_ours(void **state)
{
    static const char *const names[] = {"anna", "nobody", "Anna", "", "dora", "emil"};
    struct gate gate;
    open_with_anna(*state, &gate);
    add_account(&gate, "dora", OURS, ROLE_USER);
    add_account(&gate, "emil", "no password", ROLE_USER);
    assert_int_equal(
        change(&gate, "dora", (struct account_change){.sets_disabled = true, .disabled = true}),
        OK);
    for (size_t i = 0; i < 2 * COUNT_OF(names); i++) {
        AUTO(secret) refresh = {0};
        struct session *session = NULL;
        struct account *account = NULL;
        struct slice name = slice_of(names[i / 2]), wrong = SLICE("correct horsf");
        hashed.count = 0;
        enum err err = i % 2 ? accounts_verify(gate.accounts, name, wrong, &account, &passwords_set)
                             : accounts_sign_in(gate.accounts, gate.store, name, wrong, NOW,
                                                LIFETIME, &refresh, &session);
        assert_int_equal(err, ERR_DENIED);
        assert_int_equal(hashed.count, 1);
        assert_string_equal(hashed.parameters, "$argon2id$v=19$m=19456,t=2,p=1$");
        assert_int_equal(hashed.len, wrong.len);
    }
    close_gate(&gate);
}

static void a_password_alone_is_verified_without_a_session(void **state)
{
    struct gate gate;
    struct account *account;
    open_with_anna(*state, &gate);
    assert_int_equal(accounts_verify(gate.accounts, SLICE("anna"), WORD, &account, &passwords_set),
                     OK);
    assert_string_equal(account->name, "anna");
    assert_rows(*state, 1, 0, 0);
    /* The reference outlives the account. */
    assert_int_equal(accounts_delete(gate.accounts, gate.store, SLICE("anna"), NOW), OK);
    assert_true(atomic_load(&account->closed));
    account_unref(account);
    close_gate(&gate);
}

static void a_form_that_was_brought_along_becomes_ours(void **state)
{
    struct gate gate;
    open_gate(*state, &gate);
    add_account(&gate, "anna", BROUGHT, ROLE_USER);
    for (int i = 0; i < 2; i++) {
        struct entry entry = enter(&gate, "anna");
        secret_finish(&entry.refresh);
        assert_int_equal(
            ask_sql(*state, "SELECT count(*) FROM users WHERE password LIKE '$argon2id$%'"), 1);
        open_again(*state, &gate, NOW);
    }
    /* It is no new password: nobody was signed out for it. */
    assert_int_equal(view_of(&gate, "anna").sessions, 2);
    assert_int_equal(view_of(&gate, "anna").password_epoch_s, NOW);
    close_gate(&gate);
}

/* --- between the password and the session --- */

static void disable(const struct gate *gate)
{
    assert_int_equal(
        change(gate, "anna", (struct account_change){.sets_disabled = true, .disabled = true}), OK);
}

static void set_password(const struct gate *gate)
{
    assert_int_equal(change(gate, "anna", (struct account_change){.password = ANOTHER}), OK);
}

static void remove_anna(const struct gate *gate)
{
    assert_int_equal(accounts_delete(gate->accounts, gate->store, SLICE("anna"), NOW), OK);
}

static void delete_and_make_anew(const struct gate *gate)
{
    remove_anna(gate);
    add_account(gate, "anna", OURS, ROLE_ADMIN);
}

static void set_the_same_password(const struct gate *gate)
{
    assert_int_equal(change(gate, "anna", (struct account_change){.password = OURS}), OK);
}

static void what_was_changed_while_the_password_was_verified_counts(void **state)
{
    static void (*const changes[])(const struct gate *gate) = {
        disable, set_password, set_the_same_password, remove_anna, delete_and_make_anew};
    for (size_t i = 0; i < 2 * COUNT_OF(changes); i++) {
        struct gate gate;
        AUTO(secret) refresh = {0};
        struct session *session;
        struct account *account = NULL;
        open_with_anna(*state, &gate);
        meanwhile.gate = &gate;
        meanwhile.done = changes[i / 2];
        if (i % 2)
            assert_int_equal(sign_in_at(&gate, "anna", NOW, &refresh, &session), ERR_DENIED);
        else
            assert_int_equal(
                accounts_verify(gate.accounts, SLICE("anna"), WORD, &account, &passwords_set),
                ERR_DENIED);
        assert_null(meanwhile.done);
        assert_null(account);
        assert_int_equal(ask_sql(*state, "SELECT count(*) FROM sessions"), 0);
        close_gate(&gate);
        run_sql(*state, "DELETE FROM users");
    }
}

static void demote(const struct gate *gate)
{
    assert_int_equal(
        change(gate, "anna", (struct account_change){.sets_role = true, .role = ROLE_GUEST}), OK);
}

static void a_role_that_was_changed_meanwhile_is_the_sessions(void **state)
{
    struct gate gate;
    AUTO(secret) refresh = {0};
    struct session *session;
    open_with_anna(*state, &gate);
    meanwhile.gate = &gate;
    meanwhile.done = demote;
    assert_int_equal(sign_in_at(&gate, "anna", NOW, &refresh, &session), OK);
    assert_int_equal(atomic_load(&session->account->role), ROLE_GUEST);
    session_unref(session);
    close_gate(&gate);
}

/* --- refreshing --- */

static void each_refresh_token_is_good_once(void **state)
{
    struct gate gate;
    AUTO(secret) second = {0}, third = {0}, none = {0};
    open_with_anna(*state, &gate);
    struct entry entry = enter(&gate, "anna");
    assert_int_equal(refresh_at(&gate, secret_reveal(&entry.refresh), NOW + 10, &second), OK);
    assert_false(secret_equal(&second, secret_reveal(&entry.refresh)));
    assert_true(stands(&gate, entry.id, NOW + LIFETIME + 9)); /* it moved */
    assert_int_equal(refresh_at(&gate, secret_reveal(&second), NOW + 20, &third), OK);
    assert_int_equal(refresh_at(&gate, secret_reveal(&second), NOW + 30, &none), ERR_EXISTS);
    assert_false(stands(&gate, entry.id, NOW + 30));
    assert_int_equal(refresh_at(&gate, secret_reveal(&third), NOW + 30, &none), ERR_DENIED);
    assert_int_equal(refresh_at(&gate, secret_reveal(&second), NOW + 30, &none), ERR_DENIED);
    assert_int_equal(view_of(&gate, "anna").sessions, 0);
    secret_finish(&entry.refresh);
    close_gate(&gate);
}

static void the_reused_session_is_told(void **state)
{
    struct gate gate;
    AUTO(secret) second = {0}, none = {0};
    struct session *session;
    open_with_anna(*state, &gate);
    struct entry entry = enter(&gate, "anna");
    assert_int_equal(refresh_at(&gate, secret_reveal(&entry.refresh), NOW, &second), OK);
    assert_int_equal(accounts_refresh(gate.accounts, gate.store, secret_reveal(&entry.refresh), NOW,
                                      LIFETIME, &none, &session),
                     ERR_EXISTS);
    assert_string_equal(session->id, entry.id);
    assert_string_equal(session->account->name, "anna");
    assert_false(session_stands(session, NOW));
    session_unref(session);
    secret_finish(&entry.refresh);
    close_gate(&gate);
}

static void what_is_no_refresh_token_is_denied(void **state)
{
    static const char *const wrong[] = {"", "x", "sp_refresh_",
                                        "sp_refresh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "sp_refresh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-"};
    struct gate gate;
    AUTO(secret) none = {0};
    open_with_anna(*state, &gate);
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(refresh_at(&gate, slice_of(wrong[i]), NOW, &none), ERR_DENIED);
    close_gate(&gate);
}

static void nobody_stays_for_ever(void **state)
{
    struct gate gate;
    AUTO(secret) token = {0};
    open_with_anna(*state, &gate);
    struct entry entry = enter(&gate, "anna");
    assert_int_equal(secret_set(&token, secret_reveal(&entry.refresh)), OK);
    uint64_t now = NOW;
    enum err err = OK;
    for (int i = 0; i < 40 && err == OK; i++) {
        AUTO(secret) next = {0};
        now += 10 * DAY;
        err = refresh_at(&gate, secret_reveal(&token), now, &next);
        if (err == OK)
            assert_int_equal(secret_set(&token, secret_reveal(&next)), OK);
    }
    assert_int_equal(err, ERR_DENIED);
    assert_true(now >= NOW + SESSION_S_MAX && now < NOW + SESSION_S_MAX + 10 * DAY);
    assert_false(stands(&gate, entry.id, NOW + SESSION_S_MAX));
    secret_finish(&entry.refresh);
    close_gate(&gate);
}

/* Its clock was ahead by a day, and is right again. */
static void what_a_clock_ahead_has_made_opens_nothing(void **state)
{
    struct gate gate;
    AUTO(secret) early = {0}, next = {0}, none = {0};
    struct session *session;
    open_with_anna(*state, &gate);
    struct entry entry = enter(&gate, "anna");
    char id[SESSION_ID_LEN + 1];
    assert_int_equal(sign_in_at(&gate, "anna", NOW + DAY, &early, &session), OK);
    memcpy(id, session->id, sizeof id);
    assert_true(session_stands(session, NOW + DAY - CLOCK_SKEW_S));
    assert_false(session_stands(session, NOW + DAY - CLOCK_SKEW_S - 1));
    session_unref(session);
    assert_int_equal(refresh_at(&gate, secret_reveal(&early), NOW, &none), ERR_DENIED);
    assert_int_equal(refresh_at(&gate, secret_reveal(&entry.refresh), NOW + DAY, &next), OK);
    assert_true(stands(&gate, entry.id, NOW + DAY));
    assert_false(stands(&gate, entry.id, NOW));
    assert_int_equal(refresh_at(&gate, secret_reveal(&next), NOW, &none), ERR_DENIED);
    /* Nor after a start: the store knows when it was made, and when it was refreshed. */
    open_again(*state, &gate, NOW);
    assert_false(stands(&gate, id, NOW));
    assert_int_equal(refresh_at(&gate, secret_reveal(&early), NOW, &none), ERR_DENIED);
    assert_false(stands(&gate, entry.id, NOW));
    assert_int_equal(refresh_at(&gate, secret_reveal(&next), NOW, &none), ERR_DENIED);
    secret_finish(&entry.refresh);
    close_gate(&gate);
}

enum { THREADS = 8 };

static struct {
    struct gate gate;
    struct slice presented;
    atomic_int won, reused, denied, other;
    pthread_barrier_t start;
} race;

static void *refresh_at_once(void *context)
{
    (void)context;
    pthread_barrier_wait(&race.start);
    for (int i = 0; i < 4; i++) {
        AUTO(secret) next = {0};
        enum err err = refresh_at(&race.gate, race.presented, NOW, &next);
        atomic_fetch_add(err == OK           ? &race.won
                         : err == ERR_EXISTS ? &race.reused
                         : err == ERR_DENIED ? &race.denied
                                             : &race.other,
                         1);
    }
    return NULL;
}

static void of_many_at_once_one_wins(void **state)
{
    pthread_t threads[THREADS];
    open_with_anna(*state, &race.gate);
    struct entry entry = enter(&race.gate, "anna");
    race.presented = secret_reveal(&entry.refresh);
    pthread_barrier_init(&race.start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, refresh_at_once, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&race.start);
    assert_int_equal(atomic_load(&race.won), 1);
    assert_int_equal(atomic_load(&race.reused), 1);
    assert_int_equal(atomic_load(&race.denied), 4 * THREADS - 2);
    assert_int_equal(atomic_load(&race.other), 0);
    assert_false(stands(&race.gate, entry.id, NOW));
    secret_finish(&entry.refresh);
    close_gate(&race.gate);
}

/* --- ending --- */

static void an_ended_session_is_found_no_more_and_whoever_holds_it_sees_it(void **state)
{
    struct gate gate;
    AUTO(secret) none = {0};
    open_with_anna(*state, &gate);
    struct entry entry = enter(&gate, "anna"), other = enter(&gate, "anna");
    struct session *held = session_find(gate.accounts, slice_of(entry.id), NOW);
    assert_int_equal(accounts_end_session(gate.accounts, gate.store, slice_of(entry.id), NOW), OK);
    assert_false(session_stands(held, NOW));
    session_unref(held);
    assert_false(stands(&gate, entry.id, NOW));
    assert_true(stands(&gate, other.id, NOW));
    assert_int_equal(refresh_at(&gate, secret_reveal(&entry.refresh), NOW, &none), ERR_DENIED);
    assert_int_equal(accounts_end_session(gate.accounts, gate.store, slice_of(entry.id), NOW),
                     ERR_NOT_FOUND);
    assert_int_equal(accounts_end_session(gate.accounts, gate.store, SLICE("x"), NOW),
                     ERR_NOT_FOUND);
    open_again(*state, &gate, NOW);
    assert_false(stands(&gate, entry.id, NOW));
    assert_true(stands(&gate, other.id, NOW));
    secret_finish(&entry.refresh);
    secret_finish(&other.refresh);
    close_gate(&gate);
}

static void a_refresh_token_ends_its_session_for_whose_it_is(void **state)
{
    struct gate gate;
    AUTO(secret) next = {0};
    struct account *anna, *ben;
    open_with_anna(*state, &gate);
    add_account(&gate, "ben", OURS, ROLE_USER);
    struct entry entry = enter(&gate, "anna");
    assert_int_equal(accounts_verify(gate.accounts, SLICE("anna"), WORD, &anna, &passwords_set),
                     OK);
    assert_int_equal(accounts_verify(gate.accounts, SLICE("ben"), WORD, &ben, &passwords_set), OK);
    assert_int_equal(refresh_at(&gate, secret_reveal(&entry.refresh), NOW, &next), OK);
    const struct {
        const struct account *account;
        struct slice presented;
        enum err err;
    } tries[] = {
        {ben,  secret_reveal(&next),                                            ERR_NOT_FOUND},
        {anna, SLICE("x"),                                                      ERR_NOT_FOUND},
        {anna, SLICE("sp_refresh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), ERR_NOT_FOUND},
        {anna, secret_reveal(&entry.refresh),                                   OK           }, /* used */
        {anna, secret_reveal(&next),                                            ERR_NOT_FOUND},
    };
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        assert_int_equal(stands(&gate, entry.id, NOW), i < 4);
        assert_int_equal(accounts_end_session_of_refresh(gate.accounts, gate.store,
                                                         tries[i].account, tries[i].presented, NOW),
                         tries[i].err);
    }
    account_unref(anna);
    account_unref(ben);
    secret_finish(&entry.refresh);
    close_gate(&gate);
}

static void changes_end_sessions_but_for_the_one_they_are_made_in(void **state)
{
    static const struct {
        struct account_change change;
        bool ends, spares;
    } table[] = {
        {{.password = OURS},                        true,  true },
        {{.sets_role = true, .role = ROLE_GUEST},   true,  false},
        {{.sets_role = true, .role = ROLE_ADMIN},   true,  false},
        {{.sets_role = true, .role = ROLE_USER},    false, false}, /* as it was */
        {{.sets_disabled = true, .disabled = true}, true,  false},
        {{.sets_disabled = true},                   false, false}, /* as it was */
        {{.password = OURS, .sets_role = true},     true,  false},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct gate gate;
        open_with_anna(*state, &gate);
        add_account(&gate, "ben", OURS, ROLE_USER);
        struct entry here = enter(&gate, "anna"), there = enter(&gate, "anna"),
                     elses = enter(&gate, "ben");
        struct account_change wanted = table[i].change;
        wanted.spared = slice_of(here.id);
        assert_int_equal(change(&gate, "anna", wanted), OK);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(stands(&gate, here.id, NOW), !table[i].ends || table[i].spares);
            assert_int_equal(stands(&gate, there.id, NOW), !table[i].ends);
            assert_true(stands(&gate, elses.id, NOW));
            open_again(*state, &gate, NOW);
        }
        secret_finish(&here.refresh);
        secret_finish(&there.refresh);
        secret_finish(&elses.refresh);
        close_gate(&gate);
        run_sql(*state, "PRAGMA foreign_keys = ON; DELETE FROM users");
    }
}

static void a_deleted_accounts_sessions_are_gone(void **state)
{
    struct gate gate;
    AUTO(secret) none = {0};
    open_with_anna(*state, &gate);
    struct entry entry = enter(&gate, "anna");
    struct session *held = session_find(gate.accounts, slice_of(entry.id), NOW);
    assert_int_equal(accounts_delete(gate.accounts, gate.store, SLICE("anna"), NOW), OK);
    assert_false(session_stands(held, NOW));
    assert_string_equal(held->account->name, "anna"); /* it can still be said whose it was */
    session_unref(held);
    assert_int_equal(refresh_at(&gate, secret_reveal(&entry.refresh), NOW, &none), ERR_DENIED);
    assert_rows(*state, 0, 0, 0);
    secret_finish(&entry.refresh);
    close_gate(&gate);
}

/* --- bounds --- */

static void the_oldest_session_makes_room(void **state)
{
    struct gate gate;
    struct session_view views[SESSIONS_PER_ACCOUNT_MAX + 1];
    open_with_anna(*state, &gate);
    struct entry first = enter(&gate, "anna"), second = enter(&gate, "anna");
    for (int i = 2; i < SESSIONS_PER_ACCOUNT_MAX; i++) {
        struct entry entry = enter(&gate, "anna");
        secret_finish(&entry.refresh);
    }
    assert_true(stands(&gate, first.id, NOW));
    struct entry last = enter(&gate, "anna");
    assert_false(stands(&gate, first.id, NOW));
    assert_true(stands(&gate, second.id, NOW));
    size_t count = accounts_list_sessions(gate.accounts, SLICE("anna"), views, COUNT_OF(views));
    assert_int_equal(count, SESSIONS_PER_ACCOUNT_MAX);
    assert_string_equal(views[0].id, second.id);
    assert_string_equal(views[count - 1].id, last.id);
    assert_int_equal(views[0].expires_epoch_s, NOW + LIFETIME);
    assert_int_equal(accounts_list_sessions(gate.accounts, SLICE("anna"), views, 3), 3);
    assert_int_equal(accounts_list_sessions(gate.accounts, SLICE("nobody"), views, 3), 0);
    secret_finish(&first.refresh);
    secret_finish(&second.refresh);
    secret_finish(&last.refresh);
    close_gate(&gate);
}

static void there_is_an_end_to_sessions(void **state)
{
    struct gate gate;
    AUTO(secret) refresh = {0};
    struct session *session;
    struct stored_session stored = {.created_epoch_s = NOW, .expires_epoch_s = NOW + DAY};
    open_with_anna(*state, &gate);
    add_account(&gate, "ben", OURS, ROLE_USER);
    struct account *ben = accounts_find(gate.accounts, SLICE("ben"));
    for (int i = 0; i < SESSIONS_MAX; i++) {
        snprintf(stored.id, sizeof stored.id, "%022d", i);
        assert_int_equal(accounts_show_session(gate.accounts, ben, &stored), OK);
    }
    assert_int_equal(sign_in_at(&gate, "anna", NOW, &refresh, &session), ERR_LIMIT);
    assert_null(session);
    assert_rows(*state, 2, 0, 0);
    /* Those that are over make room. */
    assert_int_equal(accounts_prune(gate.accounts, gate.store, NOW + DAY), OK);
    assert_int_equal(view_of(&gate, "ben").sessions, 0);
    assert_int_equal(sign_in_at(&gate, "anna", NOW + DAY, &refresh, &session), OK);
    session_unref(session);
    close_gate(&gate);
}

static void what_is_over_is_forgotten(void **state)
{
    struct gate gate;
    AUTO(secret) none = {0};
    open_with_anna(*state, &gate);
    struct entry entry = enter(&gate, "anna");
    struct session *held = session_find(gate.accounts, slice_of(entry.id), NOW);
    assert_int_equal(accounts_prune(gate.accounts, gate.store, NOW + LIFETIME - 1), OK);
    assert_int_equal(view_of(&gate, "anna").sessions, 1);
    assert_int_equal(accounts_prune(gate.accounts, gate.store, NOW + LIFETIME), OK);
    assert_int_equal(view_of(&gate, "anna").sessions, 0);
    assert_rows(*state, 1, 1, 1); /* the store keeps it for some days */
    assert_int_equal(refresh_at(&gate, secret_reveal(&entry.refresh), NOW + LIFETIME, &none),
                     ERR_DENIED);
    assert_int_equal(accounts_prune(gate.accounts, gate.store, NOW + LIFETIME + 8 * DAY), OK);
    assert_rows(*state, 1, 0, 0);
    assert_int_equal(accounts_prune(gate.accounts, gate.store, 0), OK); /* a clock that was reset */
    session_unref(held);
    secret_finish(&entry.refresh);
    close_gate(&gate);
}

static void loading_takes_what_stands(void **state)
{
    struct gate gate;
    open_with_anna(*state, &gate);
    struct entry entry = enter(&gate, "anna");
    open_again(*state, &gate, NOW + LIFETIME - 1);
    assert_true(stands(&gate, entry.id, NOW + LIFETIME - 1));
    open_again(*state, &gate, NOW + LIFETIME);
    assert_int_equal(view_of(&gate, "anna").sessions, 0);
    close_gate(&gate);
    /* A session of nobody is damage. */
    run_sql(*state, "UPDATE sessions SET user_number = 77");
    gate.store = open_good(*state);
    gate.accounts = accounts_create(NULL, NULL);
    assert_int_equal(accounts_load(gate.accounts, gate.store, NOW), ERR_STORE);
    secret_finish(&entry.refresh);
    close_gate(&gate);
}

/* --- a store that fails at a step --- */

static struct {
    struct gate gate;
    struct entry entry;
    struct secret made;
} failing;

static enum err make_session(struct store *store)
{
    struct session *session = NULL;
    (void)store;
    enum err err = sign_in_at(&failing.gate, "anna", NOW, &failing.made, &session);
    assert_int_equal(session != NULL, err == OK);
    session_unref(session);
    return err;
}

static void assert_no_session_made(const struct place *place, struct store *store)
{
    (void)store;
    assert_true(secret_empty(&failing.made));
    assert_int_equal(view_of(&failing.gate, "anna").sessions, 1);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM sessions"), 1);
    assert_true(stands(&failing.gate, failing.entry.id, NOW));
}

static enum err make_refresh(struct store *store)
{
    (void)store;
    return refresh_at(&failing.gate, secret_reveal(&failing.entry.refresh), NOW, &failing.made);
}

static void assert_not_refreshed(const struct place *place, struct store *store)
{
    assert_no_session_made(place, store);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM refresh_tokens WHERE used_epoch_s = 0"),
                     1);
}

static enum err make_end(struct store *store)
{
    return accounts_end_session(failing.gate.accounts, store, slice_of(failing.entry.id), NOW);
}

static enum err make_end_of_refresh(struct store *store)
{
    const struct account *anna = accounts_find(failing.gate.accounts, SLICE("anna"));
    return accounts_end_session_of_refresh(failing.gate.accounts, store, anna,
                                           secret_reveal(&failing.entry.refresh), NOW);
}

static void assert_not_ended(const struct place *place, struct store *store)
{
    assert_no_session_made(place, store);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM sessions WHERE revoked_epoch_s = 0"), 1);
}

/* The nth step of it fails, in a gateway of its own: a failure before would be mended on the way.
 * False: it has fewer. */
static bool fail_at(const struct place *place, const struct change *change, int nth, int failures)
{
    open_with_anna(place, &failing.gate);
    failing.entry = enter(&failing.gate, "anna");
    steps.wait = nth;
    steps.failing = failures;
    enum err err = change->make(failing.gate.store);
    bool came = steps.failing < failures;
    steps.failing = 0;
    assert_int_equal(err, came ? ERR_STORE : OK);
    if (came)
        change->assert_unmade(place, failing.gate.store);
    secret_finish(&failing.made);
    secret_finish(&failing.entry.refresh);
    close_gate(&failing.gate);
    run_sql(place, "PRAGMA foreign_keys = ON; DELETE FROM users");
    return came;
}

static void what_the_store_does_not_take_has_not_happened(void **state)
{
    static const struct change changes[] = {
        {make_refresh,        OK, assert_not_refreshed},
        {make_end,            OK, assert_not_ended    },
        {make_end_of_refresh, OK, assert_not_ended    },
    };
    log_set_sink(say_nothing);
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        int nth = 0;
        while (fail_at(*state, &changes[i], nth, ONE_STEP))
            nth++;
        assert_true(nth > 0);
        while (nth-- > 0)
            assert_true(fail_at(*state, &changes[i], nth, ALL_STEPS));
    }
}

/* When only the note of the last login fails, somebody is in all the same: so each step on its own.
 */
static void nobody_is_signed_in_by_half(void **state)
{
    open_with_anna(*state, &failing.gate);
    failing.entry = enter(&failing.gate, "anna");
    log_set_sink(say_nothing);
    for (int nth = 0; nth < 50; nth++) {
        steps.wait = nth;
        steps.failing = ONE_STEP;
        enum err err = make_session(failing.gate.store);
        bool came = steps.failing == 0;
        steps.failing = 0;
        if (err == OK) {
            assert_int_equal(view_of(&failing.gate, "anna").sessions, 2);
            assert_int_equal(ask_sql(*state, "SELECT count(*) FROM sessions"), 2);
            assert_true(nth > 0);
            break;
        }
        assert_true(came);
        assert_int_equal(err, ERR_STORE);
        assert_no_session_made(*state, failing.gate.store);
    }
    secret_finish(&failing.made);
    secret_finish(&failing.entry.refresh);
    close_gate(&failing.gate);
}

int main(void)
{
    hash_seed();
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_place, remove_place)
    const struct CMUnitTest tests[] = {
        TEST(the_right_password_opens_a_session),
        TEST(anything_else_opens_none),
        TEST(whoever_comes_in_vain_costs_one_hash_of_ours),
        TEST(a_password_alone_is_verified_without_a_session),
        TEST(a_form_that_was_brought_along_becomes_ours),
        TEST(what_was_changed_while_the_password_was_verified_counts),
        TEST(a_role_that_was_changed_meanwhile_is_the_sessions),
        TEST(each_refresh_token_is_good_once),
        TEST(the_reused_session_is_told),
        TEST(what_is_no_refresh_token_is_denied),
        TEST(nobody_stays_for_ever),
        TEST(what_a_clock_ahead_has_made_opens_nothing),
        TEST(of_many_at_once_one_wins),
        TEST(an_ended_session_is_found_no_more_and_whoever_holds_it_sees_it),
        TEST(a_refresh_token_ends_its_session_for_whose_it_is),
        TEST(changes_end_sessions_but_for_the_one_they_are_made_in),
        TEST(a_deleted_accounts_sessions_are_gone),
        TEST(the_oldest_session_makes_room),
        TEST(there_is_an_end_to_sessions),
        TEST(what_is_over_is_forgotten),
        TEST(loading_takes_what_stands),
        TEST(what_the_store_does_not_take_has_not_happened),
        TEST(nobody_is_signed_in_by_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

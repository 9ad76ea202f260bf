/* A refresh token is good for one turn, whoever brings it and however often. */
#include "accounts.h"
#include "failing_step.h"

#include <pthread.h>

enum { NOW = CREATED + 100 };

/* One user, number 1, whose session A has the token 1. */
static struct store *open_with_session(const struct place *place)
{
    struct store *store = open_good(place);
    add_session(store, 'A', add_user(store, "anna"), 1);
    return store;
}

static void sessions_survive_reopening_with_every_field(void **state)
{
    struct store *store = open_with_session(*state);
    struct stored_session expected = sample_session('A', 1);
    store_close(store);
    store = open_good(*state);
    struct stored_session session = session_of(store, 1);
    assert_string_equal(session.id, expected.id);
    assert_int_equal(session.user_number, 1);
    assert_int_equal(session.created_epoch_s, CREATED);
    assert_int_equal(session.expires_epoch_s, ENDS);
    assert_int_equal(session.revoked_epoch_s, 0);
    assert_int_equal(store_find_refresh(store, token_of(2).sha256, &session), ERR_NOT_FOUND);
    assert_string_equal(session.id, expected.id);
    store_close(store);
}

static void ids_and_tokens_are_unique(void **state)
{
    struct store *store = open_with_session(*state);
    struct stored_session same_id = sample_session('A', 1), other = sample_session('B', 1);
    assert_int_equal(store_add_session(store, &same_id, token_of(2).sha256), ERR_EXISTS);
    assert_int_equal(store_add_session(store, &other, token_of(1).sha256), ERR_EXISTS);
    assert_rows(*state, 1, 1, 1);
    assert_int_equal(store_add_session(store, &other, token_of(2).sha256), OK);
    store_close(store);
}

/* Each breaks one rule of the tables; nothing of it stays. */
static void what_can_be_no_session_is_not_kept(void **state)
{
    struct store *store = open_with_session(*state);
    struct stored_session bad[5];
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        bad[i] = sample_session('B', 1);
    bad[0].id[SESSION_ID_LEN - 1] = 0;
    bad[1].user_number = 2;
    bad[2].user_number = UINT64_MAX;
    bad[3].expires_epoch_s = UINT64_MAX;
    memset(bad[4].id, 'B', sizeof bad[4].id); /* without its end */
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(store_add_session(store, &bad[i], token_of(2).sha256), ERR_STORE);
    assert_rows(*state, 1, 1, 1);
    store_close(store);
}

static void a_token_is_changed_for_the_next(void **state)
{
    struct store *store = open_with_session(*state);
    struct stored_session session = {.id = ""};
    for (unsigned i = 1; i <= 5; i++) {
        uint64_t expires = ENDS + i;
        assert_int_equal(store_rotate_refresh(store, token_of(i).sha256, token_of(i + 1).sha256,
                                              NOW + i, expires, &session),
                         OK);
        assert_string_equal(session.id, sample_session('A', 1).id);
        assert_int_equal(session.user_number, 1);
        assert_int_equal(session.created_epoch_s, CREATED);
        assert_int_equal(session.expires_epoch_s, expires);
        assert_int_equal(session.revoked_epoch_s, 0);
        assert_int_equal(session_of(store, 1).expires_epoch_s, expires);
        assert_int_equal(session_of(store, i + 1).expires_epoch_s, expires);
    }
    store_close(store);
    assert_rows(*state, 1, 1, 6);
    assert_int_equal(
        ask_sql(*state, "SELECT count(*) FROM refresh_tokens WHERE used_epoch_s BETWEEN 1700000101"
                        " AND 1700000105"),
        5);
    assert_int_equal(ask_sql(*state, "SELECT count(*) FROM refresh_tokens WHERE used_epoch_s = 0"),
                     1);
}

static void a_token_that_comes_twice_ends_its_session(void **state)
{
    struct store *store = open_with_session(*state);
    struct stored_session session = {.id = ""};
    add_session(store, 'B', 1, 10);
    assert_int_equal(rotate(store, 1, 2, NOW), OK);
    assert_int_equal(store_rotate_refresh(store, token_of(1).sha256, token_of(3).sha256, NOW + 5,
                                          LATER + 5, &session),
                     ERR_EXISTS);
    assert_string_equal(session.id, sample_session('A', 1).id);
    assert_int_equal(session.user_number, 1);
    assert_int_equal(session.revoked_epoch_s, NOW + 5);
    assert_int_equal(session.expires_epoch_s, LATER);
    store_close(store);

    store = open_good(*state);
    assert_int_equal(session_of(store, 2).revoked_epoch_s, NOW + 5);
    assert_int_equal(store_find_refresh(store, token_of(3).sha256, &session), ERR_NOT_FOUND);
    assert_int_equal(rotate(store, 2, 4, NOW + 6), ERR_DENIED);
    assert_int_equal(rotate(store, 1, 4, NOW + 7), ERR_DENIED);
    assert_int_equal(session_of(store, 2).revoked_epoch_s, NOW + 5);
    assert_int_equal(rotate(store, 10, 11, NOW + 8), OK);
    assert_rows(*state, 1, 2, 4);
    store_close(store);
}

static void a_session_that_is_over_gives_no_token(void **state)
{
    struct store *store = open_with_session(*state);
    struct stored_session session = {.user_number = 77};
    assert_int_equal(rotate(store, 1, 2, ENDS), ERR_DENIED);
    assert_int_equal(rotate(store, 1, 2, UINT64_MAX), ERR_DENIED);
    assert_int_equal(
        store_rotate_refresh(store, token_of(9).sha256, token_of(2).sha256, NOW, LATER, &session),
        ERR_NOT_FOUND);
    assert_int_equal(session.user_number, 77);
    assert_rows(*state, 1, 1, 1);
    assert_int_equal(rotate(store, 1, 2, ENDS - 1), OK);
    assert_int_equal(rotate(store, 1, 3, LATER), ERR_DENIED);
    assert_int_equal(session_of(store, 1).revoked_epoch_s, 0);
    assert_int_equal(store_revoke_session(store, slice_of(session_of(store, 1).id), NOW), OK);
    assert_int_equal(rotate(store, 2, 3, NOW), ERR_DENIED);
    assert_rows(*state, 1, 1, 2);
    store_close(store);
}

/* The clock that stands at zero makes no mark that says "live". */
static void a_broken_clock_leaves_nothing_live(void **state)
{
    struct store *store = open_with_session(*state);
    add_session(store, 'B', 1, 10);
    add_session(store, 'C', 1, 20);
    assert_int_equal(rotate(store, 1, 2, 0), OK);
    assert_int_equal(rotate(store, 1, 3, 0), ERR_EXISTS);
    assert_int_equal(session_of(store, 1).revoked_epoch_s, 1);
    assert_int_equal(store_revoke_session(store, slice_of(session_of(store, 10).id), 0), OK);
    assert_int_equal(session_of(store, 10).revoked_epoch_s, 1);
    assert_int_equal(store_revoke_user_sessions(store, 1, SLICE(""), 0), OK);
    assert_int_equal(session_of(store, 20).revoked_epoch_s, 1);
    store_close(store);
}

/* ERR_EXISTS would say that the session has been revoked. */
static void a_next_token_that_is_there_changes_nothing(void **state)
{
    struct store *store = open_with_session(*state);
    struct stored_session session = {.user_number = 77};
    add_session(store, 'B', 1, 10);
    assert_int_equal(rotate(store, 1, 1, NOW), ERR_STORE);
    assert_int_equal(rotate(store, 1, 10, NOW), ERR_STORE);
    assert_int_equal(store_rotate_refresh(store, token_of(1).sha256, token_of(2).sha256, NOW,
                                          UINT64_MAX, &session),
                     ERR_STORE);
    assert_int_equal(session.user_number, 77);
    assert_rows(*state, 1, 2, 2);
    assert_int_equal(session_of(store, 1).expires_epoch_s, ENDS);
    assert_int_equal(rotate(store, 1, 2, NOW), OK);
    store_close(store);
}

enum { RUNNERS = 64 };

struct race {
    struct store *store;
    pthread_barrier_t start;
};

struct runner {
    struct race *race;
    pthread_t thread;
    unsigned next;
    enum err err;
    struct stored_session session;
};

static void *run(void *argument)
{
    struct runner *runner = argument;
    pthread_barrier_wait(&runner->race->start);
    runner->err = store_rotate_refresh(runner->race->store, token_of(1).sha256,
                                       token_of(runner->next).sha256, NOW, LATER, &runner->session);
    return NULL;
}

static void one_of_many_at_the_same_time_wins(void **state)
{
    struct race race = {.store = open_with_session(*state)};
    static struct runner runners[RUNNERS];
    unsigned won = 0, reused = 0, denied = 0;
    assert_int_equal(pthread_barrier_init(&race.start, NULL, RUNNERS), 0);
    for (unsigned i = 0; i < RUNNERS; i++) {
        runners[i] = (struct runner){.race = &race, .next = 100 + i};
        assert_int_equal(pthread_create(&runners[i].thread, NULL, run, &runners[i]), 0);
    }
    for (unsigned i = 0; i < RUNNERS; i++) {
        pthread_join(runners[i].thread, NULL);
        won += runners[i].err == OK;
        reused += runners[i].err == ERR_EXISTS;
        denied += runners[i].err == ERR_DENIED;
        if (runners[i].err == ERR_EXISTS)
            assert_int_equal(runners[i].session.revoked_epoch_s, NOW);
    }
    pthread_barrier_destroy(&race.start);
    assert_int_equal(won, 1);
    assert_int_equal(reused, 1);
    assert_int_equal(denied, RUNNERS - 2);
    assert_int_equal(session_of(race.store, 1).revoked_epoch_s, NOW);
    assert_rows(*state, 1, 1, 2);
    store_close(race.store);
}

static void a_session_is_revoked_once(void **state)
{
    struct store *store = open_with_session(*state);
    struct stored_session session = sample_session('A', 1);
    assert_int_equal(store_revoke_session(store, SLICE("' OR 1=1 --"), NOW), ERR_NOT_FOUND);
    assert_int_equal(store_revoke_session(store, SLICE(""), NOW), ERR_NOT_FOUND);
    assert_int_equal(store_revoke_session(store, slice_of(session.id), UINT64_MAX), ERR_STORE);
    assert_int_equal(store_revoke_session(store, slice_of(session.id), NOW), OK);
    assert_int_equal(store_revoke_session(store, slice_of(session.id), NOW + 1), ERR_NOT_FOUND);
    store_close(store);
    store = open_good(*state);
    assert_int_equal(session_of(store, 1).revoked_epoch_s, NOW);
    store_close(store);
}

static void all_sessions_of_a_user_are_revoked_but_the_spared_one(void **state)
{
    struct store *store = open_with_session(*state);
    uint64_t bert = add_user(store, "bert");
    struct stored_session spared = sample_session('B', 1);
    add_session(store, 'B', 1, 2);
    add_session(store, 'C', 1, 3);
    add_session(store, 'D', bert, 4);
    assert_int_equal(store_revoke_session(store, slice_of(session_of(store, 3).id), NOW), OK);
    assert_int_equal(store_revoke_user_sessions(store, 1, slice_of(spared.id), NOW + 1), OK);
    assert_live(store, NOW, "BD");
    assert_int_equal(session_of(store, 1).revoked_epoch_s, NOW + 1);
    assert_int_equal(session_of(store, 3).revoked_epoch_s, NOW);
    assert_int_equal(store_revoke_user_sessions(store, 1, SLICE(""), NOW + 2), OK);
    assert_live(store, NOW, "D");
    assert_int_equal(store_revoke_user_sessions(store, 1, SLICE(""), NOW + 3), OK);
    assert_int_equal(store_revoke_user_sessions(store, 1000, SLICE(""), NOW + 3), OK);
    assert_int_equal(store_revoke_user_sessions(store, UINT64_MAX, SLICE(""), NOW), ERR_STORE);
    assert_int_equal(store_revoke_user_sessions(store, bert, SLICE(""), UINT64_MAX), ERR_STORE);
    assert_live(store, NOW, "D");
    store_close(store);
}

static void live_sessions_are_listed_oldest_first(void **state)
{
    struct store *store = open_with_session(*state);
    struct seen_sessions seen = {.stop_after = 1};
    static const struct {
        char letter;
        uint64_t created, expires, revoked;
    } rows[] = {
        {'Z', CREATED - 2, ENDS,    0  },
        {'M', CREATED - 1, ENDS,    NOW},
        {'N', CREATED - 1, ENDS,    0  },
        {'C', CREATED - 1, NOW,     0  },
        {'D', CREATED - 1, NOW + 1, 0  },
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct stored_session session = sample_session(rows[i].letter, 1);
        session.created_epoch_s = rows[i].created;
        session.expires_epoch_s = rows[i].expires;
        session.revoked_epoch_s = rows[i].revoked;
        assert_int_equal(store_add_session(store, &session, token_of(10 + i).sha256), OK);
    }
    assert_live(store, NOW, "ZDNA");
    assert_live(store, NOW + 1, "ZNA");
    assert_live(store, ENDS, "");
    assert_int_equal(store_each_session(store, NOW, note_session, &seen), ERR_LIMIT);
    assert_string_equal(seen.letters, "Z");
    assert_int_equal(store_each_session(store, UINT64_MAX, note_session, &seen), ERR_STORE);
    store_close(store);
}

static void what_has_ended_is_forgotten_with_its_tokens(void **state)
{
    struct store *store = open_with_session(*state);
    struct stored_session session;
    add_session(store, 'B', 1, 10);
    add_session(store, 'C', 1, 20);
    assert_int_equal(rotate(store, 10, 11, NOW), OK);
    assert_int_equal(store_revoke_session(store, slice_of(session_of(store, 20).id), NOW), OK);
    assert_rows(*state, 1, 3, 4);
    assert_int_equal(store_prune_sessions(store, NOW), OK);
    assert_rows(*state, 1, 3, 4);
    assert_int_equal(store_prune_sessions(store, NOW + 1), OK); /* what was revoked */
    assert_rows(*state, 1, 2, 3);
    assert_int_equal(store_prune_sessions(store, ENDS), OK);
    assert_rows(*state, 1, 2, 3);
    assert_int_equal(store_prune_sessions(store, ENDS + 1), OK); /* what is over */
    assert_rows(*state, 1, 1, 2);
    assert_int_equal(store_find_refresh(store, token_of(1).sha256, &session), ERR_NOT_FOUND);
    assert_int_equal(store_prune_sessions(store, UINT64_MAX), ERR_STORE);
    assert_int_equal(rotate(store, 11, 12, ENDS + 1), OK);
    store_close(store);
}

/* In one statement, with all their tokens: none of them is left behind by a bound on the way. */
static void many_are_forgotten_at_once(void **state)
{
    struct store *store = open_with_session(*state);
    run_sql(*state, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)"
                    " INSERT INTO sessions SELECT printf('%022d', i), 1, i, 5, 0 FROM n");
    run_sql(*state, "INSERT INTO refresh_tokens SELECT randomblob(32), id, 0 FROM sessions");
    assert_rows(*state, 1, 20001, 20002);
    assert_int_equal(store_prune_sessions(store, CREATED), OK);
    assert_rows(*state, 1, 1, 2);
    store_close(store);
    store_close(open_good(*state));
}

/* Each under an open store, and back again. */
static void rows_that_cannot_be_ours_are_not_read(void **state)
{
    static const char *const damages[] = {
        "UPDATE refresh_tokens SET used_epoch_s = -1",
        "UPDATE sessions SET user_number = 0",
        "UPDATE sessions SET user_number = -1",
        "UPDATE sessions SET created_epoch_s = -1",
        "UPDATE sessions SET expires_epoch_s = -1",
        "UPDATE sessions SET revoked_epoch_s = -1",
        "UPDATE sessions SET id = 'short'; UPDATE refresh_tokens SET session_id = 'short'",
        /* 22 characters, more bytes; and with a NUL inside. */
        "UPDATE sessions SET id = replace(id, 'A', char(233));"
        "UPDATE refresh_tokens SET session_id = (SELECT id FROM sessions)",
        "UPDATE sessions SET id = CAST(zeroblob(22) AS TEXT);"
        "UPDATE refresh_tokens SET session_id = (SELECT id FROM sessions)",
    };
    struct store *store = open_with_session(*state);
    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        struct stored_session session = {.user_number = 77};
        run_sql(*state, damages[i]);
        assert_int_equal(store_find_refresh(store, token_of(1).sha256, &session), ERR_STORE);
        assert_int_equal(store_rotate_refresh(store, token_of(1).sha256, token_of(2).sha256, NOW,
                                              LATER, &session),
                         ERR_STORE);
        assert_int_equal(session.user_number, 77);
        assert_int_equal(ask_sql(*state, "SELECT count(*) FROM refresh_tokens"), 1);
        run_sql(*state, "DELETE FROM refresh_tokens; DELETE FROM sessions");
        add_session(store, 'A', 1, 1);
    }
    run_sql(*state, "UPDATE sessions SET id = 'short'");
    struct seen_sessions seen = {0};
    assert_int_equal(store_each_session(store, NOW, note_session, &seen), ERR_STORE);
    assert_int_equal(seen.count, 0);
    /* A token whose session is gone is nobody's. */
    assert_int_equal(rotate(store, 1, 2, NOW), ERR_NOT_FOUND);
    store_close(store);
}

static enum err add_session_b(struct store *store)
{
    struct stored_session session = sample_session('B', 1);
    return store_add_session(store, &session, token_of(50).sha256);
}

static enum err rotate_live(struct store *store)
{
    return rotate(store, 2, 50, NOW);
}

static enum err rotate_used(struct store *store)
{
    return rotate(store, 1, 50, NOW);
}

static enum err revoke_one(struct store *store)
{
    struct stored_session session = sample_session('A', 1);
    return store_revoke_session(store, slice_of(session.id), NOW);
}

static enum err revoke_all(struct store *store)
{
    return store_revoke_user_sessions(store, 1, SLICE(""), NOW);
}

static enum err prune(struct store *store)
{
    return store_prune_sessions(store, LATER + 1);
}

/* Session A with its used token 1 and its live token 2. */
static void assert_as_before(const struct place *place, struct store *store)
{
    /* Neither over the old connection, which may hold what it could not end. */
    struct stored_session session;
    assert_int_not_equal(store_find_refresh(store, token_of(50).sha256, &session), OK);
    if (store_find_refresh(store, token_of(2).sha256, &session) == OK)
        assert_int_equal(session.revoked_epoch_s, 0);
    assert_rows(place, 1, 1, 2);
    assert_int_equal(ask_sql(place, "SELECT expires_epoch_s FROM sessions"), LATER);
    assert_int_equal(ask_sql(place, "SELECT revoked_epoch_s FROM sessions"), 0);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM refresh_tokens WHERE used_epoch_s = 0"),
                     1);
}

static const struct change changes[] = {
    {add_session_b, OK,         assert_as_before},
    {rotate_live,   OK,         assert_as_before},
    {rotate_used,   ERR_EXISTS, assert_as_before},
    {revoke_one,    OK,         assert_as_before},
    {revoke_all,    OK,         assert_as_before},
    {prune,         OK,         assert_as_before},
};

static struct store *open_with_two_tokens(const struct place *place)
{
    struct store *store = open_with_session(place);
    assert_int_equal(rotate(store, 1, 2, NOW), OK);
    return store;
}

static void a_change_of_which_a_step_fails_is_not_made(void **state)
{
    fail_each_change(*state, open_with_two_tokens, changes, COUNT_OF(changes));
}

static void a_full_disk_changes_nothing(void **state)
{
    const struct place *place = *state;
    struct store *store = open_with_two_tokens(place);
    fill_disk_before_each(place, store, changes, COUNT_OF(changes));
    /* The use that could not be written was none. */
    assert_int_equal(rotate_live(store), OK);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(sessions_survive_reopening_with_every_field),
        IN_PLACE(ids_and_tokens_are_unique),
        IN_PLACE(what_can_be_no_session_is_not_kept),
        IN_PLACE(a_token_is_changed_for_the_next),
        IN_PLACE(a_token_that_comes_twice_ends_its_session),
        IN_PLACE(a_session_that_is_over_gives_no_token),
        IN_PLACE(a_broken_clock_leaves_nothing_live),
        IN_PLACE(a_next_token_that_is_there_changes_nothing),
        IN_PLACE(one_of_many_at_the_same_time_wins),
        IN_PLACE(a_session_is_revoked_once),
        IN_PLACE(all_sessions_of_a_user_are_revoked_but_the_spared_one),
        IN_PLACE(live_sessions_are_listed_oldest_first),
        IN_PLACE(what_has_ended_is_forgotten_with_its_tokens),
        IN_PLACE(many_are_forgotten_at_once),
        IN_PLACE(rows_that_cannot_be_ours_are_not_read),
        IN_PLACE(a_change_of_which_a_step_fails_is_not_made),
        IN_PLACE(a_full_disk_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

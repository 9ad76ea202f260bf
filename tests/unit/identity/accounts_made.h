/* What the tests of accounts and sessions share: a store in a folder of its own, accounts in it, a
 * store that fails at a step. */
#ifndef TESTS_IDENTITY_ACCOUNTS_MADE_H
#define TESTS_IDENTITY_ACCOUNTS_MADE_H

#include "../store/accounts.h"
#include "../store/failing_step.h"
#include "identity/accounts.h"
#include "identity/refresh_token.h"

enum { NOW = 1700000000, DAY = 24 * 60 * 60, LIFETIME = 14 * DAY };

#define WORD SLICE("correct horse")
/* Of WORD: as we write it, and as somebody brought it along. */
#define OURS                                                                                       \
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$"                                       \
    "k9ohroejZy1PN5E1SbHNPug6vB8eQAahb5SOAp6iGF4"
#define BROUGHT "$2b$04$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2"
/* Of something else. */
#define ANOTHER "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG"

struct gate {
    struct store *store;
    struct accounts *accounts;
};

static inline void open_gate(const struct place *place, struct gate *gate)
{
    gate->store = open_good(place);
    gate->accounts = accounts_create(NULL, NULL);
    assert_non_null(gate->accounts);
    assert_int_equal(accounts_load(gate->accounts, gate->store, NOW), OK);
}

static inline void close_gate(struct gate *gate)
{
    accounts_destroy(gate->accounts);
    store_close(gate->store);
}

/* As after a restart at that time. */
static inline void open_again(const struct place *place, struct gate *gate, uint64_t now)
{
    close_gate(gate);
    gate->store = open_good(place);
    gate->accounts = accounts_create(NULL, NULL);
    assert_int_equal(accounts_load(gate->accounts, gate->store, now), OK);
}

static inline void add_account(const struct gate *gate, const char *name, const char *stored,
                               enum role role)
{
    assert_int_equal(accounts_add(gate->accounts, gate->store, slice_of(name), stored, role, NOW),
                     OK);
}

static inline struct account_view view_of(const struct gate *gate, const char *name)
{
    struct account_view view;
    assert_int_equal(accounts_view(gate->accounts, slice_of(name), &view), OK);
    return view;
}

static inline enum err change(const struct gate *gate, const char *name,
                              struct account_change change)
{
    return accounts_change(gate->accounts, gate->store, slice_of(name), &change, NOW + 5);
}

#endif

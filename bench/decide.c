/* What the limits of one request cost: everything that the gate asks and charges between the head
 * and the body, in its order, for callers that come in turn and are all admitted. Linked with the
 * gateway's own objects by bench/run. What is counted is processor time, so that another process on
 * the core does not count.
 *
 *   decide time ROUNDS            prints "SETTING NANOSECONDS", the median of the rounds
 *   decide count SETTING NUMBER   makes so many decisions, for callgrind: the instructions of one
 *                                 are the difference of two runs, through their difference
 *
 * Callers come often enough that every table stays in use, and no more often than the standard
 * limits let them: time is passed in, and moves on by 2 ms with each decision. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "guard/bans.h"
#include "guard/caps.h"
#include "guard/limits.h"
#include "measure.h"

enum {
    CALLERS = 1000, /* each with an address, a key and a user */
    STEP_US = 2000,
    BANS = 1000,
    ROUNDS_MAX = 100,
    ROUND_DECISIONS = 300 * 1000
};

struct caller {
    struct address address;
    uint64_t address_hash, key, ban, user;
};

/* What differs between the settings that are measured. */
struct setting {
    const char *name;
    bool limited, all;
};
static const struct setting settings_measured[] = {
    {.name = "off"},
    {    .name = "default",            .limited = true},
    { .name = "all on", .limited = true, .all = true},
};
enum { SETTINGS = sizeof(settings_measured) / sizeof(*settings_measured) };

/* A gateway's, as far as limits go. */
struct site {
    struct settings settings;
    struct limit_route_settings route;
    struct rate_table *rates;
    struct window_table *windows;
    struct caps *caps;
    struct bans *bans;
    struct caller callers[CALLERS];
    uint64_t now_us, made;
};

static char route_path[] = "/v1/*";

static uint64_t hash_of(const char *what, unsigned number)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%s-%u", what, number);
    return hash_bytes(slice_make(text, (size_t)len));
}

static struct address address_of(unsigned first, unsigned number)
{
    return (struct address){
        .family = ADDRESS_V4,
        .bytes = {(uint8_t)first, (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                  (uint8_t)number}
    };
}

static void callers_make(struct site *site)
{
    for (unsigned i = 0; i < CALLERS; i++) {
        struct caller *caller = &site->callers[i];
        caller->address = address_of(10, i);
        caller->address_hash = address_hash(&caller->address);
        caller->key = hash_of("key", i);
        caller->ban = hash_of("ban", i);
        caller->user = hash_of("user", i);
    }
}

/* None of the callers: 600 addresses, 200 ranges of two lengths, 200 keys. */
static void bans_fill(struct site *site)
{
    struct ban_table *table = bans_make(BANS);
    if (!table)
        fail("decide: no memory for bans");
    for (unsigned i = 0; i < BANS; i++) {
        unsigned bits = i % 10 < 6 ? 32 : i % 20 < 10 ? 24 : 28;
        struct cidr range = {address_of(172, i << 8), bits};
        struct ban ban = i % 10 < 8 ? ban_of_range(&range, BAN_FOREVER)
                                    : (struct ban){.identity = hash_of("banned", i),
                                                   .until_us = site->now_us + 86400 * SECOND_US};
        bans_put(table, &ban);
    }
    bans_drop(site->bans, bans_swap(site->bans, table));
}

/* The standard values of config/option.c; with `all`, everything that can be set, and nothing that
 * refuses. */
static struct site *site_make(const struct setting *setting)
{
    struct site *site = calloc(1, sizeof(*site));
    if (!site)
        fail("decide: no memory");
    struct settings *settings = &site->settings;
    site->now_us = UINT64_C(1) << 40;
    site->rates = rate_table_create_growing(1 << 18);
    site->windows = window_table_create(1 << 18);
    site->caps = caps_create();
    site->bans = bans_create(NULL, NULL);
    if (!site->rates || !site->windows || !site->caps || !site->bans)
        fail("decide: no memory");
    callers_make(site);
    settings->security.rate_limiting_enabled = setting->limited;
    settings->limits.ip = (struct rate){60, 60 * SECOND_US, 10};
    settings->limits.key = (struct rate){120, 60 * SECOND_US, 20};
    if (!setting->all)
        return site;
    settings->security.max_requests_per_minute = 600;
    settings->security.max_requests_per_hour = 36000;
    settings->limits.requests_in_flight_per_ip = settings->limits.parallel_per_key = 100;
    site->route = (struct limit_route_settings){
        .path = route_path,
        .rate = {600, 60 * SECOND_US, 600},
        .per = PER_KEY,
        .identity = hash_of("route", 0)
    };
    settings->limits.routes = &site->route;
    settings->limits.route_count = 1;
    bans_fill(site);
    return site;
}

static void site_free(struct site *site)
{
    rate_table_destroy(site->rates);
    window_table_destroy(site->windows);
    caps_destroy(site->caps);
    bans_destroy(site->bans);
    free(site);
}

/* gateway/check_address.c */
static bool address_passes(struct site *site, const struct caller *caller,
                           const struct limit_request *request, struct limits_held *held)
{
    uint64_t max = site->settings.limits.requests_in_flight_per_ip;
    return !bans_hold(site->bans, &caller->address, caller->address_hash, request->now_us) &&
           (max == 0 || caps_take(site->caps, CAP_REQUESTS, caller->address_hash, max)) &&
           limits_charge_address(request, held) && limits_charge_address_route(request, held);
}

/* gateway/check_limit.c */
static bool caller_passes(struct site *site, const struct caller *caller,
                          const struct limit_request *request, struct limits_held *held)
{
    uint64_t max = site->settings.limits.parallel_per_key;
    return (max == 0 || caps_take(site->caps, CAP_REQUESTS, caller->key, max)) &&
           limits_charge_caller(request, held);
}

/* One request, from its head to its end; the answer's header fields ask for what is shown. */
static bool decide(struct site *site, const struct caller *caller)
{
    struct limits_held held;
    held.refused = LIMIT_NONE;
    held.retry_in_us = 0;
    held.of_address = held.of_others = (struct rate_verdict){0};
    held.count = 0;
    struct limit_request request = {
        .rates = site->rates,
        .windows = site->windows,
        .settings = &site->settings,
        .now_us = site->now_us,
        .path = SLICE("/v1/chat/completions"),
        .address = caller->address_hash,
        .key_rate = &site->settings.limits.key,
    };
    rate_prefetch(site->rates, caller->address_hash);
    if (!address_passes(site, caller, &request, &held))
        return false;
    request.key = caller->key; /* gateway/check_identity.c */
    request.user = caller->user;
    limits_give_back_address(&request, &held);
    if (bans_hold_key(site->bans, caller->ban, request.now_us) ||
        !caller_passes(site, caller, &request, &held))
        return false;
    const struct rate_verdict shown = limits_shown(&request, &held);
    if (site->settings.limits.requests_in_flight_per_ip)
        caps_give(site->caps, CAP_REQUESTS, caller->address_hash);
    if (site->settings.limits.parallel_per_key)
        caps_give(site->caps, CAP_REQUESTS, caller->key);
    return (shown.limit != 0) == site->settings.security.rate_limiting_enabled;
}

static void decide_often(struct site *site, uint64_t number)
{
    for (; number; number--) {
        /* 617 has no divisor in common with 1,000: all of them, and neighbours far apart. */
        const struct caller *caller = &site->callers[site->made++ * 617 % CALLERS];
        site->now_us += STEP_US;
        if (!decide(site, caller))
            fail("decide: a request was refused that no limit is about");
    }
}

static double median_ns(const struct setting *setting, unsigned rounds)
{
    double times[ROUNDS_MAX];
    struct site *site = site_make(setting);
    decide_often(site, 10 * CALLERS); /* warm up */
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t begin = cpu_ns();
        decide_often(site, ROUND_DECISIONS);
        times[i] = (double)(cpu_ns() - begin) / ROUND_DECISIONS;
    }
    site_free(site);
    return median(times, rounds);
}

static int run_time(unsigned long rounds)
{
    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    for (unsigned i = 0; i < SETTINGS; i++)
        printf("%s %.1f\n", settings_measured[i].name,
               median_ns(&settings_measured[i], (unsigned)rounds));
    return 0;
}

static int run_count(const char *name, unsigned long number)
{
    for (unsigned i = 0; i < SETTINGS; i++) {
        if (strcmp(settings_measured[i].name, name) != 0)
            continue;
        struct site *site = site_make(&settings_measured[i]);
        decide_often(site, number);
        site_free(site);
        return 0;
    }
    return 2;
}

int main(int argc, char **argv)
{
    int status = 2;
    hash_seed();
    if (argc == 3 && strcmp(argv[1], "time") == 0)
        status = run_time(strtoul(argv[2], NULL, 10));
    else if (argc == 4 && strcmp(argv[1], "count") == 0)
        status = run_count(argv[2], strtoul(argv[3], NULL, 10));
    if (status == 2)
        fprintf(stderr, "usage: decide time ROUNDS | decide count SETTING NUMBER\n");
    return status;
}

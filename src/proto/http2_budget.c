/* The buckets of http2_budget.h and their sizes. Called for every frame that is not itself a
 * request or a part of one. */
#include "proto/http2_budget.h"

#include "base/err.h"

enum { SECOND = 1000000, OWED_MAX = 1 << 17 };

/* What honest clients do: a browser tab that closes resets its streams at once (at most the 100
 * that may be open, twice over); a gRPC library sends a PING for every few answers it reads; curl
 * and Go send up to two WINDOW_UPDATE for a DATA frame, which those give back; Firefox once sent
 * some PRIORITY frames for each request. SETTINGS is changed hardly ever. */
// clang-format off
static const struct http2_budget_row table[HTTP2_BUDGET_COUNT] = {
    [HTTP2_RESETS]          = {"resets",          200,  50},
    [HTTP2_FAULTY_STREAMS]  = {"faulty_streams",  200,  50},
    [HTTP2_REFUSED_STREAMS] = {"refused_streams", 200, 100},
    [HTTP2_SETTINGS]        = {"settings",        100,  10},
    [HTTP2_PINGS]           = {"pings",          1000,  50},
    [HTTP2_PRIORITIES]      = {"priorities",     1000, 100},
    [HTTP2_WINDOW_UPDATES]  = {"window_updates", 1000,  50},
    [HTTP2_EMPTY_DATA]      = {"empty_data",     1000,  50},
    [HTTP2_STRAY_FRAMES]    = {"stray_frames",    500,  50},
};
// clang-format on

const struct http2_budget_row *http2_budget_table(void)
{
    return table;
}

bool http2_budget_take(struct http2_budget *budget, enum http2_budget_kind kind, uint64_t now_us)
{
    invariant((unsigned)kind < HTTP2_BUDGET_COUNT);
    if (budget->owed[kind]) {
        budget->owed[kind]--;
        return true;
    }
    uint64_t each_us = SECOND / table[kind].per_second;
    uint64_t *until = &budget->full_at_us[kind];
    uint64_t from = *until > now_us ? *until : now_us;
    if (from + each_us > now_us + table[kind].burst * each_us)
        return false;
    *until = from + each_us;
    return true;
}

void http2_budget_give(struct http2_budget *budget, enum http2_budget_kind kind, unsigned n)
{
    invariant((unsigned)kind < HTTP2_BUDGET_COUNT);
    uint32_t room = OWED_MAX - budget->owed[kind];
    budget->owed[kind] += n < room ? n : room;
}

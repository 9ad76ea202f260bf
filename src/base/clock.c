#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define LAST_EPOCH_S INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * SECOND_US + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_now_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

/* Seconds are wanted, thus the coarse clocks will do: both stand still between two ticks. */
uint64_t clock_credential_s(void)
{
    static _Atomic uint64_t begun_wall_us; /* where the wall clock was at monotonic 0; 0: not yet */
    uint64_t wall_us = read_clock(CLOCK_REALTIME_COARSE),
             now_us = read_clock(CLOCK_MONOTONIC_COARSE);
    uint64_t begun_us = atomic_load_explicit(&begun_wall_us, memory_order_relaxed);
    if (!begun_us && atomic_compare_exchange_strong(&begun_wall_us, &begun_us, wall_us - now_us))
        begun_us = wall_us - now_us;
    uint64_t least_us = begun_us + now_us;
    return (wall_us > least_us ? wall_us : least_us) / SECOND_US;
}

bool clock_is_ahead(uint64_t made_epoch_s, uint64_t now_epoch_s)
{
    return made_epoch_s > now_epoch_s && made_epoch_s - now_epoch_s > CLOCK_SKEW_S;
}

/* `format` is one of this file's literals. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void print(struct buffer *out, uint64_t wall_us, const char *format)
{
    time_t seconds = (time_t)(wall_us / SECOND_US);
    struct tm utc;
    char text[64];
    gmtime_r(&seconds, &utc);
    buffer_append(out, slice_make(text, strftime(text, sizeof text, format, &utc)));
}

void clock_print_rfc3339(struct buffer *out, uint64_t wall_us)
{
    print(out, wall_us, "%Y-%m-%dT%H:%M:%SZ");
}

void clock_print_rfc3339_ms(struct buffer *out, uint64_t wall_us)
{
    print(out, wall_us, "%Y-%m-%dT%H:%M:%S");
    buffer_printf(out, ".%03uZ", (unsigned)(wall_us / 1000 % 1000));
}

void clock_print_plain(struct buffer *out, uint64_t wall_us)
{
    print(out, wall_us, "%Y-%m-%d %H:%M:%S");
}

void clock_print_http(struct buffer *out, uint64_t wall_us)
{
    /* The program never calls setlocale, so the names of days and months are English. */
    print(out, wall_us, "%a, %d %b %Y %H:%M:%S GMT");
}

static bool digits(struct slice *s, size_t n, int *number)
{
    uint64_t value;
    if (s->len < n || !slice_number(slice_to(*s, n), 9999, &value))
        return false;
    *number = (int)value;
    *s = slice_from(*s, n);
    return true;
}

static bool expect(struct slice *s, char wanted, char other)
{
    if (s->len == 0 || (s->ptr[0] != wanted && s->ptr[0] != other))
        return false;
    *s = slice_from(*s, 1);
    return true;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

enum err clock_parse_rfc3339(struct slice s, uint64_t *epoch_s)
{
    struct tm t = {0};
    int offset_hours = 0, offset_minutes = 0;
    if (!digits(&s, 4, &t.tm_year) || !expect(&s, '-', '-') || !digits(&s, 2, &t.tm_mon) ||
        !expect(&s, '-', '-') || !digits(&s, 2, &t.tm_mday) || !expect(&s, 'T', 't') ||
        !digits(&s, 2, &t.tm_hour) || !expect(&s, ':', ':') || !digits(&s, 2, &t.tm_min) ||
        !expect(&s, ':', ':') || !digits(&s, 2, &t.tm_sec))
        return ERR_SYNTAX;
    if (expect(&s, '.', '.')) {
        int ignored;
        if (!digits(&s, 1, &ignored))
            return ERR_SYNTAX;
        while (digits(&s, 1, &ignored))
            ;
    }
    int sign = s.len && s.ptr[0] == '-' ? -1 : 1;
    if (!expect(&s, 'Z', 'z') && (!expect(&s, '+', '-') || !digits(&s, 2, &offset_hours) ||
                                  !expect(&s, ':', ':') || !digits(&s, 2, &offset_minutes)))
        return ERR_SYNTAX;
    /* timegm would carry 30 February over into March: a date that does not exist is a mistake. */
    if (s.len || t.tm_mon < 1 || t.tm_mon > 12 || t.tm_mday < 1 ||
        t.tm_mday > days_in(t.tm_year, t.tm_mon) || t.tm_hour > 23 || t.tm_min > 59 ||
        t.tm_sec > 60 || t.tm_year < 1970 || offset_hours > 23 || offset_minutes > 59)
        return ERR_SYNTAX;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    int64_t seconds = (int64_t)timegm(&t) - sign * (offset_hours * 3600 + offset_minutes * 60);
    /* An offset may lead out of the years of four digits, and what is read must be printable. */
    if (seconds < 0 || seconds > LAST_EPOCH_S)
        return ERR_SYNTAX;
    *epoch_s = (uint64_t)seconds;
    return OK;
}

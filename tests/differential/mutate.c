/* The mutations: each a short function, all of them rows of one table. Half of the places they pick
 * are bytes that give a message its structure, since that is where readers differ. */
#include <stdio.h>
#include <string.h>

#include "mutant.h"

struct text {
    const char *bytes;
    size_t len;
};
#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
#define COUNT(table) (sizeof(table) / sizeof(*(table)))

// clang-format off
/* Bytes and runs that some reader takes for an end, a blank or nothing. */
static const struct text specials[] = {
    TEXT("\r"), TEXT("\n"), TEXT("\r\n"), TEXT("\n\r"), TEXT("\r\r\n"), TEXT("\r\n\r\n"), TEXT("\n\n"),
    TEXT("\r\n "), TEXT("\r\n\t"), TEXT(" \r\n"), TEXT("\0"), TEXT("\t"), TEXT(" "), TEXT("  "),
    TEXT("\v"), TEXT("\f"), TEXT("\x01"), TEXT("\x08"), TEXT("\x1b"), TEXT("\x1f"), TEXT("\x7f"),
    TEXT("\x80"), TEXT("\x85"), TEXT("\xa0"), TEXT("\xad"), TEXT("\xff"), TEXT("\xef\xbb\xbf"),
    TEXT("\xe2\x80\x8b"), TEXT("\xc4\x8d\xc4\x8a"), TEXT(","), TEXT(", "), TEXT(":"), TEXT("::"),
    TEXT(": "), TEXT(";"), TEXT("="), TEXT("\""), TEXT("'"), TEXT("\\"), TEXT("/"), TEXT("//"),
    TEXT("?"), TEXT("#"), TEXT("%"), TEXT("%00"), TEXT("%0d%0a"), TEXT("%2e"), TEXT("@"), TEXT("_"),
    TEXT("-"), TEXT("+"), TEXT("."), TEXT(".."), TEXT("0"), TEXT("0x"), TEXT("*"), TEXT("|"),
    TEXT("("), TEXT(")"), TEXT("<"), TEXT(">"), TEXT("["), TEXT("]"), TEXT("{"), TEXT("}"),
    TEXT("&"), TEXT("$"), TEXT("!"), TEXT("~"), TEXT("`"), TEXT("^"),
};

static const struct text line_ends[] = {
    TEXT("\n"), TEXT("\r"), TEXT("\r\r\n"), TEXT("\n\r\n"), TEXT("\r\n\r\n"), TEXT("\r\n\n"),
    TEXT(" \r\n"), TEXT("\t\r\n"), TEXT("\r\n "), TEXT("\r\n\t"), TEXT("\v"), TEXT("\f\r\n"),
    TEXT("\0\r\n"), TEXT("\x85"), TEXT(""), TEXT("\r\0\n"), TEXT("\n\r"),
};

static const struct text colons[] = {
    TEXT(":"), TEXT(": "), TEXT(":\t"), TEXT(":  "), TEXT(": \t "), TEXT(" :"), TEXT(" : "), TEXT("\t:"),
    TEXT("::"), TEXT(": :"), TEXT(""), TEXT(" "), TEXT("="), TEXT(";"), TEXT(":\r\n "), TEXT("\r\n :"),
    TEXT(":\v"), TEXT(":\f"), TEXT("\0:"), TEXT(":\0"), TEXT(":\r"), TEXT(":\n"), TEXT("\xc2\xa0:"),
};

static const struct text fields[] = {
    TEXT("Content-Length: 0\r\n"), TEXT("Content-Length: 5\r\n"), TEXT("Content-Length: 99999\r\n"),
    TEXT("Content-Length:\r\n"), TEXT("Content-Length: 5, 5\r\n"), TEXT("content-length: 051\r\n"),
    TEXT("Content_Length: 5\r\n"), TEXT("Content-Length : 5\r\n"), TEXT(" Content-Length: 5\r\n"),
    TEXT("Transfer-Encoding: chunked\r\n"), TEXT("transfer-encoding:chunked\r\n"),
    TEXT("Transfer-Encoding: CHUNKED\r\n"), TEXT("Transfer-Encoding: identity\r\n"),
    TEXT("Transfer-Encoding: chunked, identity\r\n"), TEXT("Transfer-Encoding: xchunked\r\n"),
    TEXT("Transfer-Encoding: \"chunked\"\r\n"), TEXT("Transfer-Encoding:\vchunked\r\n"),
    TEXT("Transfer_Encoding: chunked\r\n"), TEXT("Transfer-Encoding : chunked\r\n"),
    TEXT("Transfer-Encoding\r\n: chunked\r\n"), TEXT("X: a\nTransfer-Encoding: chunked\r\n"),
    TEXT("X: a\rTransfer-Encoding: chunked\r\n"), TEXT("X: a\r\n Transfer-Encoding: chunked\r\n"),
    TEXT("Transfer-Encoding:\r\n chunked\r\n"), TEXT("Content-Encoding: chunked\r\n"),
    TEXT("Content-Encoding: identity\r\n"), TEXT("Content-Encoding: gzip\r\n"),
    TEXT("Host: other.test\r\n"), TEXT("Host: gateway.test\r\n"), TEXT("Host:\r\n"),
    TEXT("X-Forwarded-Host: other.test\r\n"), TEXT("Authorization: Bearer other\r\n"),
    TEXT("X-Api-Key: " MUTANT_KEY_MARK "\r\n"), TEXT("Proxy-Authorization: Basic a\r\n"),
    TEXT("Connection: close\r\n"), TEXT("Connection: keep-alive\r\n"), TEXT("Connection: Content-Length\r\n"),
    TEXT("Connection: Transfer-Encoding\r\n"), TEXT("Connection: Host, Content-Type, Via\r\n"),
    TEXT("Proxy-Connection: close\r\n"), TEXT("Keep-Alive: timeout=1\r\n"), TEXT("Upgrade: websocket\r\n"),
    TEXT("Upgrade: h2c\r\n"), TEXT("HTTP2-Settings: AAMAAABkAAQ\r\n"), TEXT("TE: trailers, chunked\r\n"),
    TEXT("Trailer: Content-Length\r\n"), TEXT("Expect: 100-continue\r\n"), TEXT("Expect: 200-ok\r\n"),
    TEXT("Cookie: a=b; c=d\r\n"), TEXT("Via: 1.0 a, 1.1 b\r\n"), TEXT("Range: bytes=0-1\r\n"),
    TEXT("Content-Type: application/json\r\n"), TEXT("Content-Type: text/plain\r\n"), TEXT(":\r\n"),
    TEXT(": a\r\n"), TEXT("X\r\n"), TEXT("X:\r\n"), TEXT("X: \r\n"), TEXT("X:\t\r\n"), TEXT("X : a\r\n"),
    TEXT("From a@b Thu Jan 1\r\n"), TEXT("From: a@b\r\n"), TEXT("=_: a\r\n"), TEXT("GET / HTTP/1.1\r\n"),
    TEXT("X: GET / HTTP/1.1\r\n"), TEXT("\r\n"), TEXT("\0: \0\r\n"), TEXT("X: \xe9\r\n"),
    TEXT("If: (<a>)\r\n"), TEXT("Destination: /b\r\n"), TEXT("Translate: f\r\n"), TEXT("Depth: 0\r\n"),
    TEXT("Sec-WebSocket-Version: 13\r\n"), TEXT("Max-Forwards: 0\r\n"), TEXT("X-Accel-Redirect: /a\r\n"),
    TEXT("X-Sendfile: /etc/passwd\r\n"), TEXT("Content-Range: bytes 0-1/2\r\n"), TEXT("Warning: 1\r\n"),
};

static const struct text methods[] = {
    TEXT("GET"), TEXT("HEAD"), TEXT("POST"), TEXT("PUT"), TEXT("PATCH"), TEXT("DELETE"), TEXT("OPTIONS"),
    TEXT("CONNECT"), TEXT("TRACE"), TEXT("PRI"), TEXT("get"), TEXT("GETX"), TEXT("G\"T"), TEXT("M-SEARCH"),
    TEXT("PROPFIND"), TEXT("\r\nPOST"), TEXT(" POST"), TEXT("POST\t"), TEXT(""),
};

static const struct text targets[] = {
    TEXT("/"), TEXT("*"), TEXT(""), TEXT("//"), TEXT("/v1/chat/completions"), TEXT("/v1/chat/completions/"),
    TEXT("/v1//chat/completions"), TEXT("/v1/./chat/completions"), TEXT("/v1/chat/completions?a=b"),
    TEXT("/v1/chat/completions#a"), TEXT("/V1/chat/completions"), TEXT("/v1/messages?"),
    TEXT("/v1/messages??a=/../b"), TEXT("/v1/messages?a%0d%0ab"), TEXT("/v1/messages?http://b/"),
    TEXT("/api/chat"), TEXT("/api/generate"), TEXT("/api/version"), TEXT("/api/ps"), TEXT("/api/tags"),
    TEXT("/api/show"), TEXT("/api/pull"), TEXT("/v1/models"), TEXT("/v1/models/m"), TEXT("/v1/responses"),
    TEXT("/livez"), TEXT("/health"), TEXT("/metrics"), TEXT("/v1/chat%2fcompletions"), TEXT("/api/chat;a=b"),
    TEXT("http://gateway.test/api/chat"), TEXT("http://other.test/api/chat"), TEXT("gateway.test:80"),
    TEXT("HTTPS://GATEWAY.TEST/api/version"), TEXT("http://gateway.test:80/api/version"),
    TEXT("/api/chat HTTP/1.1\r\nX: "), TEXT("/api/chat\t"), TEXT("\\api\\chat"),
};

static const struct text versions[] = {
    TEXT("HTTP/1.0"), TEXT("HTTP/1.1"), TEXT("HTTP/1.2"), TEXT("HTTP/0.9"), TEXT("HTTP/2.0"), TEXT("HTTP/1.10"),
    TEXT("HTTP/01.1"), TEXT("http/1.1"), TEXT("HTTP/1,1"), TEXT("HTTP/1.1 "), TEXT("HTTP/1.1\t"), TEXT("HTTP /1.1"),
    TEXT("HTTP/"), TEXT(""), TEXT("RTSP/1.0"), TEXT("HTTP/1.1 HTTP/1.1"), TEXT("HTTP/1.1\0"), TEXT("HTTP/+1.1"),
};

static const struct text numbers[] = {
    TEXT("0"), TEXT("00"), TEXT("1"), TEXT("-1"), TEXT("+1"), TEXT("0x10"), TEXT("010"), TEXT("1e1"), TEXT("1.0"),
    TEXT("1_0"), TEXT("5 5"), TEXT("5,5"), TEXT("2147483648"), TEXT("4294967296"), TEXT("4294967335"),
    TEXT("9223372036854775807"), TEXT("9223372036854775808"), TEXT("18446744073709551615"),
    TEXT("18446744073709551616"), TEXT("18446744073709551655"), TEXT("99999999999999999999999"),
    TEXT("00000000000000000000000051"), TEXT("ffffffffffffffff"), TEXT("\xd9\xa1"), TEXT(""),
};

static const struct text chunk_lines[] = {
    TEXT("0\r\n\r\n"), TEXT("0\r\n"), TEXT("0;a=b\r\n\r\n"), TEXT("0\r\nX: a\r\n\r\n"), TEXT("0\r\nHost: a\r\n\r\n"),
    TEXT("1\r\n \r\n"), TEXT("01\r\n \r\n"), TEXT("1;a\r\n \r\n"), TEXT("1;a=\"\r\n0\r\n\r\n\"\r\n \r\n"), TEXT("1 \r\n \r\n"),
    TEXT("1\n \n"), TEXT("0x1\r\n \r\n"), TEXT("+1\r\n \r\n"), TEXT("1\r\n \r\r\n"), TEXT("1;\r\n \r\n"), TEXT("1;a=b;c\r\n \r\n"),
    TEXT("0000000000000001\r\n \r\n"), TEXT("00000000000000001\r\n \r\n"), TEXT("ffffffffffffffff\r\n"), TEXT("\r\n"),
    TEXT("1;a=\x80\r\n \r\n"), TEXT("-1\r\n"), TEXT("0\r\n\r\nGET /api/version HTTP/1.1\r\nHost: a\r\n\r\n"),
};
// clang-format on

static void put(struct mutant *m, size_t at, size_t gone, const struct text *table, size_t count)
{
    const struct text *text = &table[mutant_below(m, count)];
    mutant_replace(m, at, gone, text->bytes, text->len);
}

/* A place: any, or at or behind the next byte that means something. */
static size_t place(struct mutant *m)
{
    size_t at = mutant_below(m, m->len);
    if (mutant_below(m, 2))
        return at;
    while (at < m->len && !memchr("\r\n:;,=/? .-\"", m->bytes[at], 12))
        at++;
    return at + mutant_below(m, 2);
}

static size_t range(struct mutant *m, size_t at, size_t max)
{
    size_t there = at < m->len ? m->len - at : 0;
    return mutant_below(m, there < max ? there + 1 : max + 1);
}

/* The line around a place, with its end. */
static size_t line(struct mutant *m, size_t *len)
{
    size_t from = mutant_below(m, m->len), to = from;
    while (from && m->bytes[from - 1] != '\n')
        from--;
    while (to < m->len && m->bytes[to++] != '\n')
        ;
    *len = to - from;
    return from;
}

/* The next of these bytes from a random place on, or the mutant's length. */
static size_t find(struct mutant *m, const char *bytes)
{
    size_t at = mutant_below(m, m->len);
    while (at < m->len && !(m->bytes[at] && strchr(bytes, m->bytes[at])))
        at++;
    return at;
}

static void insert_special(struct mutant *m)
{
    put(m, place(m), 0, specials, COUNT(specials));
}

static void replace_by_special(struct mutant *m)
{
    put(m, place(m), 1, specials, COUNT(specials));
}

static void insert_byte(struct mutant *m)
{
    char byte = (char)mutant_below(m, 256);
    mutant_replace(m, place(m), 0, &byte, 1);
}

static void replace_byte(struct mutant *m)
{
    char byte = (char)mutant_below(m, 256);
    mutant_replace(m, place(m), 1, &byte, 1);
}

static void insert_visible(struct mutant *m)
{
    char byte = (char)(0x21 + mutant_below(m, 0x5e));
    mutant_replace(m, place(m), mutant_below(m, 2), &byte, 1);
}

static void flip_bit(struct mutant *m)
{
    size_t at = place(m);
    if (at < m->len)
        m->bytes[at] = (char)(m->bytes[at] ^ 1 << mutant_below(m, 8));
}

static void delete_byte(struct mutant *m)
{
    mutant_replace(m, place(m), 1, "", 0);
}

static void delete_range(struct mutant *m)
{
    size_t at = place(m);
    mutant_replace(m, at, range(m, at, 24), "", 0);
}

static void duplicate_range(struct mutant *m)
{
    size_t at = place(m), len = range(m, at, 64);
    if (at < m->len)
        mutant_replace(m, at, 0, m->bytes + at, len);
}

static void move_range(struct mutant *m)
{
    char kept[64];
    size_t at = place(m), len = range(m, at, sizeof(kept));
    if (at >= m->len)
        return;
    memcpy(kept, m->bytes + at, len);
    mutant_replace(m, at, len, "", 0);
    mutant_replace(m, place(m), 0, kept, len);
}

static void swap_bytes(struct mutant *m)
{
    size_t a = place(m), b = mutant_below(m, 2) ? a + 1 : place(m);
    if (a >= m->len || b >= m->len)
        return;
    char byte = m->bytes[a];
    m->bytes[a] = m->bytes[b];
    m->bytes[b] = byte;
}

static void repeat_line(struct mutant *m)
{
    size_t len, at = line(m, &len), times = mutant_below(m, 8) ? 1 : mutant_below(m, 120);
    for (; times && len; times--)
        mutant_replace(m, at, 0, m->bytes + at, len);
}

static void delete_line(struct mutant *m)
{
    size_t len, at = line(m, &len);
    mutant_replace(m, at, len, "", 0);
}

static void move_line(struct mutant *m)
{
    char kept[512];
    size_t len, at = line(m, &len), other;
    if (len > sizeof(kept))
        return;
    memcpy(kept, m->bytes + at, len);
    mutant_replace(m, at, len, "", 0);
    mutant_replace(m, line(m, &other), 0, kept, len);
}

static void insert_field(struct mutant *m)
{
    size_t len, at = line(m, &len);
    put(m, at, 0, fields, COUNT(fields));
}

/* A name and a value of any bytes that may stand there. */
static void insert_made_up_field(struct mutant *m)
{
    static const char in_names[] =
        "!#$%&'*+-.^`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP";
    char text[320];
    size_t len, line_len, at = line(m, &line_len);
    size_t name = 1 + mutant_below(m, 12);
    for (len = 0; len < name; len++)
        text[len] = in_names[mutant_below(m, sizeof(in_names) - 1)];
    size_t value = mutant_below(m, 8) ? mutant_below(m, 24) : mutant_below(m, 256);
    text[len++] = ':';
    for (; value; value--) {
        size_t byte = mutant_below(m, 0x60); /* 0x5f: TAB */
        text[len++] = (char)(byte == 0x5f ? '\t' : 0x20 + byte);
    }
    memcpy(text + len, "\r\n", 2);
    mutant_replace(m, at, 0, text, len + 2);
}

/* Any visible bytes behind the first question mark. */
static void insert_query(struct mutant *m)
{
    const char *question = memchr(m->bytes, '?', m->len);
    for (size_t count = mutant_below(m, 16); question && count; count--) {
        char byte = (char)(0x21 + mutant_below(m, 0x5e));
        mutant_replace(m, (size_t)(question - m->bytes) + 1, 0, &byte, 1);
    }
}

static void end_line_otherwise(struct mutant *m)
{
    size_t at = find(m, "\r");
    put(m, at, m->len - at > 1 && m->bytes[at + 1] == '\n' ? 2 : 1, line_ends, COUNT(line_ends));
}

static void split_line(struct mutant *m)
{
    mutant_replace(m, place(m), 0, "\r\n", 2);
}

static void fold_line(struct mutant *m)
{
    mutant_replace(m, place(m), 0, mutant_below(m, 2) ? "\r\n " : "\r\n\t", 3);
}

static void alter_colon(struct mutant *m)
{
    put(m, find(m, ":"), 1, colons, COUNT(colons));
}

static void change_case(struct mutant *m)
{
    size_t at = place(m), len = range(m, at, 20);
    for (; len && at < m->len; len--, at++)
        if ((m->bytes[at] | 0x20) >= 'a' && (m->bytes[at] | 0x20) <= 'z')
            m->bytes[at] ^= 0x20;
}

/* A number becomes another: one of the table, one more digit, one more or one less. */
static void change_number(struct mutant *m)
{
    size_t from = find(m, "0123456789"), to = from;
    while (from && strchr("0123456789", m->bytes[from - 1]) && m->bytes[from - 1])
        from--;
    while (to < m->len && m->bytes[to] >= '0' && m->bytes[to] <= '9')
        to++;
    char digit = (char)('0' + mutant_below(m, 10));
    switch (mutant_below(m, 4)) {
    case 0:
        put(m, from, to - from, numbers, COUNT(numbers));
        break;
    case 1:
        mutant_replace(m, to, 0, &digit, 1);
        break;
    case 2:
        mutant_replace(m, from, 0, mutant_below(m, 2) ? "0" : &digit, 1);
        break;
    default:
        if (to > from)
            m->bytes[to - 1] = digit;
    }
}

/* The first Content-Length says again what follows the head. */
static void mend_length(struct mutant *m)
{
    static const char name[] = "Content-Length: ";
    char digits[24];
    const char *field = memmem(m->bytes, m->len, name, sizeof(name) - 1);
    const char *end = memmem(m->bytes, m->len, "\r\n\r\n", 4);
    if (!field || !end || field > end)
        return;
    size_t at = (size_t)(field - m->bytes) + sizeof(name) - 1, to = at;
    size_t body = mutant_printed_len(end + 4, m->len - (size_t)(end - m->bytes) - 4);
    while (to < m->len && m->bytes[to] >= '0' && m->bytes[to] <= '9')
        to++;
    mutant_replace(m, at, to - at, digits, (size_t)snprintf(digits, sizeof(digits), "%zu", body));
}

static void repeat_byte(struct mutant *m)
{
    static const size_t counts[] = {3, 16, 64, 255, 256, 1000, 2000};
    char run[2048];
    size_t at = place(m), count = counts[mutant_below(m, COUNT(counts))];
    if (at >= m->len)
        return;
    memset(run, m->bytes[at], count);
    mutant_replace(m, at, 0, run, count);
}

static void cut_off(struct mutant *m)
{
    m->len = place(m);
}

/* One of the three words of a request line, the first that there is. */
static void change_request_line(struct mutant *m)
{
    const char *version = memmem(m->bytes, m->len, " HTTP/", 6);
    if (!version)
        return;
    size_t end = (size_t)(version - m->bytes), target = end;
    while (target && m->bytes[target - 1] != ' ')
        target--;
    size_t space = target ? target - 1 : 0, from = space;
    while (from && m->bytes[from - 1] != '\n')
        from--;
    switch (mutant_below(m, 3)) {
    case 0:
        put(m, from, space - from, methods, COUNT(methods));
        break;
    case 1:
        put(m, target, end - target, targets, COUNT(targets));
        break;
    default:
        put(m, end + 1, strlen("HTTP/1.1"), versions, COUNT(versions));
    }
}

static void insert_chunk(struct mutant *m)
{
    size_t len, at = line(m, &len);
    put(m, at, mutant_below(m, 3) ? 0 : len, chunk_lines, COUNT(chunk_lines));
}

/* Another seed's end, or all of it, behind this one's beginning. */
static void splice(struct mutant *m, uint64_t number)
{
    static struct mutant other; /* large; the program has one thread */
    mutant_plant(&other, mutant_below(m, mutant_seed_count(false)), number);
    size_t cut = mutant_below(m, 3) ? mutant_below(m, other.len) : 0;
    size_t at = mutant_below(m, 3) ? place(m) : m->len;
    mutant_replace(m, at, m->len, other.bytes + cut, other.len - cut);
}

/* The first rows often leave a message well formed. */
static const struct mutation {
    const char *name;
    void (*apply)(struct mutant *m); /* NULL: splice */
} mutations[] = {
    {"insert visible",       insert_visible      },
    {"insert made-up field", insert_made_up_field},
    {"insert query",         insert_query        },
    {"change case",          change_case         },
    {"change number",        change_number       },
    {"insert field",         insert_field        },
    {"repeat line",          repeat_line         },
    {"move line",            move_line           },
    {"delete line",          delete_line         },
    {"duplicate range",      duplicate_range     },
    {"delete byte",          delete_byte         },
    {"insert special",       insert_special      },
    {"replace by special",   replace_by_special  },
    {"insert byte",          insert_byte         },
    {"replace byte",         replace_byte        },
    {"flip bit",             flip_bit            },
    {"delete range",         delete_range        },
    {"move range",           move_range          },
    {"swap bytes",           swap_bytes          },
    {"end line otherwise",   end_line_otherwise  },
    {"split line",           split_line          },
    {"fold line",            fold_line           },
    {"alter colon",          alter_colon         },
    {"repeat byte",          repeat_byte         },
    {"cut off",              cut_off             },
    {"change request line",  change_request_line },
    {"insert chunk",         insert_chunk        },
    {"splice",               NULL                },
};
enum { GENTLE = 11 };

/* What is let through tests more than what is refused: half of the mutants come from well-formed
 * seeds, are treated gently, and mostly get their length right. */
void mutant_mutate(struct mutant *m, unsigned count, bool gentle, uint64_t number)
{
    for (; count; count--) {
        const struct mutation *mutation =
            &mutations[mutant_below(m, gentle ? GENTLE : COUNT(mutations))];
        m->mutations[m->mutation_count++] = mutation->name;
        if (mutation->apply)
            mutation->apply(m);
        else
            splice(m, number);
    }
    if (gentle && mutant_below(m, 4))
        mend_length(m);
}

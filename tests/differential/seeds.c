/* What mutants are made from: requests of real clients, and what is sent to break proxies. Nearly
 * all carry the caller's key, so that only what the gateway thinks of their form keeps them out.
 *
 * "~" in a body stands for the mutant's number in ten digits: no two bodies are alike, and a body
 * that turns up in another caller's request shows. */
#include <stdio.h>
#include <string.h>

#include "mutant.h"

#define HOST "Host: gateway.test\r\n"
#define BEARER "Authorization: Bearer " MUTANT_KEY_MARK "\r\n"
#define JSON "Content-Type: application/json\r\n"
#define USUAL HOST BEARER JSON
#define CHAT "POST /v1/chat/completions HTTP/1.1\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define BODY "{\"model\":\"m\",\"user\":\"~\",\"messages\":[]}"
#define LONG_BODY                                                                                  \
    "{\"model\":\"m\",\"user\":\"~\",\"messages\":[{\"role\":\"user\",\"content\":"                \
    "\"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n\"}],\"stream\":false}"

#define INNER "GET /api/ps HTTP/1.1\r\n" HOST BEARER "X-Inner: ~\r\n\r\n"

enum { CHUNK_BYTES = 16 };

enum framing {
    BARE,   /* head and body as they are written */
    LENGTH, /* Content-Length is added for the body */
    CHUNKS, /* the body is sent in chunks of CHUNK_BYTES */
};

struct seed {
    const char *name;
    const char *head; /* without the empty line */
    enum framing framing;
    const char *body;
};

// clang-format off
/* As clients send it. */
static const struct seed well_formed[] = {
    {"chat",            CHAT USUAL, LENGTH, BODY},
    {"chat, long",      CHAT USUAL "Accept: */*\r\nUser-Agent: test/1.0\r\n", LENGTH, LONG_BODY},
    {"chat, chunked",   CHAT USUAL CHUNKED, CHUNKS, BODY},
    {"chat, chunked, long", CHAT USUAL CHUNKED "TE: trailers\r\nTrailer: X-Sum\r\n", CHUNKS, LONG_BODY},
    {"sdk",             CHAT HOST "Accept: application/json\r\nContent-Type: application/json\r\n"
                        "User-Agent: OpenAI/Python 1.0\r\nX-Stainless-Lang: python\r\nX-Stainless-OS: Linux\r\n"
                        "x-stainless-retry-count: 0\r\nx-stainless-read-timeout: 600\r\n"
                        "Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n" BEARER, LENGTH, BODY},
    {"small letters",   "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer "
                        MUTANT_KEY_MARK "\r\ncontent-type: application/json; charset=utf-8\r\nx-custom: 1\r\n", LENGTH, BODY},
    {"capitals",        "POST /v1/chat/completions HTTP/1.1\r\nHOST:gateway.test\r\nX-API-KEY:" MUTANT_KEY_MARK
                        "\r\nCONTENT-TYPE:application/json\r\nX-UPPER:A\r\n", LENGTH, BODY},
    {"messages",        "POST /v1/messages?beta=true HTTP/1.1\r\n" HOST "x-api-key: " MUTANT_KEY_MARK "\r\n" JSON
                        "anthropic-version: 2023-06-01\r\nanthropic-beta: a,b\r\n", LENGTH, BODY},
    {"query",           "POST /v1/messages/count_tokens?a=b&c=%41;/?:@!$'()*+,~[]|\\ HTTP/1.1\r\n" USUAL, LENGTH, BODY},
    {"Azure's field",   "POST /v1/embeddings HTTP/1.1\r\n" HOST "api-key: " MUTANT_KEY_MARK "\r\n" JSON, LENGTH, BODY},
    {"Ollama",          "POST /api/chat HTTP/1.1\r\n" USUAL, LENGTH, BODY},
    {"Ollama, chunked", "POST /api/generate HTTP/1.1\r\n" USUAL "transfer-encoding:\tchunked \r\n", CHUNKS, BODY},
    {"HTTP/1.0",        "POST /api/generate HTTP/1.0\r\n" USUAL, LENGTH, BODY},
    {"HTTP/1.0, kept",  "POST /api/embed HTTP/1.0\r\nConnection: Keep-Alive\r\n" USUAL, LENGTH, BODY},
    {"GET",             "GET /api/version HTTP/1.1\r\n" HOST BEARER, BARE, ""},
    {"GET, no length",  "GET /api/ps HTTP/1.1\r\n" HOST BEARER "Content-Length: 0\r\n", BARE, ""},
    {"HEAD",            "HEAD /api/version HTTP/1.1\r\n" HOST BEARER, BARE, ""},
    {"list",            "GET /v1/models HTTP/1.1\r\n" HOST BEARER, BARE, ""},
    {"open path",       "GET /livez HTTP/1.1\r\n" HOST, BARE, ""},
    {"absolute target", "POST http://gateway.test/v1/chat/completions HTTP/1.1\r\n" USUAL, LENGTH, BODY},
    {"empty line first", "\r\n" CHAT USUAL, LENGTH, BODY},
    {"expectation",     CHAT USUAL "Expect: 100-continue\r\n", LENGTH, BODY},
    {"close",           CHAT USUAL "Connection: close, X-Hop, Authorization\r\nX-Hop: 1\r\nX-Hop-Not: 2\r\n", LENGTH, BODY},
    {"upgrade",         CHAT USUAL "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n", LENGTH, BODY},
    {"white space",     CHAT "Host:  gateway.test\t\r\n" BEARER "X-Tab: a\tb \t c\r\nX-Empty:\r\nX-Space: \t \r\n" JSON, LENGTH, BODY},
    {"odd names",       CHAT USUAL "!#$%&'*+.^`|~: 1\r\n0: 2\r\n-: 3\r\nContent-Lengt: 3\r\nContent-Lengths: 3\r\n", LENGTH, BODY},
    {"odd values",      CHAT USUAL "X-A: \"a\\\"b\"; c=(d), <e>; f={g} [h] i@j #k\r\nX-B: Content-Length: 5\r\nX-C: :\r\n", LENGTH, BODY},
    {"proxies' fields", CHAT USUAL "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nVia: 1.1 a\r\nCookie: a=b\r\n"
                        "Origin: http://a.test\r\nReferer: http://a.test/b\r\nX-Real-IP: 1.2.3.4\r\nX-Correlation-ID: abc.1\r\n", LENGTH, BODY},
    {"override",        CHAT USUAL "X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-Any: 1\r\n", LENGTH, BODY},
    {"conditions",      CHAT USUAL "If-None-Match: \"a\"\r\nRange: bytes=0-5\r\nIf-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
                        "Max-Forwards: 0\r\nPragma: no-cache\r\nCache-Control: no-store\r\nPriority: u=1\r\nSec-WebSocket-Key: a\r\n", LENGTH, BODY},
    {"many fields",     CHAT USUAL "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\nG: 7\r\nH: 8\r\nI: 9\r\nJ: 10\r\nA: 11\r\nB: 12\r\n", LENGTH, BODY},
    {"pipelined",       "GET /api/version HTTP/1.1\r\n" HOST BEARER "\r\n"
                        "HEAD /api/ps HTTP/1.1\r\n" HOST BEARER "\r\n" CHAT USUAL, LENGTH, BODY},
    {"chunk extensions", CHAT USUAL CHUNKED, BARE, "10;a=b\r\n{\"model\":\"m\",\"us\r\n1b;c=\"d;\\\"e\";f\r\ner\":\"~\",\"messages\"\r\n3\r\n:[]\r\n1\r\n}\r\n0;g\r\nX-Sum: 1\r\nX-T: 2\r\n\r\n"},
};

/* Sent to be understood in two ways. */
static const struct seed hostile[] = {
    {"request in a body of another type", CHAT HOST BEARER "Content-Type: text/plain\r\n", LENGTH, INNER},
    {"request in the body of a stranger", CHAT HOST JSON "Authorization: Bearer other\r\n", LENGTH, INNER},
    {"request in a body for nobody",      "POST /v1/nothing HTTP/1.1\r\n" USUAL, LENGTH, INNER},
    {"request in a body of an open path", "POST /livez HTTP/1.1\r\n" HOST, LENGTH, INNER},
    {"request in bad JSON",               CHAT USUAL, LENGTH, INNER},
    {"request in chunks",                 CHAT HOST BEARER "Content-Type: text/plain\r\n" CHUNKED, CHUNKS, INNER},
    {"request in chunks for nobody",      "PUT /v1/nothing HTTP/1.1\r\n" USUAL CHUNKED, CHUNKS, INNER INNER},
    {"request behind a length of 0",      "GET /api/version HTTP/1.1\r\n" HOST BEARER "Content-Length: 0\r\n", BARE, INNER},
    {"request behind HEAD",               "HEAD /api/version HTTP/1.1\r\n" HOST BEARER, LENGTH, INNER},
    {"CL.TE",           CHAT USUAL "Content-Length: 6\r\n" CHUNKED, BARE, "0\r\n\r\nG"},
    {"TE.CL",           CHAT USUAL CHUNKED "Content-Length: 4\r\n", BARE, "5c\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n0\r\n\r\n"},
    {"TE.TE",           CHAT USUAL CHUNKED "Transfer-encoding: identity\r\n", CHUNKS, BODY},
    {"hidden coding",   CHAT USUAL "X-A: a\r\n Transfer-Encoding: chunked\r\nTransfer-Encoding : chunked\r\n", LENGTH, BODY},
    {"listed coding",   CHAT USUAL "Transfer-Encoding: gzip, chunked\r\n", CHUNKS, BODY},
    {"two lengths",     CHAT USUAL "Content-Length: 5\r\n", LENGTH, BODY},
    {"signed length",   CHAT USUAL "Content-Length: +47\r\n", BARE, BODY},
    {"body behind GET", "GET /api/version HTTP/1.1\r\n" HOST BEARER "Content-Length: 41\r\n", BARE, "GET /admin HTTP/1.1\r\nHost: gateway.test\r\n\r\n"},
    {"named framing",   CHAT USUAL "Connection: Content-Length, Host\r\n", LENGTH, BODY},
    {"fold",            CHAT HOST BEARER "Content-Type:\r\n application/json\r\nX-A: b\r\n\tc\r\n", LENGTH, BODY},
    {"bare LF",         "POST /v1/chat/completions HTTP/1.1\nHost: gateway.test\nAuthorization: Bearer " MUTANT_KEY_MARK "\nContent-Type: application/json\nContent-Length: 47\n", BARE, BODY},
    {"long chunk size", CHAT USUAL CHUNKED, BARE, "00000000000000000000000000000010\r\n{\"model\":\"m\"}   \r\n0\r\n\r\n"},
    {"chunk with LF",   CHAT USUAL CHUNKED, BARE, "d\n{\"model\":\"m\"}\n0\n\n"},
    {"coding in 1.0",   "POST /api/chat HTTP/1.0\r\nConnection: keep-alive\r\n" USUAL CHUNKED, CHUNKS, BODY},
    {"two hosts",       CHAT USUAL "Host: other.test\r\n", LENGTH, BODY},
    {"dots",            "POST /v1/x/../chat/completions HTTP/1.1\r\n" USUAL, LENGTH, BODY},
    {"asterisk",        "OPTIONS * HTTP/1.1\r\n" HOST BEARER, BARE, ""},
    {"preface",         "PRI * HTTP/2.0\r\n\r\nSM\r\n", BARE, ""},
    {"HTTP/0.9",        "GET /api/version", BARE, ""},
    {"trailing framing", CHAT USUAL CHUNKED, BARE, "d\r\n{\"model\":\"m\"}\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"list of keys",    CHAT HOST BEARER "X-Api-Key: " MUTANT_KEY_MARK "\r\nAuthorization: Basic YTpi\r\n" JSON, LENGTH, BODY},
};
// clang-format on

#define COUNT(table) (sizeof(table) / sizeof(*(table)))

size_t mutant_seed_count(bool gentle)
{
    return gentle ? COUNT(well_formed) : COUNT(well_formed) + COUNT(hostile);
}

static void add(struct mutant *m, const char *bytes, size_t len)
{
    mutant_replace(m, m->len, 0, bytes, len);
}

static size_t body_print(const char *body, uint64_t number, char *to, size_t room)
{
    size_t len = 0;
    for (; *body && len + 16 < room; body++) {
        if (*body == '~')
            len += (size_t)snprintf(to + len, room - len, "%010llu",
                                    (unsigned long long)number % UINT64_C(10000000000));
        else
            to[len++] = *body;
    }
    return len;
}

/* A key in it must stay whole, so that body is one chunk. */
static void add_chunks(struct mutant *m, const char *body, size_t len)
{
    size_t printed = mutant_printed_len(body, len), step = printed == len ? CHUNK_BYTES : len;
    for (size_t at = 0; at < len; at += step) {
        char size[16];
        size_t part = len - at < step ? len - at : step;
        add(m, size,
            (size_t)snprintf(size, sizeof(size), "%zx\r\n", printed == len ? part : printed));
        add(m, body + at, part);
        add(m, "\r\n", 2);
    }
    add(m, "0\r\n\r\n", 5);
}

void mutant_plant(struct mutant *m, size_t index, uint64_t number)
{
    const struct seed *seed =
        index < COUNT(well_formed) ? &well_formed[index] : &hostile[index - COUNT(well_formed)];
    char body[1024], length[48];
    size_t body_len = body_print(seed->body, number, body, sizeof(body));
    m->len = 0;
    m->seed = seed->name;
    add(m, seed->head, strlen(seed->head));
    if (seed->framing == LENGTH)
        add(m, length,
            (size_t)snprintf(length, sizeof(length), "Content-Length: %zu\r\n",
                             mutant_printed_len(body, body_len)));
    add(m, "\r\n", 2);
    if (seed->framing == CHUNKS)
        add_chunks(m, body, body_len);
    else
        add(m, body, body_len);
}

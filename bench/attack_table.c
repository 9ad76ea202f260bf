/* The attacks: which bytes, how fast, and what a gateway is to answer. Rates are what one machine
 * on a fast line can send without effort; they are bounded so that what is measured is how the
 * gateway treats its other client, not how much it can take. */
#include "attack.h"
#include "measure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KB ((size_t)1024)
#define MB (1024 * KB)

enum { PIPELINED = 1000 };

/* --- texts that grow ---------------------------------------------------------------------------*/

struct text {
    char *bytes;
    size_t len, room;
};

static void text_add(struct text *text, const char *piece, size_t len)
{
    if (text->len + len > text->room) {
        text->room = 2 * text->room + len;
        text->bytes = realloc(text->bytes, text->room);
        if (!text->bytes)
            fail("attack: no memory for a payload");
    }
    memcpy(text->bytes + text->len, piece, len);
    text->len += len;
}

__attribute__((format(printf, 2, 3))) static void text_print(struct text *text, const char *format,
                                                             ...)
{
    char *piece;
    va_list list;
    va_start(list, format);
    int len = vasprintf(&piece, format, list);
    va_end(list);
    if (len < 0)
        fail("attack: no memory for a payload");
    text_add(text, piece, (size_t)len);
    free(piece);
}

/* Adds the piece until the text is at least `len` long. */
static void text_fill(struct text *text, const char *piece, size_t len)
{
    size_t piece_len = strlen(piece);
    while (text->len < len)
        text_add(text, piece, piece_len);
}

static void send_text(struct text *text)
{
    payload_add(text->bytes, text->len);
}

static const char request_line[] = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                   "Content-Type: application/json\r\n";

static void head_add(struct text *text, const char *key, size_t content_length)
{
    text_print(text, "%sAuthorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n", request_line, key,
               content_length);
}

/* A whole request with this body. */
static void send_body(const char *key, struct text *body)
{
    struct text text = {0};
    head_add(&text, key, body->len);
    text_add(&text, body->bytes, body->len);
    free(body->bytes);
    send_text(&text);
}

/* --- heads -------------------------------------------------------------------------------------*/

static void malformed_heads(void)
{
    static const char *const heads[] = {
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x03\x01\xfc\x03\x03 not for this port\r\n\r\n",
    };
    for (unsigned i = 0; i < sizeof(heads) / sizeof(*heads); i++)
        payload_add(strdup(heads[i]), strlen(heads[i]));
}

static void smuggling_pairs(void)
{
    static const char *const framings[] = {
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n30\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: \x0b"
        "chunked\r\n\r\n0\r\n\r\n",
        "X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
        "Content-Length: 0, 44\r\n\r\n",
    };
    for (unsigned i = 0; i < sizeof(framings) / sizeof(*framings); i++) {
        struct text text = {0};
        text_print(&text, "%sAuthorization: Bearer %s\r\n%s", request_line, known_keys[0],
                   framings[i]);
        text_print(&text, "GET /admin HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Pair: 1\r\n\r\n");
        send_text(&text);
    }
}

static void header_floods(void)
{
    struct text fields = {0}, line = {0}, many = {0}, known = {0};
    /* Just under the limits on bytes and on fields, so that all of it is read and looked at. */
    text_print(&fields,
               "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n",
               wrong_keys[0]);
    for (unsigned i = 0; i < 96; i++)
        text_print(&fields, "X-Flood-%u: %0*u\r\n", i, 640, i);
    text_print(&fields, "\r\n");
    send_text(&fields);
    /* Over them, each in its own way. */
    text_print(&line, "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Flood: ");
    text_fill(&line, "flood-", 64 * KB);
    send_text(&line);
    text_print(&many, "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    text_fill(&many, "a:b\r\n", 64 * KB);
    send_text(&many);
    text_print(&known, "GET /v1/models HTTP/1.1\r\n");
    text_fill(&known, "Host: 127.0.0.1\r\n", 64 * KB);
    send_text(&known);
}

static void slow_heads(void)
{
    struct text text = {0};
    text_print(&text, "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ");
    text_fill(&text, "slowly ", 4 * KB);
    send_text(&text);
}

static void half_heads(void)
{
    struct text nothing = {.bytes = strdup("")}, half = {0};
    send_text(&nothing);
    send_text(&nothing);
    text_print(&half, "GET /v1/models HTTP/1.1\r\nHost: 127.0");
    send_text(&half);
    send_text(&half);
}

/* --- keys --------------------------------------------------------------------------------------*/

static void unknown_keys(void)
{
    for (size_t i = 0; i < wrong_key_count; i++) {
        struct text text = {0};
        head_add(&text, wrong_keys[i], strlen(chat_body));
        text_print(&text, "%s", chat_body);
        send_text(&text);
    }
}

/* Names that are there and names that are not; no two passwords are the same. */
static void wrong_passwords(void)
{
    static const char form[] = "{\"username\":\"%s%u\",\"password\":\"guess-number-%06u\"}";
    for (unsigned i = 0; i < 1000; i++) {
        struct text text = {0}, body = {0};
        text_print(&body, form, i % 2 ? "admin" : "visitor", i / 100, i);
        text_print(&text,
                   "POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                   "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                   body.len);
        text_add(&text, body.bytes, body.len);
        free(body.bytes);
        send_text(&text);
    }
}

static void refused_bodies(void)
{
    struct text unknown = {0}, too_large = {0};
    head_add(&unknown, wrong_keys[0], MB);
    size_t head_len = unknown.len;
    text_fill(&unknown, "POST /admin HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", head_len + MB);
    unknown.len = head_len + MB;
    send_text(&unknown);
    head_add(&too_large, known_keys[0], 1000 * MB);
    text_fill(&too_large, "GET /admin HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", MB);
    send_text(&too_large);
}

/* --- pipelines ---------------------------------------------------------------------------------*/

static void pipelines(void)
{
    struct text text = {0};
    for (unsigned i = 0; i < PIPELINED; i++) {
        head_add(&text, known_keys[i % known_key_count], strlen(chat_body));
        text_print(&text, "%s", chat_body);
    }
    send_text(&text);
}

static void refused_pipelines(void)
{
    struct text text = {0};
    for (unsigned i = 0; i < PIPELINED; i++)
        text_print(&text,
                   "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n",
                   wrong_keys[i % wrong_key_count]);
    send_text(&text);
}

/* --- bodies ------------------------------------------------------------------------------------*/

static const char body_begin[] =
    "{\"model\":\"bench\",\"messages\":[{\"role\":\"user\",\"content\":\"";

/* The body in chunks of so many bytes each. */
static void send_chunked(const char *body, size_t len, unsigned chunk)
{
    struct text text = {0};
    text_print(&text, "%sAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n",
               request_line, known_keys[0]);
    for (size_t at = 0; at < len; at += chunk) {
        size_t n = len - at < chunk ? len - at : chunk;
        text_print(&text, "%zx\r\n%.*s\r\n", n, (int)n, body + at);
    }
    text_print(&text, "0\r\n\r\n");
    send_text(&text);
}

static void tiny_chunks(void)
{
    struct text body = {0};
    text_print(&body, "%s", body_begin);
    text_fill(&body, "chunk ", 200 * KB);
    text_print(&body, "\"}]}");
    send_chunked(body.bytes, body.len, 1); /* too much framing */
    send_chunked(body.bytes, body.len, 2); /* just not too much */
    free(body.bytes);
}

static void slow_bodies(void)
{
    struct text text = {0};
    head_add(&text, known_keys[0], MB);
    text_print(&text, "%s", body_begin);
    text_fill(&text, "slowly ", 4 * KB);
    send_text(&text);
}

static void slow_readers(void)
{
    struct text body = {0};
    text_print(
        &body,
        "{\"model\":\"flood-every-50000-us\",\"stream\":true,\"messages\":[{\"role\":\"user\","
        "\"content\":\"Tell me everything.\"}]}");
    send_body(known_keys[0], &body);
}

/* --- JSON --------------------------------------------------------------------------------------*/

/* All bodies here are refused, the long ones at their very end: what they cost is the reading. */

static void deep_json(void)
{
    struct text arrays = {0}, objects = {0};
    text_fill(&arrays, "[[[[[[[[[[[[[[[[", 10 * MB);
    send_body(known_keys[0], &arrays);
    text_fill(&objects, "{\"a\":", 10 * MB - 8);
    send_body(known_keys[0], &objects);
}

static void many_members(void)
{
    struct text wide = {0}, many = {0};
    text_print(&wide, "{\"model\":\"bench\"");
    for (unsigned i = 0; i < 99000; i++)
        text_print(&wide, ",\"key-%05u\":\"%080u\"", i, i);
    send_body(known_keys[0], &wide); /* no end */
    text_print(&many, "{\"model\":\"bench\"");
    for (unsigned i = 0; i < 1000000; i++)
        text_print(&many, ",\"%x\":0", i);
    text_print(&many, "}");
    send_body(known_keys[0], &many);
}

static void dense_json(void)
{
    static const char *const pieces[] = {"[],", "{},", "0,", "\"\",", "\"\\u0041\","};
    for (unsigned i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
        struct text body = {0};
        text_print(&body, "{\"model\":\"bench\",\"messages\":[");
        text_fill(&body, pieces[i], 10 * MB - 16);
        text_print(&body, "0]"); /* no end */
        send_body(known_keys[0], &body);
    }
}

static void duplicate_members(void)
{
    struct text last = {0}, nested = {0};
    text_print(&last, "%s", body_begin);
    text_fill(&last, "twice ", MB);
    text_print(&last, "\"}],\"model\":\"other\"}");
    send_body(known_keys[0], &last);
    text_print(&nested, "{\"model\":\"bench\",\"tools\":[{\"a\":0}");
    text_fill(&nested, ",{\"type\":\"function\",\"function\":{\"name\":\"tool\"}}", MB);
    text_print(&nested, ",{\"name\":1,\"n\\u0061me\":2}]}");
    send_body(known_keys[0], &nested);
}

/* --- the table ---------------------------------------------------------------------------------*/

const struct attack attacks[] = {
    {.name = "malformed-heads",
     .title = "heads that are no HTTP/1.1, 500/s",
     .prepare = malformed_heads,
     .manner = ASK,
     .rate_per_s = 500,
     .connections = 64,
     .answers = 1,
     .statuses = "400 405 501 505"},
    {.name = "smuggling",
     .title = "two framings and a request behind, 500/s",
     .prepare = smuggling_pairs,
     .manner = ASK,
     .rate_per_s = 500,
     .connections = 64,
     .answers = 1,
     .statuses = "400 501"        },
    {.name = "wrong-keys",
     .title = "unknown keys on new connections, 500/s",
     .prepare = unknown_keys,
     .manner = ASK,
     .rate_per_s = 500,
     .connections = 64,
     .answers = 1,
     .statuses = "401"            },
    {.name = "banned-keys",
     .title = "unknown keys from 2,000 addresses, banned at the first, 1,000/s",
     .prepare = unknown_keys,
     .manner = ASK,
     .rate_per_s = 1000,
     .connections = 64,
     .answers = 1,
     .statuses = "401 403",
     .addresses = 2000,
     .may_be_closed = true},
    {.name = "login-storm",
     .title = "wrong passwords from 50,000 addresses, 500/s",
     .prepare = wrong_passwords,
     .manner = ASK,
     .rate_per_s = 500,
     .connections = 64,
     .answers = 1,
     .statuses = "401 429 503",
     .addresses = 50000},
    {.name = "unread-bodies",
     .title = "1 MB behind a refused head, 100/s",
     .prepare = refused_bodies,
     .manner = ASK,
     .rate_per_s = 100,
     .connections = 32,
     .answers = 1,
     .statuses = "401 413"            },
    {.name = "pipelines",
     .title = "1,000 good requests in one write, 2/s",
     .prepare = pipelines,
     .manner = ASK,
     .rate_per_s = 2,
     .connections = 4,
     .answers = PIPELINED,
     .statuses = "200"              },
    {.name = "refused-pipelines",
     .title = "1,000 requests with unknown keys in one write, 5/s",
     .prepare = refused_pipelines,
     .manner = ASK,
     .rate_per_s = 5,
     .connections = 8,
     .answers = PIPELINED,
     .statuses = "401"              },
    {.name = "tiny-chunks",
     .title = "bodies of 200 KB in chunks of 1 and 2 bytes, 20/s",
     .prepare = tiny_chunks,
     .manner = ASK,
     .rate_per_s = 20,
     .connections = 16,
     .answers = 1,
     .statuses = "200 400"             },
    {.name = "slow-heads",
     .title = "2,000 connections, a byte of a head each second",
     .prepare = slow_heads,
     .manner = DRIP,
     .rate_per_s = 1000,
     .connections = 2000,
     .statuses = "408",
     .pause_ms = 1000           },
    {.name = "slow-crowd",
     .title = "10,000 connections, a byte of a head each second",
     .prepare = slow_heads,
     .manner = DRIP,
     .rate_per_s = 2000,
     .connections = 10000,
     .statuses = "408",
     .pause_ms = 1000           },
    {.name = "slow-bodies",
     .title = "500 connections, a byte of a body each second",
     .prepare = slow_bodies,
     .manner = DRIP,
     .rate_per_s = 1000,
     .connections = 500,
     .statuses = "408",
     .pause_ms = 1000           },
    {.name = "slow-readers",
     .title = "200 endless streams, 10 KB/s read of each",
     .prepare = slow_readers,
     .manner = READ_LESS,
     .rate_per_s = 200,
     .connections = 200,
     .statuses = "200",
     .pause_ms = 100            },
    {.name = "header-floods",
     .title = "heads of 64 KB, 200/s",
     .prepare = header_floods,
     .manner = ASK,
     .rate_per_s = 200,
     .connections = 64,
     .answers = 1,
     .statuses = "400 401 431"            },
    {.name = "churn",
     .title = "connections opened and closed, half of them reset, 2,000/s",
     .prepare = half_heads,
     .manner = LEAVE,
     .rate_per_s = 2000,
     .connections = 64       },
    {.name = "deep-json",
     .title = "10 MB of brackets, 10/s",
     .prepare = deep_json,
     .manner = ASK,
     .rate_per_s = 10,
     .connections = 8,
     .answers = 1,
     .statuses = "400"           },
    {.name = "many-members",
     .title = "objects of 10 MB with 100,000 members and more, 5/s",
     .prepare = many_members,
     .manner = ASK,
     .rate_per_s = 5,
     .connections = 8,
     .answers = 1,
     .statuses = "400"                 },
    {.name = "dense-json",
     .title = "10 MB of tiny values, 5/s",
     .prepare = dense_json,
     .manner = ASK,
     .rate_per_s = 5,
     .connections = 8,
     .answers = 1,
     .statuses = "400"                 },
    {.name = "duplicates",
     .title = "1 MB with a member twice at its end, 50/s",
     .prepare = duplicate_members,
     .manner = ASK,
     .rate_per_s = 50,
     .connections = 16,
     .answers = 1,
     .statuses = "400"                 },
};
const unsigned attack_count = sizeof(attacks) / sizeof(*attacks);

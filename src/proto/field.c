/* The header-field table and its index. Read by the head parsers for every line, by the forwarder
 * to decide what passes, by the logs to know what is secret.
 *
 * The hard problem is to find a row in one probe: the index is built before main() under a
 * multiplier that lets no two rows meet, so a lookup is one hash of at most 16 bytes and one
 * comparison. */
#include "proto/field.h"

#include "base/err.h"

#define UNIQUE FIELD_UNIQUE
#define HOP FIELD_HOP
#define NOT_UPSTREAM FIELD_NOT_UPSTREAM
#define NOT_CLIENT FIELD_NOT_CLIENT
#define NEITHER (FIELD_NOT_UPSTREAM | FIELD_NOT_CLIENT)
#define CREDENTIAL (FIELD_SECRET | FIELD_NOT_UPSTREAM)

/* A name that ends in '*' is a family: it stands for all names that begin so and have no row of
 * their own. A UNIQUE row has an id of its own, since repetitions are noticed by id. */
// clang-format off
static const struct field_row table[] = {
    /* What frames the message and ends here. */
    {"connection",                  FIELD_CONNECTION,          HOP},
    {"content-length",              FIELD_CONTENT_LENGTH,      UNIQUE | NEITHER}, /* recomputed */
    {"expect",                      FIELD_EXPECT,              UNIQUE | NOT_UPSTREAM},
    {"host",                        FIELD_HOST,                UNIQUE | NEITHER}, /* rewritten */
    {"http2-settings",              FIELD_HTTP2_SETTINGS,      HOP},
    {"keep-alive",                  FIELD_KEEP_ALIVE,          HOP},
    {"proxy-authenticate",          FIELD_PROXY_AUTHENTICATE,  HOP},
    {"proxy-connection",            FIELD_PROXY_CONNECTION,    HOP},
    {"te",                          FIELD_TE,                  HOP},
    {"trailer",                     FIELD_TRAILER,             HOP},
    {"transfer-encoding",           FIELD_TRANSFER_ENCODING,   UNIQUE | HOP},
    {"upgrade",                     FIELD_UPGRADE,             HOP},

    /* Credentials of the caller: never for the upstream, never for a record. */
    {"authorization",               FIELD_AUTHORIZATION,       UNIQUE | CREDENTIAL},
    {"api-key",                     FIELD_API_KEY,             UNIQUE | CREDENTIAL},
    {"x-api-key",                   FIELD_X_API_KEY,           UNIQUE | CREDENTIAL},
    {"proxy-authorization",         FIELD_PROXY_AUTHORIZATION, HOP | CREDENTIAL},
    {"cookie",                      FIELD_COOKIE,              CREDENTIAL},
    {"cookie2",                     FIELD_DROPPED,             CREDENTIAL},
    {"set-cookie",                  FIELD_SET_COOKIE,          FIELD_SECRET | NEITHER},
    {"set-cookie2",                 FIELD_DROPPED,             FIELD_SECRET | NEITHER},
    {"x-access-token",              FIELD_DROPPED,             CREDENTIAL},
    {"x-amz-security-token",        FIELD_DROPPED,             CREDENTIAL},
    {"x-csrf-token",                FIELD_DROPPED,             CREDENTIAL},
    {"x-goog-api-key",              FIELD_DROPPED,             CREDENTIAL},
    {"x-token",                     FIELD_DROPPED,             CREDENTIAL},

    /* What describes the content and passes. */
    {"accept",                      FIELD_ACCEPT,              0},
    {"accept-encoding",             FIELD_ACCEPT_ENCODING,     NOT_UPSTREAM}, /* identity only */
    {"content-encoding",            FIELD_CONTENT_ENCODING,    UNIQUE},
    {"content-type",                FIELD_CONTENT_TYPE,        UNIQUE},
    {"retry-after",                 FIELD_RETRY_AFTER,         UNIQUE},
    {"sec-fetch-site",              FIELD_SEC_FETCH_SITE,      UNIQUE},
    {"traceparent",                 FIELD_TRACEPARENT,         UNIQUE},
    {"user-agent",                  FIELD_USER_AGENT,          0},
    {"x-correlation-id",            FIELD_X_CORRELATION_ID,    UNIQUE | NOT_UPSTREAM | NOT_CLIENT},
    {"x-request-id",                FIELD_X_REQUEST_ID,        NEITHER}, /* ours is set */

    /* Where the request came from: only our own word for it goes upstream. */
    {"forwarded",                   FIELD_FORWARDED,           NEITHER},
    {"origin",                      FIELD_ORIGIN,              UNIQUE | NOT_UPSTREAM},
    {"referer",                     FIELD_DROPPED,             NOT_UPSTREAM},
    {"via",                         FIELD_VIA,                 NEITHER},
    {"x-forwarded-for",             FIELD_X_FORWARDED_FOR,     NEITHER},
    {"x-forwarded*",                FIELD_DROPPED,             NEITHER},
    {"cf-connecting-ip",            FIELD_DROPPED,             NOT_UPSTREAM},
    {"cf-connecting-ipv6",          FIELD_DROPPED,             NOT_UPSTREAM},
    {"client-cert*",                FIELD_DROPPED,             NOT_UPSTREAM}, /* RFC 9440 */
    {"client-ip",                   FIELD_DROPPED,             NOT_UPSTREAM},
    {"early-data",                  FIELD_DROPPED,             NOT_UPSTREAM},
    {"fastly-client-ip",            FIELD_DROPPED,             NOT_UPSTREAM},
    {"proxy",                       FIELD_DROPPED,             NOT_UPSTREAM}, /* CGI's HTTP_PROXY */
    {"true-client-ip",              FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-client-ip",                 FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-cluster-client-ip",         FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-host",                      FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-real-ip",                   FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-envoy-*",                   FIELD_DROPPED,             NEITHER},

    /* Who the caller is, as other proxies word it: from outside it is a forgery. */
    {"cf-access-*",                 FIELD_DROPPED,             CREDENTIAL},
    {"remote-*",                    FIELD_DROPPED,             NOT_UPSTREAM},
    {"ssl-client-*",                FIELD_DROPPED,             NOT_UPSTREAM},
    {"tailscale-*",                 FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-amzn-oidc-*",               FIELD_DROPPED,             CREDENTIAL},
    {"x-anonymous-consumer",        FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-auth*",                     FIELD_DROPPED,             CREDENTIAL},
    {"x-client-cert*",              FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-client-dn",                 FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-client-verify",             FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-consumer-*",                FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-credential-identifier",     FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-goog-authenticated-user-*", FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-goog-iap-jwt-assertion",    FIELD_DROPPED,             CREDENTIAL},
    {"x-ms-client-principal*",      FIELD_DROPPED,             CREDENTIAL},
    {"x-remote-*",                  FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-ssl-*",                     FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-tls-client-*",              FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-webauth-*",                 FIELD_DROPPED,             NOT_UPSTREAM},

    /* What asks a server to read another request than the one that was checked. */
    {"x-http-method*",              FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-method-override",           FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-original-*",                FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-rewrite-url",               FIELD_DROPPED,             NOT_UPSTREAM},
    {"x-waws-unencoded-url",        FIELD_DROPPED,             NOT_UPSTREAM},

    /* The operator's account at a provider is not the caller's to choose or to see. */
    {"anthropic-organization-id",   FIELD_DROPPED,             NEITHER},
    {"anthropic-ratelimit-*",       FIELD_DROPPED,             NOT_CLIENT},
    {"openai-organization",         FIELD_DROPPED,             NEITHER},
    {"openai-project",              FIELD_DROPPED,             NEITHER},

    /* What an upstream says about itself, or tells a browser to do: ours to say. */
    {"access-control-*",            FIELD_DROPPED,             NEITHER},
    {"alt-svc",                     FIELD_DROPPED,             NOT_CLIENT},
    {"alt-used",                    FIELD_DROPPED,             NEITHER},
    {"clear-site-data",             FIELD_DROPPED,             NOT_CLIENT},
    {"content-security-policy*",    FIELD_DROPPED,             NOT_CLIENT},
    {"cross-origin-*",              FIELD_DROPPED,             NOT_CLIENT},
    {"date",                        FIELD_DATE,                NOT_CLIENT},
    {"expect-ct",                   FIELD_DROPPED,             NOT_CLIENT},
    {"location",                    FIELD_LOCATION,            UNIQUE | NOT_CLIENT},
    {"nel",                         FIELD_DROPPED,             NOT_CLIENT},
    {"origin-agent-cluster",        FIELD_DROPPED,             NOT_CLIENT},
    {"permissions-policy",          FIELD_DROPPED,             NOT_CLIENT},
    {"public-key-pins*",            FIELD_DROPPED,             NOT_CLIENT},
    {"ratelimit*",                  FIELD_DROPPED,             NOT_CLIENT},
    {"referrer-policy",             FIELD_DROPPED,             NOT_CLIENT},
    {"refresh",                     FIELD_DROPPED,             NOT_CLIENT},
    {"report-to",                   FIELD_DROPPED,             NOT_CLIENT},
    {"reporting-endpoints",         FIELD_DROPPED,             NOT_CLIENT},
    {"server",                      FIELD_SERVER,              NOT_CLIENT},
    {"service-worker-allowed",      FIELD_DROPPED,             NOT_CLIENT},
    {"strict-transport-security",   FIELD_DROPPED,             NOT_CLIENT},
    {"timing-allow-origin",         FIELD_DROPPED,             NOT_CLIENT},
    {"www-authenticate",            FIELD_WWW_AUTHENTICATE,    NOT_CLIENT},
    {"x-accel-*",                   FIELD_DROPPED,             NEITHER},
    {"x-aspnet*",                   FIELD_DROPPED,             NOT_CLIENT},
    {"x-content-type-options",      FIELD_DROPPED,             NOT_CLIENT},
    {"x-frame-options",             FIELD_DROPPED,             NOT_CLIENT},
    {"x-permitted-*",               FIELD_DROPPED,             NOT_CLIENT},
    {"x-powered-by",                FIELD_DROPPED,             NOT_CLIENT},
    {"x-ratelimit-*",               FIELD_DROPPED,             NOT_CLIENT},
    {"x-runtime",                   FIELD_DROPPED,             NOT_CLIENT},
    {"x-sendfile*",                 FIELD_DROPPED,             NEITHER},
    {"x-served-by",                 FIELD_DROPPED,             NOT_CLIENT},
    {"x-xss-protection",            FIELD_DROPPED,             NOT_CLIENT},
    {NULL, FIELD_OTHER, 0},
};
// clang-format on

/* A family is found by its first bytes; all families differ there. */
enum { FAMILY_BYTES = 6, INDEX_BITS = 11, SEEDS_MAX = 100000 };

static uint8_t index_of_row[1 << INDEX_BITS]; /* 1 + row; 0 is free. Read-only after build_index. */
static uint8_t name_len[COUNT_OF(table)];     /* of the row's name, without a '*' */
static uint64_t seed;

_Static_assert(COUNT_OF(table) < 256, "a row's number fits its byte in the index");
_Static_assert(FIELD_COUNT <= 64, "the head parsers note repetitions in 64 bits");

#define CASE_BITS UINT64_C(0x2020202020202020)

static uint64_t load(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* The first and the last 8 bytes, letters as lower case, and the length. */
static unsigned hash(struct slice name)
{
    uint64_t first = 0, last = 0;
    if (name.len >= 8) {
        first = load(name.ptr);
        last = load(name.ptr + name.len - 8);
    } else if (name.len >= 4) {
        memcpy(&first, name.ptr, 4);
        memcpy(&last, name.ptr + name.len - 4, 4);
    } else {
        for (size_t i = 0; i < name.len; i++)
            first = first << 8 | (unsigned char)name.ptr[i];
    }
    uint64_t mixed = (first | CASE_BITS) * seed ^ ((last | CASE_BITS) + name.len);
    return (unsigned)((mixed * (seed | 1)) >> (64 - INDEX_BITS));
}

/* Whether `name`'s word is `lower` in any case. Rows hold letters, digits and '-', so a byte that
 * differs in its case bit only must be a letter: all others have that bit, or are control bytes. */
static bool word_matches(uint64_t name, uint64_t lower)
{
    return (name | CASE_BITS) == lower && ((name | name >> 1) & CASE_BITS) == CASE_BITS;
}

/* `text` of `len` lower-case bytes against as many bytes at `name`. */
static bool matches(const char *name, const char *text, size_t len)
{
    if (len < 8)
        return slice_equal_nocase(slice_make(name, len), slice_make(text, len));
    for (size_t i = 0; i + 8 < len; i += 8)
        if (!word_matches(load(name + i), load(text + i)))
            return false;
    return word_matches(load(name + len - 8), load(text + len - 8));
}

static bool is_family(const struct field_row *row)
{
    return row->name[name_len[row - table]] == '*';
}

/* What a row is looked up by. */
static struct slice key_of(const struct field_row *row)
{
    return slice_make(row->name, is_family(row) ? FAMILY_BYTES : name_len[row - table]);
}

static bool index_rows(void)
{
    memset(index_of_row, 0, sizeof(index_of_row));
    for (const struct field_row *row = table; row->name; row++) {
        uint8_t *place = &index_of_row[hash(key_of(row))];
        if (*place)
            return false;
        *place = (uint8_t)(row - table + 1);
    }
    return true;
}

/* Before main() and any thread, so that field_find needs no guard. Tries multipliers until no two
 * rows meet; the same one each time, so it is the table that decides and not chance. */
__attribute__((constructor)) static void build_index(void)
{
    for (const struct field_row *row = table; row->name; row++) {
        size_t len = strlen(row->name);
        invariant(len > 1 && len < UINT8_MAX);
        name_len[row - table] = (uint8_t)(row->name[len - 1] == '*' ? len - 1 : len);
        invariant(!is_family(row) || name_len[row - table] >= FAMILY_BYTES);
    }
    seed = UINT64_C(0x9e3779b97f4a7c15);
    for (unsigned tries = 0; !index_rows(); tries++) {
        invariant(tries < SEEDS_MAX); /* two rows with one key */
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    }
}

static const struct field_row *probe(struct slice key, struct slice name, bool family)
{
    unsigned place = index_of_row[hash(key)];
    if (!place)
        return NULL;
    const struct field_row *row = &table[place - 1];
    size_t len = name_len[place - 1];
    if (is_family(row) != family || (family ? name.len < len : name.len != len))
        return NULL;
    return matches(name.ptr, row->name, len) ? row : NULL;
}

const struct field_row *field_find(struct slice name)
{
    if (name.len < 2)
        return NULL;
    const struct field_row *row = probe(name, name, false);
    if (row || name.len < FAMILY_BYTES)
        return row;
    return probe(slice_to(name, FAMILY_BYTES), name, true);
}

const struct field_row *field_table(void)
{
    return table;
}

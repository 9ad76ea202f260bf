/* The strict reader of what leaves the gateway; see canonical.h. Tables, one pass over the bytes,
 * and no leniency: whatever is not expected is a broken rule. */
#include "canonical.h"

#include <string.h>

/* The allow-list of an upstream of kind "ollama", as the documentation has it. */
static const struct {
    const char *method, *path;
    bool takes_query, has_body;
} allowed[] = {
    {"POST", "/v1/chat/completions",      false, true },
    {"POST", "/v1/completions",           false, true },
    {"POST", "/v1/embeddings",            false, true },
    {"POST", "/v1/responses",             false, true },
    {"POST", "/v1/messages",              true,  true },
    {"POST", "/v1/messages/count_tokens", true,  true },
    {"POST", "/api/chat",                 false, true },
    {"POST", "/api/generate",             false, true },
    {"POST", "/api/embed",                false, true },
    {"POST", "/api/embeddings",           false, true },
    {"POST", "/api/show",                 false, true },
    {"GET",  "/api/ps",                   false, false},
    {"HEAD", "/api/ps",                   false, false},
    {"GET",  "/api/version",              false, false},
    {"HEAD", "/api/version",              false, false},
    {"GET",  "/v1/models",                false, false},
    {"GET",  "/api/tags",                 false, false},
};

/* What the gateway says itself: each at most once, and no client's word in its place. */
enum own_value { FIXED, AUTHORITY, AUTHORIZATION, IDENTIFIER, LENGTH, ORIGIN, WORD };
static const struct {
    const char *name;
    enum own_value kind;
    const char *fixed;
    bool optional;
} own_fields[] = {
    {"Host",             AUTHORITY,     NULL,               false},
    {"Authorization",    AUTHORIZATION, NULL,               false},
    {"Accept-Encoding",  FIXED,         "identity",         false},
    {"X-Request-Id",     IDENTIFIER,    NULL,               false},
    {"Via",              FIXED,         "1.1 sallyport",    false},
    {"Content-Type",     FIXED,         "application/json", true },
    {"Content-Length",   LENGTH,        NULL,               true },
    {"Origin",           ORIGIN,        NULL,               true },
    {"X-Correlation-ID", WORD,          NULL,               true },
};
enum { OWN_COUNT = sizeof(own_fields) / sizeof(*own_fields) };

// clang-format off
/* What ends at the gateway. */
static const char *const never[] = {
    "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
    "HTTP2-Settings", "Expect", "Content-Encoding", "X-API-Key", "api-key", "Cookie",
    "Proxy-Authorization", "Proxy-Authenticate", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host",
    "X-Real-IP", "Referer", "X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL",
};
// clang-format on

static const char *read_line(struct part line, struct canonical *request)
{
    if (!part_take(&line, ' ', &request->method) || !part_take(&line, ' ', &request->target))
        return "the request line has not three words";
    if (!part_is(line, "HTTP/1.1"))
        return "the version is not HTTP/1.1";
    struct part path = request->target, query = {0};
    for (size_t i = 0; i < path.len; i++)
        if (!part_visible(path.at[i]) || path.at[i] == '#')
            return "a byte in the target";
    const char *question = memchr(path.at, '?', path.len);
    if (question) {
        query = (struct part){question, (size_t)(path.at + path.len - question)};
        path.len -= query.len;
    }
    for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++) {
        if (!part_is(path, allowed[i].path) || !part_is(request->method, allowed[i].method))
            continue;
        request->list = part_is(path, "/v1/models") || part_is(path, "/api/tags");
        request->has_body = allowed[i].has_body;
        return query.len && !allowed[i].takes_query ? "a query where none is taken" : NULL;
    }
    return "a method and a path that are not on the list";
}

static const char *read_field(struct part line, struct canonical *request)
{
    if (request->field_count == CANONICAL_FIELDS_MAX)
        return "too many fields";
    struct part_field *field = &request->fields[request->field_count++];
    if (!part_take_field(line, field))
        return "a byte that may not stand in a field";
    if (field->value.len == 0 || field->value.at[0] != ' ')
        return "no single space behind a colon";
    field->value.at++;
    field->value.len--;
    if (!part_equal(field->value, part_trim(field->value)))
        return "white space around a value";
    for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
        if (part_is_nocase(field->name, never[i]))
            return "a field that must not pass";
    return NULL;
}

static int own_index(struct part name)
{
    for (int i = 0; i < OWN_COUNT; i++)
        if (part_is_nocase(name, own_fields[i].name))
            return i;
    return -1;
}

static bool is_identifier(struct part value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!memchr("0123456789abcdef", value.at[i], 16))
            return false;
    return value.len == 32;
}

static bool is_origin(struct part value, const char *authority)
{
    static const char scheme[] = "http://";
    struct part rest = {value.at + sizeof(scheme) - 1, value.len - (sizeof(scheme) - 1)};
    return value.len > sizeof(scheme) && memcmp(value.at, scheme, sizeof(scheme) - 1) == 0 &&
           part_is(rest, authority);
}

/* [A-Za-z0-9._-]{1,128} */
static bool is_word(struct part value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] != '_' &&
            (!part_name_byte(value.at[i]) || strchr("!#$%&'*+^`|~", value.at[i])))
            return false;
    return value.len >= 1 && value.len <= 128;
}

/* One to eight digits, without zeros in front. */
static bool read_length(struct part value, struct canonical *request)
{
    request->length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
        request->length = request->length * 10 + (uint64_t)(value.at[i] - '0');
    }
    return value.len && value.len <= 8 && value.at[0] != '0';
}

static bool own_right(int index, struct part value, const struct canonical_own *own,
                      struct canonical *request)
{
    switch (own_fields[index].kind) {
    case FIXED:
        return part_is(value, own_fields[index].fixed);
    case AUTHORITY:
        return part_is(value, own->authority);
    case AUTHORIZATION:
        return part_is(value, own->authorization);
    case IDENTIFIER:
        return is_identifier(value);
    case LENGTH:
        return read_length(value, request);
    case ORIGIN:
        return is_origin(value, own->authority);
    case WORD:
        return is_word(value);
    }
    return false;
}

/* The gateway's fields: each once, with its value; and framing as the endpoint has it. */
static const char *check_own(struct canonical *request, const struct canonical_own *own)
{
    unsigned seen[OWN_COUNT] = {0};
    bool framed = false;
    for (unsigned i = 0; i < request->field_count; i++) {
        int index = own_index(request->fields[i].name);
        if (index < 0)
            continue;
        if (seen[index]++)
            return "a field of the gateway's stands twice";
        if (!own_right(index, request->fields[i].value, own, request))
            return "a field of the gateway's has another value";
        framed |= own_fields[index].kind == LENGTH;
    }
    for (int i = 0; i < OWN_COUNT; i++)
        if (!own_fields[i].optional && !seen[i])
            return "a field of the gateway's is missing";
    return framed == request->has_body ? NULL : "Content-Length and the endpoint do not agree";
}

const char *canonical_read(const char *bytes, size_t len, const struct canonical_own *own,
                           struct canonical *request)
{
    struct part rest = {bytes, len}, line;
    *request = (struct canonical){0};
    for (bool first = true; part_take_line(&rest, &line); first = false) {
        if (line.len == 0 && !first) {
            request->head_len = len - rest.len;
            return check_own(request, own);
        }
        const char *broken = first ? read_line(line, request) : read_field(line, request);
        if (broken)
            return broken;
    }
    return "a line that does not end in CRLF";
}

bool canonical_is_own(struct part name)
{
    return own_index(name) >= 0;
}

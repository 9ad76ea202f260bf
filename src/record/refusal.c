/* The refusal table and the bodies printed from it. Called by the gate and by the native handlers.
 * The texts are for the person behind the client: what went wrong and what to do about it, and
 * nothing that tells a stranger which keys, models or hosts exist. */
#include "record/refusal.h"

/* Kinds of refusal that OpenAI's and Anthropic's clients know (error.type). */
#define INVALID "invalid_request_error"
#define AUTHENTICATION "authentication_error"
#define PERMISSION "permission_error"
#define MISSING "not_found_error"
#define TOO_LARGE "request_too_large"
#define RATE "rate_limit_error"
#define OURS "api_error"
#define OVERLOADED "overloaded_error"

/* One answer, whatever was wrong. */
#define NOT_VALID                                                                                  \
    "The credential is not valid: it may be mistyped, expired or revoked. Send a valid key as "    \
    "\"Authorization: Bearer <API_KEY>\", or ask the operator for a new one."

// clang-format off
static const struct refusal_row rows[REFUSAL_COUNT] = {
    [REFUSE_NONE] = {500, "INTERNAL_ERROR", OURS,
        "The gateway failed to answer this request. Try again; if it goes on, tell its "
        "operator the request id.",
        "none"},

    [REFUSE_BANNED_ADDRESS] = {403, "PERMISSION_DENIED", PERMISSION,
        "This address is blocked, for errors that came from it or by the operator. Wait until the "
        "block is over, or ask the operator to lift it (sallyport denylist).",
        "banned_address", .audit = AUDIT_DENIED},
    [REFUSE_TOO_MANY_CONNECTIONS] = {429, "RATE_LIMITED", RATE,
        "Your address has too many connections open. Close some, or reuse them with "
        "keep-alive, then try again.",
        "too_many_connections", .audit = AUDIT_RATE_LIMITED},
    [REFUSE_TOO_MANY_IN_FLIGHT] = {429, "RATE_LIMITED", RATE,
        "Your address has too many requests in progress. Wait until one of them has ended, "
        "then try again.",
        "too_many_in_flight", .audit = AUDIT_RATE_LIMITED},
    [REFUSE_IP_RATE] = {429, "RATE_LIMITED", RATE,
        "Too many requests from your address. Wait as many seconds as Retry-After says, then "
        "try again.",
        "ip_rate", .audit = AUDIT_RATE_LIMITED},
    [REFUSE_IP_MINUTE] = {429, "RATE_LIMITED", RATE,
        "Too many requests from your address within a minute. Wait as many seconds as Retry-After "
        "says, then try again.",
        "ip_minute", .audit = AUDIT_RATE_LIMITED},
    [REFUSE_IP_HOUR] = {429, "RATE_LIMITED", RATE,
        "Too many requests from your address within an hour. Wait as many seconds as Retry-After "
        "says, then try again.",
        "ip_hour", .audit = AUDIT_RATE_LIMITED},
    [REFUSE_ROUTE_RATE] = {429, "RATE_LIMITED", RATE,
        "Too many requests for this path. Wait as many seconds as Retry-After says, then try "
        "again.",
        "route_rate", .audit = AUDIT_RATE_LIMITED},
    [REFUSE_OVERLOADED] = {503, "SERVICE_UNAVAILABLE", OVERLOADED,
        "The gateway is at its limit of connections or memory. Wait as many seconds as "
        "Retry-After says, then try again.",
        "overloaded"},

    [REFUSE_BAD_REQUEST] = {400, "VALIDATION_ERROR", INVALID,
        "The request is not well-formed HTTP/1.1. Check the client, or a proxy on the way, "
        "that sent it.",
        "bad_request", .abuse = ABUSE_ERROR},
    [REFUSE_TARGET_TOO_LONG] = {414, "URI_TOO_LONG", INVALID,
        "The request target is too long. Send long values in the body instead of the URL "
        "(option server.max_header_line).",
        "target_too_long"},
    [REFUSE_HEADERS_TOO_LARGE] = {431, "HEADERS_TOO_LARGE", INVALID,
        "The request's header fields are too large or too many. Send fewer or smaller ones "
        "(options server.max_header_line and server.max_header_bytes; at most 100 fields).",
        "headers_too_large"},
    [REFUSE_BAD_METHOD] = {501, "NOT_IMPLEMENTED", INVALID,
        "This method is not supported. Use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, in "
        "capitals.",
        "bad_method"},
    [REFUSE_BAD_VERSION] = {505, "HTTP_VERSION_NOT_SUPPORTED", INVALID,
        "This version of HTTP is not supported here. Use HTTP/1.1.",
        "bad_version"},
    [REFUSE_UNKNOWN_CODING] = {501, "NOT_IMPLEMENTED", INVALID,
        "This transfer coding is not supported. Send the body with Content-Length, or with "
        "Transfer-Encoding: chunked.",
        "unknown_coding"},
    [REFUSE_BAD_EXPECT] = {417, "EXPECTATION_FAILED", INVALID,
        "The only expectation that can be met is \"Expect: 100-continue\". Leave the field out.",
        "bad_expect"},
    [REFUSE_HEADER_TIMEOUT] = {408, "REQUEST_TIMEOUT", INVALID,
        "The request's head did not arrive in time. Send it again on a new connection.",
        "header_timeout"},
    [REFUSE_BODY_TIMEOUT] = {408, "REQUEST_TIMEOUT", INVALID,
        "The request's body stopped arriving. Send the request again on a new connection.",
        "body_timeout"},
    [REFUSE_PLAIN_HTTP] = {400, "VALIDATION_ERROR", INVALID,
        "This port speaks HTTPS. Write https:// instead of http://.",
        "plain_http"},
    [REFUSE_BAD_HOST] = {400, "VALIDATION_ERROR", INVALID,
        "The Host field is missing, given twice, or not a host name. Send exactly one, as in "
        "\"Host: llm.example.com\".",
        "bad_host", .abuse = ABUSE_ERROR},
    [REFUSE_UNTRUSTED_HOST] = {400, "VALIDATION_ERROR", INVALID,
        "This gateway does not answer for the host that the request names. Use its own name; "
        "the operator lists them in server.trusted_hosts.",
        "untrusted_host", .abuse = ABUSE_ERROR},
    [REFUSE_HTTPS_ONLY] = {403, "PERMISSION_DENIED", PERMISSION,
        "Only https:// is served here, and a credential that came over plain HTTP should be "
        "replaced. Use https:// in the client's base URL.",
        "https_only", .audit = AUDIT_DENIED},
    [REFUSE_TLS_REQUIRED] = {403, "PERMISSION_DENIED", PERMISSION,
        "This gateway requires TLS. Use https://; behind a proxy that ends TLS, the operator "
        "lists it in server.trusted_proxies and lets it send X-Forwarded-Proto.",
        "tls_required", .audit = AUDIT_DENIED},
    [REFUSE_PREFLIGHT] = {400, "VALIDATION_ERROR", INVALID,
        "Web pages of this origin may not send such a request. The operator can list the "
        "origin, the method and the header fields in server.cors_*.",
        "preflight"},

    [REFUSE_NOT_FOUND] = {404, "NOT_FOUND", MISSING,
        "There is nothing at this path. Check its spelling.",
        "not_found"},
    [REFUSE_METHOD_NOT_ALLOWED] = {405, "METHOD_NOT_ALLOWED", INVALID,
        "This path does not take this method. The Allow field lists those it takes.",
        "method_not_allowed"},
    [REFUSE_NO_CREDENTIAL] = {401, "AUTHENTICATION_FAILED", AUTHENTICATION,
        "An API key is needed. Send it as \"Authorization: Bearer <API_KEY>\", or in the field "
        "X-API-Key.",
        "no_credential", .audit = AUDIT_DENIED, .abuse = ABUSE_ERROR},
    [REFUSE_BAD_CREDENTIAL] = {401, "AUTHENTICATION_FAILED", AUTHENTICATION,
        NOT_VALID,
        "bad_credential", .audit = AUDIT_DENIED, .abuse = ABUSE_ERROR},
    [REFUSE_BAD_PASSWORD] = {401, "AUTHENTICATION_FAILED", AUTHENTICATION,
        NOT_VALID,
        "bad_password", .audit = AUDIT_LOGIN_FAILED, .abuse = ABUSE_ERROR},
    [REFUSE_AMBIGUOUS_CREDENTIALS] = {400, "VALIDATION_ERROR", INVALID,
        "The request carries more than one credential. Send exactly one: Authorization, "
        "X-API-Key or api-key.",
        "ambiguous_credentials", .abuse = ABUSE_ERROR},
    [REFUSE_KEY_IN_URL] = {400, "VALIDATION_ERROR", INVALID,
        "The URL holds what looks like an API key, and URLs end up in logs. Send it as "
        "\"Authorization: Bearer <API_KEY>\", and replace this key if it is a real one.",
        "key_in_url", .abuse = ABUSE_ERROR},
    [REFUSE_BAD_LOGIN] = {401, "AUTHENTICATION_FAILED", AUTHENTICATION,
        "The user name or the password is not right.",
        "bad_login", .abuse = ABUSE_ERROR}, /* login_failed: it is noted where the name is known */
    [REFUSE_LOGIN_RATE] = {429, "RATE_LIMITED", RATE,
        "Too many attempts to sign in. Wait as many seconds as Retry-After says, then try again.",
        "login_rate", .audit = AUDIT_RATE_LIMITED},
    [REFUSE_KEY_ADDRESS] = {403, "PERMISSION_DENIED", PERMISSION,
        "This key may not be used from this address. Ask the operator to add it to the key's "
        "ip_ranges, or for another key.",
        "key_address", .audit = AUDIT_DENIED},
    [REFUSE_BANNED_KEY] = {403, "PERMISSION_DENIED", PERMISSION,
        "This key is blocked, for errors that came with it or by the operator. Wait until the block "
        "is over, or ask the operator to lift it (sallyport denylist).",
        "banned_key", .audit = AUDIT_DENIED},
    [REFUSE_LOGIN_BUSY] = {503, "SERVICE_UNAVAILABLE", OVERLOADED,
        "Too many are signing in at this moment. Wait as many seconds as Retry-After says, then "
        "try again.",
        "login_busy"},

    [REFUSE_PERMISSION] = {403, "PERMISSION_DENIED", PERMISSION,
        "The credential is valid but lacks the permission for this. Ask the operator for a key "
        "that has it.",
        "permission", .audit = AUDIT_DENIED},
    [REFUSE_ENDPOINT] = {403, "PERMISSION_DENIED", PERMISSION,
        "This path is not on the gateway's allow-list. The operator can add it there "
        "(endpoints.allow).",
        "endpoint", .audit = AUDIT_DENIED},
    [REFUSE_KEY_ENDPOINT] = {403, "PERMISSION_DENIED", PERMISSION,
        "This key may not use this path. Ask the operator to add it to the key's endpoints, or "
        "for another key.",
        "key_endpoint", .audit = AUDIT_DENIED},
    [REFUSE_STREAMING] = {403, "PERMISSION_DENIED", PERMISSION,
        "The credential lacks the permission use_streaming. Send \"stream\": false, or ask the "
        "operator for a key that has it.",
        "streaming", .audit = AUDIT_DENIED},

    [REFUSE_KEY_RATE] = {429, "RATE_LIMITED", RATE,
        "This credential's rate limit is used up. Wait as many seconds as Retry-After says, "
        "then try again.",
        "key_rate", .audit = AUDIT_RATE_LIMITED},
    [REFUSE_KEY_PARALLEL] = {429, "RATE_LIMITED", RATE,
        "This credential has too many requests in progress. Wait until one of them has ended, then "
        "try again.",
        "key_parallel", .audit = AUDIT_RATE_LIMITED},
    [REFUSE_USER_MINUTE] = {429, "RATE_LIMITED", RATE,
        "Too many requests of this user within a minute. Wait as many seconds as Retry-After says, "
        "then try again.",
        "user_minute", .audit = AUDIT_RATE_LIMITED},
    [REFUSE_USER_HOUR] = {429, "RATE_LIMITED", RATE,
        "Too many requests of this user within an hour. Wait as many seconds as Retry-After says, "
        "then try again.",
        "user_hour", .audit = AUDIT_RATE_LIMITED},

    [REFUSE_LENGTH_REQUIRED] = {411, "LENGTH_REQUIRED", INVALID,
        "A body is needed here. Send it with Content-Length, or with Transfer-Encoding: "
        "chunked.",
        "length_required"},
    [REFUSE_BODY_TOO_LARGE] = {413, "PAYLOAD_TOO_LARGE", TOO_LARGE,
        "The request's body is too large. Send less; the operator can raise the limit with the "
        "option server.max_body, or with server.preset = \"agents\".",
        "body_too_large", .abuse = ABUSE_ERROR},
    [REFUSE_CONTENT_TYPE] = {415, "UNSUPPORTED_MEDIA_TYPE", INVALID,
        "This content type is not accepted here. Send JSON with \"Content-Type: "
        "application/json\".",
        "content_type", .abuse = ABUSE_ERROR},
    [REFUSE_CONTENT_ENCODING] = {415, "UNSUPPORTED_MEDIA_TYPE", INVALID,
        "Compressed bodies are not accepted. Send the body without Content-Encoding.",
        "content_encoding", .abuse = ABUSE_ERROR},
    [REFUSE_BAD_JSON] = {400, "VALIDATION_ERROR", INVALID,
        "The body is not valid JSON. It must be one JSON text in UTF-8, no key twice in an "
        "object, nothing after its end.",
        "bad_json", .abuse = ABUSE_ERROR},
    [REFUSE_BAD_PARAMETER] = {400, "VALIDATION_ERROR", INVALID,
        "A member of the body is missing, or its value is not allowed.",
        "bad_parameter", .abuse = ABUSE_ERROR},
    [REFUSE_CONFLICT] = {409, "CONFLICT", INVALID,
        "This cannot be done as things stand.",
        "conflict"},
    [REFUSE_STORE] = {503, "SERVICE_UNAVAILABLE", OVERLOADED,
        "The gateway could not write this down, so nothing was changed. Try again; if it goes on, "
        "tell its operator the request id.",
        "store"},
    [REFUSE_TURNED_OFF] = {404, "NOT_FOUND", MISSING,
        "This is turned off here.",
        "turned_off"},

    [REFUSE_MODEL] = {404, "NOT_FOUND", MISSING,
        "There is no such model for this credential. GET /v1/models lists those there are.",
        "model"},
    [REFUSE_UPSTREAM_BUSY] = {503, "SERVICE_UNAVAILABLE", OVERLOADED,
        "The model server is busy with other requests. Wait as many seconds as Retry-After "
        "says, then try again.",
        "upstream_busy"},
    [REFUSE_NO_UPSTREAM] = {503, "SERVICE_UNAVAILABLE", OVERLOADED,
        "No model server is configured. The operator can add one with --upstream, or with an "
        "[[upstream]] table.",
        "no_upstream"},
    [REFUSE_UPSTREAM_REFUSED] = {502, "UPSTREAM_ERROR", OURS,
        "The model server could not be reached. Try again; if it goes on, the operator should "
        "see whether it is running.",
        "upstream_refused", .abuse = ABUSE_UPSTREAM},
    [REFUSE_UPSTREAM_TLS] = {502, "UPSTREAM_ERROR", OURS,
        "No trusted connection to the model server could be made. The operator should check "
        "its certificate.",
        "upstream_tls", .abuse = ABUSE_UPSTREAM},
    [REFUSE_UPSTREAM_BROKEN] = {502, "UPSTREAM_ERROR", OURS,
        "The model server broke off, or its answer was malformed. Try again.",
        "upstream_broken", .abuse = ABUSE_UPSTREAM},
    [REFUSE_UPSTREAM_REJECTED] = {502, "UPSTREAM_ERROR", OURS,
        "The model server failed, or did not accept the gateway's own credential. Your "
        "credential is not at fault; if it goes on, tell the operator the request id.",
        "upstream_rejected", .abuse = ABUSE_UPSTREAM},
    [REFUSE_UPSTREAM_TIMEOUT] = {504, "UPSTREAM_TIMEOUT", OURS,
        "The model server did not answer in time. Try again, or ask for a shorter answer.",
        "upstream_timeout", .abuse = ABUSE_UPSTREAM},
    [REFUSE_SHUTTING_DOWN] = {503, "SERVICE_UNAVAILABLE", OVERLOADED,
        "The gateway is shutting down. Wait as many seconds as Retry-After says, then try "
        "again.",
        "shutting_down"},
    [REFUSE_INTERNAL] = {500, "INTERNAL_ERROR", OURS,
        "The gateway failed to handle this request. Try again; if it goes on, tell its "
        "operator the request id.",
        "internal"},
};

static const enum refusal of_fault[HTTP_FAULT_COUNT] = {
    [HTTP_FINE] = REFUSE_INTERNAL, /* nothing to refuse: whoever asks has made a mistake */
    [HTTP_BAD_REQUEST_LINE] = REFUSE_BAD_REQUEST,
    [HTTP_BAD_STATUS_LINE] = REFUSE_UPSTREAM_BROKEN,
    [HTTP_BAD_METHOD] = REFUSE_BAD_METHOD,
    [HTTP_BAD_VERSION] = REFUSE_BAD_VERSION,
    [HTTP_BAD_TARGET] = REFUSE_BAD_REQUEST,
    [HTTP_TARGET_TOO_LONG] = REFUSE_TARGET_TOO_LONG,
    [HTTP_BAD_FIELD] = REFUSE_BAD_REQUEST,
    [HTTP_BAD_LINE_END] = REFUSE_BAD_REQUEST,
    [HTTP_LINE_TOO_LONG] = REFUSE_HEADERS_TOO_LARGE,
    [HTTP_HEAD_TOO_LONG] = REFUSE_HEADERS_TOO_LARGE,
    [HTTP_TOO_MANY_FIELDS] = REFUSE_HEADERS_TOO_LARGE,
    [HTTP_BAD_HOST] = REFUSE_BAD_HOST,
    [HTTP_BAD_LENGTH] = REFUSE_BAD_REQUEST,
    [HTTP_BAD_CODING] = REFUSE_BAD_REQUEST,
    [HTTP_UNKNOWN_CODING] = REFUSE_UNKNOWN_CODING,
    [HTTP_DUPLICATE_FIELD] = REFUSE_BAD_REQUEST,
    [HTTP_BAD_EXPECT] = REFUSE_BAD_EXPECT,
    [HTTP_BAD_CHUNK] = REFUSE_BAD_REQUEST,
    [HTTP_CHUNK_OVERHEAD] = REFUSE_BAD_REQUEST,
    [HTTP_UNEXPECTED_BODY] = REFUSE_BAD_REQUEST,
};
// clang-format on

const struct refusal_row *refusal_get(enum refusal refusal)
{
    invariant((unsigned)refusal < REFUSAL_COUNT);
    return &rows[refusal];
}

enum refusal refusal_of_http_fault(enum http_fault fault)
{
    invariant((unsigned)fault < HTTP_FAULT_COUNT);
    return of_fault[fault];
}

static void print_common(struct buffer *out, const struct refusal_row *row,
                         const struct error_facts *facts, struct slice message)
{
    buffer_text(out, "{\"type\":\"error\",\"error\":{\"type\":\"");
    buffer_text(out, row->type);
    buffer_text(out, "\",\"code\":\"");
    buffer_text(out, row->code);
    buffer_text(out, "\",\"message\":");
    buffer_json_string(out, message);
    buffer_text(out, ",\"param\":");
    if (facts->param)
        buffer_json_string(out, slice_of(facts->param));
    else
        buffer_text(out, "null");
    buffer_text(out, ",\"details\":null},\"detail\":");
    buffer_json_string(out, message);
    buffer_text(out, ",\"request_id\":");
    buffer_json_string(out, facts->request_id);
    buffer_text(out, "}");
}

void refusal_print_body(struct buffer *out, const struct error_facts *facts)
{
    const struct refusal_row *row = refusal_get(facts->refusal);
    struct slice message = slice_of(facts->message ? facts->message : row->message);
    switch (facts->shape) {
    case ERROR_OLLAMA:
        buffer_text(out, "{\"error\":");
        buffer_json_string(out, message);
        buffer_text(out, "}");
        return;
    case ERROR_PLAIN:
        buffer_append(out, message);
        buffer_text(out, "\n");
        return;
    case ERROR_COMMON:
        break;
    }
    print_common(out, row, facts, message);
}

const char *refusal_content_type(enum error_shape shape)
{
    return shape == ERROR_PLAIN ? "text/plain; charset=utf-8" : "application/json";
}

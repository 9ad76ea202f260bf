/* The refusal table: every row complete, and every body what the clients parse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <jansson.h>

#include "record/refusal.h"

/* The words that the contract promises, by status. */
static const struct {
    unsigned status;
    const char *code, *type;
} promised[] = {
    {400, "VALIDATION_ERROR",           "invalid_request_error"},
    {401, "AUTHENTICATION_FAILED",      "authentication_error" },
    {403, "PERMISSION_DENIED",          "permission_error"     },
    {404, "NOT_FOUND",                  "not_found_error"      },
    {405, "METHOD_NOT_ALLOWED",         "invalid_request_error"},
    {408, "REQUEST_TIMEOUT",            "invalid_request_error"},
    {409, "CONFLICT",                   "invalid_request_error"},
    {411, "LENGTH_REQUIRED",            "invalid_request_error"},
    {413, "PAYLOAD_TOO_LARGE",          "request_too_large"    },
    {414, "URI_TOO_LONG",               "invalid_request_error"},
    {415, "UNSUPPORTED_MEDIA_TYPE",     "invalid_request_error"},
    {417, "EXPECTATION_FAILED",         "invalid_request_error"},
    {429, "RATE_LIMITED",               "rate_limit_error"     },
    {431, "HEADERS_TOO_LARGE",          "invalid_request_error"},
    {500, "INTERNAL_ERROR",             "api_error"            },
    {501, "NOT_IMPLEMENTED",            "invalid_request_error"},
    {502, "UPSTREAM_ERROR",             "api_error"            },
    {503, "SERVICE_UNAVAILABLE",        "overloaded_error"     },
    {504, "UPSTREAM_TIMEOUT",           "api_error"            },
    {505, "HTTP_VERSION_NOT_SUPPORTED", "invalid_request_error"},
};

static void every_row_is_complete_and_as_promised(void **state)
{
    (void)state;
    for (unsigned r = 0; r < REFUSAL_COUNT; r++) {
        const struct refusal_row *row = refusal_get((enum refusal)r);
        assert_non_null(row->message);
        assert_true(strlen(row->message) > 20 && strlen(row->message) < 250);
        assert_int_equal(row->message[strlen(row->message) - 1], '.');
        assert_non_null(row->reason);
        for (const char *c = row->reason; *c; c++)
            assert_true(islower((unsigned char)*c) || *c == '_'); /* a metrics label */
        unsigned found = 0;
        for (size_t i = 0; i < COUNT_OF(promised); i++) {
            if (promised[i].status != row->status)
                continue;
            assert_string_equal(row->code, promised[i].code);
            assert_string_equal(row->type, promised[i].type);
            found++;
        }
        assert_int_equal(found, 1);
        for (unsigned other = 0; other < r; other++)
            assert_string_not_equal(row->reason, refusal_get((enum refusal)other)->reason);
    }
}

/* Whoever is turned away for what it is or how much it asks is in the audit log; a mistake in a
 * request is not, and neither is what goes wrong with us or behind us. */
static void who_is_turned_away_is_in_the_audit_log(void **state)
{
    (void)state;
    for (unsigned r = 0; r < REFUSAL_COUNT; r++) {
        const struct refusal_row *row = refusal_get((enum refusal)r);
        enum audit_event wanted = r == REFUSE_BAD_LOGIN ? AUDIT_NONE /* login_failed, elsewhere */
                                  : r == REFUSE_BAD_PASSWORD                 ? AUDIT_LOGIN_FAILED
                                  : row->status == 401 || row->status == 403 ? AUDIT_DENIED
                                  : row->status == 429                       ? AUDIT_RATE_LIMITED
                                                                             : AUDIT_NONE;
        assert_int_equal(row->audit, wanted);
        assert_true(wanted == AUDIT_NONE || audit_event_get(wanted)->coalesced);
    }
}

static void every_http_fault_has_its_status(void **state)
{
    (void)state;
    static const unsigned statuses[HTTP_FAULT_COUNT] = {
        [HTTP_FINE] = 500,          [HTTP_BAD_STATUS_LINE] = 502, [HTTP_BAD_METHOD] = 501,
        [HTTP_BAD_VERSION] = 505,   [HTTP_TARGET_TOO_LONG] = 414, [HTTP_LINE_TOO_LONG] = 431,
        [HTTP_HEAD_TOO_LONG] = 431, [HTTP_TOO_MANY_FIELDS] = 431, [HTTP_UNKNOWN_CODING] = 501,
        [HTTP_BAD_EXPECT] = 417,
    };
    for (unsigned f = 0; f < HTTP_FAULT_COUNT; f++) {
        unsigned wanted = statuses[f] ? statuses[f] : 400;
        assert_int_equal(refusal_get(refusal_of_http_fault((enum http_fault)f))->status, wanted);
    }
}

static const char *member(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void every_common_body_is_json_that_all_clients_read(void **state)
{
    (void)state;
    for (unsigned r = 1; r < REFUSAL_COUNT; r++) {
        const struct refusal_row *row = refusal_get((enum refusal)r);
        AUTO(buffer) out = BUFFER_MAX(4096);
        struct error_facts facts = {.refusal = (enum refusal)r, .request_id = SLICE("id-1")};
        refusal_print_body(&out, &facts);
        assert_int_equal(out.failed, OK);
        json_t *body = json_loadb(out.bytes, out.len, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(body);
        json_t *error = json_object_get(body, "error");
        assert_string_equal(member(body, "type"), "error");
        assert_string_equal(member(body, "detail"), row->message);
        assert_string_equal(member(body, "request_id"), "id-1");
        assert_string_equal(member(error, "type"), row->type);
        assert_string_equal(member(error, "code"), row->code);
        assert_string_equal(member(error, "message"), row->message);
        assert_true(json_is_null(json_object_get(error, "param")));
        assert_true(json_is_null(json_object_get(error, "details")));
        json_decref(body);
    }
}

static void each_shape_is_printed_to_the_byte(void **state)
{
    (void)state;
    static const struct {
        struct error_facts facts;
        const char *body, *content_type;
    } rows[] = {
        {{REFUSE_IP_RATE, ERROR_COMMON, "slow down", NULL, SLICE("r")},
         "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"code\":\"RATE_LIMITED\","
         "\"message\":\"slow down\",\"param\":null,\"details\":null},\"detail\":\"slow down\","
         "\"request_id\":\"r\"}",                     "application/json"         },
        {{REFUSE_BAD_PARAMETER, ERROR_COMMON, "a \"b\"\r\n", "messages[0]\x01", SLICE("")},
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
         "\"code\":\"VALIDATION_ERROR\",\"message\":\"a \\\"b\\\"\\u000d\\n\","
         "\"param\":\"messages[0]\\u0001\",\"details\":null},\"detail\":\"a \\\"b\\\"\\u000d\\n\","
         "\"request_id\":\"\"}",                      "application/json"         },
        {{REFUSE_MODEL, ERROR_OLLAMA, "model \"x\" not found", NULL, SLICE("r")},
         "{\"error\":\"model \\\"x\\\" not found\"}", "application/json"         },
        {{REFUSE_ENDPOINT, ERROR_PLAIN, "no", NULL, SLICE("r")},
         "no\n",                                      "text/plain; charset=utf-8"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(buffer) out = BUFFER_MAX(4096);
        refusal_print_body(&out, &rows[i].facts);
        assert_string_equal(buffer_text_of(&out), rows[i].body);
        assert_string_equal(refusal_content_type(rows[i].facts.shape), rows[i].content_type);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete_and_as_promised),
        cmocka_unit_test(who_is_turned_away_is_in_the_audit_log),
        cmocka_unit_test(every_http_fault_has_its_status),
        cmocka_unit_test(every_common_body_is_json_that_all_clients_read),
        cmocka_unit_test(each_shape_is_printed_to_the_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Headers of tokens: three texts, and whatever else is asked for is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "presented_token.h"

static void every_header_but_three_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header, *reason;
    } cases[] = {
        {HEADER,                                                                    NULL    },
        {"{\"typ\":\"JWT\",\"alg\":\"HS256\"}",                                     NULL    },
        {"{\"alg\":\"HS256\"}",                                                     NULL    },
 /* no signature, in all its spellings */
        {"{\"alg\":\"none\",\"typ\":\"JWT\"}",                                      "header"},
        {"{\"alg\":\"None\",\"typ\":\"JWT\"}",                                      "header"},
        {"{\"alg\":\"NONE\",\"typ\":\"JWT\"}",                                      "header"},
        {"{\"alg\":\"nOnE\",\"typ\":\"JWT\"}",                                      "header"},
        {"{\"alg\":\"none\"}",                                                      "header"},
        {"{\"alg\":\"\"}",                                                          "header"},
        {"{\"alg\":null}",                                                          "header"},
        {"{\"alg\":[\"HS256\"]}",                                                   "header"},
        {"{\"alg\":{\"HS256\":1}}",                                                 "header"},
        {"{\"typ\":\"JWT\"}",                                                       "header"},
        {"{}",                                                                      "header"},
        {"",                                                                        "header"},
 /* other algorithms, and ours misspelt */
        {"{\"alg\":\"HS384\",\"typ\":\"JWT\"}",                                     "header"},
        {"{\"alg\":\"HS512\",\"typ\":\"JWT\"}",                                     "header"},
        {"{\"alg\":\"RS256\",\"typ\":\"JWT\"}",                                     "header"},
        {"{\"alg\":\"ES256\",\"typ\":\"JWT\"}",                                     "header"},
        {"{\"alg\":\"PS256\",\"typ\":\"JWT\"}",                                     "header"},
        {"{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}",                                     "header"},
        {"{\"alg\":\"hs256\",\"typ\":\"JWT\"}",                                     "header"},
        {"{\"alg\":\"HS256 \",\"typ\":\"JWT\"}",                                    "header"},
        {"{\"alg\":\"HS\\u0032\\u0035\\u0036\",\"typ\":\"JWT\"}",                   "header"},
        {"{\"ALG\":\"HS256\",\"typ\":\"JWT\"}",                                     "header"},
        {"{\"\\u0061lg\":\"HS256\"}",                                               "header"},
 /* keys that the token brings along or points at */
        {"{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}",            "header"},
        {"{\"alg\":\"HS256\",\"jku\":\"https://keys.invalid/\"}",                   "header"},
        {"{\"alg\":\"HS256\",\"x5u\":\"https://keys.invalid/\"}",                   "header"},
        {"{\"alg\":\"HS256\",\"x5c\":[\"AAAA\"]}",                                  "header"},
        {"{\"alg\":\"HS256\",\"x5t\":\"AAAA\"}",                                    "header"},
        {"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"1\"}",                       "header"},
        {"{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}",                          "header"},
        {"{\"alg\":\"HS256\",\"kid\":\"' OR 1=1--\"}",                              "header"},
        {"{\"alg\":\"HS256\",\"kid\":\"| id\"}",                                    "header"},
        {"{\"alg\":\"HS256\",\"kid\":\"\\u0000\"}",                                 "header"},
        {"{\"alg\":\"HS256\",\"kid\":7}",                                           "header"},
        {"{\"alg\":\"HS256\",\"kid\":[]}",                                          "header"},
 /* extensions */
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",                                  "header"},
        {"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}",                    "header"},
        {"{\"alg\":\"HS256\",\"crit\":[]}",                                         "header"},
        {"{\"alg\":\"HS256\",\"crit\":[\"unknown\"],\"unknown\":1}",                "header"},
        {"{\"alg\":\"HS256\",\"crit\":true}",                                       "header"},
        {"{\"alg\":\"HS256\",\"b64\":false}",                                       "header"},
        {"{\"alg\":\"HS256\",\"b64\":true}",                                        "header"},
        {"{\"alg\":\"HS256\",\"zip\":\"DEF\"}",                                     "header"},
        {"{\"alg\":\"HS256\",\"cty\":\"JWT\"}",                                     "header"},
        {"{\"alg\":\"dir\",\"enc\":\"A256GCM\"}",                                   "header"},
        {"{\"alg\":\"PBES2-HS256+A128KW\",\"enc\":\"A128GCM\",\"p2c\":1000000000}", "header"},
 /* another kind of token */
        {"{\"alg\":\"HS256\",\"typ\":\"jwt\"}",                                     "header"},
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}",                                  "header"},
        {"{\"alg\":\"HS256\",\"typ\":null}",                                        "header"},
 /* the same member twice, and other texts that are not quite ours */
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}",                                    "header"},
        {"{\"alg\":\"HS256\",\"alg\":\"none\"}",                                    "header"},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}",                                   "header"},
        {"{\"alg\":\"HS256\",}",                                                    "header"},
        {"{\"alg\": \"HS256\"}",                                                    "header"},
        {"{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}",                                "header"},
        {" {\"alg\":\"HS256\"}",                                                    "header"},
        {"{\"alg\":\"HS256\"}\n",                                                   "header"},
        {"{\"alg\":\"HS256\"}{}",                                                   "header"},
        {"{\"alg\":\"HS256\"",                                                      "header"},
        {"[{\"alg\":\"HS256\"}]",                                                   "header"},
        {"\"HS256\"",                                                               "header"},
        {"HS256",                                                                   "header"},
        {"\xef\xbb\xbf{\"alg\":\"HS256\"}",                                         "header"},
        {"{\"alg\":\"HS256\xff\"}",                                                 "header"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        make(slice_of(cases[i].header), SLICE(PAYLOAD), secret_text);
        expect(cases[i].header, reason_at(NOW), cases[i].reason);
    }
    make(SLICE("{\"alg\":\"HS256\"}\0"), SLICE(PAYLOAD), secret_text);
    expect("NUL behind the header", reason_at(NOW), "header");
}

static void a_header_without_signature_is_refused_with_and_without_a_third_part(void **state)
{
    (void)state;
    static const char *const headers[] = {"{\"alg\":\"none\"}", "{\"alg\":\"None\"}",
                                          "{\"alg\":\"NONE\"}", "{\"alg\":\"\"}", HEADER};
    for (size_t i = 0; i < COUNT_OF(headers); i++)
        for (const char *end = "\0."; end; end = *end ? NULL : end + 1) {
            text[0] = '\0';
            append_part(headers[i], strlen(headers[i]));
            strcat(text, ".");
            append_part(PAYLOAD, strlen(PAYLOAD));
            strcat(text, end);
            expect(text, reason_at(NOW), "malformed");
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_header_but_three_is_refused),
        cmocka_unit_test(a_header_without_signature_is_refused_with_and_without_a_third_part),
    };
    return cmocka_run_group_tests(tests, make_keys, remove_keys);
}

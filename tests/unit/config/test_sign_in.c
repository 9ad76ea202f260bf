/* The options of sign-in: which source says which secret, what is refused, what is announced. */
#include "loading.h"

#define ONE "8Jd0vQm2XkT5rYw7ZbN1cLh4GfS6pAuE"
#define TWO "tR3nKq9BxV5mWz7HdC1yLs8FjP2gUa6e"
#define PRODUCTION "[server]\nenvironment = \"production\"\ntrusted_proxies = [\"unix\"]\n"

static void expect_secret(const struct secret *secret, const char *value)
{
    if (value)
        assert_true(secret_equal(secret, slice_of(value)));
    else
        assert_true(secret_empty(secret));
}

/* INFERNO_JWT_SECRET signs, a different SECRET_KEY beside it verifies, SECRET_KEY alone signs. */
static void one_secret_signs_and_another_verifies(void **state)
{
    (void)state;
    static const struct {
        const char *toml;
        const char *variables[4];
        const char *signing, *retiring;
    } rows[] = {
        {"",                                                               {NULL},                                                             NULL, NULL},
        {"",                                                               {"INFERNO_JWT_SECRET=" ONE},                                        ONE,  NULL},
        {"",                                                               {"SECRET_KEY=" ONE},                                                ONE,  NULL},
        {"",                                                               {"INFERNO_JWT_SECRET=" ONE, "SECRET_KEY=" TWO},                     ONE,  TWO },
        {"",                                                               {"SECRET_KEY=" TWO, "INFERNO_JWT_SECRET=" ONE},                     ONE,  TWO },
        {"",                                                               {"INFERNO_JWT_SECRET=" ONE, "SECRET_KEY=" ONE},                     ONE,  NULL},
        {"",                                                               {"INFERNO_JWT_SECRET=", "SECRET_KEY=" TWO},                         TWO,  NULL},
        {"",                                                               {"SALLYPORT_SECURITY_JWT_SECRET=" ONE, "SECRET_KEY=" TWO},          ONE,  TWO },
        {"",                                                               {"SALLYPORT_SECURITY_JWT_SECRET_RETIRING=" ONE, "SECRET_KEY=" TWO}, TWO,  ONE },
        {"",                                                               {"INFERNO_JWT_SECRET_FILE=one", "SECRET_KEY_FILE=two"},             ONE,  TWO },
        {"",                                                               {"SECRET_KEY_FILE=two"},                                            TWO,  NULL},
        {"jwt_secret = \"" ONE "\"\n",                                     {"SECRET_KEY=" TWO},                                                ONE,  TWO },
        {"jwt_secret = \"" ONE "\"\n",                                     {"INFERNO_JWT_SECRET=" TWO},                                        TWO,  NULL},
        {"jwt_secret = \"${ENV:S}\"\njwt_secret_retiring = \"" TWO "\"\n", {"S=" ONE},                                                         ONE,  TWO },
    };
    write_file("one", ONE "\n");
    write_file("two", TWO "\n");
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        char toml[512];
        snprintf(toml, sizeof toml, UPSTREAM "[security]\n%s", rows[i].toml);
        load_text(&loading, toml, rows[i].variables);
        if (loading.err)
            fail_msg("row %u: %s", i, loading.said);
        expect_secret(&loading.settings->security.jwt_secret, rows[i].signing);
        expect_secret(&loading.settings->security.jwt_secret_retiring, rows[i].retiring);
        assert_int_equal(settings_has_sign_in(loading.settings), rows[i].signing != NULL);
        load_end(&loading);
    }
}

/* The layers in between: .env and secret files, of which the stronger one wins. */
static void the_strongest_secret_key_counts(void **state)
{
    (void)state;
    struct loading loading;
    mkdir("s", 0700);
    write_file("a.toml", UPSTREAM);
    write_file("s/secret_key", TWO "\n");
    write_file("s/inferno_jwt_secret", ONE "\n");
    load_begin(&loading);
    loading.arguments.file = "a.toml";
    loading.environment[0] = (char *)"SETTINGS_SECRETS_DIR=s";
    load_run(&loading);
    expect_secret(&loading.settings->security.jwt_secret, ONE);
    expect_secret(&loading.settings->security.jwt_secret_retiring, TWO);
    expect_said(&loading, "it comes from secret file s/secret_key");
    load_end(&loading);
    remove("s/inferno_jwt_secret");
    write_file(".env", "SECRET_KEY=" ONE "\n");
    load_begin(&loading);
    loading.arguments.file = "a.toml";
    loading.environment[0] = (char *)"SETTINGS_SECRETS_DIR=s";
    load_run(&loading);
    expect_secret(&loading.settings->security.jwt_secret, ONE);
    expect_secret(&loading.settings->security.jwt_secret_retiring, NULL);
    expect_said(&loading, "it comes from .env SECRET_KEY");
    expect_not_said(loading.said, "s/secret_key");
    load_end(&loading);
    remove(".env");
    remove("s/secret_key");
}

static void credentials_of_generic_names_are_announced(void **state)
{
    (void)state;
    static const struct {
        const char *variables[3];
        const char *said; /* NULL: nothing at all */
    } rows[] = {
        {{"INFERNO_JWT_SECRET=" ONE, "INFERNO_ADMIN_PASSWORD=twelve chars"}, NULL},
        {{"SALLYPORT_SECURITY_API_KEY=" ONE},                                NULL},
        {{"SALLYPORT_SECURITY_API_KEY=" ONE, "API_KEY=" TWO},                NULL},
        {{"API_KEY=" ONE},
         "security.api_key: warning: it comes from environment API_KEY, a name that other programs "
         "use too; SALLYPORT_SECURITY_API_KEY is ours alone\n"                   },
        {{"SECRET_KEY=" ONE},
         "security.jwt_secret: warning: it comes from environment SECRET_KEY, a name that other "
         "programs use too; SALLYPORT_SECURITY_JWT_SECRET is ours alone\n"       },
        {{"SECRET_KEY=" ONE, "INFERNO_JWT_SECRET=" ONE},                     NULL},
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        load_text(&loading, UPSTREAM, rows[i].variables);
        assert_int_equal(loading.err, OK);
        assert_string_equal(loading.said, rows[i].said ? rows[i].said : "");
        load_end(&loading);
    }
    struct loading loading;
    load_text(&loading,
              UPSTREAM "[security]\njwt_secret = \"" ONE "\"\njwt_secret_retiring = \"" TWO "\"\n",
              VARIABLES("SECRET_KEY=third"));
    assert_string_equal(loading.said,
                        "SECRET_KEY: warning: it is not used: security.jwt_secret and "
                        "security.jwt_secret_retiring are both set\n");
    load_end(&loading);
}

static void weak_credentials_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *toml;
        const char *variables[4];
        const char *said;
    } rows[] = {
        {"",
         {"INFERNO_JWT_SECRET=your-secure-random-secret-at-least-32-chars"},
         "security.jwt_secret: it must be a secret of your own, not one of a documentation or a "
         "common placeholder; this makes one: openssl rand -base64 48 (environment "
         "INFERNO_JWT_SECRET)\n"                                                                                                                                   },
        {"",                                                          {"SECRET_KEY=change-me-in-production"}, "security.jwt_secret: it must be a secret of"        },
        {"",                                                          {"SECRET_KEY=k7f0"},                    "it must be at least 32 bytes long"                  },
        {"",
         {"INFERNO_JWT_SECRET=" ONE, "SECRET_KEY=k7f0"},
         "security.jwt_secret_retiring: it must be at least 32 bytes long; this makes one: openssl "
         "rand -base64 48 (environment SECRET_KEY)\n"                                                                                                              },
        {"[security]\njwt_secret = \"k7f0\"\n",                       {NULL},                                 "openssl rand -base64 48 (a.toml:4)\n"               },
        {"[security]\nauth_enabled = false\njwt_secret = \"k7f0\"\n", {NULL},                                 "32 bytes long"                                      },
        {"[security]\njwt_secret_retiring = \"" ONE "\"\n",
         {NULL},
         "security.jwt_secret: security.jwt_secret_retiring only verifies: set the secret that "
         "signs too (a.toml:4)\n"                                                                                                                                  },
        {"",
         {"INFERNO_ADMIN_PASSWORD=eleven chrs"},
         "security.admin_password: it must have at least 12 characters; this makes one: openssl "
         "rand -base64 16 (environment INFERNO_ADMIN_PASSWORD)\n"                                                                                                  },
        {"",
         {"INFERNO_ADMIN_PASSWORD=your-secure-admin-password"},
         "security.admin_password: it must be a password of your own"                                                                                              },
        {PRODUCTION,                                                  {"API_KEY=your-secret-key"},            "security.api_key: it must be a key of your own"     },
        {PRODUCTION,                                                  {"API_KEY=k7f0"},                       "security.api_key: it must be at least 16 bytes long"},
        {"",                                                          {"API_KEY=two words of a key"},         "security.api_key: no caller can send it"            },
        {"",                                                          {"API_KEY=schl\xc3\xbcssel-nach-mass"}, "security.api_key: no caller can send it"            },
        {"",
         {"SECRET_KEY=" ONE, "API_KEY=" ONE},
         "security.api_key: it is security.jwt_secret too, which callers must not know"                                                                            },
        {"",
         {"SECRET_KEY=" ONE, "INFERNO_JWT_SECRET=" TWO, "API_KEY=" ONE},
         "security.api_key: it is security.jwt_secret_retiring too"                                                                                                },
        {"",
         {"INFERNO_ADMIN_PASSWORD=" ONE, "API_KEY=" ONE},
         "security.api_key: it is security.admin_password too"                                                                                                     },
        {"",
         {"API_KEYS_FILE=gone.yaml"},
         "security.api_keys_file: gone.yaml cannot be read: No such file or directory (environment "
         "API_KEYS_FILE)\n"                                                                                                                                        },
        {"[security]\nhtpasswd_file = \"gone\"\n",
         {NULL},
         "security.htpasswd_file: gone cannot be read"                                                                                                             },
        {"[security]\njwt_secret = \"\"\n",                           {NULL},                                 "security.jwt_secret: it is empty"                   },
        {"[security]\ntoken_expiry_hours = 745\n",
         {NULL},
         "security.token_expiry_hours: expected a whole number from 1 to 744, not \"745\""                                                                         },
        {"",                                                          {"ACCESS_TOKEN_EXPIRE_MINUTES=0"},      "expected a whole number from 1 to 44640"            },
        {"",                                                          {"REFRESH_TOKEN_EXPIRE_DAYS=14d"},      "expected a whole number from 1 to 366"              },
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        char toml[512];
        snprintf(toml, sizeof toml, UPSTREAM "%s", rows[i].toml);
        load_text(&loading, toml, rows[i].variables);
        if (loading.err != ERR_CONFIG)
            fail_msg("row %u was taken", i);
        expect_said(&loading, rows[i].said);
        expect_not_said(loading.said, ONE);
        expect_not_said(loading.said, "k7f0");
        expect_not_said(loading.said, "eleven chrs");
        load_end(&loading);
    }
}

static void all_weak_credentials_are_told_at_once(void **state)
{
    (void)state;
    struct loading loading;
    load_text(&loading, UPSTREAM PRODUCTION,
              VARIABLES("INFERNO_JWT_SECRET=a", "SECRET_KEY=b", "INFERNO_ADMIN_PASSWORD=c",
                        "API_KEY=d", "API_KEYS_FILE=gone"));
    assert_int_equal(loading.err, ERR_CONFIG);
    assert_int_equal(loading.faults.errors, 5);
    load_end(&loading);
}

static void sample_keys_only_warn_outside_production(void **state)
{
    (void)state;
    struct loading loading;
    load_text(&loading, UPSTREAM, VARIABLES("SALLYPORT_SECURITY_API_KEY=your-secret-key"));
    assert_int_equal(loading.err, OK);
    assert_string_equal(
        loading.said,
        "a.toml: security.api_key: warning: it must be a key of your own, not one of a "
        "documentation or a common placeholder, and is refused in production; this makes one: "
        "openssl rand -base64 48 (environment SALLYPORT_SECURITY_API_KEY)\n");
    load_end(&loading);
}

static void lifetimes_have_their_units_and_defaults(void **state)
{
    (void)state;
    struct loading loading;
    load_text(&loading, UPSTREAM, NULL);
    assert_int_equal(loading.settings->security.token_expiry_hours, 24);
    assert_int_equal(loading.settings->security.access_token_minutes, 30);
    assert_int_equal(loading.settings->security.refresh_token_days, 14);
    load_end(&loading);
    load_text(&loading, UPSTREAM "[security]\ntoken_expiry_hours = 744\n",
              VARIABLES("ACCESS_TOKEN_EXPIRE_MINUTES=5 # five", "REFRESH_TOKEN_EXPIRE_DAYS=1"));
    assert_int_equal(loading.settings->security.token_expiry_hours, 744);
    assert_int_equal(loading.settings->security.access_token_minutes, 5);
    assert_int_equal(loading.settings->security.refresh_token_days, 1);
    load_end(&loading);
}

static void a_file_of_passwords_turns_basic_on(void **state)
{
    (void)state;
    static const struct {
        const char *toml, *said;
        bool basic;
    } rows[] = {
        {"",                                               "", false},
        {"basic_enabled = true\n",                         "", true },
        {"htpasswd_file = \"x\"\n",                        "", true },
        {"htpasswd_file = \"x\"\nbasic_enabled = true\n",  "", true },
        {"htpasswd_file = \"x\"\nbasic_enabled = false\n",
         "a.toml: security.htpasswd_file: warning: it is not used: security.basic_enabled is false "
         "(a.toml:5)\n",                                       false},
    };
    write_file("x", "");
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        char toml[256];
        snprintf(toml, sizeof toml, UPSTREAM "[security]\n%s", rows[i].toml);
        load_text(&loading, toml, NULL);
        assert_string_equal(loading.said, rows[i].said);
        assert_int_equal(loading.settings->security.basic_enabled, rows[i].basic);
        load_end(&loading);
    }
}

static void the_default_file_of_keys_counts_when_it_is_there(void **state)
{
    (void)state;
    struct loading loading;
    load_text(&loading, UPSTREAM, NULL);
    assert_null(loading.settings->security.api_keys_file);
    load_end(&loading);
    mkdir("ops", 0700);
    write_file("ops/api_keys.yaml", "keys: []\n");
    load_text(&loading, UPSTREAM, NULL);
    assert_string_equal(loading.settings->security.api_keys_file, "ops/api_keys.yaml");
    load_end(&loading);
    load_text(&loading, UPSTREAM "[security]\napi_keys_file = \"\"\n", NULL);
    assert_null(loading.settings->security.api_keys_file);
    load_end(&loading);
    load_begin(&loading);
    loading.arguments.demo = true;
    load_run(&loading);
    assert_null(loading.settings->security.api_keys_file);
    load_end(&loading);
    remove("ops/api_keys.yaml");
}

static void any_credential_is_one(void **state)
{
    (void)state;
    static const struct {
        const char *variable;
        bool any, sign_in;
    } rows[] = {
        {"X=",                                    false, false},
        {"SALLYPORT_SECURITY_BASIC_ENABLED=true", false, false},
        {"INFERNO_JWT_SECRET=" ONE,               true,  true },
        {"INFERNO_ADMIN_PASSWORD=" ONE,           true,  false},
        {"API_KEY=" ONE,                          true,  false},
        {"API_KEYS_FILE=x",                       true,  false},
        {"SALLYPORT_SECURITY_HTPASSWD_FILE=x",    true,  false},
    };
    write_file("x", "");
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        load_text(&loading, UPSTREAM, VARIABLES(rows[i].variable));
        assert_int_equal(settings_has_credentials(loading.settings), rows[i].any);
        assert_int_equal(settings_has_sign_in(loading.settings), rows[i].sign_in);
        load_end(&loading);
    }
}

/* With API keys off, something else must be on. */
static void somebody_must_be_able_to_prove_who_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *variables[2];
        bool warned;
    } rows[] = {
        {{NULL},                                 true },
        {{"INFERNO_JWT_SECRET=" ONE},            false},
        {{"SALLYPORT_SECURITY_HTPASSWD_FILE=x"}, false},
        {{"API_KEYS_FILE=x"},                    true },
    };
    write_file("x", "");
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        load_text(&loading, UPSTREAM "[security]\napi_key_enabled = false\n", rows[i].variables);
        assert_int_equal(strstr(loading.said, "API keys are off") != NULL, rows[i].warned);
        load_end(&loading);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_secret_signs_and_another_verifies),
        cmocka_unit_test(the_strongest_secret_key_counts),
        cmocka_unit_test(credentials_of_generic_names_are_announced),
        cmocka_unit_test(weak_credentials_are_refused_by_name),
        cmocka_unit_test(all_weak_credentials_are_told_at_once),
        cmocka_unit_test(sample_keys_only_warn_outside_production),
        cmocka_unit_test(lifetimes_have_their_units_and_defaults),
        cmocka_unit_test(a_file_of_passwords_turns_basic_on),
        cmocka_unit_test(the_default_file_of_keys_counts_when_it_is_there),
        cmocka_unit_test(any_credential_is_one),
        cmocka_unit_test(somebody_must_be_able_to_prove_who_they_are),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}

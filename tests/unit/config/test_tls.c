/* The options of TLS towards callers: where it is spoken, with which files, and what is wrong when
 * it cannot be. */
#include "loading.h"

#define CERTIFICATE "tls_cert_path = \"a.pem\"\ntls_key_path = \"a.key\"\n"

static void the_scheme_of_an_address_goes_before_the_switch(void **state)
{
    (void)state;
    static const struct {
        const char *toml;
        bool tls[4];
    } rows[] = {
        {"",                      {false, false, true, true}},
        {"tls_enabled = false\n", {false, false, true, true}},
        {"tls_enabled = true\n",  {true, false, true, true} },
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        char toml[512];
        snprintf(toml, sizeof toml,
                 UPSTREAM "[server]\nlisten = [\":80\", \"HTTP://:81\", \"https://[::1]:443\", "
                          "\"https://unix:s\"]\n" CERTIFICATE "%s",
                 rows[i].toml);
        load_text(&loading, toml, NULL);
        assert_string_equal(loading.said, "");
        const struct text_list *listen = &loading.settings->server.listen;
        assert_string_equal(listen->items[0], "0.0.0.0:80");
        assert_string_equal(listen->items[1], "http://0.0.0.0:81");
        assert_string_equal(listen->items[2], "https://[::1]:443");
        assert_string_equal(listen->items[3], "https://unix:s");
        for (unsigned n = 0; n < 4; n++)
            assert_int_equal(settings_listen_tls(loading.settings, n), rows[i].tls[n]);
        assert_true(settings_any_tls(loading.settings));
        load_end(&loading);
    }
}

static void files_are_one_or_a_list(void **state)
{
    (void)state;
    static const struct {
        const char *toml, *variable;
        const char *certificates[3]; /* NULL-terminated */
    } rows[] = {
        {"tls_cert_path = \"a.pem\"\n",                 NULL,                                          {"etc/a.pem"}            },
        {"tls_cert_path = \"a, b.pem\"\n",              NULL,                                          {"etc/a, b.pem"}         },
        {"tls_cert_path = [\"a.pem\"]\n",               NULL,                                          {"etc/a.pem"}            },
        {"tls_cert_path = [\"/x/a.pem\", \"b.pem\"]\n", NULL,                                          {"/x/a.pem", "etc/b.pem"}},
        {"tls_cert_path = \"${ENV:WHERE}/a.pem\"\n",    NULL,                                          {"/run/a.pem"}           },
        {"tls_cert_path = \"\"\n",                      NULL,                                          {NULL}                   },
        {"tls_cert_path = []\n",                        NULL,                                          {NULL}                   },
        {"",                                            NULL,                                          {NULL}                   },
        {"",                                            "SALLYPORT_SERVER_TLS_CERT_PATH=a.pem, b.pem", {"a.pem", "b.pem"}       },
    };
    mkdir("etc", 0700);
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        char toml[512];
        snprintf(toml, sizeof toml, UPSTREAM "[server]\n%s", rows[i].toml);
        write_file("etc/a.toml", toml);
        load_begin(&loading);
        loading.arguments.file = "etc/a.toml";
        loading.environment[1] = (char *)"WHERE=/run";
        loading.environment[2] = (char *)rows[i].variable;
        load_run(&loading);
        if (strstr(loading.said, "expected"))
            fail_msg("row %u: %s", i, loading.said);
        /* The lists differ in length, which is a fault of its own: looked at on the way to it. */
        unsigned count = 0;
        while (rows[i].certificates[count])
            count++;
        if (count) {
            char wanted[128];
            snprintf(wanted, sizeof wanted, "server.tls_cert_path names %u, server.tls_key_path 0",
                     count);
            expect_said(&loading, wanted);
        } else {
            assert_int_equal(loading.err, OK);
        }
        load_end(&loading);

        if (!count || rows[i].variable)
            continue;
        snprintf(toml, sizeof toml, UPSTREAM "[server]\n%stls_key_path = [%s]\n", rows[i].toml,
                 count == 2 ? "\"a.key\", \"b.key\"" : "\"a.key\"");
        write_file("etc/a.toml", toml);
        load_begin(&loading);
        loading.arguments.file = "etc/a.toml";
        loading.environment[1] = (char *)"WHERE=/run";
        load_run(&loading);
        expect_said(&loading, "nothing speaks TLS, so that the certificate is not used");
        assert_int_equal(loading.err, OK);
        assert_int_equal(loading.settings->server.tls_certificates.count, count);
        for (unsigned n = 0; n < count; n++)
            assert_string_equal(loading.settings->server.tls_certificates.items[n],
                                rows[i].certificates[n]);
        load_end(&loading);
    }
}

static void what_cannot_be_is_said(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *toml, *said;
        enum err err;
    } rows[] = {
        {"tls_enabled = true\n",
         "server.tls_cert_path: TLS needs a certificate and its key: set server.tls_cert_path and "
         "server.tls_key_path to PEM files (a.toml:4)", ERR_CONFIG},
        {"tls_enabled = true\ntls_cert_path = \"a.pem\"\n", "server.tls_key_path: TLS needs", ERR_CONFIG},
        {"tls_enabled = true\ntls_key_path = \"a.key\"\n", "server.tls_cert_path: TLS needs", ERR_CONFIG},
        {"listen = [\"https://:443\", \":80\"]\n", "begins with https://", ERR_CONFIG},
        {"tls_enabled = true\ntls_cert_path = [\"a\", \"b\"]\ntls_key_path = [\"a\"]\n",
         "every certificate needs its key: server.tls_cert_path names 2, server.tls_key_path 1", ERR_CONFIG},
        {CERTIFICATE, "warning: nothing speaks TLS", OK},
        {CERTIFICATE "tls_enabled = true\nlisten = [\"http://:80\"]\n", "warning: nothing speaks TLS", OK},
        {"tls_enabled = true\nlisten = [\"http://:80\"]\n",
         "warning: every address begins with http://", OK},
        {"tls_cert_path = [\"a\", \"a\"]\n", "the same item is there twice", ERR_CONFIG},
        {"tls_cert_path = 1\n", "server.tls_cert_path: expected a path, or a list of paths, not", ERR_CONFIG},
        {"tls_cert_path = [\"\"]\n", "an item of the list is empty", ERR_CONFIG},
        {"listen = [\"ftp://:80\"]\n", "server.listen", ERR_CONFIG},
        {"listen = [\"https://\"]\n", "it needs a port", ERR_CONFIG},
        {"acme_directory = \"gone\"\n", "warning: gone cannot be entered", OK},
        {"[security]\nmin_tls_version = \"1.1\"\n", "expected one of \"1.2\", \"1.3\"", ERR_CONFIG},
        {"[security]\nmin_tls_version = 1.2\n", "expected one of \"1.2\", \"1.3\"", ERR_CONFIG},
    };
    // clang-format on
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        char toml[512];
        snprintf(toml, sizeof toml, UPSTREAM "[server]\n%s", rows[i].toml);
        load_text(&loading, toml, NULL);
        if (loading.err != rows[i].err)
            fail_msg("row %u: %s", i, loading.said);
        expect_said(&loading, rows[i].said);
        load_end(&loading);
    }
}

static void the_defaults_are_careful(void **state)
{
    (void)state;
    struct loading loading;
    load_text(&loading, UPSTREAM, NULL);
    const struct settings *s = loading.settings;
    assert_false(s->server.tls_enabled);
    assert_false(settings_any_tls(s));
    assert_true(s->server.http2);
    assert_false(s->server.http2_plain);
    assert_null(s->server.acme_directory);
    assert_int_equal(s->security.min_tls_version, TLS_1_2);
    load_end(&loading);
    mkdir("acme", 0700);
    load_text(&loading,
              UPSTREAM "[server]\nhttp2 = false\nhttp2_plain = true\nacme_directory = \"acme\"\n"
                       "[security]\nmin_tls_version = \"1.3\"\n",
              NULL);
    s = loading.settings;
    assert_string_equal(loading.said, "");
    assert_false(s->server.http2);
    assert_true(s->server.http2_plain);
    assert_string_equal(s->server.acme_directory, "acme");
    assert_int_equal(s->security.min_tls_version, TLS_1_3);
    load_end(&loading);
}

/* Production asks for TLS: ours will do. */
static void own_tls_is_enough_for_production(void **state)
{
    (void)state;
    struct loading loading;
    load_text(&loading,
              UPSTREAM "[server]\nenvironment = \"production\"\ntls_enabled = true\n" CERTIFICATE,
              NULL);
    assert_int_equal(loading.err, OK);
    expect_not_said(loading.said, "production needs TLS");
    load_end(&loading);
}

static void effective_values_can_be_read_back(void **state)
{
    (void)state;
    struct loading first, second;
    struct buffer text = BUFFER_MAX(1 << 20), again = BUFFER_MAX(1 << 20);
    load_text(&first,
              UPSTREAM "[server]\ntls_enabled = true\nlisten = [\"https://:443\", \"http://:80\"]\n"
                       "tls_cert_path = [\"a\", \"b\"]\ntls_key_path = [\"c\", \"d\"]\n",
              NULL);
    assert_string_equal(first.said, "");
    config_print_effective(first.settings, false, &text);
    load_text(&second, buffer_text_of(&text), NULL);
    assert_string_equal(second.said, "");
    config_print_fixed_changes(first.settings, second.settings, &again);
    assert_int_equal(again.len, 0);
    assert_int_equal(second.settings->server.tls_keys.count, 2);
    assert_string_equal(second.settings->server.tls_keys.items[1], "d");
    buffer_finish(&text);
    buffer_finish(&again);
    load_end(&first);
    load_end(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scheme_of_an_address_goes_before_the_switch),
        cmocka_unit_test(files_are_one_or_a_list),
        cmocka_unit_test(what_cannot_be_is_said),
        cmocka_unit_test(the_defaults_are_careful),
        cmocka_unit_test(own_tls_is_enough_for_production),
        cmocka_unit_test(effective_values_can_be_read_back),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}

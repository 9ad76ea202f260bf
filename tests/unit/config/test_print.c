#include "loading.h"

#include "config/option.h"

/* The canary stands wherever a secret may stand; no output may hold it. */
static const char canary[] = "c4nary";

static void effective_values_never_hold_a_secret(void **state)
{
    (void)state;
    struct loading loading;
    write_file("secret", canary);
    load_text(&loading,
              UPSTREAM "api_key = \"c4nary\"\n" UPSTREAM "api_key = \"${ENV:K}\"\n" UPSTREAM
                       "api_key = \"${FILE:secret}\"\n[security]\n"
                       "jwt_secret = \"c4nary-1-that-is-long-enough-to-sign\"\n"
                       "jwt_secret_retiring = \"c4nary-2-that-is-long-enough-to-sign\"\n"
                       "admin_password = \"c4nary-is-mine\"\napi_key = \"c4nary-of-them-all\"\n",
              VARIABLES("K=c4nary"));
    assert_int_equal(loading.err, OK);
    for (int json = 0; json < 2; json++) {
        struct buffer out = BUFFER_MAX(1 << 20);
        config_print_effective(loading.settings, json, &out);
        expect_not_said(buffer_text_of(&out), canary);
        assert_non_null(strstr(buffer_text_of(&out), "\"********\""));
        buffer_finish(&out);
    }
    load_end(&loading);
}

static void faults_never_hold_a_secret(void **state)
{
    (void)state;
    static const char *const bad[] = {
        UPSTREAM "api_key = \"c4nary\\n\"\n",
        UPSTREAM "api_key = [\"c4nary\"]\n",
        "[[upstream]]\nurl = \"http://u:c4nary@h\"\n",
        "[[upstream]]\nurl = \"htp://u:c4nary@h\"\n",
        "[store]\nurl = \"postgresql://u:c4nary@h/d\"\n",
        UPSTREAM "api_key = \"${ENV:K}\\n\"\n",
        UPSTREAM "api_key = c4nary\n",
        UPSTREAM "api_key = 'c4nary\n",
        UPSTREAM "api_key = \"c4nary\\q\"\n",
        UPSTREAM "api_key = \"c4nary\"c4nary\n",
        "[security]\njwt_secret = \"c4nary\"\n",
        "[security]\njwt_secret_retiring = \"c4nary\"\n",
        "[security]\nadmin_password = \"c4nary\"\n",
        "[security]\napi_key = \"c4nary \"\n",
    };
    for (unsigned i = 0; i < COUNT_OF(bad); i++) {
        struct loading loading;
        load_text(&loading, bad[i], VARIABLES("K=c4nary"));
        assert_int_equal(loading.err, ERR_CONFIG);
        expect_not_said(loading.said, canary);
        load_end(&loading);
    }
}

/* A key of digits that nobody quoted is a number to TOML, and too large a one. */
static void a_number_that_may_be_a_secret_is_not_repeated(void **state)
{
    (void)state;
    struct loading loading;
    load_text(&loading, UPSTREAM "api_key = 99999999999999999999\n", NULL);
    assert_int_equal(loading.err, ERR_CONFIG);
    expect_said(&loading, "a.toml:3: this is not valid TOML");
    expect_not_said(loading.said, "99999");
    load_end(&loading);
}

#define ROUTE "[[limits.route]]\npath = \"/health\"\nrate = \"5/minute\"\n"

static void every_option_is_shown_with_its_origin(void **state)
{
    (void)state;
    struct loading loading;
    struct buffer text = BUFFER_MAX(1 << 20), json = BUFFER_MAX(1 << 20);
    write_file(".env", "\nBURST_KEY=9\n");
    load_text(&loading, UPSTREAM "[server]\npreset = \"agents\"\n" ROUTE,
              VARIABLES("LOG_LEVEL=error"));
    config_print_effective(loading.settings, false, &text);
    config_print_effective(loading.settings, true, &json);
    static const char *const parts[] = {"# default\n", "# a.toml:4\n", "# preset agents\n",
                                        "# environment LOG_LEVEL\n", "# .env BURST_KEY\n"};
    for (unsigned i = 0; i < COUNT_OF(parts); i++)
        if (!strstr(buffer_text_of(&text), parts[i]))
            fail_msg("%s is not in:\n%s", parts[i], buffer_text_of(&text));
    assert_non_null(strstr(buffer_text_of(&json),
                           "\"server.preset\":{\"value\":\"agents\",\"origin\":\"a.toml:4\"}"));
    for (unsigned i = 0; i < option_count(); i++) {
        char key[OPTION_NAME_MAX + 2];
        const struct option *option = option_at(i);
        snprintf(key, sizeof key, "\"%s\":",
                 option->home == OF_SETTINGS ? option->path : strrchr(option->path, '.') + 1);
        if (option->home == OF_SETTINGS || option->home == OF_UPSTREAM)
            assert_non_null(strstr(buffer_text_of(&json), key));
    }
    buffer_finish(&text);
    buffer_finish(&json);
    load_end(&loading);
    remove(".env");
}

/* What is printed is a configuration file that comes to the same. */
static void effective_values_can_be_read_back(void **state)
{
    (void)state;
    struct loading first, second;
    struct buffer before = BUFFER_MAX(1 << 20), after = BUFFER_MAX(1 << 20);
    load_text(
        &first,
        UPSTREAM
        "models = [\"a\\\"b\"]\n[[log.access]]\npath = \"x\"\n[[log.access]]\npath = \"y\"\n" ROUTE,
        NULL);
    config_print_effective(first.settings, true, &before);
    struct buffer text = BUFFER_MAX(1 << 20);
    config_print_effective(first.settings, false, &text);
    load_text(&second, buffer_text_of(&text), NULL);
    assert_string_equal(second.said, "");
    config_print_fixed_changes(first.settings, second.settings, &after);
    assert_int_equal(after.len, 0);
    assert_int_equal(second.settings->log.access_count, 2);
    assert_int_equal(second.settings->limits.route_count, 1);
    assert_int_equal(second.settings->limits.routes[0].rate.requests, 5);
    assert_int_equal(second.settings->limits.routes[0].rate.burst, 5);
    assert_string_equal(second.settings->upstreams[0].models.items[0], "a\"b");
    buffer_finish(&before);
    buffer_finish(&after);
    buffer_finish(&text);
    load_end(&first);
    load_end(&second);
}

static void the_reference_has_a_line_for_every_option(void **state)
{
    (void)state;
    struct buffer out = BUFFER_MAX(1 << 20);
    config_print_reference(&out);
    assert_int_equal(out.failed, OK);
    for (unsigned i = 0; i < option_count(); i++)
        assert_non_null(strstr(buffer_text_of(&out), option_at(i)->help));
    buffer_finish(&out);
}

static void changes_that_need_a_restart_are_listed(void **state)
{
    (void)state;
    struct loading running, wanted;
    struct buffer out = BUFFER_MAX(1 << 20);
    load_text(&running, UPSTREAM, NULL);
    load_text(&wanted,
              UPSTREAM
              "[server]\nworkers = 3\nmax_body = \"2MB\"\n[store]\nurl = \"sqlite:x.db\"\n",
              NULL);
    config_print_fixed_changes(running.settings, wanted.settings, &out);
    assert_string_equal(buffer_text_of(&out), "server.workers, store.url");
    buffer_finish(&out);
    load_end(&running);
    load_end(&wanted);
}

static void the_last_reference_frees(void **state)
{
    (void)state;
    struct loading loading;
    load_text(&loading, UPSTREAM "api_key = \"k\"\n", NULL);
    settings_ref(loading.settings);
    settings_unref(loading.settings);
    assert_int_equal(loading.settings->upstream_count, 1);
    load_end(&loading);
    settings_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(effective_values_never_hold_a_secret),
        cmocka_unit_test(faults_never_hold_a_secret),
        cmocka_unit_test(a_number_that_may_be_a_secret_is_not_repeated),
        cmocka_unit_test(every_option_is_shown_with_its_origin),
        cmocka_unit_test(effective_values_can_be_read_back),
        cmocka_unit_test(the_reference_has_a_line_for_every_option),
        cmocka_unit_test(changes_that_need_a_restart_are_listed),
        cmocka_unit_test(the_last_reference_frees),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}

/* The control socket, server and client in one process, and the verbs behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/verb.h"
#include "base/clock.h"
#include "base/hash.h"
#include "cli/control.h"

struct place {
    char directory[160], database[192], socket[192];
    struct store *store;
    struct keyring *keyring;
    struct accounts *accounts;
    struct control_server *server;
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    AUTO(faults) faults = {0};
    /* Deeper than a socket's address is long. */
    snprintf(place->directory, sizeof place->directory, "/tmp/test_control_%0*d_XXXXXX", 110, 0);
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->database, sizeof place->database, "%s/keys.db", place->directory);
    snprintf(place->socket, sizeof place->socket, "%s/control.sock", place->directory);
    assert_int_equal(store_open(place->database, &place->store, &faults), OK);
    place->keyring = keyring_create(NULL, NULL);
    place->accounts = accounts_create(NULL, NULL);
    place->server = control_serve(
        place->directory, &(struct desk){place->store, place->keyring, place->accounts, NULL});
    assert_non_null(place->server);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    control_stop(place->server);
    keyring_destroy(place->keyring);
    accounts_destroy(place->accounts);
    store_close(place->store);
    assert_int_equal(access(place->socket, F_OK), -1);
    unlink(place->database);
    assert_int_equal(rmdir(place->directory), 0);
    free(place);
    return 0;
}

/* Sends the request, which is taken over; the answer says ok or has the error code. */
static json_t *call(struct place *place, json_t *request, const char *expected_error)
{
    json_t *response = NULL;
    assert_non_null(request);
    assert_int_equal(control_call(place->directory, request, &response), OK);
    const char *error = json_string_value(json_object_get(response, "error"));
    if (!expected_error && error)
        print_message("%s\n", json_string_value(json_object_get(response, "message")));
    assert_int_equal(json_is_true(json_object_get(response, "ok")), !expected_error);
    if (expected_error)
        assert_string_equal(error, expected_error);
    json_decref(request);
    return response;
}

static const char *text_of(const json_t *response, const char *member)
{
    return json_string_value(json_object_get(json_object_get(response, "key"), member));
}

static void ping_tells_who_is_there(void **state)
{
    json_t *response = call(*state, json_pack("{s:s}", "verb", "ping"), NULL);
    assert_int_equal(json_integer_value(json_object_get(response, "pid")), getpid());
    assert_string_equal(json_string_value(json_object_get(response, "version")), SALLYPORT_VERSION);
    json_decref(response);
}

static enum err find(struct place *place, const char *plain)
{
    struct api_key *key;
    enum err err =
        keyring_find(place->keyring, slice_of(plain), clock_wall_us() / SECOND_US, &key, NULL);
    if (err == OK)
        api_key_unref(key);
    return err;
}

static void a_key_lives_from_create_to_revoke(void **state)
{
    json_t *made = call(*state,
                        json_pack("{s:s, s:s, s:s, s:[s,s], s:i}", "verb", "key_create", "name",
                                  "n", "owner", "o", "models", "a", "b", "expires_in_days", 3),
                        NULL);
    const char *plain = text_of(made, "key"), *id = text_of(made, "id");
    assert_true(api_key_shaped(slice_of(plain)));
    assert_memory_equal(plain + 3, id, KEY_ID_LEN);
    json_t *names = json_object_get(json_object_get(made, "key"), "permissions");
    char *list = json_dumps(names, JSON_COMPACT);
    assert_string_equal(list, "[\"read_models\",\"run_inference\",\"use_streaming\"]");
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(list);
    assert_int_equal(find(*state, plain), OK);

    json_t *shown = call(*state, json_pack("{s:s, s:s}", "verb", "key_show", "id", id), NULL);
    assert_null(text_of(shown, "key"));
    assert_string_equal(text_of(shown, "name"), "n");
    assert_string_equal(text_of(shown, "status"), "live");
    assert_non_null(text_of(shown, "last_used_at"));
    json_decref(shown);

    json_t *gone = call(*state, json_pack("{s:s, s:s}", "verb", "key_revoke", "id", id), NULL);
    assert_int_equal(find(*state, plain), ERR_DENIED);
    assert_string_equal(text_of(gone, "status"), "revoked");
    assert_non_null(text_of(gone, "revoked_at"));
    json_decref(gone);
    json_decref(call(*state, json_pack("{s:s, s:s}", "verb", "key_revoke", "id", id), "not_found"));
    json_decref(made);
}

static void a_request_that_is_not_understood_makes_nothing(void **state)
{
    static const struct {
        const char *request, *error;
    } cases[] = {
        {"{}",                                                                          "usage"    },
        {"{\"verb\":1}",                                                                "usage"    },
        {"{\"verb\":\"key_destroy\"}",                                                  "usage"    },
        {"{\"verb\":\"key_create\"}",                                                   "usage"    },
        {"{\"verb\":\"key_create\",\"name\":\"\"}",                                     "usage"    },
        {"{\"verb\":\"key_create\",\"name\":7}",                                        "usage"    },
        {"{\"verb\":\"key_create\",\"name\":\"n\",\"model\":[\"x\"]}",                  "usage"    },
        {"{\"verb\":\"key_create\",\"name\":\"n\",\"models\":[]}",                      "usage"    },
        {"{\"verb\":\"key_create\",\"name\":\"n\",\"models\":\"x\"}",                   "usage"    },
        {"{\"verb\":\"key_create\",\"name\":\"n\",\"models\":null}",                    "usage"    },
        {"{\"verb\":\"key_create\",\"name\":\"n\",\"permissions\":[]}",                 "usage"    },
        {"{\"verb\":\"key_create\",\"name\":\"n\",\"permissions\":[\"chat:read\"]}",    "usage"    },
        {"{\"verb\":\"key_create\",\"name\":\"n\",\"permissions\":[\"read_models\"],"
         "\"scopes\":[\"*\"]}",                                                "usage"    },
        {"{\"verb\":\"key_create\",\"name\":\"n\",\"expires_in_days\":0}",              "usage"    },
        {"{\"verb\":\"key_create\",\"name\":\"n\",\"expires_in_days\":99999999999999}", "usage"    },
        {"{\"verb\":\"key_list\",\"after\":-1}",                                        "usage"    },
        {"{\"verb\":\"key_show\"}",                                                     "usage"    },
        {"{\"verb\":\"key_show\",\"id\":\"%s\"}",                                       "not_found"},
        {"{\"verb\":\"key_show\",\"id\":\"AAAAAAAAAAAA\"}",                             "not_found"},
        {"{\"verb\":\"key_revoke\",\"id\":\"AAAAAAAAAAAA\"}",                           "not_found"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        json_decref(call(*state, json_loads(cases[i].request, 0, NULL), cases[i].error));
    json_t *listed = call(*state, json_pack("{s:s}", "verb", "key_list"), NULL);
    assert_int_equal(json_array_size(json_object_get(listed, "keys")), 0);
    assert_true(json_is_null(json_object_get(listed, "next")));
    json_decref(listed);
}

static void an_unknown_permission_is_answered_with_all_that_exist(void **state)
{
    json_t *response = call(
        *state,
        json_pack("{s:s, s:s, s:[s]}", "verb", "key_create", "name", "n", "permissions", "fly"),
        "usage");
    const char *message = json_string_value(json_object_get(response, "message"));
    for (const struct permission_row *row = permission_table(); row->name; row++)
        assert_non_null(strstr(message, row->name));
    json_decref(response);
}

static void a_long_list_comes_in_pages_that_fit(void **state)
{
    enum { KEYS = 12 };
    static char name[257];
    memset(name, '"', 256);
    for (int i = 0; i < KEYS; i++) {
        json_t *models = json_array();
        for (int m = 0; m < 60; m++)
            json_array_append_new(models, json_string(name));
        json_decref(
            call(*state,
                 json_pack("{s:s, s:s, s:o}", "verb", "key_create", "name", "n", "models", models),
                 NULL));
    }
    json_int_t after = 0;
    unsigned pages = 0, keys = 0;
    for (bool more = true; more; pages++) {
        json_t *page =
            call(*state, json_pack("{s:s, s:I}", "verb", "key_list", "after", after), NULL);
        keys += (unsigned)json_array_size(json_object_get(page, "keys"));
        more = json_is_integer(json_object_get(page, "next"));
        after = json_integer_value(json_object_get(page, "next"));
        json_decref(page);
    }
    assert_int_equal(keys, KEYS);
    assert_true(pages > 1);
}

static int connect_raw(const struct place *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char here[256];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(place->directory), 0);
    strcpy(address.sun_path, "control.sock");
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(chdir(here), 0);
    return fd;
}

static void a_line_may_arrive_in_any_pieces(void **state)
{
    static const char line[] = "{\"verb\":\"ping\"}\n";
    for (size_t split = 1; split < sizeof line - 1; split++) {
        char answer[256] = "";
        int fd = connect_raw(*state);
        assert_int_equal(send(fd, line, split, 0), split);
        assert_int_equal(send(fd, line + split, sizeof line - 1 - split, 0),
                         sizeof line - 1 - split);
        assert_true(recv(fd, answer, sizeof answer - 1, MSG_WAITALL) > 0);
        assert_non_null(strstr(answer, "\"ok\":true"));
        close(fd);
    }
}

static void what_is_no_request_is_refused(void **state)
{
    static const char *const lines[] = {"\n",
                                        "[]\n",
                                        "{\"verb\":\"ping\",\"verb\":\"ping\"}\n",
                                        "{\"verb\":\"ping\"} x\n",
                                        "{\"verb\":\"ping\"}\n{}\n",
                                        "\xff\n"};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        char answer[256] = "";
        int fd = connect_raw(*state);
        assert_int_equal(send(fd, lines[i], strlen(lines[i]), 0), strlen(lines[i]));
        assert_true(recv(fd, answer, sizeof answer - 1, MSG_WAITALL) > 0);
        assert_non_null(strstr(answer, "\"ok\":false"));
        close(fd);
    }
    /* And one without an end. */
    char answer[256] = "", *endless = malloc(VERB_FILE_LINE_MAX);
    memset(endless, ' ', VERB_FILE_LINE_MAX);
    int fd = connect_raw(*state);
    assert_int_equal(send(fd, endless, VERB_FILE_LINE_MAX, 0), VERB_FILE_LINE_MAX);
    assert_true(recv(fd, answer, sizeof answer - 1, MSG_WAITALL) > 0);
    assert_non_null(strstr(answer, "at most 1048576 bytes"));
    close(fd);
    free(endless);
    /* A peer that leaves in the middle disturbs nobody. */
    fd = connect_raw(*state);
    assert_int_equal(send(fd, "{", 1, 0), 1);
    close(fd);
    ping_tells_who_is_there(state);
}

static void the_socket_is_private_and_a_stale_one_is_replaced(void **state)
{
    struct place *place = *state;
    struct stat st;
    assert_int_equal(lstat(place->socket, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
    control_stop(place->server);
    json_t *request = json_pack("{s:s}", "verb", "ping"), *response;
    assert_int_equal(control_call(place->directory, request, &response), ERR_NOT_FOUND);
    /* As a killed gateway leaves it: a name that nobody listens behind. */
    FILE *stale = fopen(place->socket, "w");
    fclose(stale);
    assert_int_equal(control_call(place->directory, request, &response), ERR_NOT_FOUND);
    assert_int_equal(control_call("/nonexistent", request, &response), ERR_NOT_FOUND);
    json_decref(request);
    place->server = control_serve(
        place->directory, &(struct desk){place->store, place->keyring, place->accounts, NULL});
    assert_non_null(place->server);
    ping_tells_who_is_there(state);
}

static void stopping_ends_a_conversation_in_progress(void **state)
{
    struct place *place = *state;
    int fd = connect_raw(place);
    char byte;
    control_stop(place->server);
    place->server = NULL;
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        IN_PLACE(ping_tells_who_is_there),
        IN_PLACE(a_key_lives_from_create_to_revoke),
        IN_PLACE(a_request_that_is_not_understood_makes_nothing),
        IN_PLACE(an_unknown_permission_is_answered_with_all_that_exist),
        IN_PLACE(a_long_list_comes_in_pages_that_fit),
        IN_PLACE(a_line_may_arrive_in_any_pieces),
        IN_PLACE(what_is_no_request_is_refused),
        IN_PLACE(the_socket_is_private_and_a_stale_one_is_replaced),
        IN_PLACE(stopping_ends_a_conversation_in_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Certificates that change while the gateway runs: a supervisor with one worker made by hand, whose
 * TLS server is asked whose certificate it shows. */
#include "settings_made.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../io/identity_made.h"
#include "base/log.h"
#include "gateway/supervisor.h"

static char home[64], certificate_path[96], key_path[96];
static struct gateway gateway;
static struct snapshot snapshot;
static struct worker *worker;

static char said[8192]; /* what was logged in this test; from any thread, but one at a time */
static size_t said_len;

static void hear(struct slice line)
{
    assert_true(said_len + line.len < sizeof said);
    memcpy(said + said_len, line.ptr, line.len);
    said_len += line.len;
    said[said_len] = '\0';
}

static unsigned times_said(const char *text)
{
    unsigned count = 0;
    for (const char *at = said; (at = strstr(at, text)); at++)
        count++;
    return count;
}

/* --- the gateway --------------------------------------------------------------------------------
 */

static struct text_list list_of(struct settings *settings, const char *text)
{
    struct text_list list = {arena_alloc(&settings->arena, sizeof(char *)), 1};
    list.items[0] = settings_text(settings, text);
    return list;
}

static struct settings *make_settings(void)
{
    struct settings *settings = settings_make(0);
    settings->server.listen = list_of(settings, "https://127.0.0.1:0");
    settings->server.tls_certificates = list_of(settings, certificate_path);
    settings->server.tls_keys = list_of(settings, key_path);
    return settings;
}

/* In one step, as renewing clients do it. */
static void save_certificate(const struct identity *identity)
{
    char fresh[128];
    snprintf(fresh, sizeof fresh, "%s.new", certificate_path);
    identity_save_certificate(identity, NULL, fresh);
    assert_int_equal(rename(fresh, certificate_path), 0);
}

static void save_key(const struct identity *identity)
{
    char fresh[128];
    snprintf(fresh, sizeof fresh, "%s.new", key_path);
    identity_save_key(identity, NULL, fresh);
    assert_int_equal(rename(fresh, key_path), 0);
}

static struct identity make_identity(const char *subject, long until_s)
{
    return identity_make(NULL, subject, "DNS:a.example", false, -DAY_S, until_s);
}

static void save_new(const char *subject)
{
    struct identity made = make_identity(subject, DAY_S);
    save_certificate(&made);
    save_key(&made);
    identity_finish(&made);
}

static int open_gateway(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/certificates-XXXXXX");
    assert_non_null(mkdtemp(home));
    snprintf(certificate_path, sizeof certificate_path, "%s/a.pem", home);
    snprintf(key_path, sizeof key_path, "%s/a.key", home);
    save_new("first");
    memset(&gateway, 0, sizeof gateway);
    said[said_len = 0] = '\0';
    log_set_sink(hear);
    snapshot = (struct snapshot){.settings = make_settings()};
    gateway.snapshot = &snapshot;
    worker = calloc(1, sizeof *worker);
    assert_non_null(worker);
    assert_int_equal(loop_init(&worker->loop), OK);
    assert_int_equal(loop_init(&gateway.loop), OK);
    assert_int_equal(loop_reserve_timers(&gateway.loop, 4), OK);
    assert_int_equal(jobs_create(&gateway.shared.jobs), OK);
    gateway.workers[0] = worker;
    AUTO(faults) faults = {0};
    assert_int_equal(certificates_load(&gateway, 1, &faults), OK);
    certificates_hand_out(&gateway);
    gateway.started_count = gateway.worker_count = 1;
    return 0;
}

static int close_gateway(void **state)
{
    (void)state;
    gateway.started_count = 0;
    jobs_destroy(gateway.shared.jobs);
    loop_deliver(&worker->loop);
    worker_switch_tls(worker, NULL);
    loop_deliver(&gateway.loop);
    certificates_finish(&gateway);
    settings_unref(snapshot.settings);
    loop_finish(&gateway.loop);
    loop_finish(&worker->loop);
    free(worker);
    unlink(certificate_path);
    unlink(key_path);
    return rmdir(home);
}

/* --- looking ------------------------------------------------------------------------------------
 */

static void on_turn(struct task *task)
{
    (void)task;
    if (gateway.certificates.looking)
        loop_defer(&gateway.loop, task);
    else
        loop_stop(&gateway.loop);
}

/* Runs the supervisor until the look that is under way has ended. */
static void finish_look(void)
{
    struct task task;
    gateway.loop.stopping = false;
    task_init(&task, on_turn);
    loop_defer(&gateway.loop, &task);
    loop_run(&gateway.loop);
    loop_deliver(&worker->loop);
}

/* What the timer does, now. */
static void look_now(void)
{
    assert_false(gateway.certificates.looking);
    certificates_watch(&gateway);
    gateway.certificates.timer.on_time(&gateway.certificates.timer);
    finish_look();
}

/* --- whose certificate a client sees ------------------------------------------------------------
 */

static bool talks(SSL *client, struct tls_session *session)
{
    enum err err = ERR_AGAIN;
    for (unsigned i = 0; i < 10 && !(err == OK && SSL_is_init_finished(client)); i++) {
        SSL_do_handshake(client);
        if (err == ERR_AGAIN)
            err = tls_handshake(session);
    }
    ERR_clear_error();
    return err == OK;
}

static const char *shown(int max_version)
{
    static char subject[64];
    int pair[2];
    struct tls_session *session;
    snprintf(subject, sizeof subject, "refused");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(tls_server_accept(worker->tls, pair[0], &session), OK);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context, max_version);
    SSL *client = SSL_new(context);
    SSL_set_fd(client, pair[1]);
    SSL_set_connect_state(client);
    if (talks(client, session))
        X509_NAME_oneline(X509_get_subject_name(SSL_get0_peer_certificate(client)), subject,
                          sizeof subject);
    SSL_free(client);
    SSL_CTX_free(context);
    tls_session_destroy(session);
    close(pair[0]);
    close(pair[1]);
    return subject;
}

/* One more connection with the ticket; keeps the newest in its stead. */
static bool resumed(SSL_SESSION **ticket)
{
    int pair[2];
    char byte;
    struct tls_session *session;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(tls_server_accept(worker->tls, pair[0], &session), OK);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(context);
    SSL_set_fd(client, pair[1]);
    SSL_set_connect_state(client);
    if (*ticket)
        SSL_set_session(client, *ticket);
    assert_true(talks(client, session));
    SSL_read(client, &byte, 1); /* takes the ticket */
    bool was_resumed = SSL_session_reused(client);
    SSL_SESSION_free(*ticket);
    *ticket = SSL_get1_session(client);
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    SSL_CTX_free(context);
    tls_session_destroy(session);
    close(pair[0]);
    close(pair[1]);
    ERR_clear_error();
    return was_resumed;
}

static void the_first_pair_is_there_at_once(void **state)
{
    (void)state;
    assert_string_equal(shown(0), "/CN=first");
    struct tls_server *before = worker->tls;
    look_now();
    assert_ptr_equal(worker->tls, before); /* nothing changed */
}

static void a_new_pair_is_taken(void **state)
{
    (void)state;
    save_new("second");
    assert_string_equal(shown(0), "/CN=first");
    look_now();
    assert_string_equal(shown(0), "/CN=second");
}

/* TLS-06 */
static void half_a_pair_changes_nothing(void **state)
{
    (void)state;
    struct identity second = make_identity("second", DAY_S);
    save_certificate(&second);
    struct tls_server *before = worker->tls;
    look_now();
    assert_ptr_equal(worker->tls, before);
    assert_string_equal(shown(0), "/CN=first");
    look_now();
    assert_int_equal(times_said("the key does not belong to"), 1);
    assert_int_equal(times_said("not read anew"), 1);
    save_key(&second);
    look_now();
    assert_string_equal(shown(0), "/CN=second");
    identity_finish(&second);
}

static void broken_files_change_nothing(void **state)
{
    (void)state;
    assert_int_equal(truncate(certificate_path, 100), 0);
    look_now();
    assert_string_equal(shown(0), "/CN=first");
    assert_int_equal(unlink(key_path), 0);
    look_now();
    assert_string_equal(shown(0), "/CN=first");
    save_new("second");
    look_now();
    assert_string_equal(shown(0), "/CN=second");
}

static void an_expired_pair_is_used_with_a_warning(void **state)
{
    (void)state;
    struct identity old = make_identity("old", -60);
    save_certificate(&old);
    save_key(&old);
    identity_finish(&old);
    look_now();
    assert_string_equal(shown(0), "/CN=old");
    assert_int_equal(times_said("the certificate expired on"), 1);
}

/* HUP: the settings may name other files, and other terms. */
static void a_reload_brings_new_terms(void **state)
{
    (void)state;
    assert_string_equal(shown(TLS1_2_VERSION), "/CN=first");
    struct settings *old = snapshot.settings;
    snapshot.settings = make_settings();
    snapshot.settings->security.min_tls_version = TLS_1_3;
    settings_unref(old);
    certificates_reload(&gateway);
    finish_look();
    assert_string_equal(shown(TLS1_2_VERSION), "refused");
    assert_string_equal(shown(0), "/CN=first");
}

/* The terms hold at once, even if the files are broken just now. */
static void a_reload_with_broken_files_keeps_the_certificate_only(void **state)
{
    (void)state;
    struct settings *old = snapshot.settings;
    snapshot.settings = make_settings();
    snapshot.settings->security.min_tls_version = TLS_1_3;
    settings_unref(old);
    assert_int_equal(truncate(key_path, 0), 0);
    certificates_reload(&gateway);
    certificates_reload(&gateway); /* while the first look is under way: another one follows */
    assert_true(gateway.certificates.again);
    finish_look();
    assert_string_equal(shown(TLS1_2_VERSION), "refused");
    assert_string_equal(shown(0), "/CN=first");
}

static void expiry_is_foretold_once_a_day(void **state)
{
    (void)state;
    struct identity made = make_identity("first", 20 * DAY_S);
    save_certificate(&made);
    save_key(&made);
    identity_finish(&made);
    look_now();
    said[said_len = 0] = '\0';
    look_now();
    assert_string_equal(said, ""); /* in twenty days: too early to speak of it */
    made = make_identity("first", 13 * DAY_S);
    save_certificate(&made);
    save_key(&made);
    identity_finish(&made);
    for (int i = 0; i < 4; i++)
        look_now();
    assert_int_equal(times_said("a.pem: the certificate expires on 2"), 1);
    gateway.certificates.warn_epoch_s -= DAY_S; /* tomorrow */
    look_now();
    assert_int_equal(times_said("a.pem: the certificate expires on 2"), 2);
}

static void tickets_turn_with_the_timer(void **state)
{
    (void)state;
    SSL_SESSION *ticket = NULL;
    look_now();
    assert_false(resumed(&ticket));
    assert_true(resumed(&ticket));
    gateway.loop.now_us += 3 * TICKET_PERIOD_US;
    gateway.certificates.timer.on_time(&gateway.certificates.timer);
    finish_look();
    assert_false(resumed(&ticket));
    SSL_SESSION_free(ticket);
}

static void a_bad_pair_is_a_fault_at_the_start(void **state)
{
    (void)state;
    AUTO(faults) faults = {0};
    struct identity other = make_identity("other", DAY_S);
    save_key(&other);
    identity_finish(&other);
    certificates_check(snapshot.settings, &faults);
    assert_int_equal(faults.errors, 1);
    assert_non_null(strstr(faults.list[0].sentence, "the key does not belong"));
    assert_string_equal(faults.list[0].file, key_path);
}

int main(void)
{
    alarm(60); /* a look that never ends fails */
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_gateway, close_gateway)
    const struct CMUnitTest tests[] = {
        TEST(the_first_pair_is_there_at_once),
        TEST(a_new_pair_is_taken),
        TEST(half_a_pair_changes_nothing),
        TEST(broken_files_change_nothing),
        TEST(an_expired_pair_is_used_with_a_warning),
        TEST(a_reload_brings_new_terms),
        TEST(a_reload_with_broken_files_keeps_the_certificate_only),
        TEST(expiry_is_foretold_once_a_day),
        TEST(tickets_turn_with_the_timer),
        TEST(a_bad_pair_is_a_fault_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

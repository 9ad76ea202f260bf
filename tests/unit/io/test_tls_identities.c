/* Certificates and keys from files: what is wrong with them is said by name, and what is right is
 * chosen by the name that a client asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "identity_made.h"
#include "io/tls_identities.h"

static char home[64];

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void append_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int make_files(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/tls-identities-XXXXXX");
    if (!mkdtemp(home) || chdir(home) != 0)
        return -1;
    struct identity authority = identity_make(NULL, "authority", NULL, true, -DAY_S, DAY_S);
    struct identity good = identity_make(&authority, "x", "DNS:a.example", false, -DAY_S, DAY_S);
    struct identity other = identity_make(&authority, "x", "DNS:b.example", false, -DAY_S, DAY_S);
    struct identity old = identity_make(NULL, "x", "DNS:a", false, -2 * DAY_S, -DAY_S);
    struct identity early = identity_make(NULL, "x", "DNS:a", false, DAY_S, 2 * DAY_S);
    struct identity weak =
        identity_of_key(EVP_RSA_gen(1024), NULL, "x", "DNS:a", false, -DAY_S, DAY_S);
    identity_save_certificate(&good, &authority, "good.pem");
    identity_save_certificate(&authority, &good, "order.pem");
    identity_save_certificate(&old, NULL, "old.pem");
    identity_save_certificate(&early, NULL, "early.pem");
    identity_save_certificate(&weak, NULL, "weak.pem");
    identity_save_certificate(&good, NULL, "broken-chain.pem");
    append_file("broken-chain.pem",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    identity_save_key(&good, NULL, "good.key");
    identity_save_key(&good, "open sesame", "encrypted.key");
    identity_save_key(&other, NULL, "other.key");
    identity_save_key(&old, NULL, "old.key");
    identity_save_key(&early, NULL, "early.key");
    identity_save_key(&weak, NULL, "weak.key");
    write_file("text", "hello\n");
    write_file("empty", "");
    FILE *large = fopen("large", "w");
    bool fine = large && ftruncate(fileno(large), 1024 * 1024 + 1) == 0 && fclose(large) == 0;
    identity_finish(&authority);
    identity_finish(&good);
    identity_finish(&other);
    identity_finish(&old);
    identity_finish(&early);
    identity_finish(&weak);
    return fine && mkfifo("fifo", 0600) == 0 ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status, (void)type, (void)at;
    return remove(path);
}

static int remove_files(void **state)
{
    (void)state;
    return chdir("/") == 0 ? nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS) : -1;
}

static enum err load(const char *certificate, const char *key, struct tls_identities **identities,
                     struct buffer *said)
{
    AUTO(faults) faults = {0};
    char *certificates[] = {(char *)certificate}, *keys[] = {(char *)key};
    *identities = NULL;
    enum err err = tls_identities_load(certificates, keys, 1, clock_wall_us(), identities, &faults);
    faults_print(&faults, said);
    assert_int_equal(err != OK, faults.errors > 0);
    assert_int_equal(ERR_peek_error(), 0);
    return err;
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *certificate, *key, *said;
        enum err err;
    } rows[] = {
        {"good.pem",         "good.key",      "",                                         OK},
        {"none.pem",         "good.key",      "none.pem: it cannot be read: No such file", ERR_CONFIG},
        {"good.pem",         "none.key",      "none.key: it cannot be read: No such file", ERR_CONFIG},
        {"none.pem",         "none.key",      "none.key: it cannot be read: No such file", ERR_CONFIG},
        {".",                "good.key",      ".: it is not a file",                      ERR_CONFIG},
        {"fifo",             "good.key",      "fifo: it is not a file",                   ERR_CONFIG},
        {"large",            "good.key",      "large: it is not a file of at most 1 MB",  ERR_CONFIG},
        {"text",             "good.key",      "text: it holds no certificate in PEM form", ERR_CONFIG},
        {"empty",            "good.key",      "empty: it holds no certificate",           ERR_CONFIG},
        {"good.key",         "good.key",      "good.key: it holds no certificate",        ERR_CONFIG},
        {"good.pem",         "text",          "text: it holds no private key in PEM form", ERR_CONFIG},
        {"good.pem",         "empty",         "empty: it holds no private key",           ERR_CONFIG},
        {"good.pem",         "good.pem",      "good.pem: it holds no private key",        ERR_CONFIG},
        {"good.pem",         "encrypted.key", "encrypted.key: the key is encrypted",      ERR_CONFIG},
        {"good.pem",         "other.key",     "other.key: the key does not belong to the first "
                                              "certificate in good.pem",                  ERR_CONFIG},
        {"order.pem",        "good.key",      "own certificate comes first",              ERR_CONFIG},
        {"broken-chain.pem", "good.key",      "certificate number 2 in it is damaged",    ERR_CONFIG},
        {"weak.pem",         "weak.key",      "weak.pem: the certificate cannot be used: ", ERR_CONFIG},
        {"old.pem",          "old.key",       "old.pem: warning: the certificate expired on 20",   OK},
        {"early.pem",        "early.key",     "early.pem: warning: the certificate is not valid before 20", OK},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tls_identities *identities;
        AUTO(buffer) said = BUFFER_MAX(8192);
        enum err err = load(rows[i].certificate, rows[i].key, &identities, &said);
        if (err != rows[i].err || !strstr(buffer_text_of(&said), rows[i].said) ||
            (!rows[i].said[0] && said.len))
            fail_msg("row %zu (%s, %s): %s, \"%s\"", i, rows[i].certificate, rows[i].key,
                     err_name(err), buffer_text_of(&said));
        assert_int_equal(identities != NULL, err == OK);
        tls_identities_unref(identities);
    }
}

/* Every file is looked at, so that one start shows all. */
static void all_pairs_are_reported(void **state)
{
    (void)state;
    char *certificates[] = {(char *)"none.pem", (char *)"good.pem", (char *)"text"};
    char *keys[] = {(char *)"good.key", (char *)"other.key", (char *)"good.key"};
    struct tls_identities *identities = NULL;
    AUTO(faults) faults = {0};
    assert_int_equal(tls_identities_load(certificates, keys, 3, 0, &identities, &faults),
                     ERR_CONFIG);
    assert_int_equal(faults.errors, 3);
    assert_null(identities);
}

static void a_key_may_stand_in_the_certificates_file(void **state)
{
    (void)state;
    char text[16384];
    FILE *key = fopen("good.key", "r"), *chain = fopen("good.pem", "r");
    assert_true(key && chain);
    size_t len = fread(text, 1, sizeof text, key);
    len += fread(text + len, 1, sizeof text - len - 1, chain);
    text[len] = '\0';
    fclose(key);
    fclose(chain);
    write_file("both.pem", text);
    struct tls_identities *identities;
    AUTO(buffer) said = BUFFER_MAX(8192);
    assert_int_equal(load("both.pem", "both.pem", &identities, &said), OK);
    tls_identities_unref(identities);
}

static void the_expiry_is_known(void **state)
{
    (void)state;
    struct tls_identities *identities;
    AUTO(buffer) said = BUFFER_MAX(8192);
    uint64_t epoch_s, now_s = clock_wall_us() / SECOND_US;
    assert_int_equal(load("good.pem", "good.key", &identities, &said), OK);
    assert_string_equal(tls_identities_expiry(identities, 0, &epoch_s), "good.pem");
    assert_in_range(epoch_s, now_s + DAY_S - 600, now_s + DAY_S);
    assert_null(tls_identities_expiry(identities, 1, &epoch_s));
    tls_identities_ref(identities);
    tls_identities_unref(identities);
    tls_identities_unref(identities);
    tls_identities_unref(NULL);
}

int main(void)
{
    alarm(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(all_pairs_are_reported),
        cmocka_unit_test(a_key_may_stand_in_the_certificates_file),
        cmocka_unit_test(the_expiry_is_known),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}

/* Authorities are loaded whole or not at all, whichever piece of OpenSSL's memory is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/tls_authorities.h"

/* --- OpenSSL's memory
 * ---------------------------------------------------------------------------- */

static long left; /* the how-manieth piece from now is refused; 0: none */
static bool none; /* all are */

static bool refused(void)
{
    return none || (left > 0 && --left == 0);
}

static void *take(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return refused() ? NULL : malloc(size);
}

static void *take_more(void *memory, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return refused() ? NULL : realloc(memory, size);
}

static void give(void *memory, const char *file, int line)
{
    (void)file, (void)line;
    free(memory);
}

/* --- a file
 * ------------------------------------------------------------------------------------- */

static char path[] = "/tmp/test_authorities_XXXXXX";

static void extend(X509 *certificate, int what, const char *value)
{
    X509_EXTENSION *made = X509V3_EXT_conf_nid(NULL, NULL, what, value);
    assert_non_null(made);
    assert_int_equal(X509_add_ext(certificate, made, -1), 1);
    X509_EXTENSION_free(made);
}

/* Its key is of a kind that nobody knows. */
static void spoil_key(X509 *certificate)
{
    static const unsigned char bytes[] = "a key";
    unsigned char *copy = OPENSSL_memdup(bytes, sizeof bytes);
    X509_PUBKEY *key = X509_get_X509_PUBKEY(certificate);
    assert_int_equal(X509_PUBKEY_set0_param(key, OBJ_txt2obj("1.3.6.1.4.1.55555.1", 1),
                                            V_ASN1_UNDEF, NULL, copy, sizeof bytes),
                     1);
}

static void write_one(FILE *file, const char *name, bool known)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *made = X509_new();
    X509_NAME *subject = X509_get_subject_name(made);
    X509_set_version(made, X509_VERSION_3);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made, subject);
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_set_pubkey(made, key);
    if (!known)
        spoil_key(made);
    extend(made, NID_basic_constraints, "critical,CA:TRUE");
    extend(made, NID_key_usage, "critical,keyCertSign");
    assert_true(X509_sign(made, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(file, made), 1);
    X509_free(made);
    EVP_PKEY_free(key);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file)
        return -1;
    write_one(file, "first", true);
    write_one(file, "of another time", false);
    write_one(file, "second", true);
    return fclose(file);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

/* --- the tests
 * ---------------------------------------------------------------------------------- */

/* Both that can be are authorities, and knowing it takes no memory any more. */
static void assert_usable(SSL_CTX *context)
{
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
    int usable = 0;
    assert_int_equal(sk_X509_OBJECT_num(all), 3);
    none = true;
    for (int i = 0; i < 3; i++) {
        X509 *one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        usable += X509_check_ca(one) == 1 && X509_get0_pubkey(one);
    }
    none = false;
    ERR_clear_error();
    assert_int_equal(usable, 2);
}

static void all_are_loaded(void **state)
{
    (void)state;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_int_equal(tls_authorities_load(context, path), OK);
    assert_usable(context);
    SSL_CTX_free(context);
}

static void missing_memory_is_said(void **state)
{
    (void)state;
    unsigned failures = 0;
    long step = getenv("SALLYPORT_SOAK") ? 1 : 29;
    for (long nth = 1; nth < 100000; nth += step) {
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        left = nth;
        enum err err = tls_authorities_load(context, path);
        bool came = left == 0;
        left = 0;
        ERR_clear_error();
        if (err == OK)
            assert_usable(context);
        SSL_CTX_free(context);
        failures += err != OK;
        if (!came) {
            assert_int_equal(err, OK);
            break;
        }
    }
    assert_in_range(failures, 10, 99998);
}

static void what_is_no_file_of_certificates_is_refused(void **state)
{
    (void)state;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_int_equal(tls_authorities_load(context, "/nonexistent/ca.pem"), ERR_TLS);
    assert_int_equal(tls_authorities_load(context, "/dev/null"), ERR_TLS);
    ERR_clear_error();
    assert_int_equal(tls_authorities_load(context, NULL), OK);
    SSL_CTX_free(context);
}

int main(void)
{
    if (!CRYPTO_set_mem_functions(take, take_more, give))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_loaded),
        cmocka_unit_test(missing_memory_is_said),
        cmocka_unit_test(what_is_no_file_of_certificates_is_refused),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}

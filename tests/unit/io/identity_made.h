/* Certificates for tests, made with OpenSSL's own calls, and files of them. */
#ifndef TESTS_IO_IDENTITY_MADE_H
#define TESTS_IO_IDENTITY_MADE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define DAY_S 86400

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
};

static inline void identity_extend(X509 *certificate, int extension, const char *value)
{
    X509_EXTENSION *made = X509V3_EXT_conf_nid(NULL, NULL, extension, value);
    assert_non_null(made);
    assert_int_equal(X509_add_ext(certificate, made, -1), 1);
    X509_EXTENSION_free(made);
}

/* Takes over `key`. `issuer` NULL: signed by itself. `names` NULL: none but the subject. Times are
 * seconds from now. */
static inline struct identity identity_of_key(EVP_PKEY *key, const struct identity *issuer,
                                              const char *subject, const char *names, bool ca,
                                              long from_s, long until_s)
{
    static long serial;
    struct identity made = {.key = key, .certificate = X509_new()};
    assert_true(made.key && made.certificate);
    X509_set_version(made.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), from_s);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), until_s);
    X509_set_pubkey(made.certificate, made.key);
    X509_NAME *name = X509_get_subject_name(made.certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)subject, -1, -1, 0);
    const struct identity *signer = issuer ? issuer : &made;
    X509_set_issuer_name(made.certificate, X509_get_subject_name(signer->certificate));
    identity_extend(made.certificate, NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (names)
        identity_extend(made.certificate, NID_subject_alt_name, names);
    assert_true(X509_sign(made.certificate, signer->key, EVP_sha256()) > 0);
    return made;
}

static inline struct identity identity_make(const struct identity *issuer, const char *subject,
                                            const char *names, bool ca, long from_s, long until_s)
{
    return identity_of_key(EVP_EC_gen("P-256"), issuer, subject, names, ca, from_s, until_s);
}

static inline void identity_finish(struct identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
}

/* Writes a file of the certificate and, behind it, its issuer's (may be NULL). */
static inline void identity_save_certificate(const struct identity *identity,
                                             const struct identity *issuer, const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, identity->certificate), 1);
    if (issuer)
        assert_int_equal(PEM_write_X509(file, issuer->certificate), 1);
    assert_int_equal(fclose(file), 0);
}

/* `passphrase` NULL: not encrypted. */
static inline void identity_save_key(const struct identity *identity, const char *passphrase,
                                     const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, identity->key,
                                               passphrase ? EVP_aes_256_cbc() : NULL, NULL, 0, NULL,
                                               (void *)passphrase),
                     1);
    assert_int_equal(fclose(file), 0);
}

#endif

/* See tls_identities.h. The one hard problem: what people get wrong with such files is many things,
 * and each wants a sentence of its own, while OpenSSL says "no start line". */
#include "io/tls_identities.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { FILE_BYTES_MAX = 1024 * 1024 };

struct identity {
    char *file; /* of the certificate */
    X509 *certificate;
    STACK_OF(X509) * chain; /* without the certificate itself */
    EVP_PKEY *key;
    GENERAL_NAMES *names; /* NULL: none */
    uint64_t begins_epoch_s, expires_epoch_s;
};

struct tls_identities {
    atomic_uint references;
    unsigned count;
    struct identity list[];
};

/* --- reading files ------------------------------------------------------------------------------
 */

/* A whole file, wiped when it goes: it may hold a key. */
struct pem {
    char *bytes;
    size_t len;
};

static void pem_finish(struct pem *pem)
{
    if (!pem->bytes)
        return;
    explicit_bzero(pem->bytes, pem->len);
    free(pem->bytes);
}

static enum err read_open(struct pem *pem, int fd, struct faults *faults, const char *path)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > FILE_BYTES_MAX) {
        faults_add(faults, path, 0, NULL, "it is not a file of at most 1 MB");
        return ERR_CONFIG;
    }
    pem->bytes = malloc((size_t)status.st_size + 1);
    if (!pem->bytes)
        return ERR_MEMORY;
    ssize_t n = 1;
    while (pem->len < (size_t)status.st_size &&
           (n = read(fd, pem->bytes + pem->len, (size_t)status.st_size - pem->len)) > 0)
        pem->len += (size_t)n;
    if (n >= 0)
        return OK;
    faults_add(faults, path, 0, NULL, "it cannot be read: %s", strerror(errno));
    return ERR_CONFIG;
}

static enum err read_file(struct pem *pem, const char *path, struct faults *faults)
{
    /* Non-blocking: a FIFO nobody writes to must not hold up the thread. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        faults_add(faults, path, 0, NULL, "it cannot be read: %s", strerror(errno));
        return ERR_CONFIG;
    }
    enum err err = read_open(pem, fd, faults, path);
    close(fd);
    return err;
}

/* What OpenSSL says of the last failure; empties its queue. */
static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return text ? text : "unknown reason";
}

/* Nobody is there to type a passphrase; notes that one was wanted. */
static int no_passphrase(char *text, int size, int writing, void *asked)
{
    (void)text, (void)size, (void)writing;
    if (asked)
        *(bool *)asked = true;
    return -1;
}

/* The certificates behind the first one. */
static enum err parse_chain(struct identity *identity, BIO *bio, struct faults *faults)
{
    identity->chain = sk_X509_new_null();
    if (!identity->chain)
        return ERR_MEMORY;
    for (X509 *one; (one = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL));)
        if (!sk_X509_push(identity->chain, one)) {
            X509_free(one);
            return ERR_MEMORY;
        }
    if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) { /* the end of the file */
        ERR_clear_error();
        return OK;
    }
    faults_add(faults, identity->file, 0, NULL, "certificate number %d in it is damaged: %s",
               sk_X509_num(identity->chain) + 2, reason());
    return ERR_CONFIG;
}

static uint64_t epoch_of(const ASN1_TIME *time)
{
    struct tm tm;
    time_t epoch_s = ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm) : 0;
    return epoch_s > 0 ? (uint64_t)epoch_s : 0;
}

static enum err parse_certificate(struct identity *identity, BIO *bio, struct faults *faults)
{
    identity->certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    if (!identity->certificate) {
        faults_add(faults, identity->file, 0, NULL,
                   "it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----): %s",
                   reason());
        return ERR_CONFIG;
    }
    TRY(parse_chain(identity, bio, faults));
    identity->names = X509_get_ext_d2i(identity->certificate, NID_subject_alt_name, NULL, NULL);
    identity->begins_epoch_s = epoch_of(X509_get0_notBefore(identity->certificate));
    identity->expires_epoch_s = epoch_of(X509_get0_notAfter(identity->certificate));
    ERR_clear_error();
    return OK;
}

static enum err parse_key(struct identity *identity, const char *path, BIO *bio,
                          struct faults *faults)
{
    bool asked = false;
    identity->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
    if (identity->key)
        return OK;
    if (asked)
        faults_add(faults, path, 0, NULL,
                   "the key is encrypted, and nobody is there to type its passphrase: write it "
                   "without one, openssl pkey -in FILE -out NEWFILE");
    else
        faults_add(faults, path, 0, NULL,
                   "it holds no private key in PEM form (-----BEGIN PRIVATE KEY-----): %s",
                   reason());
    ERR_clear_error();
    return ERR_CONFIG;
}

static enum err load_certificate(struct identity *identity, struct faults *faults)
{
    AUTO(pem) text = {0};
    TRY(read_file(&text, identity->file, faults));
    BIO *bio = BIO_new_mem_buf(text.bytes, (int)text.len);
    enum err err = bio ? parse_certificate(identity, bio, faults) : ERR_MEMORY;
    BIO_free(bio);
    return err;
}

static enum err load_key(struct identity *identity, const char *path, struct faults *faults)
{
    AUTO(pem) text = {0};
    TRY(read_file(&text, path, faults));
    BIO *bio = BIO_new_mem_buf(text.bytes, (int)text.len);
    enum err err = bio ? parse_key(identity, path, bio, faults) : ERR_MEMORY;
    BIO_free(bio);
    return err;
}

/* --- what fits together -------------------------------------------------------------------------
 */

/* Whether OpenSSL would serve with it, at the level of security that the system asks for. */
static enum err try_out(const struct identity *identity, struct faults *faults)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        return ERR_MEMORY;
    bool usable = SSL_CTX_use_cert_and_key(context, identity->certificate, identity->key,
                                           identity->chain, 1) == 1;
    SSL_CTX_free(context);
    if (!usable)
        faults_add(faults, identity->file, 0, NULL, "the certificate cannot be used: %s", reason());
    ERR_clear_error();
    return usable ? OK : ERR_CONFIG;
}

static void warn_of_dates(const struct identity *identity, uint64_t now_epoch_s,
                          struct faults *faults)
{
    bool early = now_epoch_s < identity->begins_epoch_s;
    if (!early && now_epoch_s < identity->expires_epoch_s)
        return;
    char memory[32];
    struct buffer date = BUFFER_OVER(memory, sizeof memory);
    clock_print_rfc3339(&date,
                        SECOND_US * (early ? identity->begins_epoch_s : identity->expires_epoch_s));
    faults_warn(faults, identity->file, 0, NULL, "the certificate %s %s; clients will not trust it",
                early ? "is not valid before" : "expired on", buffer_text_of(&date));
}

static enum err load_pair(struct identity *identity, const char *certificate, const char *key,
                          uint64_t wall_us, struct faults *faults)
{
    identity->file = strdup(certificate);
    if (!identity->file)
        return ERR_MEMORY;
    enum err err = load_certificate(identity, faults);
    enum err key_err = err == ERR_MEMORY ? OK : load_key(identity, key, faults);
    TRY(err);
    TRY(key_err);
    if (X509_check_private_key(identity->certificate, identity->key) != 1) {
        ERR_clear_error();
        faults_add(faults, key, 0, NULL,
                   "the key does not belong to the first certificate in %s; the server's own "
                   "certificate comes first there, those of its issuers after it",
                   certificate);
        return ERR_CONFIG;
    }
    TRY(try_out(identity, faults));
    warn_of_dates(identity, wall_us / SECOND_US, faults);
    return OK;
}

enum err tls_identities_load(char *const *certificates, char *const *keys, unsigned count,
                             uint64_t wall_us, struct tls_identities **identities,
                             struct faults *faults)
{
    struct tls_identities *made = calloc(1, sizeof *made + count * sizeof *made->list);
    if (!made)
        return ERR_MEMORY;
    atomic_init(&made->references, 1);
    enum err err = count ? OK : ERR_CONFIG, one = OK;
    for (; made->count < count && one != ERR_MEMORY; made->count++) {
        one = load_pair(&made->list[made->count], certificates[made->count], keys[made->count],
                        wall_us, faults);
        err = one ? one : err;
    }
    if (err) {
        tls_identities_unref(made);
        return err;
    }
    *identities = made;
    return OK;
}

void tls_identities_ref(struct tls_identities *identities)
{
    atomic_fetch_add_explicit(&identities->references, 1, memory_order_relaxed);
}

void tls_identities_unref(struct tls_identities *identities)
{
    if (!identities ||
        atomic_fetch_sub_explicit(&identities->references, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < identities->count; i++) {
        struct identity *one = &identities->list[i];
        free(one->file);
        X509_free(one->certificate);
        sk_X509_pop_free(one->chain, X509_free);
        EVP_PKEY_free(one->key); /* OpenSSL wipes it */
        GENERAL_NAMES_free(one->names);
    }
    free(identities);
}

const char *tls_identities_expiry(const struct tls_identities *identities, unsigned i,
                                  uint64_t *epoch_s)
{
    if (i >= identities->count)
        return NULL;
    *epoch_s = identities->list[i].expires_epoch_s;
    return identities->list[i].file;
}

/* --- serving ------------------------------------------------------------------------------------
 */

enum err tls_identities_serve(const struct tls_identities *identities, SSL_CTX *context)
{
    const struct identity *first = &identities->list[0];
    bool used =
        SSL_CTX_use_cert_and_key(context, first->certificate, first->key, first->chain, 1) == 1;
    ERR_clear_error();
    return used ? OK : ERR_TLS;
}

enum match { NO_MATCH, WILDCARD, EXACT };

/* RFC 6125, section 6.4.3: a star stands for one whole label, the first. */
static enum match match_pattern(struct slice pattern, struct slice name)
{
    if (slice_equal_nocase(pattern, name))
        return EXACT;
    if (!slice_starts(pattern, SLICE("*.")))
        return NO_MATCH;
    size_t dot = slice_find(name, '.');
    return dot > 0 && dot < name.len &&
                   slice_equal_nocase(slice_from(pattern, 1), slice_from(name, dot))
               ? WILDCARD
               : NO_MATCH;
}

static enum match match_identity(const struct identity *identity, struct slice name)
{
    enum match best = NO_MATCH;
    for (int i = 0; i < sk_GENERAL_NAME_num(identity->names); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(identity->names, i);
        if (one->type != GEN_DNS)
            continue;
        struct slice pattern = slice_make((const char *)ASN1_STRING_get0_data(one->d.dNSName),
                                          (size_t)ASN1_STRING_length(one->d.dNSName));
        enum match match = match_pattern(pattern, name);
        best = match > best ? match : best;
    }
    return best;
}

bool tls_identities_choose(const struct tls_identities *identities, struct slice name, SSL *ssl)
{
    enum match best = NO_MATCH;
    for (unsigned i = 0; i < identities->count; i++) {
        enum match match = match_identity(&identities->list[i], name);
        best = match > best ? match : best;
    }
    if (best == NO_MATCH || identities->count == 1)
        return best != NO_MATCH;
    SSL_certs_clear(ssl);
    for (unsigned i = 0; i < identities->count; i++) {
        const struct identity *one = &identities->list[i];
        if (match_identity(one, name) == best) /* of one kind of key, the first stays */
            SSL_use_cert_and_key(ssl, one->certificate, one->key, one->chain, 0);
    }
    ERR_clear_error();
    return true;
}

/* Who we are towards clients: certificate chains and their keys, read from PEM files once. The
 * names in the certificates (subjectAltName; the subject's own name is not asked) say which one a
 * client gets. Immutable; shared by threads. */
#ifndef IO_TLS_IDENTITIES_H
#define IO_TLS_IDENTITIES_H

#include "base/fault.h"

struct tls_identities;
struct ssl_st;
struct ssl_ctx_st;

/* Pairs of files; the first pair is for clients that ask for no name or for an unknown one.
 * ERR_CONFIG: `faults` has a sentence for every file that is wrong; a certificate that is out of
 * date is a warning there. ERR_MEMORY. */
enum err tls_identities_load(char *const *certificates, char *const *keys, unsigned count,
                             uint64_t wall_us, struct tls_identities **identities,
                             struct faults *faults) MUST_CHECK;
void tls_identities_ref(struct tls_identities *identities);
void tls_identities_unref(struct tls_identities *identities); /* NULL is fine */

/* The file of certificate `i`, and when it expires; NULL when there is no such certificate. */
const char *tls_identities_expiry(const struct tls_identities *identities, unsigned i,
                                  uint64_t *epoch_s);

/* For tls_server.c. The first pair becomes the context's own. ERR_TLS. */
enum err tls_identities_serve(const struct tls_identities *identities,
                              struct ssl_ctx_st *context) MUST_CHECK;
/* Gives a handshake the certificates for a name: all of them, one for each kind of key, so that a
 * client that cannot use one gets the other. False: none is for it, nothing changed. */
bool tls_identities_choose(const struct tls_identities *identities, struct slice name,
                           struct ssl_st *ssl);

#endif

/* Verifying what is slow to verify: in a job, while the exchanges that presented it wait. One
 * claim is verified once at a time, however many requests bring it. */
#ifndef GATEWAY_VERIFICATION_H
#define GATEWAY_VERIFICATION_H

#include "gateway/gate.h"
#include "identity/credentials.h"

/* An exchange's place in a verification, and then what came of it. */
struct verification_wait {
    struct list link;
    struct exchange *x;
    struct verification *verification;
    bool by_key;  /* else a name and a password */
    enum err err; /* ERR_DENIED; ERR_LIMIT: too many tries, see retry_in_us; ERR_MEMORY; ERR_CLOSED:
                     the gateway ends */
    uint64_t retry_in_us;
    struct credential *found; /* on OK, with a reference */
};

/* WAIT: gate_run is called when x->wait tells the outcome; or REFUSE. Copies what it needs. The
 * address was charged before; a wrong try is charged to the claim's name by this address, too. */
enum verdict verification_begin(struct exchange *x, const uint8_t digest[SHA256_BYTES],
                                const struct claim *claim);

#endif

/* Their turn: a slot of the upstream's. Since reading the body took time, the key, session or
 * password is looked at once more: what was revoked, disabled, changed or banned meanwhile opens
 * nothing.
 */
#include "base/clock.h"
#include "gateway/gate.h"

/* What the caller may do now. A session ends when the role of its account changes. */
static permissions rights_of(const struct exchange *x)
{
    if (x->principal.key)
        return api_key_permissions(x->principal.key);
    if (x->principal.credential)
        return credential_permissions(x->principal.credential, x->worker->files);
    return x->principal.permissions;
}

enum verdict check_admit(struct exchange *x)
{
    const struct api_key *key = x->principal.key;
    if (key && !api_key_stands(key, clock_credential_s()))
        return refuse(x, REFUSE_BAD_CREDENTIAL);
    const struct session *session = x->principal.session;
    if (session && !session_stands(session, clock_credential_s()))
        return refuse(x, REFUSE_BAD_CREDENTIAL);
    const struct credential *credential = x->principal.credential;
    if (credential && !credential_stands(credential, x->worker->files, clock_credential_s()))
        return refuse(x, REFUSE_BAD_CREDENTIAL);
    if (check_ban_of_client(x) == REFUSE || check_ban_of_key(x) == REFUSE)
        return REFUSE;
    /* Also when what was lost is none that this needs: that was looked at, and is not once more. */
    if (x->principal.permissions & ~rights_of(x))
        return refuse(x, REFUSE_PERMISSION);
    if (atomic_load_explicit(&x->worker->shared->left, memory_order_acquire))
        return refuse(x, REFUSE_SHUTTING_DOWN);
    if (!x->upstream)
        return PASS;
    if (!upstream_admit(x->upstream)) {
        x->retry_after_s = 1;
        return refuse(x, REFUSE_UPSTREAM_BUSY);
    }
    x->slot_taken = true;
    return PASS;
}

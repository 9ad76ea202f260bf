/* See verification.h. Its one hard problem is that clients go meanwhile while a job cannot be
 * stopped: the job works with references and copies of its own, and what nobody waits for any more
 * is not even begun. */
#include "gateway/verification.h"

#include <stdlib.h>

#include "base/clock.h"
#include "guard/login_rate.h"

struct verification {
    struct job job;
    struct list link;  /* in worker->verifications */
    struct list waits; /* of exchanges; of the worker's thread */
    struct worker *worker;
    struct credential_files *files; /* a reference, or NULL */
    uint64_t from;                  /* the address_hash of who asked first */
    uint8_t digest[SHA256_BYTES];
    struct claim claim;
    atomic_bool abandoned; /* nobody waits any more, nor will */
    enum err err;
    uint64_t retry_in_us;
    struct credential *found;
    char memory[]; /* what `claim` points to; wiped at the end */
};

/* --- the job ------------------------------------------------------------------------------------
 */

static enum err verify(struct verification *v)
{
    struct shared *shared = v->worker->shared;
    struct slice name = v->claim.name;
    struct rate_verdict verdict = login_charge(shared->rates, v->from, name, clock_now_us());
    if (!verdict.admitted) {
        v->retry_in_us = verdict.retry_in_us;
        return ERR_LIMIT;
    }
    enum err err = credentials_verify(shared->credentials, shared->accounts, shared->keyring,
                                      v->files, &v->claim, clock_credential_s(), &v->found);
    if (err != ERR_DENIED)
        login_refund(shared->rates, v->from, name, clock_now_us());
    return err;
}

static void run(struct job *job)
{
    struct verification *v = CONTAINER_OF(job, struct verification, job);
    if (!atomic_load_explicit(&v->abandoned, memory_order_relaxed))
        v->err = verify(v);
}

static void release(struct verification *v)
{
    credential_unref(v->found);
    credential_files_unref(v->files);
    explicit_bzero(v->memory, v->claim.text.len);
    free(v);
}

static void done(struct job *job)
{
    struct verification *v = CONTAINER_OF(job, struct verification, job);
    list_remove(&v->link); /* what comes now finds it remembered, or is verified anew */
    for (struct list *link; (link = list_pop(&v->waits));) {
        struct verification_wait *wait = LIST_OF(link, struct verification_wait, link);
        struct exchange *x = wait->x;
        wait->err = v->err;
        wait->retry_in_us = v->retry_in_us;
        wait->found = v->found;
        if (v->found)
            credential_ref(v->found);
        x->native_cancel = NULL;
        gate_run(x); /* others that wait may end by it, too: their client is the same */
    }
    release(v);
}

/* --- from the exchange --------------------------------------------------------------------------
 */

static void cancel(struct exchange *x)
{
    struct verification *v = x->wait->verification;
    list_remove(&x->wait->link);
    if (list_empty(&v->waits))
        atomic_store_explicit(&v->abandoned, true, memory_order_relaxed);
}

static enum verdict refuse_busy(struct exchange *x)
{
    x->retry_after_s = 1;
    return refuse(x, REFUSE_LOGIN_BUSY);
}

static struct verification *find_running(struct worker *worker, const uint8_t digest[SHA256_BYTES])
{
    LIST_EACH(link, &worker->verifications)
    {
        struct verification *v = LIST_OF(link, struct verification, link);
        if (digest_equal(v->digest, digest, SHA256_BYTES) && !list_empty(&v->waits))
            return v;
    }
    return NULL;
}

static struct slice moved(struct slice part, const char *from, const char *to)
{
    return slice_make(to + (part.ptr - from), part.len);
}

static struct verification *create(struct exchange *x, const uint8_t digest[SHA256_BYTES],
                                   const struct claim *claim)
{
    struct verification *v = calloc(1, sizeof *v + claim->text.len);
    if (!v)
        return NULL;
    const char *from = claim->text.ptr;
    memcpy(v->memory, from, claim->text.len);
    v->claim = (struct claim){.by_key = claim->by_key,
                              .text = moved(claim->text, from, v->memory),
                              .name = moved(claim->name, from, v->memory),
                              .secret = moved(claim->secret, from, v->memory),
                              .public_id = moved(claim->public_id, from, v->memory)};
    memcpy(v->digest, digest, SHA256_BYTES);
    v->job = (struct job){.run = run, .done = done, .home = &x->worker->loop};
    v->worker = x->worker;
    v->files = x->worker->files;
    if (v->files)
        credential_files_ref(v->files);
    v->from = x->client_hash;
    v->err = ERR_CLOSED; /* when the pool ends before it is run */
    list_init(&v->link);
    list_init(&v->waits);
    return v;
}

static enum verdict wait_for(struct exchange *x, struct verification *v)
{
    x->wait->verification = v;
    list_append(&v->waits, &x->wait->link);
    x->native_cancel = cancel;
    return WAIT;
}

enum verdict verification_begin(struct exchange *x, const uint8_t digest[SHA256_BYTES],
                                const struct claim *claim)
{
    struct worker *worker = x->worker;
    x->wait = ARENA_NEW(&x->arena, struct verification_wait);
    if (!x->wait)
        return refuse(x, REFUSE_OVERLOADED);
    list_init(&x->wait->link);
    x->wait->x = x;
    x->wait->by_key = claim->by_key;
    struct verification *v = find_running(worker, digest);
    if (v)
        return wait_for(x, v);
    v = create(x, digest, claim);
    if (!v)
        return refuse(x, REFUSE_OVERLOADED);
    if (jobs_submit(worker->shared->jobs, LANE_HASH, &v->job) != OK) {
        release(v);
        return refuse_busy(x);
    }
    list_append(&worker->verifications, &v->link);
    return wait_for(x, v);
}

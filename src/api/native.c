/* Errands: native endpoints whose answer waits for the disk or for a password to be hashed. Its one
 * hard problem is that the client may go meanwhile, while the job cannot be stopped: the errand
 * then forgets its exchange, is finished all the same (a change that was asked for is made), and
 * holds whatever it needs by references and copies of its own. */
#include "api/native.h"

#include <stdlib.h>

#include "api/caller.h"
#include "api/document.h"

enum { ANSWER_BYTES_MAX = 4 * 1024 * 1024 };

struct errand {
    struct job job;
    struct exchange *x; /* NULL: the client is gone */
    atomic_bool gone;   /* the same, for the thread that runs it */
    const struct errand_plan *plan;
    struct desk *desk;
    const struct shared *shared;
    struct snapshot *snapshot;     /* a reference: settings and token keys */
    struct api_key *key;           /* a reference, or NULL */
    struct session *session;       /* the same */
    struct credential *credential; /* the same */
    struct caller caller;
    struct slice id, query, body;
    bool form;
    enum err err;
    struct buffer answer;
    struct document_refusal refusal;
    size_t memory_bytes;
    char memory[]; /* what the slices point to, the caller's too: wiped at the end */
};

// clang-format off
static const struct {
    const char *code;
    enum refusal refusal;
} refusals[] = {
    {"usage",           REFUSE_BAD_PARAMETER},
    {"denied",          REFUSE_PERMISSION},
    {"unauthenticated", REFUSE_BAD_LOGIN},
    {"not_found",       REFUSE_NOT_FOUND},
    {"conflict",        REFUSE_CONFLICT},
    {"rate",            REFUSE_LOGIN_RATE},
    {"limit",           REFUSE_CONFLICT},
    {"store",           REFUSE_STORE},
    {"audit",           REFUSE_STORE},
    {"memory",          REFUSE_OVERLOADED},
    {"closing",         REFUSE_SHUTTING_DOWN},
};
// clang-format on

static void refuse_now(struct exchange *x, enum refusal refusal)
{
    refuse(x, refusal);
    exchange_refuse(x);
}

/* --- the job ------------------------------------------------------------------------------------
 */

static void run(struct job *job)
{
    struct errand *errand = CONTAINER_OF(job, struct errand, job);
    const struct document_request request = {
        .verb = errand->plan->verb,
        .id = errand->id,
        .query = errand->query,
        .body = errand->body,
        .form = errand->form,
    };
    struct document_answer answer = {
        .member = errand->plan->member, .list = errand->plan->list, .body = &errand->answer};
    errand->err = document_run(errand->desk, &errand->caller, &request, &answer, &errand->refusal);
}

static void refuse_as_told(struct exchange *x, const struct document_refusal *told)
{
    enum refusal refusal = REFUSE_INTERNAL;
    for (size_t i = 0; i < COUNT_OF(refusals); i++)
        if (strcmp(told->code, refusals[i].code) == 0)
            refusal = refusals[i].refusal;
    const char *param = told->param[0] ? arena_copy(&x->arena, slice_of(told->param)).ptr : NULL;
    x->retry_after_s = told->retry_after_s;
    x->tried_name = told->tried;
    if (refusal == REFUSE_INTERNAL) /* its sentence is about us, and for nobody outside */
        refuse(x, refusal);
    else
        refuse_with(x, refusal, param, "%s", told->message);
    exchange_refuse(x);
}

static void release(struct errand *errand)
{
    api_key_unref(errand->key);
    session_unref(errand->session);
    credential_unref(errand->credential);
    snapshot_unref(errand->snapshot);
    if (errand->answer.bytes) /* tokens and keys */
        explicit_bzero(errand->answer.bytes, errand->answer.len);
    buffer_finish(&errand->answer);
    explicit_bzero(errand->memory, errand->memory_bytes);
    free(errand);
}

static void done(struct job *job)
{
    struct errand *errand = CONTAINER_OF(job, struct errand, job);
    struct exchange *x = errand->x;
    if (x)
        x->native_cancel = NULL;
    if (x && errand->err == OK)
        exchange_answer(x, errand->plan->status, errand->plan->member ? "application/json" : NULL,
                        buffer_slice(&errand->answer));
    else if (x && errand->err == ERR_DENIED)
        refuse_as_told(x, &errand->refusal);
    else if (x)
        refuse_now(x, errand->err == ERR_CLOSED ? REFUSE_SHUTTING_DOWN : REFUSE_OVERLOADED);
    release(errand);
}

static void cancel(struct exchange *x)
{
    struct errand *errand = x->native_state;
    errand->x = NULL;
    atomic_store_explicit(&errand->gone, true, memory_order_relaxed);
}

/* --- from the exchange --------------------------------------------------------------------------
 */

static struct slice put(char **at, struct slice text)
{
    char *start = *at;
    if (text.len)
        memcpy(start, text.ptr, text.len);
    *at += text.len;
    return slice_make(start, text.len);
}

static void hold(struct errand *errand, const struct exchange *x)
{
    errand->shared = x->worker->shared;
    errand->snapshot = x->use->snapshot;
    snapshot_ref(errand->snapshot);
    errand->key = x->principal.key;
    if (errand->key)
        api_key_ref(errand->key);
    errand->session = x->principal.session;
    if (errand->session)
        session_ref(errand->session);
    errand->credential = x->principal.credential;
    if (errand->credential)
        credential_ref(errand->credential);
}

/* What only reads may be given up when the client is, and when the gate closes. */
static bool is_wanted(void *context)
{
    struct errand *errand = context;
    return !atomic_load_explicit(&errand->gone, memory_order_relaxed) &&
           !atomic_load_explicit(&errand->shared->left, memory_order_relaxed);
}

static void introduce(struct errand *errand, const struct exchange *x, char **at)
{
    struct session *session = errand->session;
    errand->caller = (struct caller){
        .permissions = x->principal.permissions,
        .key = errand->key,
        .account = session ? session->account : NULL,
        .session = slice_of(session ? session->id : NULL),
        .signed_in = session,
        .credential = errand->credential,
        .actor = put(at, exchange_actor(x)),
        .ip = x->client,
        .method = slice_of(http_method_name(x->head->method)),
        .path = put(at, x->head->path),
        .request_id = put(at, slice_make(x->request_id, 32)),
        .settings = errand->snapshot->settings,
        .tokens = &errand->snapshot->tokens,
        .rates = x->worker->shared->rates,
        .is_wanted = is_wanted,
        .waiter = errand,
    };
}

/* The body's bytes leave the pool's blocks, where the next body would find them. */
static void take_body(struct exchange *x, char *room)
{
    for (struct block *block = x->body.first; block; block = block->next) {
        memcpy(room, block->bytes, block->len);
        room += block->len;
        explicit_bzero(block->bytes, block->len);
    }
    body_release(&x->body, &x->worker->request_blocks);
}

static struct errand *create(struct exchange *x)
{
    const struct request_head *head = x->head;
    size_t size = exchange_actor(x).len + head->path.len + 32 + x->path_rest.len + head->query.len +
                  x->body.len;
    struct errand *errand = calloc(1, sizeof *errand + size);
    if (!errand)
        return NULL;
    char *at = errand->memory;
    errand->memory_bytes = size;
    hold(errand, x);
    introduce(errand, x, &at);
    errand->id = put(&at, x->path_rest);
    errand->query = put(&at, head->query);
    errand->body = slice_make(at, x->body.len);
    errand->form = x->body_is_form;
    take_body(x, at);
    errand->job = (struct job){.run = run, .done = done, .home = &x->worker->loop};
    errand->x = x;
    errand->plan = x->native->plan;
    errand->desk = x->worker->shared->desk;
    errand->err = ERR_CLOSED; /* also when the pool ends before it is run */
    buffer_init(&errand->answer, ANSWER_BYTES_MAX);
    return errand;
}

void answer_errand(struct exchange *x)
{
    const struct errand_plan *plan = x->native->plan;
    if (plan->signs && secret_empty(&exchange_settings(x)->security.jwt_secret)) {
        refuse_with(x, REFUSE_TURNED_OFF, NULL,
                    "Signing in with a password is off here: security.jwt_secret is not set.");
        exchange_refuse(x);
        return;
    }
    if (x->native->body != NATIVE_NO_BODY && x->head->query.len) {
        refuse_with(x, REFUSE_BAD_PARAMETER, NULL,
                    "Send this in the body of the request: a URL ends up in logs.");
        exchange_refuse(x);
        return;
    }
    struct errand *errand = create(x);
    if (!errand) {
        refuse_now(x, REFUSE_OVERLOADED);
        return;
    }
    x->native_state = errand;
    x->native_cancel = cancel;
    if (jobs_submit(x->worker->shared->jobs, plan->lane, &errand->job) == OK)
        return;
    x->native_cancel = NULL;
    release(errand);
    refuse_now(x, REFUSE_OVERLOADED);
}

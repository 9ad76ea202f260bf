/* Rings, sinks and the one thread that carries lines from the former to the latter. Event loops
 * call record_exchange; any thread may call log_line, whose lines come here too. The hard problem
 * is that nobody ever waits for a disk: a loop formats into its own ring and goes on, and what does
 * not fit, or cannot be written, is counted. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "record/line.h"
#include "record/metrics.h"
#include "record/ring.h"
#include "record/sink.h"

enum {
    RING_BYTES = 2 * 1024 * 1024,
    APP_RING_BYTES = 256 * 1024,
    SINKS_MAX = 32,     /* a line's sinks are bits of one word; the first is the application log */
    WAKE_MS = 200,      /* lines are on disk within a second */
    ROUND_LINES = 4096, /* taken from one ring before the next one has its turn */
    ROUNDS_MAX = RING_BYTES / 16 / ROUND_LINES + 1, /* no line takes less than 16 bytes of a ring */
};

#define TO_APP UINT32_C(1)

struct record_ring {
    struct ring ring;
    struct recorder *recorder;
    struct second_text second;
    struct counters counters;
};

struct recorder {
    struct record_ring *rings;
    unsigned ring_count;
    unsigned sink_count;
    uint32_t to_access;            /* the sinks of an access line */
    atomic_bool app_requests;      /* a line for each request in the application log too */
    _Atomic enum log_level lowest; /* of those lines */
    struct sink sinks[SINKS_MAX];
    /* log_line's end: any thread, one at a time. */
    pthread_mutex_t app_lock;
    struct ring app_ring;
    /* To the writer thread. */
    int wake_fd;
    atomic_bool awake; /* it was woken and has not looked yet */
    atomic_bool reopen, stop;
    bool has_thread;
    pthread_t thread;
};

/* log_line has no context of its own. Set while a recorder is its sink. */
static struct recorder *logging;

static void wake(struct recorder *recorder)
{
    if (atomic_exchange(&recorder->awake, true))
        return;
    uint64_t one = 1;
    ssize_t ignored = write(recorder->wake_fd, &one, sizeof one);
    (void)ignored; /* it looks every WAKE_MS anyway */
}

static void queue_log_line(struct slice line)
{
    struct recorder *recorder = logging;
    pthread_mutex_lock(&recorder->app_lock);
    char *room = ring_reserve(&recorder->app_ring, line.len);
    if (room) {
        memcpy(room, line.ptr, line.len);
        ring_commit(&recorder->app_ring, line.len, TO_APP);
    } else {
        ring_drop(&recorder->app_ring);
    }
    bool full = ring_half_full(&recorder->app_ring);
    pthread_mutex_unlock(&recorder->app_lock);
    if (full)
        wake(recorder);
    /* When the log itself cannot be written, the operator hears of it where the program was
     * started. */
    struct sink *app = &recorder->sinks[0];
    if (atomic_load_explicit(&app->failing, memory_order_relaxed) && app->path) {
        ssize_t ignored = write(STDERR_FILENO, line.ptr, line.len);
        (void)ignored;
    }
}

/* Moves what waits in a ring into its sinks; true when there was more than one round's worth. */
static bool drain(struct recorder *recorder, struct ring *ring)
{
    struct slice line;
    uint32_t to;
    for (unsigned n = 0; n < ROUND_LINES; n++) {
        if (!ring_peek(ring, &line, &to))
            return false;
        for (unsigned i = 0; i < recorder->sink_count; i++)
            if (to & UINT32_C(1) << i)
                sink_add(&recorder->sinks[i], line);
        ring_release(ring);
    }
    return true;
}

static void flush_all(struct recorder *recorder)
{
    for (unsigned i = 0; i < recorder->sink_count; i++)
        sink_flush(&recorder->sinks[i]);
}

/* Everything that was committed before the call is written when it returns. The rounds are bounded,
 * so that a loop which writes as fast as we read cannot hold us here. */
static void write_out(struct recorder *recorder)
{
    bool more = true;
    for (unsigned round = 0; more && round < ROUNDS_MAX; round++) {
        more = drain(recorder, &recorder->app_ring);
        for (unsigned i = 0; i < recorder->ring_count; i++)
            more |= drain(recorder, &recorder->rings[i].ring);
    }
    flush_all(recorder);
}

static void *writer_run(void *context)
{
    struct recorder *recorder = context;
    struct pollfd woken = {.fd = recorder->wake_fd, .events = POLLIN};
    for (bool stop = false; !stop;) {
        uint64_t ignored;
        if (poll(&woken, 1, WAKE_MS) > 0 && read(recorder->wake_fd, &ignored, sizeof ignored) > 0)
            atomic_store(&recorder->awake, false);
        /* Read before the rings: lines from before the request go to the old files. */
        stop = atomic_load(&recorder->stop);
        bool reopen = atomic_exchange(&recorder->reopen, false);
        write_out(recorder);
        for (unsigned i = 0; reopen && i < recorder->sink_count; i++)
            sink_reopen(&recorder->sinks[i]);
    }
    return NULL;
}

static enum err create_rings(struct recorder *recorder, unsigned rings)
{
    size_t bytes;
    if (__builtin_mul_overflow(rings, sizeof *recorder->rings, &bytes))
        return ERR_MEMORY;
    recorder->rings = aligned_alloc(_Alignof(struct record_ring), bytes);
    if (!recorder->rings)
        return ERR_MEMORY;
    memset(recorder->rings, 0, bytes);
    for (; recorder->ring_count < rings; recorder->ring_count++) {
        struct record_ring *ring = &recorder->rings[recorder->ring_count];
        TRY(ring_create(&ring->ring, RING_BYTES));
        ring->recorder = recorder;
        counters_init(&ring->counters);
    }
    return OK;
}

static enum err add_sink(struct recorder *recorder, const char *path)
{
    TRY(sink_open(&recorder->sinks[recorder->sink_count], path));
    recorder->sink_count++;
    return OK;
}

static enum err open_sinks(struct recorder *recorder, const struct settings *settings)
{
    TRY(add_sink(recorder, settings->log.app));
    for (unsigned i = 0; i < settings->log.access_count; i++) {
        if (recorder->sink_count == SINKS_MAX) {
            log_warning("only the first %d access logs are written", SINKS_MAX - 1);
            break;
        }
        recorder->to_access |= UINT32_C(1) << recorder->sink_count;
        TRY(add_sink(recorder, settings->log.access[i].path));
    }
    return OK;
}

/* The thread takes no signal: signalfd in the loops has them, and a closed pipe is an error code.
 */
static enum err start_thread(struct recorder *recorder)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&recorder->thread, NULL, writer_run, recorder);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    recorder->has_thread = failed == 0;
    return failed ? ERR_IO : OK;
}

void recorder_configure(struct recorder *recorder, const struct settings *settings)
{
    atomic_store_explicit(&recorder->app_requests, settings->log.app_requests,
                          memory_order_relaxed);
    atomic_store_explicit(&recorder->lowest, settings->log.level, memory_order_relaxed);
    log_set_level(settings->log.level);
}

static enum err start(struct recorder *recorder, const struct settings *settings, unsigned rings)
{
    recorder->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (recorder->wake_fd < 0)
        return ERR_IO;
    recorder_configure(recorder, settings);
    TRY(create_rings(recorder, rings));
    TRY(ring_create(&recorder->app_ring, APP_RING_BYTES));
    TRY(open_sinks(recorder, settings));
    logging = recorder;
    log_set_sink(queue_log_line); /* before the thread, whose sinks may have something to say */
    return start_thread(recorder);
}

enum err recorder_create(const struct settings *settings, unsigned rings, struct recorder **created)
{
    struct recorder *recorder = aligned_alloc(_Alignof(struct recorder), sizeof(struct recorder));
    if (!recorder)
        return ERR_MEMORY;
    memset(recorder, 0, sizeof *recorder);
    recorder->wake_fd = -1;
    pthread_mutex_init(&recorder->app_lock, NULL);
    enum err err = start(recorder, settings, rings);
    if (err) {
        recorder_destroy(recorder);
        return err;
    }
    *created = recorder;
    return OK;
}

void recorder_destroy(struct recorder *recorder)
{
    if (!recorder)
        return;
    if (recorder->has_thread) {
        atomic_store(&recorder->stop, true);
        wake(recorder);
        pthread_join(recorder->thread, NULL);
    }
    if (logging == recorder) {
        log_set_sink(NULL);
        logging = NULL;
    }
    write_out(recorder); /* what was logged meanwhile, by the sinks themselves too */
    for (unsigned i = 0; i < recorder->sink_count; i++)
        sink_finish(&recorder->sinks[i]);
    for (unsigned i = 0; i < recorder->ring_count; i++)
        ring_finish(&recorder->rings[i].ring);
    ring_finish(&recorder->app_ring);
    if (recorder->wake_fd >= 0)
        (void)close(recorder->wake_fd);
    pthread_mutex_destroy(&recorder->app_lock);
    free(recorder->rings);
    free(recorder);
}

void recorder_reopen(struct recorder *recorder)
{
    atomic_store(&recorder->reopen, true);
    wake(recorder);
}

struct record_ring *recorder_ring(struct recorder *recorder, unsigned i)
{
    invariant(i < recorder->ring_count);
    return &recorder->rings[i];
}

const struct counters *recorder_counters(const struct recorder *recorder, unsigned i)
{
    invariant(i < recorder->ring_count);
    return &recorder->rings[i].counters;
}

unsigned recorder_ring_count(const struct recorder *recorder)
{
    return recorder->ring_count;
}

uint64_t recorder_dropped_lines(const struct recorder *recorder)
{
    uint64_t dropped = atomic_load_explicit(&recorder->app_ring.dropped, memory_order_relaxed);
    for (unsigned i = 0; i < recorder->ring_count; i++)
        dropped += atomic_load_explicit(&recorder->rings[i].ring.dropped, memory_order_relaxed);
    for (unsigned i = 0; i < recorder->sink_count; i++)
        dropped += atomic_load_explicit(&recorder->sinks[i].lost, memory_order_relaxed);
    return dropped;
}

typedef void line_print_fn(struct buffer *out, const struct exchange_record *record,
                           struct second_text *second);

static void queue_line(struct record_ring *ring, const struct exchange_record *record, uint32_t to,
                       line_print_fn *print)
{
    char *room = ring_reserve(&ring->ring, LINE_MAX_BYTES);
    if (!room) {
        ring_drop(&ring->ring);
        return;
    }
    struct buffer line = BUFFER_OVER(room, LINE_MAX_BYTES);
    print(&line, record, &ring->second);
    if (line.failed)
        ring_drop(&ring->ring);
    else
        ring_commit(&ring->ring, line.len, to);
}

void record_exchange(struct record_ring *ring, const struct exchange_record *record)
{
    struct recorder *recorder = ring->recorder;
    counters_add(&ring->counters, record);
    if (recorder->to_access)
        queue_line(ring, record, recorder->to_access, line_print_access);
    if (atomic_load_explicit(&recorder->app_requests, memory_order_relaxed) &&
        line_level(record) >= atomic_load_explicit(&recorder->lowest, memory_order_relaxed))
        queue_line(ring, record, TO_APP, line_print_app);
    if (ring_half_full(&ring->ring))
        wake(recorder);
}

void record_event(struct record_ring *ring, unsigned event)
{
    counters_add_event(&ring->counters, event);
}

/* Gives memory back to the system. Called by the supervisor, on its own thread. After a burst, say
 * two thousand clients that send slowly, most of the heap is free, but in pieces between what is
 * still in use, and the heap keeps such pages unless it is asked for them (malloc_trim).
 *
 * The hard problem is when to ask: no thread can allocate meanwhile, for a millisecond when much is
 * given back, for some microseconds when there is nothing. What is resident and not in use tells:
 * right after asking that is what lies in pieces too small, code, stacks; once it has moved there
 * may be whole pages again. However little it moved, and downwards too: the few bytes that stood
 * between large pieces keep each of them from being whole. */
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/supervisor.h"

enum {
    LOOK_EVERY_US = 2 * SECOND_US,
    LARGE_BYTES = 128 * 1024,
};

/* Resident bytes that are not in use; less than nothing when parts of what is in use were never
 * touched. False: not known. */
static bool look(const struct gateway *gateway, int64_t *unused_bytes)
{
    char text[128]; /* "total resident ...", in pages: proc_pid_statm(5) */
    ssize_t n = gateway->memory_fd < 0 ? -1 : pread(gateway->memory_fd, text, sizeof text, 0);
    struct slice rest = slice_make(text, n > 0 ? (size_t)n : 0);
    slice_cut(&rest, ' ');
    uint64_t pages;
    if (!slice_number(slice_cut(&rest, ' '), UINT32_MAX, &pages))
        return false;
    struct mallinfo2 heap = mallinfo2();
    *unused_bytes =
        (int64_t)pages * sysconf(_SC_PAGESIZE) - (int64_t)heap.uordblks - (int64_t)heap.hblkhd;
    return true;
}

static void on_time(struct timer *timer)
{
    struct gateway *gateway = CONTAINER_OF(timer, struct gateway, memory_timer);
    int64_t unused_bytes;
    if (look(gateway, &unused_bytes) && unused_bytes != gateway->unused_bytes) {
        malloc_trim(0);
        if (look(gateway, &unused_bytes))
            gateway->unused_bytes = unused_bytes;
    }
    timer_arm(&gateway->loop, timer, gateway->loop.now_us + LOOK_EVERY_US);
}

void gateway_watch_memory(struct gateway *gateway)
{
    /* Large pieces come from the system and go back to it at once. That is how it begins, but the
     * heap would learn to keep them from the first one on, at its end, where malloc_trim does not
     * reach. */
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    gateway->memory_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    gateway->memory_timer.on_time = on_time;
    timer_arm(&gateway->loop, &gateway->memory_timer, gateway->loop.now_us + LOOK_EVERY_US);
}

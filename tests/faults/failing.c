/* Linked into the gateway of the fault tests only (meson -Dfaults=true): lets exactly one call of a
 * class fail, as the system might let it fail, and counts the calls. tests/faults/plan.py writes
 * the plan and reads the counts through a shared file that FAULT_PLAN names.
 *
 * The hard problem is to fail only what can fail: a write to an eventfd or EPOLL_CTL_DEL never
 * does, and code that relies on that is right. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* In the order of CLASSES in plan.py. */
enum class {
    MEMORY,
    RECEIVE,
    SEND,
    ACCEPT,
    CONNECT,
    SOCKET,
    WATCH,
    WRITE,
    READ,
    OPEN,
    SQL,
    DISK,
    FSYNC,
    RESOLVE,
    CRYPTO,
    DATABASE, /* SQLite's memory */
    RENAME,
    TRUNCATE,
    THREAD,
    CLASS_COUNT
};

/* In the place of an errno: half of the bytes are written, or received, and that is no failure. */
enum { SHORT = -1 };

/* One of these for each class. */
struct plan {
    _Atomic int64_t left;    /* the how-manieth call from now fails; 0: none */
    _Atomic int64_t error;   /* with this errno or SQLite code; 0: the class's own */
    _Atomic int64_t calls;   /* made since the plan was written */
    _Atomic int64_t failed;  /* 1 when the call came */
    _Atomic int64_t lasting; /* 1: and every further one fails too */
    _Atomic int64_t held;    /* calls do not return while this is 1 */
};

static const int own_error[CLASS_COUNT] = {
    [MEMORY] = ENOMEM,   [RECEIVE] = ECONNRESET,  [SEND] = EPIPE,
    [ACCEPT] = EMFILE,   [CONNECT] = ENETUNREACH, [SOCKET] = EMFILE,
    [WATCH] = ENOMEM,    [WRITE] = ENOSPC,        [READ] = EIO,
    [OPEN] = EMFILE,     [SQL] = SQLITE_FULL,     [DISK] = EIO,
    [FSYNC] = EIO,       [RESOLVE] = EAI_AGAIN,   [CRYPTO] = ENOMEM,
    [DATABASE] = ENOMEM, [RENAME] = EIO,          [TRUNCATE] = EIO,
    [THREAD] = EAGAIN,
};

/* The shared file, whole. */
struct plans {
    struct plan of[CLASS_COUNT];
    _Atomic int64_t passed_s; /* by as much have both clocks gone on */
    _Atomic int64_t set_s;    /* and by as much was the wall clock set */
};

static struct plans *plans;

/* True when this very call is to fail; `*error` is how. */
static bool fails(enum class class, int *error)
{
    if (!plans)
        return false;
    struct plan *plan = &plans->of[class];
    atomic_fetch_add_explicit(&plan->calls, 1, memory_order_relaxed);
    while (atomic_load_explicit(&plan->held, memory_order_relaxed))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (atomic_load_explicit(&plan->left, memory_order_relaxed) <= 0 ||
        atomic_fetch_sub(&plan->left, 1) != 1)
        return false;
    int64_t wanted = atomic_load(&plan->error);
    *error = wanted ? (int)wanted : own_error[class];
    if (atomic_load(&plan->lasting))
        atomic_store(&plan->left, 1);
    atomic_store(&plan->failed, 1);
    return true;
}

static bool fails_errno(enum class class)
{
    int error;
    if (!fails(class, &error))
        return false;
    errno = error;
    return true;
}

/* The same of a call that moves bytes: SHORT only makes `*size` smaller. */
static bool fails_bytes(enum class class, size_t *size)
{
    int error;
    if (!fails(class, &error))
        return false;
    if (error == SHORT) {
        *size = (*size + 1) / 2;
        return false;
    }
    errno = error;
    return true;
}

static bool is_kind(int fd, mode_t kind)
{
    struct stat status;
    return fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == kind;
}

/* Not one that the kernel makes up, as those of /proc, which are read at any time. */
static bool is_file(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
}

#define REAL(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

/* --- memory -------------------------------------------------------------------------------------
 */

REAL(void *, malloc, size_t size);
REAL(void *, calloc, size_t count, size_t size);
REAL(void *, realloc, void *memory, size_t size);
REAL(void *, aligned_alloc, size_t alignment, size_t size);
REAL(void *, reallocarray, void *memory, size_t count, size_t size);
REAL(char *, strdup, const char *text);
REAL(char *, strndup, const char *text, size_t size);
REAL(void *, mmap64, void *place, size_t size, int access, int flags, int fd, off_t offset);
REAL(int, vasprintf, char **text, const char *format, va_list args);
int __wrap_asprintf(char **text, const char *format, ...);

void *__wrap_malloc(size_t size)
{
    return fails_errno(MEMORY) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_errno(MEMORY) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails_errno(MEMORY) ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails_errno(MEMORY) ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return fails_errno(MEMORY) ? NULL : __real_strdup(text);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return fails_errno(MEMORY) ? NULL : __real_reallocarray(memory, count, size);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return fails_errno(MEMORY) ? NULL : __real_strndup(text, size);
}

void *__wrap_mmap64(void *place, size_t size, int access, int flags, int fd, off_t offset)
{
    return fails_errno(MEMORY) ? MAP_FAILED : __real_mmap64(place, size, access, flags, fd, offset);
}

/* What libyaml takes its memory with; it asks the program first. */
void *yaml_malloc(size_t size);
void *yaml_realloc(void *memory, size_t size);
char *yaml_strdup(const char *text);

void *yaml_malloc(size_t size)
{
    return __wrap_malloc(size ? size : 1);
}

void *yaml_realloc(void *memory, size_t size)
{
    return __wrap_realloc(memory, size ? size : 1);
}

char *yaml_strdup(const char *text)
{
    return text ? __wrap_strdup(text) : NULL;
}

int __wrap_vasprintf(char **text, const char *format, va_list args)
{
    return fails_errno(MEMORY) ? -1 : __real_vasprintf(text, format, args);
}

int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = __wrap_vasprintf(text, format, args);
    va_end(args);
    return size;
}

/* C++'s operator new, as the TOML reader calls it, and what it does when there is no memory. */
void *real_new(size_t size) __asm__("__real__Znwm");
void *wrap_new(size_t size) __asm__("__wrap__Znwm");
_Noreturn void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv");

void *wrap_new(size_t size)
{
    if (fails_errno(MEMORY))
        throw_bad_alloc();
    return real_new(size);
}

/* --- clocks -------------------------------------------------------------------------------------
 */

REAL(int, clock_gettime, clockid_t id, struct timespec *time);

int __wrap_clock_gettime(clockid_t id, struct timespec *time)
{
    int result = __real_clock_gettime(id, time);
    if (!plans || result)
        return result;
    time->tv_sec += atomic_load_explicit(&plans->passed_s, memory_order_relaxed);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        time->tv_sec += atomic_load_explicit(&plans->set_s, memory_order_relaxed);
    return result;
}

/* --- sockets ------------------------------------------------------------------------------------
 */

REAL(ssize_t, recv, int fd, void *bytes, size_t size, int flags);
REAL(ssize_t, recvmsg, int fd, struct msghdr *message, int flags);
REAL(ssize_t, send, int fd, const void *bytes, size_t size, int flags);
REAL(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags);
REAL(int, accept4, int fd, struct sockaddr *address, socklen_t *size, int flags);
REAL(int, connect, int fd, const struct sockaddr *address, socklen_t size);
REAL(int, socket, int domain, int type, int protocol);
REAL(int, socketpair, int domain, int type, int protocol, int pair[2]);
REAL(int, eventfd, unsigned count, int flags);
REAL(int, epoll_create1, int flags);
REAL(int, signalfd, int fd, const sigset_t *signals, int flags);
REAL(int, epoll_ctl, int epoll, int what, int fd, struct epoll_event *event);
REAL(int, getaddrinfo, const char *node, const char *service, const struct addrinfo *hints,
     struct addrinfo **found);

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
    return fails_errno(RECEIVE) ? -1 : __real_recv(fd, bytes, size, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    return fails_errno(RECEIVE) ? -1 : __real_recvmsg(fd, message, flags);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    return fails_bytes(SEND, &size) ? -1 : __real_send(fd, bytes, size, flags);
}

/* One that is cut short goes no further than its first piece. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    size_t whole = message->msg_iov->iov_len, size = whole;
    if (fails_bytes(SEND, &size))
        return -1;
    return size < whole ? __real_send(fd, message->msg_iov->iov_base, size, flags)
                        : __real_sendmsg(fd, message, flags);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    return fails_errno(ACCEPT) ? -1 : __real_accept4(fd, address, size, flags);
}

/* One that is interrupted goes on all the same: connect(2). */
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    if (!fails_errno(CONNECT))
        return __real_connect(fd, address, size);
    if (errno == EINTR && (__real_connect(fd, address, size) == 0 || errno == EINPROGRESS))
        errno = EINTR;
    return -1;
}

int __wrap_socket(int domain, int type, int protocol)
{
    return fails_errno(SOCKET) ? -1 : __real_socket(domain, type, protocol);
}

int __wrap_socketpair(int domain, int type, int protocol, int pair[2])
{
    return fails_errno(SOCKET) ? -1 : __real_socketpair(domain, type, protocol, pair);
}

int __wrap_eventfd(unsigned count, int flags)
{
    return fails_errno(SOCKET) ? -1 : __real_eventfd(count, flags);
}

int __wrap_epoll_create1(int flags)
{
    return fails_errno(SOCKET) ? -1 : __real_epoll_create1(flags);
}

int __wrap_signalfd(int fd, const sigset_t *signals, int flags)
{
    return fails_errno(SOCKET) ? -1 : __real_signalfd(fd, signals, flags);
}

/* What OpenSSL's library calls for a socket. The gateway's own come by here as well, from below. */
ssize_t read(int fd, void *bytes, size_t size)
{
    return is_kind(fd, S_IFSOCK) && fails_errno(RECEIVE) ? -1 : syscall(SYS_read, fd, bytes, size);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    return is_kind(fd, S_IFSOCK) && fails_errno(SEND) ? -1 : syscall(SYS_write, fd, bytes, size);
}

int __wrap_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    if (what == EPOLL_CTL_ADD && fails_errno(WATCH))
        return -1;
    return __real_epoll_ctl(epoll, what, fd, event);
}

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found)
{
    int error;
    return fails(RESOLVE, &error) ? error : __real_getaddrinfo(node, service, hints, found);
}

/* --- files --------------------------------------------------------------------------------------
 */

REAL(ssize_t, write, int fd, const void *bytes, size_t size);
REAL(ssize_t, read, int fd, void *bytes, size_t size);
REAL(ssize_t, pread64, int fd, void *bytes, size_t size, off_t offset);
REAL(int, ftruncate64, int fd, off_t size);
REAL(int, rename, const char *from, const char *to);
REAL(int, renameat, int from_folder, const char *from, int to_folder, const char *to);
REAL(int, linkat, int from_folder, const char *from, int to_folder, const char *to, int flags);
REAL(void *, opendir, const char *path);
/* With 64-bit offsets, as meson builds everything, these are what open and openat are called. */
REAL(int, open64, const char *path, int flags, ...);
REAL(int, openat64, int folder, const char *path, int flags, ...);

ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    return is_kind(fd, S_IFREG) && fails_bytes(WRITE, &size) ? -1 : __real_write(fd, bytes, size);
}

ssize_t __wrap_read(int fd, void *bytes, size_t size)
{
    return is_kind(fd, S_IFREG) && fails_bytes(READ, &size) ? -1 : __real_read(fd, bytes, size);
}

ssize_t __wrap_pread64(int fd, void *bytes, size_t size, off_t offset)
{
    return is_file(fd) && fails_bytes(READ, &size) ? -1 : __real_pread64(fd, bytes, size, offset);
}

int __wrap_ftruncate64(int fd, off_t size)
{
    return fails_errno(TRUNCATE) ? -1 : __real_ftruncate64(fd, size);
}

int __wrap_rename(const char *from, const char *to)
{
    return fails_errno(RENAME) ? -1 : __real_rename(from, to);
}

int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return fails_errno(RENAME) ? -1 : __real_renameat(from_folder, from, to_folder, to);
}

int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    return fails_errno(RENAME) ? -1 : __real_linkat(from_folder, from, to_folder, to, flags);
}

void *__wrap_opendir(const char *path)
{
    return fails_errno(OPEN) ? NULL : __real_opendir(path);
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int __wrap_open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return fails_errno(OPEN) ? -1 : __real_open64(path, flags, mode);
}

int __wrap_openat64(int folder, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return fails_errno(OPEN) ? -1 : __real_openat64(folder, path, flags, mode);
}

/* --- the store ----------------------------------------------------------------------------------
 */

REAL(int, sqlite3_step, sqlite3_stmt *statement);

int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    int error;
    return fails(SQL, &error) ? error : __real_sqlite3_step(statement);
}

/* What SQLite's library itself calls. It takes most of it from a table that may be changed, and
 * these two from the program, which comes before libc. */
int fsync(int fd)
{
    return fails_errno(FSYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fails_errno(FSYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

static ssize_t disk_write(int fd, const void *bytes, size_t size, off_t offset)
{
    return fails_errno(DISK) ? -1 : pwrite(fd, bytes, size, offset);
}

static int disk_truncate(int fd, off_t size)
{
    return fails_errno(DISK) ? -1 : __real_ftruncate64(fd, size);
}

/* Before SQLite is used: it keeps no memory of its own in stock, so that each piece is asked for.
 */
static sqlite3_mem_methods own_memory;

static void *database_malloc(int size)
{
    return fails_errno(DATABASE) ? NULL : own_memory.xMalloc(size);
}

static void *database_realloc(void *memory, int size)
{
    return fails_errno(DATABASE) ? NULL : own_memory.xRealloc(memory, size);
}

static void take_over_database_memory(void)
{
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &own_memory) != SQLITE_OK)
        abort();
    sqlite3_mem_methods methods = own_memory;
    methods.xMalloc = database_malloc;
    methods.xRealloc = database_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK)
        abort();
}

static void take_over_disk(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (!vfs || vfs->iVersion < 3)
        abort();
    /* Whichever of the two it was built with; the other one is not in its table. */
    int set = vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)disk_write);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)disk_write);
    if (set != SQLITE_OK ||
        vfs->xSetSystemCall(vfs, "ftruncate", (sqlite3_syscall_ptr)disk_truncate) != SQLITE_OK)
        abort();
}

/* --- OpenSSL's memory ---------------------------------------------------------------------------
 */

static void *crypto_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return fails_errno(CRYPTO) ? NULL : __real_malloc(size);
}

static void *crypto_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return fails_errno(CRYPTO) ? NULL : __real_realloc(memory, size);
}

static void crypto_free(void *memory, const char *file, int line)
{
    (void)file, (void)line;
    free(memory);
}

static void take_over_crypto(void)
{
    if (!CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free))
        abort();
}

/* --- threads ------------------------------------------------------------------------------------
 */

REAL(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes,
     void *(*run)(void *context), void *context);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *context), void *context)
{
    int error;
    return fails(THREAD, &error) ? error : __real_pthread_create(thread, attributes, run, context);
}

/* The commands that the tests run have no plan, and are left alone. */
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULT_PLAN");
    if (!path)
        return;
    int fd = __real_open64(path, O_RDWR | O_CLOEXEC);
    void *memory = fd < 0 ? MAP_FAILED
                          : __real_mmap64(NULL, sizeof(struct plans), PROT_READ | PROT_WRITE,
                                          MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        perror(path);
        abort();
    }
    close(fd);
    take_over_database_memory();
    take_over_disk();
    take_over_crypto();
    plans = memory;
}

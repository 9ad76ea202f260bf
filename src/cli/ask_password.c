/* Reads a password for a command. Called by commands that take one. Its one hard problem is the
 * terminal's echo: it is off while somebody types, and must be on again however that ends, by a
 * signal too. So signals that would end or stop us wait in a signalfd beside the terminal; when one
 * comes, echo is put back first and the signal then has its usual effect. */
#include "cli/ask_password.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "identity/password.h"

struct terminal {
    struct termios loud, quiet;
    sigset_t held, before;
    int signals; /* a signalfd, or -1 */
    const char *prompt;
};

static void terminal_finish(struct terminal *terminal)
{
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal->loud);
    if (terminal->signals >= 0)
        close(terminal->signals);
    sigprocmask(SIG_SETMASK, &terminal->before, NULL);
}

static enum err terminal_init(struct terminal *terminal)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    if (tcgetattr(STDIN_FILENO, &terminal->loud) != 0)
        return ERR_IO;
    sigemptyset(&terminal->held);
    for (size_t i = 0; i < COUNT_OF(ends); i++)
        sigaddset(&terminal->held, ends[i]);
    terminal->signals = signalfd(-1, &terminal->held, SFD_NONBLOCK | SFD_CLOEXEC);
    if (terminal->signals < 0)
        return ERR_IO;
    sigprocmask(SIG_BLOCK, &terminal->held, &terminal->before);
    terminal->quiet = terminal->loud;
    terminal->quiet.c_lflag &= ~(tcflag_t)ECHO;
    terminal->quiet.c_lflag |= ECHONL; /* Enter still ends the line on the screen */
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal->quiet) == 0)
        return OK;
    terminal_finish(terminal);
    return ERR_IO;
}

/* Lets a waiting signal have its effect; comes back from SIGTSTP only, when we are continued. */
static void pass_signal(struct terminal *terminal)
{
    struct signalfd_siginfo one;
    if (read(terminal->signals, &one, sizeof one) != (ssize_t)sizeof one)
        return;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal->loud);
    fputc('\n', stderr);
    sigprocmask(SIG_SETMASK, &terminal->before, NULL);
    raise((int)one.ssi_signo);
    sigprocmask(SIG_BLOCK, &terminal->held, NULL);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal->quiet);
    fputs(terminal->prompt, stderr);
}

/* Waits until there is something to read. `terminal` is NULL when standard input is none. */
static void await_input(struct terminal *terminal)
{
    if (!terminal)
        return;
    struct pollfd both[] = {
        {.fd = terminal->signals, .events = POLLIN},
        {.fd = STDIN_FILENO,      .events = POLLIN}
    };
    for (;;) {
        int ready = poll(both, COUNT_OF(both), -1);
        if (ready > 0 && both[0].revents)
            pass_signal(terminal);
        else if (ready > 0 || errno != EINTR)
            return;
    }
}

/* One line, byte by byte: what stands behind it may be meant for the next command. Two bytes more
 * than a password has, for a carriage return and to see that it is too long. */
static enum err read_line(struct terminal *terminal, struct secret *line)
{
    char bytes[PASSWORD_BYTES_MAX + 2];
    size_t len = 0;
    enum err err = OK;
    for (;;) {
        char c;
        await_input(terminal);
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            err = ERR_IO;
        if (n == 0 && len == 0)
            err = ERR_NOT_FOUND;
        if (n <= 0 || c == '\n')
            break;
        if (len == sizeof bytes) {
            err = ERR_LIMIT; /* read on: the rest of the line is not for anybody else */
            continue;
        }
        bytes[len++] = c;
    }
    if (err == OK && len > 0 && bytes[len - 1] == '\r')
        len--;
    if (err == OK)
        err = len > PASSWORD_BYTES_MAX ? ERR_LIMIT : secret_set(line, slice_make(bytes, len));
    explicit_bzero(bytes, sizeof bytes);
    return err;
}

static enum err ask(struct terminal *terminal, const char *prompt, struct secret *line)
{
    terminal->prompt = prompt;
    fputs(prompt, stderr);
    return read_line(terminal, line);
}

static enum err ask_twice(struct secret *password)
{
    AUTO(secret) again = {0};
    struct terminal terminal;
    TRY(terminal_init(&terminal));
    enum err err = ask(&terminal, "Password: ", password);
    if (err == OK && !secret_empty(password))
        err = ask(&terminal, "The same again: ", &again);
    terminal_finish(&terminal);
    if (err == OK && !secret_empty(password) && !secret_equal(password, secret_reveal(&again)))
        err = ERR_DENIED;
    return err;
}

static const char *why(enum err err)
{
    switch (err) {
    case ERR_NOT_FOUND:
        return "no password was given";
    case ERR_LIMIT:
        return "the password is longer than 1024 bytes";
    case ERR_DENIED:
        return "the two passwords differ";
    case ERR_IO:
        return "the password cannot be read";
    default:
        return "out of memory";
    }
}

enum err ask_password(const char *command, struct secret *password)
{
    enum err err = isatty(STDIN_FILENO) ? ask_twice(password) : read_line(NULL, password);
    if (err == OK && secret_empty(password))
        err = ERR_NOT_FOUND;
    if (err != OK)
        fprintf(stderr, "%s: %s\n", command, why(err));
    return err;
}

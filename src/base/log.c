#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"

static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

static void to_standard_error(struct slice line)
{
    ssize_t ignored = write(STDERR_FILENO, line.ptr, line.len);
    (void)ignored;
}

static log_sink_fn *sink = to_standard_error;
static _Atomic enum log_level lowest = LOG_INFO;

void log_set_sink(log_sink_fn *wanted)
{
    sink = wanted ? wanted : to_standard_error;
}

void log_set_level(enum log_level level)
{
    lowest = level;
}

const char *log_level_name(enum log_level level)
{
    return names[level];
}

enum err log_level_parse(struct slice word, enum log_level *level)
{
    for (unsigned i = 0; i < COUNT_OF(names); i++) {
        if (slice_equal_nocase(word, slice_of(names[i]))) {
            *level = (enum log_level)i;
            return OK;
        }
    }
    if (!slice_equal_nocase(word, SLICE("warn")))
        return ERR_RANGE;
    *level = LOG_WARNING;
    return OK;
}

void log_line(enum log_level level, const char *format, ...)
{
    if (level < lowest)
        return;
    char message[1024], memory[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    /* At worst every byte of the message becomes six ("\u0001"), which does not fit: cut it then.
     */
    struct slice text = slice_of(message);
    struct buffer line = BUFFER_OVER(memory, sizeof memory);
    for (;; text.len /= 2) {
        buffer_clear(&line);
        buffer_text(&line, "{\"timestamp\":\"");
        clock_print_plain(&line, clock_wall_us());
        buffer_printf(&line, "\",\"level\":\"%s\",\"message\":", names[level]);
        buffer_json_string(&line, text);
        buffer_text(&line, "}\n");
        if (!line.failed)
            break;
    }
    sink(buffer_slice(&line));
}

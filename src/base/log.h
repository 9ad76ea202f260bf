/* The operational logger: what the program itself has to say, one JSON line each. Library code
 * below gateway/ returns errors instead of logging them. The sink decides where lines go; until
 * record/ sets one they go to standard error. Thread-safe. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"
#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Receives whole lines, newline included; called from any thread. */
typedef void log_sink_fn(struct slice line);

/* NULL sets standard error. Called before threads start. */
void log_set_sink(log_sink_fn *sink);
/* Lines below it are dropped. */
void log_set_level(enum log_level level);
/* "debug", "info", "warning" (or "warn"), "error", in any case. ERR_RANGE. */
enum err log_level_parse(struct slice word, enum log_level *level) MUST_CHECK;
const char *log_level_name(enum log_level level); /* "INFO" */

/* Never pass a secret: there is no redaction behind this. */
void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

#endif

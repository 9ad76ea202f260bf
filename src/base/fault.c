#include "base/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void add(struct faults *faults, bool warning, const char *file, unsigned line,
                const char *option, const char *format, va_list args)
{
    faults->errors += !warning;
    if (faults->count == FAULTS_MAX)
        return;
    char sentence[1024];
    vsnprintf(sentence, sizeof sentence, format, args);
    faults->list[faults->count++] = (struct fault){
        .file = file ? strdup(file) : NULL,
        .line = line,
        .option = option ? strdup(option) : NULL,
        .sentence = strdup(sentence),
        .warning = warning,
    };
}

void faults_add(struct faults *faults, const char *file, unsigned line, const char *option,
                const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(faults, false, file, line, option, format, args);
    va_end(args);
}

void faults_warn(struct faults *faults, const char *file, unsigned line, const char *option,
                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(faults, true, file, line, option, format, args);
    va_end(args);
}

void faults_print(const struct faults *faults, struct buffer *out)
{
    for (unsigned i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->list[i];
        if (fault->file)
            buffer_printf(out, "%s:", fault->file);
        if (fault->line)
            buffer_printf(out, "%u:", fault->line);
        if (fault->file || fault->line)
            buffer_byte(out, ' ');
        if (fault->option)
            buffer_printf(out, "%s: ", fault->option);
        buffer_printf(out, "%s%s\n", fault->warning ? "warning: " : "",
                      fault->sentence ? fault->sentence : "out of memory");
    }
    if (faults->count == FAULTS_MAX)
        buffer_printf(out, "... and possibly more; the first %d are shown\n", FAULTS_MAX);
}

void faults_finish(struct faults *faults)
{
    for (unsigned i = 0; i < faults->count; i++) {
        free(faults->list[i].file);
        free(faults->list[i].option);
        free(faults->list[i].sentence);
    }
    *faults = (struct faults){0};
}

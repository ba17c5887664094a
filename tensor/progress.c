#include "progress.h"

#include <stdarg.h>
#include <stdio.h>

void ich_progress_update(const ich_progress *progress, const char *what, size_t done, size_t total,
                         const char *unit, const char *note) {
    if (progress && progress->update) progress->update(progress->self, what, done, total, unit, note);
}

enum { LINE = 1024 };

void ich_progress_line(const ich_progress *progress, const char *format, ...) {
    char text[LINE];
    if (!progress || !progress->line) return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    progress->line(progress->self, text);
}

void ich_progress_warn(const ich_progress *progress, const char *format, ...) {
    char text[LINE];
    if (!progress || !progress->warn) return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    progress->warn(progress->self, text);
}

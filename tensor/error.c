#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

bool ich_fail(ich_error *err, const char *format, ...) {
    if (!err) return false;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    for (char *c = err->text; *c;
         c++) /* file names and cells are hostile: no line breaks, no escape sequences */
        if ((unsigned char)*c < ' ' || *c == 127) *c = '?';
    return false;
}

void *ich_new(size_t count, size_t size, const char *what, ich_error *err) {
    if (size && count > SIZE_MAX / 2 / size) {
        ich_fail(err, "out of memory: %s would take %zu times %zu bytes", what, count, size);
        errno = ENOMEM;
        return NULL;
    }
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory) {
        ich_fail(err, "out of memory: %s takes %zu bytes", what, count * size);
        errno = ENOMEM;
    }
    return memory;
}

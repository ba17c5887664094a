/* error.h: how every room reports failure.
 *
 * A function that can fail returns bool (true = done) or a pointer (NULL = failed) and takes an
 * `ich_error *` last. The text is one line: which file or setting, what is wrong, what to do.
 * Nothing in Ichor prints an error or exits below cli/.
 *
 * Calls: libc only. Called by: every room.
 */
#ifndef ICH_TENSOR_ERROR_H
#define ICH_TENSOR_ERROR_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ich_error {
    char text[600]; /* one line, no trailing newline; "" while nothing has failed */
} ich_error;

/* Formats the message into `err` (which may be NULL), turns control characters into '?', returns false,
 * so that a failing function can say `return ich_fail(err, "%s: …", path);`. */
__attribute__((format(printf, 2, 3))) bool ich_fail(ich_error *err, const char *format, ...);

/* Zeroed heap memory for `count` things of `size` bytes. NULL with a message (naming `what` and the
 * bytes asked for) and errno ENOMEM when the product overflows or memory is out. Free with free(). Hot paths
 * take from an arena. */
void *ich_new(size_t count, size_t size, const char *what, ich_error *err);

#endif

/* text.h: a text in memory, written like a file.
 *
 * open_memstream's stream does not say that memory ran out: what did not fit is simply missing. This one's
 * error is set, and closing it fails.
 *
 * Calls: libc. Called by: infer, train.
 */
#ifndef ICH_DATA_TEXT_H
#define ICH_DATA_TEXT_H

#include "tensor/error.h"
#include <stdio.h>

typedef struct ich_text {
    FILE *stream; /* write here */
    char *bytes;
    size_t count, room;
    const char *what; /* for messages: "the log" */
} ich_text;

bool ich_text_open(ich_text *text, const char *what, ich_error *err);
/* What was written, with a NUL behind it, in fresh memory; NULL when memory ran out at any time. */
char *ich_text_close(ich_text *text, ich_error *err);

#endif

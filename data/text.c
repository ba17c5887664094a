#include "text.h"
#include <stdlib.h>
#include <string.h>

/* glibc's fopencookie: what is not taken is an error of the stream. */
static ssize_t grow(void *self, const char *bytes, size_t count) {
    ich_text *text = self;
    if (text->count + count >= text->room) { /* one more, for the NUL */
        const size_t room = 2 * (text->count + count) + 1;
        char *bigger = realloc(text->bytes, room);
        if (!bigger) return 0;
        text->bytes = bigger;
        text->room = room;
    }
    memcpy(text->bytes + text->count, bytes, count);
    text->count += count;
    return (ssize_t)count;
}

bool ich_text_open(ich_text *text, const char *what, ich_error *err) {
    *text = (ich_text){.what = what};
    text->stream = fopencookie(text, "w", (cookie_io_functions_t){.write = grow});
    return text->stream || ich_fail(err, "out of memory: %s", what);
}

char *ich_text_close(ich_text *text, ich_error *err) {
    const bool flushed = fflush(text->stream) == 0 && !ferror(text->stream);
    bool whole = fclose(text->stream) == 0 && flushed;
    whole =
        whole && (text->bytes || grow(text, "", 0) == 0) && text->bytes; /* nothing written: still a text */
    if (!whole) {
        free(text->bytes);
        ich_fail(err, "out of memory: %s", text->what);
        return NULL;
    }
    text->bytes[text->count] = '\0';
    return text->bytes;
}

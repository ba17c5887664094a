/* analysis_model.h: what tools/analyse.py tells gcc's analyzer, which sees one file at a time.
 *
 * ich_fail returns false: else `return done || ich_fail(err, …)` looks as if it could succeed with nothing
 * done. strdup and strndup may return NULL; their memory is not counted, as gcc 12 forgets what a field of
 * array[i] owns once another field of array[j] is written, and that is where copies of text are kept:
 * valgrind, the address sanitizer and tests/faults count them. What malloc, calloc, realloc and fopen return
 * is counted.
 */
#define ich_fail ich_fail_of_error_c
#include "tensor/error.h"
#undef ich_fail
#include <string.h>

static inline bool ich_fail(ich_error *err, const char *format, ...) {
    (void)err, (void)format;
    return false;
}

bool model_memory_is_out(void);
char *model_copy(const char *text, size_t most);

static inline char *model_strndup(const char *text, size_t most) {
    return model_memory_is_out() ? NULL : model_copy(text, most);
}
#define strndup      model_strndup
#define strdup(text) model_strndup(text, (size_t)-1)

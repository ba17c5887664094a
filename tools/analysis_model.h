/* analysis_model.h: what tools/analyse.py tells gcc's analyzer, which sees one file at a time: ich_fail
 * returns false. Else `return done || ich_fail(err, …)` looks as if it could succeed with nothing done.
 */
#define ich_fail ich_fail_of_error_c
#include "tensor/error.h"
#undef ich_fail

static inline bool ich_fail(ich_error *err, const char *format, ...) {
    (void)err, (void)format;
    return false;
}

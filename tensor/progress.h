/* progress.h: how long work tells of itself without knowing about terminals.
 *
 * Rooms below cli/ never print. They are handed an `ich_progress` (or NULL for silence) and call it;
 * cli/progress.c draws a bar on a terminal and plain lines elsewhere.
 */
#ifndef ICH_TENSOR_PROGRESS_H
#define ICH_TENSOR_PROGRESS_H

#include <stddef.h>

typedef struct ich_progress {
    /* `done` of `total` `unit`s (e.g. "images") of the phase `what` (e.g. "epoch 2/3"). Cheap: may be called
     * every batch. `note` (may be NULL) is a short tail such as "loss 0.213". done == total ends the phase.
     */
    void (*update)(void *self, const char *what, size_t done, size_t total, const char *unit,
                   const char *note);
    /* One line for the reader: a result. */
    void (*line)(void *self, const char *text);
    /* One line on what went wrong and was got over: also for who wants to hear of no progress. */
    void (*warn)(void *self, const char *text);
    void *self;
} ich_progress;

/* All take a NULL `progress`. The last two format like printf. */
void ich_progress_update(const ich_progress *progress, const char *what, size_t done, size_t total,
                         const char *unit, const char *note);
__attribute__((format(printf, 2, 3))) void ich_progress_line(const ich_progress *progress, const char *format,
                                                             ...);
__attribute__((format(printf, 2, 3))) void ich_progress_warn(const ich_progress *progress, const char *format,
                                                             ...);

#endif

/* dicom_worker.h: work on hostile files in processes of their own.
 *
 * Tasks 0 … n-1 are handed to worker processes, forked when the run begins. Before anything that may hang or
 * crash, a task announces the item (a file) it is about to touch; a worker that dies costs that item, and the
 * task is given out again without it. Each worker stands in a sandbox (sandbox.h) with a limit on memory, and
 * each item has one on processor time and one on waiting. A worker does not outlive its parent, and has none
 * of its files open.
 *
 * What a task finds out it writes into memory that the caller has mapped MAP_SHARED before the run.
 *
 * Calls: fork, sandbox. Called by: import.
 */
#ifndef ICH_DATA_DICOM_WORKER_H
#define ICH_DATA_DICOM_WORKER_H

#include "tensor/error.h"
#include <stddef.h>
#include <stdint.h>

#define ICH_NO_ITEM SIZE_MAX

typedef struct ich_worker ich_worker; /* a worker process, seen from inside */

typedef enum ich_task_end {
    ICH_TASK_DONE,
    ICH_TASK_FAILED, /* `why` says why */
    ICH_TASK_AGAIN,  /* items were found bad on the way: do it again without them */
    ICH_TASK_BROKEN, /* nothing can work any more (the disk is full): the run fails with `why` */
} ich_task_end;

typedef struct ich_work {
    size_t n_tasks;
    int processes;
    size_t memory; /* bytes that a worker may take beyond those it is born with */
    bool writes;   /* a worker puts files in place; else it can only read */
    int seconds;   /* of processor time that an item may take */
    void *self;    /* handed to all three below */

    /* In a worker. */
    ich_task_end (*work)(void *self, size_t task, ich_worker *worker, ich_error *why);
    /* In the caller's process, in the order of arrival. An item (or, if ICH_NO_ITEM, the task) has something
     * to say: `bad`, and must not be touched again; or not, and it is a remark. */
    void (*told)(void *self, size_t task, size_t item, bool bad, const char *text);
    /* The task has ended, done or failed. */
    void (*ended)(void *self, size_t task, bool done, const char *why);
} ich_work;

/* Tasks given out before *stop became nonzero are finished. False: broken, stopped, or no process could be
 * started. */
bool ich_work_run(const ich_work *work, const volatile int *stop, ich_error *err);

/* For `work`: the next few calls touch this item; ICH_NO_ITEM: nothing that could crash. Starts its time. */
void ich_worker_touch(ich_worker *worker, size_t item);
void ich_worker_tell(ich_worker *worker, size_t item, bool bad, const char *text);

#endif

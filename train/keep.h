/* keep.h: the last few checkpoints of a run, so that a damaged one costs some minutes, not the run.
 *
 * checkpoint/state.safetensors is the newest, state.1.safetensors the one before, and so on. A new one is
 * written and synced as next.safetensors; then the others move up by one, the oldest first, and it takes its
 * place. A crash at any instant leaves every checkpoint whole, under one of these names, newer before older,
 * perhaps with a gap.
 *
 * Calls: checkpoint, run, data/file. Called by: loop, run.
 */
#ifndef ICH_TRAIN_KEEP_H
#define ICH_TRAIN_KEEP_H

#include "checkpoint.h"
#include "tensor/progress.h"

enum { ICH_KEEP_USUAL = 3, ICH_KEEP_MOST = 10, ICH_KEEP_NAME = 40 };

/* The name below RUN of the i-th newest, from 0. */
void ich_keep_name(char name[ICH_KEEP_NAME], int i);
bool ich_keep_any(const char *run); /* is there a checkpoint, whole or not? */

/* Loads the newest that is whole, and tells of each that is not. *from: which it was. Fails if none is, or if
 * it is of another run or dataset. */
bool ich_keep_load(const ich_checkpoint *checkpoint, const char *run, int *from, const ich_progress *progress,
                   ich_error *err);
/* Saves, keeping `most` of them. *from: those before it are damaged and make room; 0 afterwards. */
bool ich_keep_save(const ich_checkpoint *checkpoint, const char *run, int most, int *from, ich_error *err);
bool ich_keep_remove(const char *run, ich_error *err); /* all of them */

#endif

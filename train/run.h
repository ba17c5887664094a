/* run.h: the RUN folder: whose it is, what it was asked for, where its files lie.
 *
 *   model.safetensors  best on validation      last.safetensors  after the last epoch
 *   model_card.md      of that one, for people
 *   log.csv  recipe.ini  skipped.csv           checkpoint/request.csv, checkpoint/state.safetensors …
 *   cache/   decoded slices, unless they are kept elsewhere
 *
 * request.csv and recipe.ini are written before any work, so that a run killed at any later moment can be
 * resumed without being told again what it was about.
 *
 * Calls: data (csv, file, lock, recipe), keep. Called by: loop, cli.
 */
#ifndef ICH_TRAIN_RUN_H
#define ICH_TRAIN_RUN_H

#include "data/lock.h"
#include "job.h"

/* What a run was started with. */
typedef struct ich_run_request {
    ich_recipe recipe;
    char *verb, *dataset, *init, *cache; /* absolute paths; init and cache may be NULL */
} ich_run_request;

/* Fails if `run` is not a RUN folder. */
bool ich_run_recall(ich_run_request *request, const char *run, ich_error *err);
void ich_run_request_free(ich_run_request *request);

bool ich_run_exists(const char *folder); /* holds a run that has learned something */

/* Makes job->out the folder of a new run of `verb`: refuses one that holds a run unless job->force (then that
 * run's files are removed, its cache stays); leaves the folder of a resumed run as it is. It is locked then,
 * until the caller releases it: no other process can train there. */
bool ich_run_claim(const ich_train_job *job, const char *verb, ich_lock *lock, ich_error *err);

/* <folder>/<name> in fresh memory. */
char *ich_run_path(const char *folder, const char *name, ich_error *err);

#define ICH_RUN_MODEL  "model.safetensors"
#define ICH_RUN_CARD   "model_card.md"
#define ICH_RUN_LAST   "last.safetensors"
#define ICH_RUN_LOG    "log.csv"
#define ICH_RUN_RECIPE "recipe.ini"
#define ICH_RUN_STATE  "checkpoint/state.safetensors"
#define ICH_RUN_CACHE  "cache"

#endif

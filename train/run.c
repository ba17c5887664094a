/* A folder is a run once it holds what was learned; until then it may be claimed again without asking. */
#include "run.h"

#include "data/csv.h"
#include "data/file.h"
#include "keep.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUEST "checkpoint/request.csv"

/* What a run has learned comes first: a folder that holds any of it is a run not to be overwritten. */
static const char *const run_files[] = {ICH_RUN_LAST,  ICH_RUN_MODEL, ICH_RUN_LOG,   ICH_RUN_CARD,
                                        "skipped.csv", REQUEST,       ICH_RUN_RECIPE};
enum { LEARNED_FILES = 3, RUN_FILES = sizeof run_files / sizeof *run_files };

char *ich_run_path(const char *folder, const char *name, ich_error *err) {
    char *path = ich_path_join(folder, name);
    if (!path) ich_fail(err, "%s: no memory for a path", folder);
    return path;
}

/* Without memory to look, it does: a run is not to be taken for none. */
static bool holds(const char *folder, const char *name) {
    char *path = ich_path_join(folder, name);
    const bool there = !path || ich_path_exists(path);
    free(path);
    return there;
}

bool ich_run_exists(const char *folder) {
    for (int i = 0; i < LEARNED_FILES; i++)
        if (holds(folder, run_files[i])) return true;
    return ich_keep_any(folder);
}

static bool remove_run(const char *folder, ich_error *err) {
    bool done = ich_keep_remove(folder, err);
    for (int i = 0; i < RUN_FILES && done; i++) {
        char *path = ich_run_path(folder, run_files[i], err);
        done = path != NULL;
        if (done && ich_path_exists(path) && unlink(path) != 0)
            done =
                ich_fail(err, "%s: cannot be removed: check its permissions, or choose another --out", path);
        free(path);
    }
    return done;
}

/* -- request.csv --------------------------------------------------------------------------------------- */

static void put(FILE *stream, const char *key, const char *value) {
    ich_csv_put(stream, key, ',');
    ich_csv_put(stream, value, '\n');
}

/* Paths are stored absolute: the run may be resumed from another folder. */
static bool put_path(FILE *stream, const char *key, const char *path, ich_error *err) {
    if (!path) return true;
    char *here = getcwd(NULL, 0), *absolute = here ? ich_path_join(here, path) : NULL;
    if (absolute) put(stream, key, absolute);
    const bool done =
        absolute || ich_fail(err, "%s: its absolute path cannot be had (%s)", path, strerror(errno));
    free(absolute);
    free(here);
    return done;
}

static bool write_request(const ich_train_job *job, const char *verb, ich_error *err) {
    char *path = ich_run_path(job->out, REQUEST, err);
    ich_output out;
    bool done = path && ich_output_open(&out, path, err);
    if (done) {
        put(out.stream, "key", "value");
        put(out.stream, "verb", verb);
        done = put_path(out.stream, "dataset", job->dataset, err) &&
               put_path(out.stream, "init", job->init, err) && put_path(out.stream, "cache", job->cache, err);
        if (done)
            done = ich_output_commit(&out, err);
        else
            ich_output_abandon(&out);
    }
    free(path);
    return done;
}

/* The value of a row as fresh memory; NULL where there is none. */
static char *value_of(const ich_csv *csv, const char *key) {
    for (size_t row = 0; row < csv->n_rows; row++)
        if (!strcmp(ich_csv_cell(csv, row, 0), key)) return strdup(ich_csv_cell(csv, row, 1));
    return NULL;
}

static bool read_request(ich_run_request *request, const char *path, ich_error *err) {
    ich_csv csv;
    if (!ich_csv_read(&csv, path, err)) return false;
    const bool shaped = csv.n_columns == 2;
    if (shaped) {
        request->verb = value_of(&csv, "verb");
        request->dataset = value_of(&csv, "dataset");
        request->init = value_of(&csv, "init");
        request->cache = value_of(&csv, "cache");
    }
    ich_csv_free(&csv);
    if (request->verb && request->dataset) return true;
    return ich_fail(err, "%s: damaged: it must name verb and dataset; start the run again with --force",
                    path);
}

bool ich_run_recall(ich_run_request *request, const char *run, ich_error *err) {
    memset(request, 0, sizeof *request);
    if (!ich_path_is_folder(run))
        return ich_fail(err, "%s: no such folder: --resume takes a run's folder", run);
    if (!holds(run, REQUEST) || !holds(run, ICH_RUN_RECIPE))
        return ich_fail(err, "%s: no run to resume here: start it again with --out", run);
    char *path = ich_run_path(run, REQUEST, err), *recipe = ich_run_path(run, ICH_RUN_RECIPE, err);
    bool done = path && recipe && read_request(request, path, err);
    if (done) {
        ich_recipe_default(&request->recipe,
                           !strcmp(request->verb, "pretrain") ? ICH_FOR_PRETRAIN : ICH_FOR_FINETUNE);
        done = ich_recipe_read(&request->recipe, recipe, err);
    }
    free(path);
    free(recipe);
    if (!done) ich_run_request_free(request);
    return done;
}

void ich_run_request_free(ich_run_request *request) {
    free(request->verb);
    free(request->dataset);
    free(request->init);
    free(request->cache);
    memset(request, 0, sizeof *request);
}

/* -- claiming ------------------------------------------------------------------------------------------ */

static bool make_folders(const char *out, ich_error *err) {
    char *checkpoint = ich_run_path(out, "checkpoint", err); /* with parents, so `out` as well */
    const bool done = checkpoint && ich_folder_make(checkpoint, err);
    free(checkpoint);
    return done;
}

/* A killed run leaves the file that it was writing under a temporary name; a checkpoint is as large as that.
 */
static void sweep(const char *out) {
    char *checkpoint = ich_path_join(out, "checkpoint");
    ich_folder_sweep(out);
    if (checkpoint) ich_folder_sweep(checkpoint);
    free(checkpoint);
}

static bool lock_run(const ich_train_job *job, const char *verb, ich_lock *lock, ich_error *err) {
    char what[40];
    snprintf(what, sizeof what, "ichor %s", verb);
    return ich_lock_take(lock, job->out, what, err);
}

static bool claim_new(const ich_train_job *job, const char *verb, ich_error *err) {
    if (ich_run_exists(job->out)) {
        if (!job->force)
            return ich_fail(err,
                            "%s: holds a run already: continue it with --resume, replace it with --force, or "
                            "choose another --out",
                            job->out);
        if (!remove_run(job->out, err)) return false;
    }
    if (!write_request(job, verb, err)) return false;
    char *recipe = ich_run_path(job->out, ICH_RUN_RECIPE, err);
    const bool done = recipe && ich_recipe_write(&job->recipe, recipe, err);
    free(recipe);
    return done;
}

bool ich_run_claim(const ich_train_job *job, const char *verb, ich_lock *lock, ich_error *err) {
    if (ich_path_exists(job->out) && !ich_path_is_folder(job->out))
        return ich_fail(err, "%s: a file is in the way: --out takes a folder", job->out);
    if (!make_folders(job->out, err) || !lock_run(job, verb, lock, err)) return false;
    sweep(job->out);
    return job->resume || claim_new(job, verb, err);
}

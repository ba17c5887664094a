/* Names and renames; what is in a checkpoint is checkpoint.c's. */
#include "keep.h"

#include "data/file.h"
#include "run.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEXT "checkpoint/next.safetensors"

void ich_keep_name(char name[ICH_KEEP_NAME], int i) {
    if (i == 0)
        snprintf(name, ICH_KEEP_NAME, "%s", ICH_RUN_STATE);
    else
        snprintf(name, ICH_KEEP_NAME, "checkpoint/state.%d.safetensors", i);
}

static char *path_of(const char *run, int i, ich_error *err) {
    char name[ICH_KEEP_NAME];
    ich_keep_name(name, i);
    return ich_run_path(run, name, err);
}

/* Without memory to look, it is: a checkpoint is not to be taken for none. */
static bool is_there(const char *run, int i) {
    char *path = path_of(run, i, NULL);
    const bool there = !path || ich_path_exists(path);
    free(path);
    return there;
}

bool ich_keep_any(const char *run) {
    for (int i = 0; i < ICH_KEEP_MOST; i++)
        if (is_there(run, i)) return true;
    return false;
}

/* -- loading ------------------------------------------------------------------------------------------- */

bool ich_keep_load(const ich_checkpoint *checkpoint, const char *run, int *from, const ich_progress *progress,
                   ich_error *err) {
    ich_error first = {0};
    for (int i = 0; i < ICH_KEEP_MOST; i++) {
        if (!is_there(run, i)) continue;
        ich_error why = {0};
        char *path = path_of(run, i, err);
        if (!path) return false;
        bool damaged;
        const bool done = ich_checkpoint_load(checkpoint, path, &damaged, &why);
        free(path);
        if (done && first.text[0])
            ich_progress_warn(progress, "%s; going on from the checkpoint before", first.text);
        *from = i;
        if (done) return true;
        if (!damaged) return ich_fail(err, "%s", why.text);
        if (!first.text[0]) first = why;
    }
    return ich_fail(
        err, "%s; no older checkpoint is whole: restore one from a backup, or start again with --force",
        first.text);
}

/* -- saving -------------------------------------------------------------------------------------------- */

/* The i-th becomes the j-th. */
static bool move(const char *run, int i, int j, ich_error *err) {
    char *old = path_of(run, i, err), *to = path_of(run, j, err);
    const bool done = old && to && ich_file_move(old, to, err);
    free(old);
    free(to);
    return done;
}

static bool erase(const char *run, const char *name, ich_error *err) {
    char *path = ich_run_path(run, name, err);
    bool done = path != NULL;
    if (done && ich_path_exists(path) && unlink(path) != 0)
        done = ich_fail(err, "%s: cannot be removed (%s): check its permissions", path, strerror(errno));
    free(path);
    return done;
}

static bool erase_from(const char *run, int first, ich_error *err) {
    char name[ICH_KEEP_NAME];
    for (int i = first; i < ICH_KEEP_MOST; i++) {
        ich_keep_name(name, i);
        if (!erase(run, name, err)) return false;
    }
    return true;
}

/* Makes the checkpoint that was loaded the newest again, in place of the damaged ones before it. */
static bool drop_damaged(const char *run, int from, ich_error *err) {
    char name[ICH_KEEP_NAME];
    for (int i = 0; from > 0 && i < ICH_KEEP_MOST; i++) {
        ich_keep_name(name, i);
        const bool done = is_there(run, i + from) ? move(run, i + from, i, err) : erase(run, name, err);
        if (!done) return false;
    }
    return true;
}

bool ich_keep_save(const ich_checkpoint *checkpoint, const char *run, int most, int *from, ich_error *err) {
    char *next = ich_run_path(run, NEXT, err), *newest = path_of(run, 0, err);
    bool done = next && newest && ich_checkpoint_save(checkpoint, next, err) && drop_damaged(run, *from, err);
    if (done) *from = 0;
    for (int i = most - 1; done && i > 0; i--) done = !is_there(run, i - 1) || move(run, i - 1, i, err);
    done = done && ich_file_move(next, newest, err) && erase_from(run, most, err);
    free(next);
    free(newest);
    return done;
}

bool ich_keep_remove(const char *run, ich_error *err) {
    return erase_from(run, 0, err) && erase(run, NEXT, err);
}

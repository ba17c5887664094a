#include "repeat.h"

#include "data/file.h"
#include "data/safetensors.h"
#include "finetune.h"
#include "infer/model.h"
#include "infer/provenance.h"
#include "pretrain.h"
#include "run.h"
#include "tensor/kernels.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 30, OPEN_FOLDERS = 16 };

/* -- what the record asks for --------------------------------------------------------------------------- */

/* The kernels that the model was trained with, as --kernels and --precision would choose them. */
static bool same_kernels(const ich_model *model, const char *path, ich_error *err) {
    const char *wanted = ich_model_meta(model, "kernels");
    const bool bf16 = !strcmp(model->recipe.precision, "bf16");
    char name[64];
    ich_error why = {0};
    if (!wanted) return ich_fail(err, "%s: does not say which kernels it was trained with", path);
    snprintf(name, sizeof name, "%s", wanted);
    char *suffix = strstr(name, "-bf16");
    if (bf16 && suffix) *suffix = '\0';
    return ich_kernels_select(name, bf16, &why) ||
           ich_fail(err, "%s: was trained with the kernels '%s': repeat it on a processor that has them",
                    path, wanted);
}

/* The parent must be the one that the record names. */
static bool same_parent(const ich_model *model, const char *path, const char *init, ich_error *err) {
    const char *wanted = ich_model_meta(model, "parent");
    char hex[17];
    ich_model parent;
    if (!wanted) return true;
    if (!init) return ich_fail(err, "%s: was started from model %s: give its file with --init", path, wanted);
    if (!ich_model_load(&parent, init, err)) return false;
    ich_provenance_hash(&parent, hex);
    ich_model_free(&parent);
    return !strcmp(hex, wanted) ||
           ich_fail(err, "%s: is model %s, but %s was started from %s: give that with --init", init, hex,
                    path, wanted);
}

/* -- what came of it ------------------------------------------------------------------------------------ */

static bool same_tensor(const ich_st_tensor *a, const ich_st_tensor *b) {
    return a->rank == b->rank && a->count == b->count &&
           !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) &&
           !memcmp(a->data, b->data, a->count * sizeof *a->data);
}

/* Where two files of other bytes differ first, for people. */
static void find_difference(const ich_safetensors *a, const ich_safetensors *b, char differs[160]) {
    for (size_t i = 0; i < a->n_metadata; i++) {
        const char *other = ich_safetensors_metadata(b, a->keys[i]);
        if (other && !strcmp(a->values[i], other)) continue;
        snprintf(differs, 160, "'%.100s' in its metadata", a->keys[i]);
        return;
    }
    for (size_t i = 0; i < a->n_tensors; i++) {
        const ich_st_tensor *other = ich_safetensors_find(b, a->tensors[i].name);
        if (other && same_tensor(&a->tensors[i], other)) continue;
        snprintf(differs, 160, "'%.120s'", a->tensors[i].name);
        return;
    }
    snprintf(differs, 160, "the order of what it holds");
}

static bool compare(const char *first, const char *second, bool *same, char differs[160], ich_error *err) {
    size_t n = 0, m = 0;
    char *a = ich_file_read(first, MOST_BYTES, &n, err),
         *b = a ? ich_file_read(second, MOST_BYTES, &m, err) : NULL;
    const bool read = a && b;
    *same = read && n == m && !memcmp(a, b, n);
    free(a);
    free(b);
    if (!read || *same) return read;
    ich_safetensors one, two;
    if (!ich_safetensors_read(&one, first, err)) return false;
    const bool done = ich_safetensors_read(&two, second, err);
    if (done) {
        find_difference(&one, &two, differs);
        ich_safetensors_free(&two);
    }
    ich_safetensors_free(&one);
    return done;
}

/* -- the folder ----------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static char *make_folder(ich_error *err) {
    const char *base = getenv("TMPDIR");
    char *folder = ich_path_join(base && *base ? base : "/tmp", "ichor-repeat-XXXXXX");
    if (folder && mkdtemp(folder)) return folder;
    ich_fail(err, "%s: cannot be made: set TMPDIR to a folder with room",
             folder ? folder : "a temporary folder");
    free(folder);
    return NULL;
}

/* -- training again ------------------------------------------------------------------------------------- */

static bool train(const ich_repeat *what, const ich_model *model, const char *init, const char *out,
                  ich_error *err) {
    const char *verb = ich_model_meta(model, "verb");
    const ich_train_job job = {.recipe = model->recipe,
                               .dataset = what->dataset,
                               .out = out,
                               .init = ich_model_meta(model, "parent") ? init : NULL,
                               .progress = what->progress,
                               .stop = what->stop};
    ich_train_result result;
    const bool pretrains = verb && !strcmp(verb, "pretrain");
    if (!verb || (!pretrains && strcmp(verb, "finetune") != 0))
        return ich_fail(
            err, "%s: does not say how it was trained: only what pretrain and finetune wrote can be repeated",
            what->model);
    const bool done = pretrains ? ich_pretrain(&job, &result, err) : ich_finetune(&job, &result, err);
    return done && (!result.stopped || ich_fail(err, "stopped: nothing was compared"));
}

static bool check_dataset(const ich_model *model, const ich_model *again, const ich_repeat *what,
                          ich_error *err) {
    const char *wanted = ich_model_meta(model, "dataset"), *has = ich_model_meta(again, "dataset");
    return (wanted && has && !strcmp(wanted, has)) ||
           ich_fail(err,
                    "%s: is not the dataset that %s was trained on (fingerprint %s, not %s): files, labels "
                    "or split "
                    "differ",
                    what->dataset, what->model, has ? has : "unknown", wanted ? wanted : "unknown");
}

static bool repeat_in(const ich_repeat *what, const ich_model *model, const char *init, const char *folder,
                      bool *same, char differs[160], ich_error *err) {
    char *out = ich_run_path(folder, "run", err), *made = out ? ich_run_path(out, ICH_RUN_MODEL, err) : NULL;
    char *file =
        ich_path_is_folder(what->model) ? ich_run_path(what->model, ICH_RUN_MODEL, err) : strdup(what->model);
    ich_model again;
    bool done =
        out && made && file && train(what, model, init, out, err) && ich_model_load(&again, made, err);
    if (done) {
        done = check_dataset(model, &again, what, err) && compare(file, made, same, differs, err);
        ich_model_free(&again);
    }
    free(out);
    free(made);
    free(file);
    return done;
}

bool ich_repeat_training(const ich_repeat *what, bool *same, char differs[160], ich_error *err) {
    ich_model model;
    ich_run_request request = {0};
    *same = false;
    if (!ich_model_load(&model, what->model, err)) return false;
    if (!what->init && ich_path_is_folder(what->model)) ich_run_recall(&request, what->model, NULL);
    const char *init = what->init ? what->init : request.init;
    bool done = same_kernels(&model, what->model, err) && same_parent(&model, what->model, init, err);
    char *folder = done ? make_folder(err) : NULL;
    done = folder && repeat_in(what, &model, init, folder, same, differs, err);
    if (folder) nftw(folder, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    free(folder);
    ich_run_request_free(&request);
    ich_model_free(&model);
    return done;
}

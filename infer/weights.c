#include "infer/weights.h"

#include "data/file.h"
#include "data/safetensors.h"
#include "infer/provenance.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ich_weights_are_foreign(const char *path) {
    ich_safetensors st;
    if (ich_path_is_folder(path) || !ich_safetensors_read(&st, path, NULL)) return false;
    const char *format = ich_safetensors_metadata(&st, "format"); /* torch's files say "pt" */
    const bool foreign = format == NULL || strncmp(format, "ichor/", 6) != 0;
    ich_safetensors_free(&st);
    return foreign;
}

/* "64×3×7×7" */
static void put_shape(char *text, size_t size, int rank, const int64_t *dims) {
    size_t n = 0;
    text[0] = '\0';
    for (int d = 0; d < rank && n < size; d++)
        n += (size_t)snprintf(text + n, size - n, "%s%lld", d > 0 ? "×" : "", (long long)dims[d]);
}

static bool same_shape(const ich_st_tensor *t, const ich_param *param) {
    bool same = t->rank == param->rank;
    for (int d = 0; same && d < param->rank; d++) same = t->dims[d] == param->dims[d];
    return same;
}

static bool copy_array(ich_model *model, const ich_param *param, const ich_safetensors *st, const char *path,
                       ich_error *err) {
    const ich_st_tensor *t = ich_safetensors_find(st, param->name);
    if (t == NULL)
        return ich_fail(err,
                        "%s: has no array '%s': it is no %s with torchvision's names, set arch to what it is",
                        path, param->name, model->recipe.arch);
    if (!same_shape(t, param)) {
        char have[100], want[100];
        int64_t dims[4] = {0};
        for (int d = 0; d < param->rank; d++) dims[d] = param->dims[d];
        put_shape(have, sizeof have, t->rank, t->dims);
        put_shape(want, sizeof want, param->rank, dims);
        return ich_fail(err, "%s: '%s' is %s there and %s in a %s of these windows: use a file that fits",
                        path, param->name, have, want, model->recipe.arch);
    }
    memcpy(model->values + param->offset, t->data, param->count * sizeof *model->values);
    return true;
}

/* What inspect --provenance shows as the beginning of the chain. */
static bool record(ich_model *model, const char *path, ich_error *err) {
    const char *slash = strrchr(path, '/');
    char hex[17], *text = NULL;
    ich_provenance_hash(model, hex);
    if (asprintf(&text, "weights of another program, from a file named %s\n", slash ? slash + 1 : path) < 0)
        return ich_fail(err, "no memory for a model's provenance");
    const bool done = ich_model_set_meta(model, "parent", hex, err) &&
                      ich_model_set_meta(model, ICH_META_ANCESTRY, text, err);
    free(text);
    return done;
}

bool ich_weights_adopt(ich_model *model, const char *path, int *copied, ich_error *err) {
    ich_safetensors st;
    *copied = 0;
    if (!ich_safetensors_read(&st, path, err)) return false;
    bool done = true;
    for (int i = 0; done && i < model->graph.n_params; i++) {
        const ich_param *param = &model->graph.params[i];
        if (param->group != ICH_GROUP_CNN) continue;
        done = copy_array(model, param, &st, path, err);
        *copied += done;
    }
    ich_safetensors_free(&st);
    return done && record(model, path, err);
}

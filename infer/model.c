#include "infer/model.h"

#include "data/file.h"
#include "data/labels.h"
#include "data/safetensors.h"
#include "data/text.h"
#include "layers/zoo.h"
#include "tensor/arena.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "ichor/1"
enum { MAX_META = sizeof(((ich_model *)NULL)->meta_keys) / sizeof(char *) };

/* Keys that the file always carries, in the file's order; callers may set any others. */
enum { KEY_FORMAT, KEY_VERSION, KEY_ARCH, KEY_HEADS, KEY_RECIPE, RESERVED_KEYS };
static const char *const reserved_keys[RESERVED_KEYS] = {"format", "version", "arch", "heads", "recipe"};

static const char *heads_text(bool image_head, bool study_head) {
    return image_head && study_head ? "image,study" : image_head ? "image" : "study";
}

static bool build_graph(ich_model *model, bool image_head, bool study_head, ich_error *err) {
    const ich_recipe *recipe = &model->recipe;
    ich_preprocess preprocess;
    if (!ich_recipe_preprocess(recipe, &preprocess, err)) return false;

    ich_graph *graph = &model->graph;
    graph->group = ICH_GROUP_CNN;
    model->features = ich_zoo_cnn(graph, recipe->arch, recipe->size, preprocess.channels);
    graph->group = ICH_GROUP_HEAD;
    if (image_head) ich_zoo_image_head(graph, model->features, ICH_LABELS);
    if (study_head) {
        const ich_study_head head = {.hidden = recipe->hidden,
                                     .attention = recipe->attention,
                                     .heads = recipe->heads,
                                     .gated = recipe->gated,
                                     .context = recipe->context,
                                     .pool = recipe->pool,
                                     .top = recipe->top,
                                     .gp = !strcmp(recipe->classifier, "gp"),
                                     .smooth = (float)recipe->smooth,
                                     .smooth_order = recipe->smooth_order};
        ich_zoo_study_head(graph, model->features, &head, ICH_LABELS);
    }
    if (graph->error.text[0] != '\0') return ich_fail(err, "%s", graph->error.text);

    model->input = ich_graph_find(graph, "input");
    model->fc = ich_graph_find(graph, "fc");
    const ich_study_nodes nodes = ich_zoo_study_nodes(graph);
    model->classifier = nodes.study;
    model->slices = nodes.slices;
    model->weights = nodes.weights;
    model->gp = nodes.gp;
    return true;
}

/* The graph, as yet without values; every model begins here, fresh or loaded. */
static bool build(ich_model *model, const ich_recipe *recipe, bool image_head, bool study_head,
                  ich_error *err) {
    memset(model, 0, sizeof *model);
    model->recipe = *recipe;
    ich_graph_init(&model->graph);
    if (!image_head && !study_head) return ich_fail(err, "a model needs an image head, a study head or both");
    if (build_graph(model, image_head, study_head, err)) return true;
    ich_model_free(model);
    return false;
}

/* Zeroed values. */
static bool take_memory(ich_model *model, ich_error *err) {
    const size_t bytes = ich_align(model->graph.n_values * sizeof *model->values);
    model->values = aligned_alloc(ICH_ALIGN, bytes);
    if (model->values == NULL) return ich_fail(err, "no memory for a model of %zu MiB", bytes >> 20);
    memset(model->values, 0, bytes);
    return true;
}

bool ich_model_create(ich_model *model, const ich_recipe *recipe, bool image_head, bool study_head,
                      ich_error *err) {
    if (!build(model, recipe, image_head, study_head, err)) return false;
    if (!take_memory(model, err)) {
        ich_model_free(model);
        return false;
    }
    ich_graph_initialize(&model->graph, recipe->seed, model->values);
    return true;
}

void ich_model_free(ich_model *model) {
    ich_graph_free(&model->graph);
    free(model->values);
    for (int i = 0; i < model->n_meta; i++) {
        free(model->meta_keys[i]);
        free(model->meta_values[i]);
    }
    memset(model, 0, sizeof *model);
}

/* -- metadata ------------------------------------------------------------------------------------------ */

static bool is_reserved(const char *key) {
    for (int i = 0; i < RESERVED_KEYS; i++) {
        if (strcmp(key, reserved_keys[i]) == 0) return true;
    }
    return false;
}

static int find_meta(const ich_model *model, const char *key) {
    for (int i = 0; i < model->n_meta; i++) {
        if (strcmp(model->meta_keys[i], key) == 0) return i;
    }
    return -1;
}

const char *ich_model_meta(const ich_model *model, const char *key) {
    const int i = find_meta(model, key);
    return i < 0 ? NULL : model->meta_values[i];
}

/* Keys stay sorted: a file's bytes must not depend on what was set first, which differs in a resumed run. */
static int make_room_for_meta(ich_model *model, const char *key) {
    int i = model->n_meta++;
    for (; i > 0 && strcmp(model->meta_keys[i - 1], key) > 0; i--) {
        model->meta_keys[i] = model->meta_keys[i - 1];
        model->meta_values[i] = model->meta_values[i - 1];
    }
    return i;
}

bool ich_model_set_meta(ich_model *model, const char *key, const char *value, ich_error *err) {
    if (is_reserved(key)) return ich_fail(err, "metadata '%s' is written by the model itself", key);
    int i = find_meta(model, key);
    if (i < 0 && model->n_meta == MAX_META) {
        return ich_fail(err, "no room for metadata '%s': a model keeps at most %d entries", key, MAX_META);
    }
    char *text = strdup(value), *name = i < 0 ? strdup(key) : NULL;
    if (text == NULL || (i < 0 && name == NULL)) {
        free(text);
        free(name);
        return ich_fail(err, "no memory for metadata '%s'", key);
    }
    if (i < 0) {
        i = make_room_for_meta(model, key);
        model->meta_keys[i] = name;
    } else {
        free(model->meta_values[i]);
    }
    model->meta_values[i] = text;
    return true;
}

/* -- saving -------------------------------------------------------------------------------------------- */

static char *recipe_text(const ich_recipe *recipe, ich_error *err) {
    ich_text text;
    if (!ich_text_open(&text, "the recipe's text", err)) return NULL;
    ich_recipe_print(recipe, text.stream);
    return ich_text_close(&text, err);
}

static ich_st_tensor *list_tensors(const ich_model *model, ich_error *err) {
    const ich_graph *graph = &model->graph;
    ich_st_tensor *tensors = ich_new((size_t)graph->n_params, sizeof *tensors, "the list of tensors", err);
    if (tensors == NULL) return NULL;
    for (int i = 0; i < graph->n_params; i++) {
        ich_param *param = &graph->params[i];
        tensors[i] = (ich_st_tensor){.name = param->name,
                                     .rank = param->rank,
                                     .count = param->count,
                                     .data = model->values + param->offset};
        for (int d = 0; d < param->rank; d++) tensors[i].dims[d] = param->dims[d];
    }
    return tensors;
}

bool ich_model_save(const ich_model *model, const char *path, ich_error *err) {
    char *recipe = recipe_text(&model->recipe, err);
    if (recipe == NULL) return false;
    ich_st_tensor *tensors = list_tensors(model, err);
    if (tensors == NULL) {
        free(recipe);
        return false;
    }
    const char *keys[RESERVED_KEYS + MAX_META], *values[RESERVED_KEYS + MAX_META];
    memcpy(keys, reserved_keys, sizeof reserved_keys);
    values[KEY_FORMAT] = FORMAT;
    values[KEY_VERSION] = ICHOR_VERSION;
    values[KEY_ARCH] = model->recipe.arch;
    values[KEY_HEADS] = heads_text(model->fc >= 0, model->classifier >= 0);
    values[KEY_RECIPE] = recipe;
    for (int i = 0; i < model->n_meta; i++) {
        keys[RESERVED_KEYS + i] = model->meta_keys[i];
        values[RESERVED_KEYS + i] = model->meta_values[i];
    }
    const bool done = ich_safetensors_write(path, tensors, (size_t)model->graph.n_params, keys, values,
                                            RESERVED_KEYS + (size_t)model->n_meta, err);
    free(tensors);
    free(recipe);
    return done;
}

/* -- loading: the file is hostile input ---------------------------------------------------------------- */

/* "[64, 3, 7, 7]" */
static void shape_text(char *text, size_t size, int rank, const int64_t *dims) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (int d = 0; d < rank && used < size; d++) {
        used += (size_t)snprintf(text + used, size - used, "%s%lld", d > 0 ? ", " : "", (long long)dims[d]);
    }
    if (used < size) snprintf(text + used, size - used, "]");
}

static bool same_shape(int rank, const int *dims, int other_rank, const int64_t *other) {
    if (rank != other_rank) return false;
    for (int d = 0; d < rank; d++) {
        if (dims[d] != other[d]) return false;
    }
    return true;
}

static void param_shape_text(char *text, size_t size, const ich_param *param) {
    int64_t dims[4] = {0};
    for (int d = 0; d < param->rank; d++) dims[d] = param->dims[d];
    shape_text(text, size, param->rank, dims);
}

/* The tensor of a parameter; NULL, with the reason, where the file has none of its shape. */
static const ich_st_tensor *find_param(const ich_model *model, const ich_param *param,
                                       const ich_safetensors *st, const char *path, ich_error *err) {
    char want[100], have[200];
    param_shape_text(want, sizeof want, param);
    const ich_st_tensor *tensor = ich_safetensors_find(st, param->name);
    if (tensor == NULL) {
        ich_fail(err,
                 "%s: tensor '%s' %s is missing, which a %s needs: the file is damaged or edited, "
                 "use another copy",
                 path, param->name, want, model->recipe.arch);
        return NULL;
    }
    if (!same_shape(param->rank, param->dims, tensor->rank, tensor->dims)) {
        shape_text(have, sizeof have, tensor->rank, tensor->dims);
        ich_fail(err,
                 "%s: tensor '%s' is %s, the recipe in the file's metadata asks for %s: the file is "
                 "damaged or edited, use another copy",
                 path, param->name, have, want);
        return NULL;
    }
    return tensor;
}

static bool load_param(ich_model *model, const ich_param *param, const ich_safetensors *st, const char *path,
                       ich_error *err) {
    const ich_st_tensor *tensor = find_param(model, param, st, path, err);
    for (size_t i = 0; tensor != NULL && i < param->count; i++) {
        if (!isfinite(tensor->data[i])) {
            return ich_fail(err,
                            "%s: tensor '%s' holds a value that is not finite (element %zu): training "
                            "diverged or the file is damaged, use another copy",
                            path, param->name, i);
        }
    }
    if (tensor != NULL)
        memcpy(model->values + param->offset, tensor->data, param->count * sizeof *tensor->data);
    return tensor != NULL;
}

static bool parse_heads(const char *text, bool *image_head, bool *study_head, const char *path,
                        ich_error *err) {
    for (int i = 1; i <= 3; i++) {
        *image_head = (i & 1) != 0;
        *study_head = (i & 2) != 0;
        if (text != NULL && strcmp(text, heads_text(*image_head, *study_head)) == 0) return true;
    }
    return ich_fail(err,
                    "%s: metadata 'heads' is '%s', not image, study or image,study: the file is damaged "
                    "or from a newer program",
                    path, text != NULL ? text : "absent");
}

static bool read_metadata(const ich_safetensors *st, const char *path, ich_recipe *recipe, bool *image_head,
                          bool *study_head, ich_error *err) {
    const char *format = ich_safetensors_metadata(st, "format");
    const char *text = ich_safetensors_metadata(st, "recipe");
    if (format == NULL || strncmp(format, "ichor/", 6) != 0) {
        return ich_fail(err,
                        "%s: not a model of this program (its metadata has no format " FORMAT "): weights "
                        "of other programs cannot be loaded; make a model with 'ichor pretrain'",
                        path);
    }
    if (strcmp(format, FORMAT) != 0) {
        return ich_fail(err,
                        "%s: model format '%s', this program reads " FORMAT ": use the program that wrote it",
                        path, format);
    }
    if (text == NULL) {
        return ich_fail(err, "%s: the metadata has no recipe: the file is damaged, use another copy", path);
    }
    ich_recipe_default(recipe, ICH_FOR_PRETRAIN);
    return ich_recipe_parse(recipe, text, path, err) &&
           parse_heads(ich_safetensors_metadata(st, "heads"), image_head, study_head, path, err);
}

/* Takes memory only for what the file holds: its recipe may claim anything. */
static bool fill(ich_model *model, const ich_safetensors *st, const char *path, ich_error *err) {
    for (int i = 0; i < model->graph.n_params; i++) {
        if (find_param(model, &model->graph.params[i], st, path, err) == NULL) return false;
    }
    ich_error why = {0};
    if (!take_memory(model, &why)) return ich_fail(err, "%s: %s", path, why.text);
    for (int i = 0; i < model->graph.n_params; i++) {
        if (!load_param(model, &model->graph.params[i], st, path, err)) return false;
    }
    for (size_t i = 0; i < st->n_metadata; i++) {
        if (is_reserved(st->keys[i])) continue;
        if (!ich_model_set_meta(model, st->keys[i], st->values[i], &why)) {
            return ich_fail(err, "%s: %s", path, why.text);
        }
    }
    return true;
}

static bool load_file(ich_model *model, const char *path, ich_error *err) {
    ich_safetensors st;
    if (!ich_safetensors_read(&st, path, err)) return false;
    ich_recipe recipe;
    bool image_head = false, study_head = false;
    bool done = read_metadata(&st, path, &recipe, &image_head, &study_head, err);
    if (done) {
        ich_error why = {0};
        done = build(model, &recipe, image_head, study_head, &why);
        if (!done) ich_fail(err, "%s: %s", path, why.text);
    }
    if (done && !fill(model, &st, path, err)) {
        ich_model_free(model);
        done = false;
    }
    ich_safetensors_free(&st);
    return done;
}

bool ich_model_load(ich_model *model, const char *path, ich_error *err) {
    memset(model, 0, sizeof *model);
    if (!ich_path_is_folder(path)) return load_file(model, path, err);
    char *file = ich_path_join(path, "model.safetensors");
    if (file == NULL) return ich_fail(err, "%s: no memory for a path", path);
    bool done = false;
    if (ich_path_exists(file)) {
        done = load_file(model, file, err);
    } else {
        ich_fail(err,
                 "%s: no model.safetensors in this folder: give a model file, or a run folder whose first "
                 "epoch is done",
                 path);
    }
    free(file);
    return done;
}

/* -- taking over what another model has learned -------------------------------------------------------- */

static bool same_param(const ich_param *a, const ich_param *b) {
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

static bool same_cnn(const ich_model *model, const ich_model *from, ich_error *err) {
    for (int i = 0; i < model->graph.n_params; i++) {
        const ich_param *param = &model->graph.params[i];
        if (param->group != ICH_GROUP_CNN) continue;
        const int other = ich_graph_find_param(&from->graph, param->name);
        if (other >= 0 && same_param(param, &from->graph.params[other])) continue;
        char want[100], have[100] = "absent";
        param_shape_text(want, sizeof want, param);
        if (other >= 0) param_shape_text(have, sizeof have, &from->graph.params[other]);
        return ich_fail(err,
                        "the CNN to start from differs: '%s' is %s there and %s here: use as many windows "
                        "as it was trained with",
                        param->name, have, want);
    }
    return true;
}

bool ich_model_adopt(ich_model *model, const ich_model *from, int *copied, ich_error *err) {
    *copied = 0;
    if (strcmp(model->recipe.arch, from->recipe.arch) != 0) {
        return ich_fail(err, "the model to start from is a %s, the new one a %s: set arch to %s",
                        from->recipe.arch, model->recipe.arch, from->recipe.arch);
    }
    if (!same_cnn(model, from, err)) return false;
    for (int i = 0; i < model->graph.n_params; i++) {
        const ich_param *param = &model->graph.params[i];
        const int other = ich_graph_find_param(&from->graph, param->name);
        if (other < 0 || !same_param(param, &from->graph.params[other])) continue;
        memcpy(model->values + param->offset, from->values + from->graph.params[other].offset,
               param->count * sizeof *model->values);
        ++*copied;
    }
    return true;
}

/* model.h: a trained network: graph, values, recipe; and its file.
 *
 * model.safetensors holds every parameter under its torchvision or torch name, float32, OIHW; its metadata:
 * format "ichor/1", the recipe (ini text), arch, heads, program version, and where it comes from
 * (provenance.h).
 *
 * Calls: layers, data (safetensors, recipe). Called by: infer, train.
 */
#ifndef ICH_INFER_MODEL_H
#define ICH_INFER_MODEL_H

#include "data/recipe.h"
#include "layers/graph.h"

typedef struct ich_model {
    ich_recipe recipe;
    ich_graph graph;
    float *values; /* [graph.n_values], 64-byte aligned */
    /* nodes */
    int input, features;
    int fc;                                /* logits per slice of the image head, or -1 */
    int classifier;                        /* logits per study of the study head, or -1 */
    int slices;                            /* logits per slice of the study head, or -1 */
    int weights;                           /* attention per slice, or -1: the study head has none */
    int gp;                                /* a Gaussian process' mean, variance, … per study, or -1 */
    char *meta_keys[16], *meta_values[16]; /* besides the recipe; kept through load and save */
    int n_meta;
} ich_model;

/* A fresh network with random values: image head, study head or both. */
bool ich_model_create(ich_model *model, const ich_recipe *recipe, bool image_head, bool study_head,
                      ich_error *err);
/* `path`: a model file, or a run folder that holds model.safetensors. */
bool ich_model_load(ich_model *model, const char *path, ich_error *err);
bool ich_model_save(const ich_model *model, const char *path, ich_error *err);
/* Copies the values of equally named and shaped parameters (the CNN of a pretrained model); returns how many,
 * fails if the CNNs differ. */
bool ich_model_adopt(ich_model *model, const ich_model *from, int *copied, ich_error *err);
bool ich_model_set_meta(ich_model *model, const char *key, const char *value, ich_error *err);
const char *ich_model_meta(const ich_model *model, const char *key);
void ich_model_free(ich_model *model);

#endif

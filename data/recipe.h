/* recipe.h: every setting of a run, in one table.
 *
 * A setting has a name, a kind, a default, bounds, a unit and a sentence; the same table parses recipe.ini,
 * the options of the command line and the metadata of a model file, writes the merged recipe and prints
 * --help.
 *
 * Calls: inih, preprocess (types). Called by: train, infer, cli.
 */
#ifndef ICH_DATA_RECIPE_H
#define ICH_DATA_RECIPE_H

#include "preprocess.h"
#include <stdio.h>

typedef struct ich_recipe {
    /* model */
    char arch[32];                             /* resnet18 */
    int size;                                  /* pixels, 224 */
    char context[16], pool[16], classifier[8]; /* of the study head: layers/zoo_study.c */
    int hidden, attention, heads;
    bool gated;
    int top; /* slices that a pool of top-k counts */
    /* channels */
    char windows[96]; /* "40/80,80/200,40/380" */
    /* training */
    int epochs, batch;  /* batch: slices (pretrain) */
    int studies;        /* per optimizer step (finetune) */
    int chunk;          /* slices of the CNN at a time (finetune, predict), 0: ich_recipe_chunk */
    double lr, lr_cnn;  /* head (or everything, in pretraining) and CNN */
    char optimizer[16]; /* adamw | sgd */
    double momentum, weight_decay, clip, ema;
    char schedule[16]; /* onecycle | cosine | constant */
    double warmup;     /* fraction of the steps */
    int bad_steps;     /* left out in an epoch before the run ends: train/guard.h */
    double explode;    /* factor on the mean loss from which a step is bad; 0: none */
    bool freeze_cnn;
    double smooth; /* weight of the attention's roughness in the loss */
    int smooth_order;
    double prevalence;                                   /* that studies are weighted to; 0: as they come */
    double label_false_positives, label_false_negatives; /* error rates of the study labels */
    /* augmentation */
    int parts;            /* of a step's batch, summed each by itself, then added; 0: 1 a rank */
    bool sync_batch_norm; /* over the ranks of a run, if there are several */
    bool augment, flip;
    double rotate, scale, shift, hu, contrast;
    /* everything */
    uint64_t seed;
    int threads;
    char kernels[16];
    char precision[8]; /* float32 | bf16 */
} ich_recipe;

typedef enum ich_setting_kind {
    ICH_SETTING_INT,
    ICH_SETTING_REAL,
    ICH_SETTING_BOOL,
    ICH_SETTING_TEXT,
    ICH_SETTING_U64
} ich_setting_kind;

enum { /* which verbs a setting belongs to; defaults may differ between pretrain and finetune */
       ICH_FOR_PRETRAIN = 1,
       ICH_FOR_FINETUNE = 2,
       ICH_FOR_PREDICT = 4
};

typedef struct ich_setting {
    const char *name;    /* "lr": --lr on the command line, lr = in recipe.ini */
    const char *section; /* of recipe.ini */
    ich_setting_kind kind;
    size_t offset, size; /* in ich_recipe */
    double lo, hi;
    const char *pretrain, *finetune; /* defaults, as text */
    unsigned verbs;
    const char *unit, *help;
} ich_setting;

const ich_setting *ich_settings(size_t *count);
void ich_recipe_default(ich_recipe *recipe, unsigned verb);
/* Sets one by its name; fails naming the setting, the text, and what it may be. `where` ("recipe.ini",
 * "--lr") goes into the message. */
bool ich_recipe_set(ich_recipe *recipe, const char *name, const char *text, const char *where,
                    ich_error *err);
bool ich_recipe_read(ich_recipe *recipe, const char *path,
                     ich_error *err); /* overrides what the file names; unknown names fail */
bool ich_recipe_parse(ich_recipe *recipe, const char *text, const char *where,
                      ich_error *err);                         /* the same, from memory */
void ich_recipe_print(const ich_recipe *recipe, FILE *stream); /* as recipe.ini, complete */
bool ich_recipe_write(const ich_recipe *recipe, const char *path, ich_error *err);
bool ich_recipe_preprocess(const ich_recipe *recipe, ich_preprocess *out,
                           ich_error *err);     /* parses windows */
int ich_recipe_chunk(const ich_recipe *recipe); /* slices of the CNN at a time; what 0 stands for */
ich_augment ich_recipe_augment(const ich_recipe *recipe);

#endif

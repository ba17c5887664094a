/* Arrays are tensors of the file, numbers its metadata. Reading is checked in full before anything is taken
 * over, so that a refused file leaves the run as it was. */
#include "checkpoint.h"

#include "infer/provenance.h"

#include "data/safetensors.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "ichor-checkpoint/2"

/* -- counters: a table of names, so that what is written is what is read ------------------------------- */

/* The counters in file form. */
typedef struct counters {
    uint64_t epochs, steps, rows, epoch, batch, best_epoch, optimizer_step, bad_steps;
    uint64_t tally_rows, tally_images, tally_known;
    double best, seconds, waited, tally_loss;
} counters;

static const struct counter {
    const char *key;
    size_t offset;
    bool real;
} table[] = {
    {"epochs", offsetof(counters, epochs), false},
    {"steps", offsetof(counters, steps), false},
    {"rows", offsetof(counters, rows), false},
    {"epoch", offsetof(counters, epoch), false},
    {"batch", offsetof(counters, batch), false},
    {"best_epoch", offsetof(counters, best_epoch), false},
    {"optimizer_step", offsetof(counters, optimizer_step), false},
    {"bad_steps", offsetof(counters, bad_steps), false},
    {"tally_rows", offsetof(counters, tally_rows), false},
    {"tally_images", offsetof(counters, tally_images), false},
    {"tally_known", offsetof(counters, tally_known), false},
    {"best", offsetof(counters, best), true},
    {"seconds", offsetof(counters, seconds), true},
    {"waited", offsetof(counters, waited), true},
    {"tally_loss", offsetof(counters, tally_loss), true},
};
enum { COUNTERS = sizeof table / sizeof *table, COUNTER_TEXT = 40 };
enum { KEY_FORMAT, KEY_VERB, KEY_DATASET, KEY_PARENT, KEY_LOG, KEY_ANCESTRY, TEXT_KEYS };
static const char *const text_keys[TEXT_KEYS] = {"format", "verb", "dataset",
                                                 "parent", "log",  ICH_META_ANCESTRY};
enum { TENSORS = 6 };

static counters counters_of(const ich_checkpoint *c) {
    const ich_position *at = c->position;
    const ich_tally *tally = c->tally;
    return (counters){.epochs = (uint64_t)c->epochs,
                      .steps = c->steps,
                      .rows = c->rows,
                      .epoch = (uint64_t)at->epoch,
                      .batch = at->batch,
                      .best_epoch = (uint64_t)at->best_epoch,
                      .optimizer_step = c->optimizer->step,
                      .bad_steps = (uint64_t)at->bad_steps,
                      .tally_rows = tally->rows,
                      .tally_images = tally->images,
                      .tally_known = tally->known,
                      .best = at->best,
                      .seconds = at->seconds,
                      .waited = at->waited,
                      .tally_loss = tally->loss};
}

static void print_counter(const counters *values, const struct counter *counter, char text[COUNTER_TEXT]) {
    const char *at = (const char *)values + counter->offset;
    if (counter->real)
        snprintf(text, COUNTER_TEXT, "%a", *(const double *)at); /* exact (C17 7.21.6.1) */
    else
        snprintf(text, COUNTER_TEXT, "%" PRIu64, *(const uint64_t *)at);
}

static bool parse_counter(const char *text, const struct counter *counter, counters *values) {
    char *end = NULL, *at = (char *)values + counter->offset;
    if (!text || !*text || isspace((unsigned char)*text)) return false;
    errno = 0;
    if (counter->real) {
        *(double *)at = strtod(text, &end);
        return *end == '\0';
    }
    *(uint64_t *)at = strtoull(text, &end, 10);
    return *end == '\0' && *text != '-' && errno == 0;
}

/* -- arrays -------------------------------------------------------------------------------------------- */

typedef struct array {
    const char *name;
    float *data;
    size_t count;
} array;

/* The arrays that this run has, `known` scores among them; returns how many. */
static size_t list_arrays(const ich_checkpoint *c, size_t known, array list[TENSORS]) {
    const size_t n = c->optimizer->n_values;
    const array all[TENSORS] = {
        {"values", c->model->values, n},        {"state.0", c->optimizer->state[0], n},
        {"state.1", c->optimizer->state[1], n}, {"average", c->optimizer->average, n},
        {"score", c->tally->score, known},      {"label", c->tally->label, known}};
    size_t used = 0;
    for (int i = 0; i < TENSORS; i++)
        if (all[i].data && all[i].count > 0) list[used++] = all[i];
    return used;
}

bool ich_checkpoint_save(const ich_checkpoint *c, const char *path, ich_error *err) {
    array arrays[TENSORS];
    const size_t n = list_arrays(c, c->tally->known, arrays);
    ich_st_tensor tensors[TENSORS];
    for (size_t i = 0; i < n; i++)
        tensors[i] = (ich_st_tensor){.name = (char *)arrays[i].name,
                                     .rank = 1,
                                     .dims = {(int64_t)arrays[i].count},
                                     .count = arrays[i].count,
                                     .data = arrays[i].data};
    const char *parent = ich_model_meta(c->model, "parent");
    const char *ancestry = ich_model_meta(c->model, ICH_META_ANCESTRY);
    const char *keys[TEXT_KEYS + COUNTERS], *values[TEXT_KEYS + COUNTERS];
    memcpy(keys, text_keys, sizeof text_keys);
    values[KEY_FORMAT] = FORMAT;
    values[KEY_VERB] = c->verb;
    values[KEY_DATASET] = c->fingerprint;
    values[KEY_PARENT] = parent ? parent : "";
    values[KEY_ANCESTRY] = ancestry ? ancestry : "";
    values[KEY_LOG] = ich_log_text(c->log);
    const counters now = counters_of(c);
    char texts[COUNTERS][COUNTER_TEXT];
    for (int i = 0; i < COUNTERS; i++) {
        print_counter(&now, &table[i], texts[i]);
        keys[TEXT_KEYS + i] = table[i].key;
        values[TEXT_KEYS + i] = texts[i];
    }
    return ich_safetensors_write_sealed(path, tensors, n, keys, values, TEXT_KEYS + COUNTERS, err);
}

/* -- loading: as hostile as any file ------------------------------------------------------------------- */

static bool is(const ich_safetensors *st, int key, const char *expected) {
    const char *text = ich_safetensors_metadata(st, text_keys[key]);
    return text && !strcmp(text, expected);
}

static bool check_identity(const ich_checkpoint *c, const ich_safetensors *st, const char *path,
                           ich_error *err) {
    if (!is(st, KEY_FORMAT, FORMAT))
        return ich_fail(err, "%s: not a checkpoint of this program: start the run again with --force", path);
    if (!is(st, KEY_VERB, c->verb))
        return ich_fail(err, "%s: the checkpoint of another verb, not of %s", path, c->verb);
    if (!is(st, KEY_DATASET, c->fingerprint))
        return ich_fail(err,
                        "%s: the dataset is not the one that the run began with: restore it, or start again "
                        "with --force",
                        path);
    return true;
}

static bool read_counters(const ich_checkpoint *c, const ich_safetensors *st, const char *path, counters *now,
                          ich_error *err) {
    for (int i = 0; i < COUNTERS; i++)
        if (!parse_counter(ich_safetensors_metadata(st, table[i].key), &table[i], now))
            return ich_fail(err, "%s: damaged: '%s' is not a number; start the run again with --force", path,
                            table[i].key);
    if (now->steps != c->steps || now->rows != c->rows)
        return ich_fail(err,
                        "%s: an epoch had %" PRIu64 " samples in %" PRIu64
                        " steps and now has %zu in %zu: some scans "
                        "came or went since (see skipped.csv); start again with --force",
                        path, now->rows, now->steps, c->rows, c->steps);
    const bool sane = now->epochs == (uint64_t)c->epochs && now->epoch <= now->epochs &&
                      now->batch <= now->steps && now->bad_steps <= now->batch &&
                      now->best_epoch <= now->epochs && now->tally_known <= c->tally->room;
    return sane || ich_fail(err, "%s: damaged, or of another recipe: start the run again with --force", path);
}

/* All are checked before the first is copied: a file that is refused changes nothing. */
static bool check_array(const array *a, const ich_st_tensor *tensor, const char *path, ich_error *err) {
    if (!tensor || tensor->count != a->count)
        return ich_fail(err, "%s: '%s' is missing or of another model: start the run again with --force",
                        path, a->name);
    for (size_t k = 0; k < tensor->count; k++)
        if (!isfinite(tensor->data[k]))
            return ich_fail(err, "%s: '%s' holds a value that is not finite: start again with --force", path,
                            a->name);
    return true;
}

static bool read_arrays(const ich_checkpoint *c, const ich_safetensors *st, const char *path, size_t known,
                        ich_error *err) {
    array arrays[TENSORS];
    const size_t n = list_arrays(c, known, arrays);
    for (size_t i = 0; i < n; i++)
        if (!check_array(&arrays[i], ich_safetensors_find(st, arrays[i].name), path, err)) return false;
    for (size_t i = 0; i < n; i++)
        memcpy(arrays[i].data, ich_safetensors_find(st, arrays[i].name)->data,
               arrays[i].count * sizeof(float));
    return true;
}

static bool restore(const ich_checkpoint *c, const ich_safetensors *st, const counters *now, ich_error *err) {
    const char *parent = ich_safetensors_metadata(st, text_keys[KEY_PARENT]);
    const char *ancestry = ich_safetensors_metadata(st, text_keys[KEY_ANCESTRY]);
    const char *log = ich_safetensors_metadata(st, text_keys[KEY_LOG]);
    if (parent && *parent && !ich_model_set_meta(c->model, "parent", parent, err)) return false;
    if (ancestry && *ancestry && !ich_model_set_meta(c->model, ICH_META_ANCESTRY, ancestry, err))
        return false;
    if (log && !ich_log_restore(c->log, log, err)) return false;
    *c->position = (ich_position){.epoch = (int)now->epoch,
                                  .batch = now->batch,
                                  .best = now->best,
                                  .best_epoch = (int)now->best_epoch,
                                  .bad_steps = (int)now->bad_steps,
                                  .seconds = now->seconds,
                                  .waited = now->waited};
    c->optimizer->step = now->optimizer_step;
    c->tally->loss = now->tally_loss;
    c->tally->rows = now->tally_rows;
    c->tally->images = now->tally_images;
    c->tally->known = now->tally_known;
    return true;
}

bool ich_checkpoint_load(const ich_checkpoint *c, const char *path, bool *damaged, ich_error *err) {
    ich_safetensors st;
    if (!ich_safetensors_read_sealed(&st, path, damaged, err)) return false;
    counters now;
    const bool done = check_identity(c, &st, path, err) && read_counters(c, &st, path, &now, err) &&
                      read_arrays(c, &st, path, now.tally_known, err) && restore(c, &st, &now, err);
    ich_safetensors_free(&st);
    return done;
}

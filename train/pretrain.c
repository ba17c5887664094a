/* A step is a batch of slices through CNN and image head in one exec. The order of an epoch is drawn anew
 * from its number, so that a resumed run draws the same. */
#include "pretrain.h"

#include "feed.h"
#include "layers/exec.h"
#include "layers/loss.h"
#include "loop.h"
#include <stdlib.h>
#include <string.h>

enum { MIN_ROWS = 2 }; /* batch norm needs a variance */

typedef struct sample {
    uint32_t study, slice;
} sample;

typedef struct pretraining {
    ich_loop loop;
    sample *train, *val; /* labelled slices */
    size_t n_train, n_val;
    uint32_t *order; /* of this epoch */
    size_t batch;
    ich_exec *learning, *judging;
    ich_feed feed, val_feed;
    float (*labels)[ICH_LABELS]; /* of one batch */
} pretraining;

/* -- slices -------------------------------------------------------------------------------------------- */

/* Writes the labelled slices of the studies to `out`, unless it is NULL; returns how many. */
static size_t list_slices(const ich_source *source, const uint32_t *studies, size_t n, sample *out) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        for (int z = 0; z < source->cache.slices[studies[i]]; z++) {
            float label[ICH_LABELS];
            ich_source_slice_label(source, studies[i], z, label);
            if (!ich_any_known(label)) continue;
            if (out) out[count] = (sample){studies[i], (uint32_t)z};
            count++;
        }
    return count;
}

static bool list_samples(pretraining *p, ich_error *err) {
    const ich_source *source = &p->loop.source;
    p->n_train = list_slices(source, source->train, source->n_train, NULL);
    p->n_val = list_slices(source, source->val, source->n_val, NULL);
    if (p->n_train < MIN_ROWS)
        return ich_fail(err, "%s: %zu labelled slices to learn from: batch norm needs at least %d",
                        p->loop.job->dataset, p->n_train, MIN_ROWS);
    p->train = ich_new(p->n_train, sizeof *p->train, "the list of slices", err);
    p->val = ich_new(p->n_val + 1, sizeof *p->val, "the list of slices", err);
    p->order = ich_new(p->n_train, sizeof *p->order, "the order of slices", err);
    if (!p->train || !p->val || !p->order) return false;
    list_slices(source, source->train, source->n_train, p->train);
    list_slices(source, source->val, source->n_val, p->val);
    return true;
}

/* A last batch too small for batch norm is left out. */
static size_t steps_of(size_t n, size_t batch) { return n / batch + (n % batch >= MIN_ROWS); }

/* -- machinery ----------------------------------------------------------------------------------------- */

static ich_exec *open_exec(pretraining *p, bool learns, ich_error *err) {
    const ich_model *model = &p->loop.model;
    const ich_exec_options options = {.inputs = {model->input},
                                      .n_inputs = 1,
                                      .outputs = {model->fc},
                                      .n_outputs = 1,
                                      .max_rows = (int)p->batch,
                                      .gradient = learns,
                                      .batch_statistics = learns,
                                      .pack_on_use = learns,
                                      .training = learns};
    return ich_exec_create(&model->graph, &options, err);
}

static bool open_pretraining(pretraining *p, const ich_train_job *job, ich_error *err) {
    const ich_cache *cache = &p->loop.source.cache;
    const ich_augment augment = ich_recipe_augment(&job->recipe);
    if (!ich_loop_open(&p->loop, job, "pretrain", true, err) || !list_samples(p, err)) return false;
    p->batch = (size_t)job->recipe.batch < p->n_train ? (size_t)job->recipe.batch : p->n_train;
    if (p->batch < MIN_ROWS)
        return ich_fail(err, "--batch %zu: batch norm needs at least %d", p->batch, MIN_ROWS);
    for (int g = 0; g < ICH_GROUPS; g++) p->loop.lr[g] = job->recipe.lr;
    const size_t steps = steps_of(p->n_train, p->batch);
    const size_t used = p->n_train - (p->n_train % p->batch < MIN_ROWS ? p->n_train % p->batch : 0);
    if (!ich_loop_position(&p->loop, steps, used, err)) return false;
    p->labels = ich_new(p->batch, sizeof *p->labels, "the labels of a batch", err);
    if (!p->labels || !(p->learning = open_exec(p, true, err))) return false;
    ich_exec_bind(p->learning, p->loop.model.values, p->loop.gradients);
    ich_exec_prepare(p->learning);
    if (!ich_feed_open(&p->feed, cache, job->recipe.augment ? &augment : NULL, (int)p->batch, used, steps,
                       err))
        return false;
    if (p->n_val == 0) return true;
    const size_t batches = (p->n_val + p->batch - 1) / p->batch;
    return (p->judging = open_exec(p, false, err)) &&
           ich_feed_open(&p->val_feed, cache, NULL, (int)p->batch, p->n_val, batches, err);
}

static void close_pretraining(pretraining *p) {
    ich_feed_close(&p->feed);
    ich_feed_close(&p->val_feed);
    ich_exec_free(p->learning);
    ich_exec_free(p->judging);
    free(p->train);
    free(p->val);
    free(p->order);
    free(p->labels);
    ich_loop_close(&p->loop);
}

/* -- learning ------------------------------------------------------------------------------------------ */

static bool begin(void *self, int epoch, size_t batch, ich_error *err) {
    (void)err;
    pretraining *p = self;
    ich_rng rng = ich_rng_make(p->loop.job->recipe.seed, ICH_RNG_ORDER, (uint64_t)epoch);
    for (size_t i = 0; i < p->n_train; i++) p->order[i] = (uint32_t)i;
    ich_rng_shuffle(&rng, p->order, p->n_train);
    ich_feed_clear(&p->feed);
    for (size_t b = batch; b < p->loop.steps; b++) {
        for (size_t i = b * p->batch; i < (b + 1) * p->batch && i < p->loop.rows; i++) {
            const sample s = p->train[p->order[i]];
            ich_feed_add(&p->feed, s.study, (int)s.slice, ich_feed_sample(epoch, p->order[i]));
        }
        ich_feed_end_batch(&p->feed);
    }
    ich_feed_start(&p->feed, p->loop.job->recipe.seed);
    return true;
}

/* A batch into the exec and through it; its labels into p->labels. */
static const ich_batch *forward(pretraining *p, ich_exec *exec, ich_feed *feed, ich_error *err) {
    const ich_model *model = &p->loop.model;
    const ich_batch *batch = ich_feed_next(feed, err);
    if (!batch) return NULL;
    const size_t pixels = ich_shape_count(model->graph.nodes[model->input].shape);
    memcpy(ich_exec_value(exec, model->input), batch->images, (size_t)batch->rows * pixels * sizeof(float));
    for (int r = 0; r < batch->rows; r++)
        ich_source_slice_label(&p->loop.source, batch->refs[r].study, (int)batch->refs[r].slice,
                               p->labels[r]);
    ich_exec_forward(exec, batch->rows, 0, NULL);
    return batch;
}

/* Loss of what has just gone forward, counted in `tally`; d_logits may be NULL. */
static double judge(pretraining *p, const float *logits, int rows, ich_tally *tally, float *d_logits) {
    const double loss = ich_loss_bce_f32(rows, ICH_LABELS, logits, p->labels[0], ich_label_weights,
                                         1.0 / (7 * rows), d_logits);
    ich_tally_add(tally, rows, loss, logits, p->labels[0]);
    tally->images += (size_t)rows;
    return loss;
}

static bool step(void *self, size_t number, double *loss, const char **who, ich_error *err) {
    pretraining *p = self;
    const int fc = p->loop.model.fc;
    ich_exec_key(p->learning, p->loop.job->recipe.seed, (uint64_t)p->loop.at.epoch * p->loop.steps + number);
    const ich_batch *batch = forward(p, p->learning, &p->feed, err);
    if (!batch) return false;
    *who = p->loop.source.dataset.studies[batch->refs[0].study].study_id;
    *loss = judge(p, ich_exec_value(p->learning, fc), batch->rows, &p->loop.tally,
                  ich_exec_gradient(p->learning, fc));
    ich_exec_backward(p->learning);
    return true;
}

static void changed(void *self) {
    pretraining *p = self;
    ich_exec_prepare(p->learning);
}

static bool validate(void *self, float *values, ich_tally *tally, ich_error *err) {
    pretraining *p = self;
    const ich_train_job *job = p->loop.job;
    ich_exec_bind(p->judging, values, NULL);
    ich_exec_prepare(p->judging);
    ich_feed_clear(&p->val_feed);
    for (size_t i = 0; i < p->n_val; i++) {
        ich_feed_add(&p->val_feed, p->val[i].study, (int)p->val[i].slice, 0);
        if ((i + 1) % p->batch == 0 || i + 1 == p->n_val) ich_feed_end_batch(&p->val_feed);
    }
    ich_feed_start(&p->val_feed, job->recipe.seed);
    while (tally->images < p->n_val && !ich_stopped(job)) {
        const ich_batch *batch = forward(p, p->judging, &p->val_feed, err);
        if (!batch) return false;
        judge(p, ich_exec_value(p->judging, p->loop.model.fc), batch->rows, tally, NULL);
        ich_progress_update(job->progress, "validation", tally->images, p->n_val, "images", NULL);
    }
    return true;
}

static double waited(void *self) {
    const pretraining *p = self;
    return ich_loader_waited(p->feed.loader) +
           (p->val_feed.loader ? ich_loader_waited(p->val_feed.loader) : 0);
}

bool ich_pretrain(const ich_train_job *job, ich_train_result *result, ich_error *err) {
    pretraining p = {0};
    *result = (ich_train_result){0};
    bool done = open_pretraining(&p, job, err);
    if (!done && ich_stopped(job)) {
        done = result->stopped = true; /* while decoding: a resumed run decodes the rest */
    } else if (done) {
        const ich_learner learner = {.self = &p,
                                     .images = p.loop.rows,
                                     .begin = begin,
                                     .step = step,
                                     .changed = changed,
                                     .validate = p.n_val > 0 ? validate : NULL,
                                     .rows_val = p.n_val,
                                     .waited = waited};
        done = ich_loop_run(&p.loop, &learner, result, err);
    }
    close_pretraining(&p);
    return done;
}

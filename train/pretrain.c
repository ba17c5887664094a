/* A step is a batch of slices through CNN and image head in one exec; each rank takes its part of it. The
 * order of an epoch is drawn anew from its number, so that a resumed run draws the same. */
#include "pretrain.h"

#include "feed.h"
#include "layers/exec.h"
#include "layers/loss.h"
#include "loop.h"
#include "tensor/team.h"
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
    const ich_batch *last;           /* that was learned from */
    float (*labels)[ICH_LABELS];     /* of one batch, all ranks' parts */
    float (*logits)[ICH_LABELS];     /* likewise */
    float (*val_logits)[ICH_LABELS]; /* [n_val] */
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

/* Slices of the largest part that a rank has of a batch. */
static int rank_rows(const pretraining *p) { return (int)ich_part_of(p->batch, 0).count; }

static ich_exec_options exec_options(const pretraining *p, bool learns) {
    const ich_model *model = &p->loop.model;
    const bool across = learns && ich_ranks() > 1 && p->loop.job->recipe.sync_batch_norm;
    return (ich_exec_options){.inputs = {model->input},
                              .n_inputs = 1,
                              .outputs = {model->fc},
                              .n_outputs = 1,
                              .max_rows = rank_rows(p),
                              .gradient = learns,
                              .batch_statistics = learns,
                              .parts = ich_loop_parts(&p->loop),
                              .across = across ? &ich_across_ranks : NULL,
                              .pack_on_use = learns,
                              .training = learns};
}

static ich_exec *open_exec(pretraining *p, bool learns, ich_error *err) {
    const ich_exec_options options = exec_options(p, learns);
    return ich_exec_create(&p->loop.model.graph, &options, err);
}

static const char *const lower = "--batch or --size";

/* Labels of the studies that are learned from, as the tables list them. */
static size_t count_labels(const ich_source *source) {
    size_t count = 0;
    for (size_t i = 0; i < source->n_train; i++) {
        const ich_study *study = &source->dataset.studies[source->train[i]];
        for (int z = 0; z < study->n_slice_labels; z++) count += ich_any_known(study->slice_label[z]);
    }
    return count;
}

static size_t batch_among(const pretraining *p, size_t slices) {
    const size_t wanted = (size_t)p->loop.job->recipe.batch;
    return wanted < slices ? wanted : slices;
}

/* What cannot fit is refused before hours of decoding; ich_loop_run looks again, at all of it. */
static bool foresee_batch(pretraining *p, ich_error *err) {
    p->batch = batch_among(p, count_labels(&p->loop.source));
    const ich_exec_options options = exec_options(p, true);
    const size_t bytes = ich_exec_plan_bytes(&p->loop.model.graph, &options, err);
    return bytes > 0 && ich_loop_foresee(&p->loop, bytes, lower, err);
}

/* Batch norm over each rank's part alone needs a part everywhere, of at least two. */
static bool check_parts(const pretraining *p, ich_error *err) {
    const size_t rest = p->n_train % p->batch, least = rest >= MIN_ROWS ? rest : p->batch;
    return p->loop.job->recipe.sync_batch_norm || least / (size_t)ich_ranks() >= MIN_ROWS ||
           ich_ranks() == 1 ||
           ich_fail(err,
                    "--no-sync-batch-norm: a batch of %zu slices leaves %d ranks less than %d each: choose "
                    "another --batch",
                    least, ich_ranks(), MIN_ROWS);
}

static bool open_pretraining(pretraining *p, const ich_train_job *job, ich_error *err) {
    const ich_cache *cache = &p->loop.source.cache;
    const ich_augment augment = ich_recipe_augment(&job->recipe);
    if (!ich_loop_open(&p->loop, job, "pretrain", true, err) || !foresee_batch(p, err) ||
        !ich_loop_decode(&p->loop, err) || !list_samples(p, err))
        return false;
    p->batch = batch_among(p, p->n_train);
    if (p->batch < MIN_ROWS)
        return ich_fail(err, "--batch %zu: batch norm needs at least %d", p->batch, MIN_ROWS);
    for (int g = 0; g < ICH_GROUPS; g++) p->loop.lr[g] = job->recipe.lr;
    if (!check_parts(p, err)) return false;
    const size_t steps = steps_of(p->n_train, p->batch);
    const size_t used = p->n_train - (p->n_train % p->batch < MIN_ROWS ? p->n_train % p->batch : 0);
    if (!ich_loop_position(&p->loop, steps, used, err)) return false;
    p->labels = ich_new(p->batch, sizeof *p->labels, "the labels of a batch", err);
    p->logits = ich_new(p->batch, sizeof *p->logits, "the logits of a batch", err);
    p->val_logits = ich_new(p->n_val + 1, sizeof *p->val_logits, "the logits of validation", err);
    if (!p->labels || !p->logits || !p->val_logits) return false;
    if (!(p->learning = open_exec(p, true, err))) return false;
    ich_exec_bind(p->learning, p->loop.model.values, p->loop.gradients);
    ich_exec_prepare(p->learning);
    if (ich_ranks() > 1) ich_exec_watch_gradients(p->learning, ich_buckets_ready, &p->loop.buckets);
    const int rows = rank_rows(p);
    if (!ich_feed_open(&p->feed, cache, job->recipe.augment ? &augment : NULL, rows, used, steps, err))
        return false;
    if (p->n_val == 0) return true;
    const size_t batches = p->n_val / (size_t)rows + 1;
    return (p->judging = open_exec(p, false, err)) &&
           ich_feed_open(&p->val_feed, cache, NULL, rows, p->n_val, batches, err);
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
    free(p->logits);
    free(p->val_logits);
    ich_loop_close(&p->loop);
}

/* -- learning ------------------------------------------------------------------------------------------ */

/* Slices of step `number`'s batch: where they begin in the order, and how many. */
static size_t batch_of(const pretraining *p, size_t number, size_t *rows) {
    const size_t first = number * p->batch, left = p->loop.rows - first;
    *rows = left < p->batch ? left : p->batch;
    return first;
}

static bool begin(void *self, int epoch, size_t batch, ich_error *err) {
    (void)err;
    pretraining *p = self;
    ich_rng rng = ich_rng_make(p->loop.job->recipe.seed, ICH_RNG_ORDER, (uint64_t)epoch);
    for (size_t i = 0; i < p->n_train; i++) p->order[i] = (uint32_t)i;
    ich_rng_shuffle(&rng, p->order, p->n_train);
    ich_feed_clear(&p->feed);
    for (size_t b = batch, rows; b < p->loop.steps; b++) {
        const size_t first = batch_of(p, b, &rows);
        const ich_part mine = ich_my_part(rows);
        for (size_t i = first + mine.first; i < first + mine.first + mine.count; i++) {
            const sample s = p->train[p->order[i]];
            ich_feed_add(&p->feed, s.study, (int)s.slice, ich_feed_sample(epoch, p->order[i]));
        }
        ich_feed_end_batch(&p->feed);
    }
    ich_feed_start(&p->feed, p->loop.job->recipe.seed);
    return true;
}

/* The feed's next batch into the exec and through it. */
static const ich_batch *forward(pretraining *p, ich_exec *exec, ich_feed *feed, ich_error *err) {
    const ich_model *model = &p->loop.model;
    const ich_batch *batch = ich_feed_next(feed, err);
    if (!batch) return NULL;
    const size_t pixels = ich_shape_count(model->graph.nodes[model->input].shape);
    memcpy(ich_exec_value(exec, model->input), batch->images, (size_t)batch->rows * pixels * sizeof(float));
    ich_exec_forward(exec, batch->rows, 0, NULL);
    return batch;
}

/* The logits of forward's batch to out. */
static void keep_logits(const pretraining *p, ich_exec *exec, int rows, float (*out)[ICH_LABELS]) {
    memcpy(out, ich_exec_value(exec, p->loop.model.fc), (size_t)rows * sizeof *out);
}

/* Loss of a whole batch by p->labels, counted in `tally`. */
static double judge(pretraining *p, float (*logits)[ICH_LABELS], size_t rows, ich_tally *tally) {
    const double loss = ich_loss_bce_f32((int)rows, ICH_LABELS, logits[0], p->labels[0], ich_label_weights,
                                         1.0 / (7 * (double)rows), NULL);
    ich_tally_add(tally, (int)rows, loss, logits[0], p->labels[0]);
    tally->images += rows;
    return loss;
}

static void find_labels(pretraining *p, const sample *s, size_t row) {
    ich_source_slice_label(&p->loop.source, s->study, (int)s->slice, p->labels[row]);
}

static bool step(void *self, size_t number, double *loss, const char **who, ich_error *err) {
    pretraining *p = self;
    ich_loop *loop = &p->loop;
    size_t rows;
    const size_t first = batch_of(p, number, &rows);
    const ich_part mine = ich_my_part(rows);
    for (size_t i = 0; i < rows; i++) find_labels(p, &p->train[p->order[first + i]], i);
    *who = loop->source.dataset.studies[p->train[p->order[first]].study].study_id;
    ich_exec_key(p->learning, loop->job->recipe.seed, (uint64_t)loop->at.epoch * loop->steps + number);
    ich_exec_part(p->learning, mine.first, 0);
    const double from = ich_seconds();
    if (!(p->last = forward(p, p->learning, &p->feed, err))) return false;
    keep_logits(p, p->learning, (int)mine.count, p->logits + mine.first);
    const double turn = ich_seconds();
    ich_loss_bce_f32((int)mine.count, ICH_LABELS, p->logits[mine.first], p->labels[mine.first],
                     ich_label_weights, 1.0 / (7 * (double)rows),
                     ich_exec_gradient(p->learning, loop->model.fc));
    ich_exec_backward(p->learning);
    ich_timeline_add(&loop->timeline, "forward", from, turn);
    ich_timeline_add(&loop->timeline, "backward", turn, ich_seconds());
    ich_ranks_gather(p->logits, rows, sizeof *p->logits);
    *loss = judge(p, p->logits, rows, &loop->tally);
    return true;
}

/* The batch of the step is still the feed's last. */
static void locate(void *self, size_t number, int *node) {
    pretraining *p = self;
    (void)number; /* the exec's key and part are that step's */
    ich_search search;
    const ich_model *model = &p->loop.model;
    const size_t pixels = ich_shape_count(model->graph.nodes[model->input].shape);
    ich_search_begin(&search, p->learning, node);
    memcpy(ich_exec_value(p->learning, model->input), p->last->images,
           (size_t)p->last->rows * pixels * sizeof(float));
    ich_exec_forward(p->learning, p->last->rows, 0, NULL);
    ich_search_end(&search);
}

static void changed(void *self) {
    pretraining *p = self;
    ich_exec_prepare(p->learning);
}

/* This rank's part of the validation slices, through the CNN into p->val_logits. */
static bool answer_val(pretraining *p, ich_error *err) {
    const ich_train_job *job = p->loop.job;
    const ich_part mine = ich_my_part(p->n_val);
    const size_t rows = (size_t)rank_rows(p);
    ich_feed_clear(&p->val_feed);
    for (size_t i = 0; i < mine.count; i++) {
        const sample s = p->val[mine.first + i];
        ich_feed_add(&p->val_feed, s.study, (int)s.slice, 0);
        if ((i + 1) % rows == 0 || i + 1 == mine.count) ich_feed_end_batch(&p->val_feed);
    }
    ich_feed_start(&p->val_feed, job->recipe.seed);
    for (size_t i = 0; i < mine.count && !ich_stopped(job);) {
        const ich_batch *batch = forward(p, p->judging, &p->val_feed, err);
        if (!batch) return false;
        keep_logits(p, p->judging, batch->rows, p->val_logits + mine.first + i);
        i += (size_t)batch->rows;
        ich_progress_update(job->progress, "validation", i, mine.count, "images", NULL);
    }
    return true;
}

static bool validate(void *self, float *values, ich_tally *tally, ich_error *err) {
    pretraining *p = self;
    ich_exec_bind(p->judging, values, NULL);
    ich_exec_prepare(p->judging);
    if (!answer_val(p, err)) return false;
    ich_ranks_gather(p->val_logits, p->n_val, sizeof *p->val_logits);
    for (size_t first = 0; first < p->n_val; first += p->batch) {
        const size_t rows = p->n_val - first < p->batch ? p->n_val - first : p->batch;
        size_t there = 0; /* of a study that was lost meanwhile, nothing counts */
        for (size_t i = 0; i < rows; i++) {
            if (p->loop.source.lost[p->val[first + i].study]) continue;
            memmove(p->val_logits[first + there], p->val_logits[first + i], sizeof *p->val_logits);
            find_labels(p, &p->val[first + i], there++);
        }
        if (there > 0) judge(p, p->val_logits + first, there, tally);
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
        const size_t judging = p.judging ? ich_exec_bytes(p.judging) : 0;
        const ich_learner learner = {.self = &p,
                                     .bytes = ich_exec_bytes(p.learning) + judging + ich_feed_bytes(&p.feed) +
                                              ich_feed_bytes(&p.val_feed),
                                     .lower = lower,
                                     .images = p.loop.rows,
                                     .begin = begin,
                                     .step = step,
                                     .changed = changed,
                                     .locate = locate,
                                     .validate = p.n_val > 0 ? validate : NULL,
                                     .rows_val = p.n_val,
                                     .waited = waited};
        done = ich_loop_run(&p.loop, &learner, result, err);
    }
    close_pretraining(&p);
    return done;
}

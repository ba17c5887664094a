/* From the top down: ich_loop_run, run_epochs, learn, one_step. Whatever a step depends on is a function of
 * its number or lies in the checkpoint; seconds are measured for the log alone. */
#include "loop.h"

#include "data/file.h"
#include "infer/likeness.h"
#include "infer/provenance.h"
#include "infer/weights.h"
#include "keep.h"
#include "memory.h"
#include "run.h"
#include "tensor/arena.h"
#include "tensor/team.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- opening ------------------------------------------------------------------------------------------- */

static char *path_in_run(const ich_loop *loop, const char *name, ich_error *err) {
    return ich_run_path(loop->job->out, name, err);
}

/* There is a checkpoint to go on from. */
static bool has_state(const ich_loop *loop) { return loop->job->resume && ich_keep_any(loop->job->out); }

static void tell_copied(const ich_loop *loop, const char *init, int copied) {
    ich_progress_line(loop->job->progress, "%s: %d of %d arrays taken over", init, copied,
                      loop->model.graph.n_params);
}

static bool start_from(ich_loop *loop, const char *init, ich_error *err) {
    ich_model parent;
    int copied = 0;
    if (ich_weights_are_foreign(init)) {
        if (!ich_weights_adopt(&loop->model, init, &copied, err)) return false;
        tell_copied(loop, init, copied);
        return true;
    }
    if (!ich_model_load(&parent, init, err)) return false;
    ich_error why = {0};
    bool done =
        ich_model_adopt(&loop->model, &parent, &copied, &why) || ich_fail(err, "%s: %s", init, why.text);
    if (done) {
        done = ich_provenance_inherit(&loop->model, &parent, err);
        tell_copied(loop, init, copied);
    }
    ich_model_free(&parent);
    return done;
}

static bool make_model(ich_loop *loop, bool image_head, ich_error *err) {
    ich_recipe recipe = loop->job->recipe;
    recipe.threads = 0; /* no part of the result: the same bytes for any number */
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)recipe.seed);
    if (!ich_model_create(&loop->model, &recipe, image_head, !image_head, err)) return false;
    if (!ich_model_set_meta(&loop->model, "verb", loop->verb, err) ||
        !ich_model_set_meta(&loop->model, "dataset", loop->source.fingerprint, err) ||
        !ich_model_set_meta(&loop->model, "seed", seed, err) || !ich_provenance_stamp(&loop->model, err))
        return false;
    if (!loop->job->init || has_state(loop)) return true; /* a checkpoint holds all weights */
    return start_from(loop, loop->job->init, err);
}

/* What the studies look like that this model learns from goes into its file, so that prediction can tell
 * which are unlike them (infer/likeness.h). Of many studies, some: spread evenly over the list. */
static bool learn_likeness(ich_loop *loop, ich_error *err) {
    const ich_source *source = &loop->source;
    const ich_preprocess *preprocess = &source->cache.preprocess;
    const size_t n = source->n_train < ICH_LIKENESS_STUDIES ? source->n_train : ICH_LIKENESS_STUDIES;
    ich_likeness likeness = {0};
    uint8_t *bytes = ich_new((size_t)preprocess->size * (size_t)preprocess->size,
                             (size_t)preprocess->channels, "a slice", err);
    bool done = bytes != NULL;
    for (size_t i = 0; done && i < n && !ich_stopped(loop->job); i++) {
        const uint32_t study = source->train[i * source->n_train / n];
        ich_look look = {0};
        for (int z = 0; done && z < source->cache.slices[study]; z++) {
            done = ich_cache_slice(&source->cache, study, z, bytes, err);
            if (done) ich_look_add(&look, preprocess, bytes);
        }
        ich_likeness_learn(&likeness, preprocess, &look);
    }
    free(bytes);
    char *text = done ? ich_likeness_text(&likeness, err) : NULL;
    done = text && ich_model_set_meta(&loop->model, ICH_INPUTS, text, err);
    free(text);
    return done;
}

static bool make_optimizer(ich_loop *loop, ich_error *err) {
    const ich_recipe *recipe = &loop->job->recipe;
    const ich_graph *graph = &loop->model.graph;
    const bool sgd = !strcmp(recipe->optimizer, "sgd");
    if (!ich_optimizer_init(&loop->optimizer, sgd ? ICH_SGD : ICH_ADAMW, graph, recipe->ema, err))
        return false;
    loop->optimizer.momentum = recipe->momentum;
    loop->optimizer.weight_decay = recipe->weight_decay;
    loop->optimizer.clip = recipe->clip;
    loop->schedule = !strcmp(recipe->schedule, "constant") ? ICH_CONSTANT
                     : !strcmp(recipe->schedule, "cosine") ? ICH_COSINE
                                                           : ICH_ONECYCLE;
    loop->gradients = aligned_alloc(ICH_ALIGN, ich_align(graph->n_values * sizeof *loop->gradients));
    return loop->gradients || ich_fail(err, "no memory for %zu MiB of gradients", graph->n_values >> 18);
}

/* Who writes. */
static bool is_first(void) { return ich_rank() == 0; }

/* With several ranks a signal counts only once all have agreed on it (agree_to_stop): who stopped alone would
 * leave the others waiting for its part. */
static void listen_together(ich_loop *loop, const ich_train_job *job) {
    loop->job = job;
    if (ich_ranks() == 1) return;
    loop->told = job->stop;
    loop->own_job = *job;
    loop->own_job.stop = &loop->agreed;
    loop->job = &loop->own_job;
}

int ich_loop_parts(const ich_loop *loop) {
    const int parts = loop->job->recipe.parts, ranks = ich_ranks();
    return parts > 0 && parts % ranks == 0 ? parts / ranks : 1;
}

static void agree_to_stop(ich_loop *loop) {
    if (loop->told && ich_ranks_any(*loop->told)) loop->agreed = 1;
}

bool ich_loop_open(ich_loop *loop, const ich_train_job *job, const char *verb, bool image_head,
                   ich_error *err) {
    memset(loop, 0, sizeof *loop);
    listen_together(loop, job);
    loop->verb = verb;
    loop->at.best = NAN;
    job = loop->job;
    if (!ich_source_open(&loop->source, job->dataset, image_head, err) ||
        (is_first() && !ich_run_claim(job, verb, &loop->lock, err)))
        return false;
    ich_ranks_wait(); /* for the folder */
    if (!loop->source.split)
        ich_progress_line(
            job->progress,
            "%s: no split: learning from all studies, without validation; 'ichor split' makes one",
            job->dataset);
    return make_model(loop, image_head, err);
}

bool ich_loop_decode(ich_loop *loop, ich_error *err) {
    return ich_source_decode(&loop->source, loop->job, err) && learn_likeness(loop, err) &&
           make_optimizer(loop, err) && ich_timeline_open(&loop->timeline, loop->job->timeline, err);
}

void ich_loop_close(ich_loop *loop) {
    ich_source_free(&loop->source);
    ich_model_free(&loop->model);
    ich_optimizer_free(&loop->optimizer);
    ich_tally_free(&loop->tally);
    ich_log_free(&loop->log);
    ich_timeline_free(&loop->timeline);
    ich_guard_free(&loop->guard);
    ich_lock_release(&loop->lock);
    free(loop->gradients);
    memset(loop, 0, sizeof *loop);
}

/* -- saving -------------------------------------------------------------------------------------------- */

static ich_checkpoint checkpoint_of(ich_loop *loop) {
    return (ich_checkpoint){.verb = loop->verb,
                            .fingerprint = loop->source.fingerprint,
                            .steps = loop->steps,
                            .rows = loop->rows,
                            .epochs = loop->job->recipe.epochs,
                            .model = &loop->model,
                            .optimizer = &loop->optimizer,
                            .tally = &loop->tally,
                            .log = &loop->log,
                            .position = &loop->at};
}

/* Of what is learned: a frozen CNN's gradients are not sent around. */
static void open_buckets(ich_loop *loop) {
    const ich_graph *graph = &loop->model.graph;
    size_t first = graph->n_values;
    for (int p = 0; p < graph->n_params; p++) {
        const ich_param *param = &graph->params[p];
        if (param->trainable && loop->lr[param->group] > 0 && param->offset < first) first = param->offset;
    }
    ich_buckets_open(&loop->buckets, loop->gradients, first, graph->n_values, &loop->timeline);
}

/* Ranks that began apart, or ran kernels that round differently, would drift apart unseen. */
static bool check_ranks(const ich_loop *loop, ich_error *err) {
    const char *kernels = ich_kernels_f32_active()->name;
    if (!ich_ranks_agree(kernels, strlen(kernels)))
        return ich_fail(err, "rank %d runs the kernels '%s', others do not: give all the same with --kernels",
                        ich_rank(), kernels);
    return ich_ranks_agree(loop->model.values, loop->model.graph.n_values * sizeof(float)) ||
           ich_fail(err,
                    "epoch %d: the ranks hold different weights: do all see the same files, and run the same "
                    "program on the same kind of processor?",
                    loop->at.epoch + 1);
}

bool ich_loop_position(ich_loop *loop, size_t steps, size_t rows, ich_error *err) {
    loop->steps = steps;
    loop->rows = rows;
    loop->saved_at = ich_seconds();
    open_buckets(loop);
    if (!ich_tally_init(&loop->tally, rows, err) || !ich_guard_open(&loop->guard, &loop->model.graph, err))
        return false;
    if (!has_state(loop)) return check_ranks(loop, err);
    const ich_checkpoint checkpoint = checkpoint_of(loop);
    const bool done = ich_keep_load(&checkpoint, loop->job->out, &loop->from, loop->job->progress, err);
    if (done)
        ich_progress_line(loop->job->progress, "%s: going on at epoch %d, step %zu of %zu", loop->job->out,
                          loop->at.epoch + 1, loop->at.batch, steps);
    return done && check_ranks(loop, err);
}

/* A model with a NaN is worse than none: what was there before stays. */
static bool check_finite(const ich_loop *loop, ich_error *err) {
    for (int p = 0; p < loop->model.graph.n_params; p++) {
        const ich_param *param = &loop->model.graph.params[p];
        for (size_t i = 0; i < param->count; i++)
            if (!isfinite(loop->model.values[param->offset + i]))
                return ich_fail(err, "epoch %d, after step %zu: weight '%s' is not finite: lower --lr",
                                loop->at.epoch + 1, loop->at.batch, param->name);
    }
    return true;
}

static bool save_checkpoint(ich_loop *loop, ich_error *err) {
    const ich_checkpoint checkpoint = checkpoint_of(loop);
    const int most = loop->job->keep_checkpoints > 0 ? loop->job->keep_checkpoints : ICH_KEEP_USUAL;
    const bool done = check_finite(loop, err) &&
                      (!is_first() || ich_keep_save(&checkpoint, loop->job->out, most, &loop->from, err));
    loop->saved_at = ich_seconds();
    return done;
}

/* The weights that are judged and saved: averaged, if the recipe asks for it. */
static float *judged_values(ich_loop *loop) {
    return loop->optimizer.average ? loop->optimizer.average : loop->model.values;
}

/* The model as it is saved: borrowed, with the values that are judged. */
static ich_model judged_model(ich_loop *loop) {
    ich_model model = loop->model;
    model.values = judged_values(loop);
    return model;
}

static bool save_model(ich_loop *loop, const char *name, ich_error *err) {
    char *path = path_in_run(loop, name, err);
    const ich_model model = judged_model(loop);
    const bool done = path && (!is_first() || ich_model_save(&model, path, err));
    free(path);
    return done;
}

/* What `inspect --card` tells of the best model. */
static bool save_card(ich_loop *loop, ich_error *err) {
    if (!is_first()) return true;
    char *path = path_in_run(loop, ICH_RUN_CARD, err);
    const ich_model model = judged_model(loop);
    ich_output out;
    bool done = path && ich_output_open(&out, path, err);
    if (done && !ich_provenance_card(&model, out.stream, err)) {
        ich_output_abandon(&out);
        done = ich_fail(err, "%s: cannot be written: is the disk full?", path);
    } else if (done) {
        done = ich_output_commit(&out, err);
    }
    free(path);
    return done;
}

static bool save_log(ich_loop *loop, ich_error *err) {
    char *path = path_in_run(loop, ICH_RUN_LOG, err);
    const bool done = path && (!is_first() || ich_log_write(&loop->log, path, err));
    free(path);
    return done;
}

/* -- an epoch ------------------------------------------------------------------------------------------ */

/* Factor on the peak learning rates of step `batch` of this epoch. */
static double factor_at(const ich_loop *loop, size_t batch) {
    const uint64_t steps = (uint64_t)loop->job->recipe.epochs * loop->steps;
    return ich_schedule_factor(loop->schedule, (uint64_t)loop->at.epoch * loop->steps + batch, steps,
                               loop->job->recipe.warmup);
}

/* What no gradient moves, running means and variances, went its own way on each rank. */
static void average_buffers(ich_loop *loop) {
    const ich_graph *graph = &loop->model.graph;
    const float share = 1 / (float)ich_ranks();
    for (int p = 0; ich_ranks() > 1 && p < graph->n_params; p++) {
        const ich_param *param = &graph->params[p];
        float *values = loop->model.values + param->offset;
        if (param->trainable) continue;
        ich_ranks_begin_sum(values, param->count);
        ich_ranks_end_sums(NULL);
        for (size_t i = 0; i < param->count; i++) values[i] *= share;
    }
}

static bool one_step(ich_loop *loop, const ich_learner *learner, double *loss, ich_error *err) {
    const size_t batch = loop->at.batch;
    const char *who = "";
    memset(loop->gradients, 0, loop->model.graph.n_values * sizeof *loop->gradients);
    ich_guard_note(loop);
    ich_buckets_begin(&loop->buckets);
    if (!learner->step(learner->self, batch, loss, &who, err)) return false;
    ich_buckets_end(&loop->buckets);
    if (ich_source_lost_more(&loop->source)) return ich_guard_lost(loop, learner, who), true;
    const char *bad = ich_guard_judge(loop, *loss);
    if (bad) return ich_guard_leave_out(loop, learner, who, bad, err);
    const double from = ich_seconds();
    double lr[ICH_GROUPS];
    for (int g = 0; g < ICH_GROUPS; g++) lr[g] = loop->lr[g] * factor_at(loop, batch);
    const double norm =
        ich_optimizer_step(&loop->optimizer, &loop->model.graph, lr, loop->gradients, loop->model.values);
    bad = ich_guard_judge_norm(norm);
    if (bad) return ich_guard_leave_out(loop, learner, who, bad, err);
    if (!loop->job->recipe.sync_batch_norm) average_buffers(loop);
    learner->changed(learner->self);
    ich_timeline_add(&loop->timeline, "update", from, ich_seconds());
    return ich_timeline_step(&loop->timeline, loop->job->out, err);
}

static bool checkpoint_is_due(const ich_loop *loop) {
    const double minutes = loop->job->checkpoint_minutes;
    return minutes > 0 && ich_seconds() - loop->saved_at >= 60 * minutes;
}

/* Seconds and waiting since `from`, added to the position. */
static void clock_in(ich_loop *loop, const ich_learner *learner, double *from, double *waited_from) {
    const double now = ich_seconds(), waited = learner->waited(learner->self);
    loop->at.seconds += now - *from;
    loop->at.waited += waited - *waited_from;
    *from = now;
    *waited_from = waited;
}

/* The remaining steps of this epoch; ends early when asked to stop. */
static bool learn(ich_loop *loop, const ich_learner *learner, ich_error *err) {
    const ich_train_job *job = loop->job;
    char what[40], note[40];
    snprintf(what, sizeof what, "epoch %d/%d", loop->at.epoch + 1, job->recipe.epochs);
    if (loop->at.batch < loop->steps && !learner->begin(learner->self, loop->at.epoch, loop->at.batch, err))
        return false;
    ich_progress_update(job->progress, what, loop->tally.images, learner->images, "images", NULL);
    double from = ich_seconds(), waited = learner->waited(learner->self);
    while (loop->at.batch < loop->steps && !ich_stopped(job)) {
        double loss = 0;
        if (!one_step(loop, learner, &loss, err)) return false;
        agree_to_stop(loop);
        loop->at.batch++;
        clock_in(loop, learner, &from, &waited);
        snprintf(note, sizeof note, "loss %.4f", ich_tally_loss(&loop->tally));
        ich_progress_update(job->progress, what, loop->tally.images, learner->images, "images", note);
        if (loop->at.batch < loop->steps && checkpoint_is_due(loop) && !save_checkpoint(loop, err))
            return false;
    }
    return true;
}

static bool row_of(const ich_loop *loop, const char *split, const ich_tally *tally, ich_log_row *row,
                   ich_error *err) {
    *row = (ich_log_row){.epoch = loop->at.epoch + 1,
                         .split = split,
                         .loss = ich_tally_loss(tally),
                         .lr = loop->lr[ICH_GROUP_HEAD] * factor_at(loop, loop->steps - 1),
                         .images = tally->images};
    return ich_tally_auc(tally, &row->auc, err);
}

static void tell(const ich_loop *loop, const ich_log_row *row, bool best) {
    const bool judged = !strcmp(row->split, "val");
    char auc[32] = "";
    if (!isnan(row->auc)) snprintf(auc, sizeof auc, ", AUC %.4f", row->auc);
    ich_progress_line(loop->job->progress, "epoch %d/%d: %s loss %.4f%s%s", row->epoch,
                      loop->job->recipe.epochs, judged ? "validation" : "training", row->loss, auc,
                      judged && best ? ", the best so far" : "");
}

/* What the model's file tells of the epoch: the log's last line, but for the seconds, which differ from run
 * to run. */
static bool note_row(ich_loop *loop, const ich_log_row *row, ich_error *err) {
    char text[160], auc[32] = "";
    if (!isnan(row->auc)) snprintf(auc, sizeof auc, ", AUC %.6f", row->auc);
    snprintf(text, sizeof text, "epoch %d of %d, %s: loss %.6f%s, lr %.6g", row->epoch,
             loop->job->recipe.epochs, row->split, row->loss, auc, row->lr);
    return ich_model_set_meta(&loop->model, "log", text, err);
}

/* Validation, best and last model, log rows, next epoch, checkpoint: in this order, so that a run killed in
 * between repeats it from the older checkpoint and writes the same again. */
static bool finish_epoch(ich_loop *loop, const ich_learner *learner, const ich_tally *val, double seconds,
                         double waited, ich_error *err) {
    ich_log_row row;
    if (!row_of(loop, "train", &loop->tally, &row, err)) return false;
    row.seconds = loop->at.seconds;
    row.waiting = loop->at.waited;
    row.bad_steps = loop->at.bad_steps;
    if (loop->tally.rows == 0)
        return ich_fail(err, "epoch %d: not one step of it could be used: lower --lr, or look at the scans",
                        row.epoch);
    if (!ich_log_add(&loop->log, &row, err)) return false;
    bool best = true;
    if (learner->validate) {
        if (!row_of(loop, "val", val, &row, err)) return false;
        row.seconds = seconds;
        row.waiting = waited;
        if (!isfinite(row.loss))
            return ich_fail(err, "epoch %d: the validation loss is not finite: lower --lr", row.epoch);
        if (!ich_log_add(&loop->log, &row, err)) return false;
        best = isnan(loop->at.best) || row.loss < loop->at.best;
        if (best) loop->at.best = row.loss;
    }
    if (best) loop->at.best_epoch = row.epoch;
    if (!check_finite(loop, err) || !check_ranks(loop, err) || !note_row(loop, &row, err) ||
        !save_model(loop, ICH_RUN_LAST, err))
        return false;
    if (best && (!save_model(loop, ICH_RUN_MODEL, err) || !save_card(loop, err))) return false;
    if (!save_log(loop, err)) return false;
    tell(loop, &row, best);
    loop->at.epoch++;
    loop->at.batch = 0;
    loop->at.bad_steps = 0;
    loop->at.seconds = loop->at.waited = 0;
    ich_tally_clear(&loop->tally);
    return save_checkpoint(loop, err);
}

static bool validate_and_finish(ich_loop *loop, const ich_learner *learner, ich_tally *val, ich_error *err) {
    const double from = ich_seconds(), waited = learner->waited(learner->self);
    do { /* again without a study that the disk loses meanwhile */
        ich_tally_clear(val);
        if (learner->validate && !learner->validate(learner->self, judged_values(loop), val, err))
            return false;
    } while (ich_source_lost_more(&loop->source));
    if (ich_stopped(loop->job)) return true; /* the judgement may be half done: it is made again */
    return finish_epoch(loop, learner, val, ich_seconds() - from, learner->waited(learner->self) - waited,
                        err);
}

static bool run_epochs(ich_loop *loop, const ich_learner *learner, ich_tally *val, ich_error *err) {
    while (loop->at.epoch < loop->job->recipe.epochs) {
        if (!learn(loop, learner, err)) return false;
        if (!ich_stopped(loop->job) && !validate_and_finish(loop, learner, val, err)) return false;
        if (ich_stopped(loop->job)) return save_checkpoint(loop, err);
    }
    return true;
}

bool ich_loop_foresee(const ich_loop *loop, size_t bytes, const char *lower, ich_error *err) {
    enum { FLAT_ARRAYS = 4 }; /* gradients, two states, averages */
    const size_t own = FLAT_ARRAYS * loop->model.graph.n_values * sizeof(float);
    return ich_memory_foresee(bytes + own, ich_memory_available(""), lower, err);
}

bool ich_loop_run(ich_loop *loop, const ich_learner *learner, ich_train_result *result, ich_error *err) {
    ich_tally val;
    /* Execs and loaders are mapped by now, and touched by the first step. */
    if (!ich_loop_foresee(loop, learner->bytes, learner->lower, err) ||
        !ich_tally_init(&val, learner->rows_val + 1, err))
        return false;
    const bool done = run_epochs(loop, learner, &val, err) &&
                      (!is_first() || ich_source_name_lost(&loop->source, loop->job->out, err));
    ich_tally_free(&val);
    *result = (ich_train_result){.stopped = loop->at.epoch < loop->job->recipe.epochs,
                                 .skipped = loop->source.skipped.n_rows,
                                 .best_epoch = loop->at.best_epoch,
                                 .best_loss = loop->at.best};
    return done;
}

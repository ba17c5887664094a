/* A step is a group of studies: features (mil.c, or the store of a frozen CNN), head, loss, and back. Memory
 * is taken once, for the longest group that any order of the studies can put together. */
#include "finetune.h"

#include "data/volume.h"
#include "features.h"
#include "feed.h"
#include "infer/weights.h"
#include "loop.h"
#include "mil.h"
#include "tensor/team.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct finetuning {
    ich_loop loop;
    bool frozen;       /* the CNN: features come from `features` */
    size_t group_size; /* studies a step */
    int parts;         /* of this rank's share of them: groups, one after the other */
    float *aside;      /* [graph.n_values] gradients of the parts before; NULL with one part */
    uint32_t *order;   /* train studies in this epoch's order */
    int *offsets;      /* [group_size + 1] of the group at work */
    float (*labels)[ICH_LABELS];
    double *weights;                 /* [group_size] */
    float (*logits)[ICH_LABELS];     /* [group_size] of a step, all ranks' */
    float (*val_logits)[ICH_LABELS]; /* [n_val] */
    double *val_loss;                /* [n_val] */
    double positive, negative;       /* weight of a study by its label `any` */
    ich_mil learning, judging;
    ich_feed feed, val_feed;
    ich_features features;
    size_t images; /* slices of all train studies */
} finetuning;

/* -- groups -------------------------------------------------------------------------------------------- */

/* Studies [first, first + n) of a list as a group, in the buffers of `f`. */
static ich_mil_group group_of(finetuning *f, const uint32_t *list, size_t first, size_t n) {
    const ich_source *source = &f->loop.source;
    f->offsets[0] = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t study = list[first + i];
        f->offsets[i + 1] = f->offsets[i] + source->cache.slices[study];
        ich_source_study_label(source, study, f->labels[i]);
        const float any = f->labels[i][ICH_ANY];
        f->weights[i] = isnan(any) ? 1 : any > 0.5f ? f->positive : f->negative;
    }
    return (ich_mil_group){.n = (int)n,
                           .study = list + first,
                           .offsets = f->offsets,
                           .label = (const float(*)[ICH_LABELS])f->labels,
                           .weight = f->weights};
}

/* Studies of a step: where they begin in the order, and how many. */
static size_t studies_of(const finetuning *f, size_t step, size_t *n) {
    const size_t first = step * f->group_size, left = f->loop.source.n_train - first;
    *n = left < f->group_size ? left : f->group_size;
    return first;
}

/* A part of this rank's share of a step's studies. */
static ich_mil_group group_of_step(finetuning *f, size_t step, int part) {
    size_t n;
    const size_t first = studies_of(f, step, &n);
    const ich_part share = ich_my_part(n), mine = ich_cut(share.count, f->parts, part);
    const size_t before = share.first + mine.first;
    ich_mil_group group = group_of(f, f->order, first + before, mine.count);
    group.of = (int)n;
    group.first_study = before;
    for (size_t i = first; i < first + before; i++)
        group.first_row += (size_t)f->loop.source.cache.slices[f->order[i]];
    return group;
}

static int descending(const void *a, const void *b) {
    const int x = *(const int *)a, y = *(const int *)b;
    return (x < y) - (x > y);
}

/* Slices of the longest group that any order can put together: of the `group` longest studies. 0 with a
 * message when there is no memory, or they are too many to count. */
static int longest_group(const ich_source *source, const uint32_t *list, size_t n, size_t group,
                         ich_error *err) {
    int *slices = ich_new(n, sizeof *slices, "the lengths of studies", err);
    if (!slices) return 0;
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) slices[i] = source->cache.slices[list[i]];
    qsort(slices, n, sizeof *slices, descending);
    for (size_t i = 0; i < group && i < n; i++) sum += slices[i];
    free(slices);
    if (sum > INT32_MAX / 2) {
        ich_fail(err, "%zu studies a step may have %lld slices: lower --studies", group, (long long)sum);
        return 0;
    }
    return (int)sum;
}

/* Weighted likelihood of King and Zeng 2001, Political Analysis 9(2), equation 9: positive studies by τ / ȳ,
 * negative ones by (1 - τ) / (1 - ȳ), where ȳ of those that learn are positive and τ is the prevalence asked
 * for. */
static bool choose_weights(finetuning *f, ich_error *err) {
    const ich_source *source = &f->loop.source;
    const double wanted = f->loop.job->recipe.prevalence;
    size_t known = 0, positives = 0;
    for (size_t i = 0; i < source->n_train; i++) {
        const float any = source->dataset.studies[source->train[i]].label[ICH_ANY];
        known += !isnan(any);
        positives += any > 0.5f;
    }
    f->positive = f->negative = 1;
    if (wanted <= 0) return true;
    if (positives == 0 || positives == known)
        return ich_fail(err, "%s: of %zu studies to learn from %zu are positive: set prevalence to 0",
                        f->loop.job->dataset, known, positives);
    const double share = (double)positives / (double)known;
    f->positive = wanted / share;
    f->negative = (1 - wanted) / (1 - share);
    return true;
}

static ich_label_noise noise_of(const ich_recipe *recipe) {
    return (ich_label_noise){recipe->label_false_positives, recipe->label_false_negatives};
}

/* -- machinery ----------------------------------------------------------------------------------------- */

static size_t slices_of(const ich_source *source, const uint32_t *list, size_t n) {
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (size_t)source->cache.slices[list[i]];
    return sum;
}

static bool open_learning(finetuning *f, ich_error *err) {
    const ich_recipe *recipe = &f->loop.job->recipe;
    const ich_source *source = &f->loop.source;
    const ich_augment augment = ich_recipe_augment(recipe);
    const size_t studies = ich_cut(ich_part_of(f->group_size, 0).count, f->parts, 0).count; /* the most */
    const int rows = longest_group(source, source->train, source->n_train, studies, err);
    if (rows == 0) return false;
    const ich_mil_options options = {.chunk = ich_recipe_chunk(recipe),
                                     .rows = rows,
                                     .studies = (int)studies,
                                     .learns = true,
                                     .cnn_learns = !f->frozen,
                                     .noise = noise_of(recipe),
                                     .dataset = (int)source->n_train};
    if (!ich_mil_open(&f->learning, &f->loop.model, &options, err)) return false;
    ich_mil_bind(&f->learning, f->loop.model.values, f->loop.gradients);
    if (ich_ranks() > 1 && f->parts == 1) { /* with more, no gradient is whole before the last ends */
        f->learning.watcher = ich_buckets_ready;
        f->learning.watcher_self = &f->loop.buckets;
    }
    f->images = slices_of(source, source->train, source->n_train);
    if (f->frozen) return true;
    const int chunk = f->learning.chunk;
    const size_t batches = 2 * (f->images / (size_t)chunk + f->loop.steps * (size_t)f->parts);
    return ich_feed_open(&f->feed, &source->cache, recipe->augment ? &augment : NULL, chunk, 2 * f->images,
                         batches, err);
}

/* What judges single studies: validation, and the features of a frozen CNN. */
static bool open_judging(finetuning *f, ich_error *err) {
    const ich_source *source = &f->loop.source;
    const int chunk = ich_recipe_chunk(&f->loop.job->recipe);
    if (source->n_val == 0 && !f->frozen) return true;
    int rows = longest_group(source, source->train, source->n_train, 1, err);
    if (rows == 0) return false;
    if (source->n_val > 0) {
        const int other = longest_group(source, source->val, source->n_val, 1, err);
        if (other == 0) return false;
        if (other > rows) rows = other;
    }
    const ich_mil_options options = {
        .chunk = chunk, .rows = rows, .studies = 1, .noise = noise_of(&f->loop.job->recipe)};
    if (!ich_mil_open(&f->judging, &f->loop.model, &options, err)) return false;
    if (f->frozen || source->n_val == 0) return true;
    const size_t images = slices_of(source, source->val, source->n_val);
    return ich_feed_open(&f->val_feed, &source->cache, NULL, f->judging.chunk, images,
                         images / (size_t)f->judging.chunk + source->n_val, err);
}

/* Options that take less memory. */
static const char *lower(const finetuning *f) {
    return f->frozen ? "--studies, --chunk or --size" : "--chunk, --studies or --size";
}

/* Slices that some chunk will have, as far as a few headers tell. */
static int likely_chunk(const finetuning *f) {
    enum { HEADERS = 8 };
    const ich_source *source = &f->loop.source;
    const int most = ich_recipe_chunk(&f->loop.job->recipe);
    int rows = 1;
    for (size_t i = 0; i < source->n_train && i < HEADERS && rows < most; i++) {
        const int slices = ich_volume_count_slices(source->dataset.studies[source->train[i]].path);
        if (slices > rows) rows = slices < most ? slices : most;
    }
    return rows;
}

/* What cannot fit is refused before hours of decoding: the CNN takes nearly all. ich_loop_run looks again, at
 * the head too. */
static bool foresee_chunk(const finetuning *f, ich_error *err) {
    const size_t bytes = ich_mil_cnn_bytes(&f->loop.model, !f->frozen, likely_chunk(f), err);
    return bytes > 0 && ich_loop_foresee(&f->loop, bytes, lower(f), err);
}

static bool open_finetuning(finetuning *f, const ich_train_job *job, ich_error *err) {
    const ich_recipe *recipe = &job->recipe;
    f->frozen = recipe->freeze_cnn;
    if (!ich_loop_open(&f->loop, job, "finetune", false, err) || !foresee_chunk(f, err) ||
        !ich_loop_decode(&f->loop, err))
        return false;
    const ich_source *source = &f->loop.source;
    f->group_size = (size_t)recipe->studies < source->n_train ? (size_t)recipe->studies : source->n_train;
    f->loop.lr[ICH_GROUP_CNN] = f->frozen ? 0 : recipe->lr_cnn;
    f->loop.lr[ICH_GROUP_HEAD] = recipe->lr;
    f->parts =
        (size_t)ich_loop_parts(&f->loop) < f->group_size ? ich_loop_parts(&f->loop) : (int)f->group_size;
    f->order = ich_new(source->n_train, sizeof *f->order, "the order of studies", err);
    f->offsets = ich_new(f->group_size + 1, sizeof *f->offsets, "a group of studies", err);
    f->labels = ich_new(f->group_size, sizeof *f->labels, "the labels of a group", err);
    f->weights = ich_new(f->group_size, sizeof *f->weights, "the weights of a group", err);
    f->logits = ich_new(f->group_size, sizeof *f->logits, "the logits of a group", err);
    f->val_logits = ich_new(source->n_val + 1, sizeof *f->val_logits, "the logits of validation", err);
    f->val_loss = ich_new(source->n_val + 1, sizeof *f->val_loss, "the losses of validation", err);
    if (!f->logits || !f->val_logits || !f->val_loss) return false;
    if (!f->order || !f->offsets || !f->labels || !f->weights || !choose_weights(f, err)) return false;
    if (f->parts > 1) {
        f->aside = ich_new(f->loop.model.graph.n_values, sizeof *f->aside, "the gradients of a part", err);
        if (!f->aside) return false;
    }
    const size_t steps = (source->n_train + f->group_size - 1) / f->group_size;
    if (!ich_loop_position(&f->loop, steps, source->n_train, err)) return false;
    if (!open_learning(f, err) || !open_judging(f, err)) return false;
    if (!f->frozen) return true;
    ich_mil_bind(&f->judging, f->loop.model.values, NULL);
    return ich_features_compute(&f->features, source, &f->judging, job, err);
}

static void close_finetuning(finetuning *f) {
    ich_feed_close(&f->feed);
    ich_feed_close(&f->val_feed);
    ich_mil_close(&f->learning);
    ich_mil_close(&f->judging);
    ich_features_free(&f->features);
    free(f->aside);
    free(f->order);
    free(f->offsets);
    free(f->labels);
    free(f->weights);
    free(f->logits);
    free(f->val_logits);
    free(f->val_loss);
    ich_loop_close(&f->loop);
}

/* -- learning ------------------------------------------------------------------------------------------ */

static bool begin(void *self, int epoch, size_t batch, ich_error *err) {
    (void)err;
    finetuning *f = self;
    const ich_source *source = &f->loop.source;
    ich_rng rng = ich_rng_make(f->loop.job->recipe.seed, ICH_RNG_ORDER, (uint64_t)epoch);
    memcpy(f->order, source->train, source->n_train * sizeof *f->order);
    ich_rng_shuffle(&rng, f->order, source->n_train);
    if (f->frozen) return true;
    ich_feed_clear(&f->feed);
    for (size_t b = batch; b < f->loop.steps; b++) {
        for (int part = 0; part < f->parts; part++) {
            const ich_mil_group group = group_of_step(f, b, part);
            ich_mil_plan(&f->learning, &f->feed, &group, epoch, true);
        }
    }
    ich_feed_start(&f->feed, f->loop.job->recipe.seed);
    return true;
}

/* The features of a group into the head; from the CNN or from the store. */
static bool fill_head(finetuning *f, ich_mil *mil, ich_feed *feed, const ich_mil_group *group,
                      ich_error *err) {
    float *input = ich_mil_head_input(mil);
    if (!f->frozen) return ich_mil_features(mil, feed, group->offsets[group->n], input, err);
    ich_features_gather(&f->features, group, input);
    return true;
}

/* Logits of all ranks' studies of a step, and its loss, into the tally. */
static void tally_step(finetuning *f, size_t number, double *loss) {
    size_t n, images = 0;
    const size_t first = studies_of(f, number, &n);
    const ich_source *source = &f->loop.source;
    for (size_t i = 0; i < n; i++) {
        const uint32_t study = f->order[first + i];
        ich_source_study_label(source, study, f->labels[i]);
        images += (size_t)source->cache.slices[study];
    }
    ich_ranks_gather(f->logits, n, sizeof *f->logits);
    ich_ranks_sum(loss, 1);
    ich_tally_add(&f->loop.tally, (int)n, *loss, f->logits[0], f->labels[0]);
    f->loop.tally.images += images;
}

/* One part of a step: its share of the loss is added to *loss, its gradients to the loop's. */
static bool learn_group(finetuning *f, const ich_mil_group *group, double *loss, ich_error *err) {
    const int rows = group->offsets[group->n];
    const float *logits;
    const double from = ich_seconds();
    if (!fill_head(f, &f->learning, &f->feed, group, err)) return false;
    *loss += ich_mil_head(&f->learning, group, true, &logits);
    memcpy(f->logits + group->first_study, logits, (size_t)group->n * sizeof *f->logits);
    const double turn = ich_seconds();
    if (!f->frozen && !ich_mil_backward(&f->learning, &f->feed, rows, err)) return false;
    ich_timeline_add(&f->loop.timeline, "forward", from, turn);
    ich_timeline_add(&f->loop.timeline, "backward", turn, ich_seconds());
    return true;
}

/* This rank's parts, each summed from 0 and then added, as so many ranks would. */
static bool learn_parts(finetuning *f, size_t number, double *loss, ich_error *err) {
    float *gradients = f->loop.gradients;
    const size_t n = f->loop.model.graph.n_values;
    for (int part = 0; part < f->parts; part++) {
        const ich_mil_group group = group_of_step(f, number, part);
        if (group.n == 0) continue;
        if (part > 0) {
            memcpy(f->aside, gradients, n * sizeof *gradients);
            memset(gradients, 0, n * sizeof *gradients);
        }
        if (!learn_group(f, &group, loss, err)) return false;
        if (part > 0) ich_kernels_f32_active()->add(n, f->aside, gradients, false, gradients);
    }
    return true;
}

static bool step(void *self, size_t number, double *loss, const char **who, ich_error *err) {
    finetuning *f = self;
    ich_loop *loop = &f->loop;
    size_t n;
    *who = loop->source.dataset.studies[f->order[studies_of(f, number, &n)]].study_id;
    ich_mil_key(&f->learning, loop->job->recipe.seed, (uint64_t)loop->at.epoch * loop->steps + number);
    *loss = 0;
    if (!learn_parts(f, number, loss, err)) return false;
    tally_step(f, number, loss);
    return true;
}

/* Through a feed of its own: the step's chunks are gone. */
static void locate_in(finetuning *f, const ich_mil_group *group, int *node) {
    ich_mil *mil = &f->learning;
    const ich_recipe *recipe = &f->loop.job->recipe;
    const ich_augment augment = ich_recipe_augment(recipe);
    const int rows = group->offsets[group->n];
    ich_feed again = {0};
    ich_search cnn, head;
    const float *logits;
    if (group->n == 0) return;
    if (!f->frozen) {
        if (!ich_feed_open(&again, &f->loop.source.cache, recipe->augment ? &augment : NULL, mil->chunk,
                           (size_t)rows, ich_mil_batches(mil->chunk, rows), NULL))
            return;
        ich_mil_plan(mil, &again, group, f->loop.at.epoch, false);
        ich_feed_start(&again, recipe->seed);
        ich_search_begin(&cnn, mil->cnn, node);
    }
    ich_search_begin(&head, mil->head, node);
    if (fill_head(f, mil, &again, group, NULL)) ich_mil_head(mil, group, false, &logits);
    ich_search_end(&head);
    if (!f->frozen) ich_search_end(&cnn);
    ich_feed_close(&again);
}

static void locate(void *self, size_t number, int *node) {
    finetuning *f = self;
    for (int part = 0; part < f->parts && *node < 0; part++) {
        const ich_mil_group group = group_of_step(f, number, part);
        locate_in(f, &group, node);
    }
}

static void changed(void *self) {
    finetuning *f = self;
    ich_mil_bind(&f->learning, f->loop.model.values, f->loop.gradients);
}

/* This rank's part of the validation studies: logits and loss of each. */
static bool answer_val(finetuning *f, ich_error *err) {
    const ich_train_job *job = f->loop.job;
    const ich_source *source = &f->loop.source;
    const ich_part mine = ich_my_part(source->n_val);
    const size_t end = mine.first + mine.count;
    if (!f->frozen) {
        ich_feed_clear(&f->val_feed);
        for (size_t i = mine.first; i < end; i++) {
            const ich_mil_group group = group_of(f, source->val, i, 1);
            ich_mil_plan(&f->judging, &f->val_feed, &group, 0, false);
        }
        ich_feed_start(&f->val_feed, job->recipe.seed);
    }
    for (size_t i = mine.first; i < end && !ich_stopped(job); i++) {
        const float *logits;
        const ich_mil_group group = group_of(f, source->val, i, 1);
        if (!fill_head(f, &f->judging, &f->val_feed, &group, err)) return false;
        f->val_loss[i] = ich_mil_head(&f->judging, &group, false, &logits);
        memcpy(f->val_logits[i], logits, sizeof *f->val_logits);
        ich_progress_update(job->progress, "validation", i + 1 - mine.first, mine.count, "studies", NULL);
    }
    return true;
}

static bool validate(void *self, float *values, ich_tally *tally, ich_error *err) {
    finetuning *f = self;
    const ich_source *source = &f->loop.source;
    ich_mil_bind(&f->judging, values, NULL);
    if (!answer_val(f, err)) return false;
    ich_ranks_gather(f->val_logits, source->n_val, sizeof *f->val_logits);
    ich_ranks_gather(f->val_loss, source->n_val, sizeof *f->val_loss);
    for (size_t i = 0; i < source->n_val; i++) {
        const uint32_t study = source->val[i];
        if (source->lost[study]) continue;
        ich_tally_add(tally, 1, f->val_loss[i], f->val_logits[i], source->dataset.studies[study].label);
        tally->images += (size_t)source->cache.slices[study];
    }
    return true;
}

static double waited(void *self) {
    const finetuning *f = self;
    return (f->feed.loader ? ich_loader_waited(f->feed.loader) : 0) +
           (f->val_feed.loader ? ich_loader_waited(f->val_feed.loader) : 0);
}

bool ich_finetune(const ich_train_job *job, ich_train_result *result, ich_error *err) {
    finetuning f = {0};
    *result = (ich_train_result){0};
    bool done = open_finetuning(&f, job, err);
    if (ich_stopped(job)) {
        done = result->stopped = true; /* while decoding or computing features: a resumed run does the rest */
    } else if (done) {
        const ich_learner learner = {.self = &f,
                                     .bytes = ich_mil_bytes(&f.learning) + ich_mil_bytes(&f.judging) +
                                              ich_feed_bytes(&f.feed) + ich_feed_bytes(&f.val_feed) +
                                              (f.aside ? f.loop.model.graph.n_values * sizeof *f.aside : 0),
                                     .lower = lower(&f),
                                     .images = f.images,
                                     .begin = begin,
                                     .step = step,
                                     .changed = changed,
                                     .locate = locate,
                                     .validate = f.loop.source.n_val > 0 ? validate : NULL,
                                     .rows_val = f.loop.source.n_val,
                                     .waited = waited};
        done = ich_loop_run(&f.loop, &learner, result, err);
    }
    close_finetuning(&f);
    return done;
}

bool ich_finetune_inherit(ich_recipe *recipe, const char *init, ich_error *err) {
    ich_model parent;
    if (ich_weights_are_foreign(init)) return true; /* bare weights say nothing of these */
    if (!ich_model_load(&parent, init, err)) return false;
    memcpy(recipe->arch, parent.recipe.arch, sizeof recipe->arch);
    memcpy(recipe->windows, parent.recipe.windows, sizeof recipe->windows);
    recipe->size = parent.recipe.size;
    if (parent.classifier >= 0) {
        memcpy(recipe->context, parent.recipe.context, sizeof recipe->context);
        memcpy(recipe->pool, parent.recipe.pool, sizeof recipe->pool);
        memcpy(recipe->classifier, parent.recipe.classifier, sizeof recipe->classifier);
        recipe->top = parent.recipe.top;
        recipe->hidden = parent.recipe.hidden;
        recipe->attention = parent.recipe.attention;
        recipe->heads = parent.recipe.heads;
        recipe->gated = parent.recipe.gated;
    }
    ich_model_free(&parent);
    return true;
}

/* What is left out is gathered from both readings: slices without a study, then unreadable volumes. */
#include "source.h"

#include "run.h"
#include "tensor/ranks.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool ich_any_known(const float label[ICH_LABELS]) {
    for (int l = 0; l < ICH_LABELS; l++)
        if (!isnan(label[l])) return true;
    return false;
}

static bool has_labels(const ich_study *study, bool slices) {
    if (!slices) return ich_any_known(study->label);
    for (int i = 0; i < study->n_slice_labels; i++)
        if (ich_any_known(study->slice_label[i])) return true;
    return false;
}

/* The studies of one split that have labels; without splits all of them are train. */
static size_t list_split(const ich_source *source, ich_split split, bool slices, uint32_t *list) {
    size_t n = 0;
    for (size_t s = 0; s < source->dataset.n_studies; s++) {
        const ich_study *study = &source->dataset.studies[s];
        const ich_split its = source->split ? study->split : ICH_SPLIT_TRAIN;
        if (its == split && has_labels(study, slices)) list[n++] = (uint32_t)s;
    }
    return n;
}

static bool is_split(const ich_dataset *dataset) {
    for (size_t s = 0; s < dataset->n_studies; s++)
        if (dataset->studies[s].split != ICH_SPLIT_NONE) return true;
    return false;
}

bool ich_source_open(ich_source *source, const char *dataset, bool slices, ich_error *err) {
    memset(source, 0, sizeof *source);
    if (!ich_dataset_read(&source->dataset, dataset, slices, &source->skipped, err)) return false;
    const ich_dataset *d = &source->dataset;
    if (slices && !d->has_slice_labels)
        return ich_fail(
            err, "%s: no slices.csv: pretraining needs image labels; use 'ichor finetune' for study labels",
            dataset);
    source->split = is_split(d);
    source->train = ich_new(d->n_studies, sizeof *source->train, "the list of studies", err);
    source->val = ich_new(d->n_studies, sizeof *source->val, "the list of studies", err);
    source->lost = ich_new(d->n_studies, sizeof *source->lost, "the list of studies", err);
    if (!source->train || !source->val || !source->lost) return false;
    source->n_train = list_split(source, ICH_SPLIT_TRAIN, slices, source->train);
    source->n_val = list_split(source, ICH_SPLIT_VAL, slices, source->val);
    if (!ich_dataset_fingerprint(d, source->fingerprint, err)) return false;
    if (source->n_train > 0) return true;
    const struct ich_skip *out = source->skipped.n_rows > 0 ? source->skipped.rows : NULL;
    return ich_fail(err, "%s: no study%s with a known %s label: nothing to learn from%s%s", dataset,
                    source->split ? " of split train" : "", slices ? "slice" : "study",
                    out ? "; left out, the first: " : "", out ? out->reason : "");
}

/* Without the studies that could not be decoded. */
static size_t keep_decoded(const ich_cache *cache, uint32_t *list, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (cache->slices[list[i]] > 0) list[kept++] = list[i];
    return kept;
}

/* Several ranks that share the folder decode one part each, which all then find there. What fails here fails
 * again when all is opened, and is told then. */
static void decode_part(ich_source *source, const ich_train_job *job, const bool *wanted, const char *folder,
                        const ich_preprocess *preprocess) {
    const size_t n = source->dataset.n_studies;
    bool *mine = ich_ranks() > 1 ? calloc(n, sizeof *mine) : NULL;
    if (mine) {
        const ich_part part = ich_my_part(n);
        memcpy(mine + part.first, wanted + part.first, part.count * sizeof *mine);
        ich_cache cache = {0};
        ich_skipped skipped = {0};
        if (ich_cache_open(&cache, &source->dataset, mine, folder, preprocess, &skipped, job->progress,
                           job->stop, NULL))
            ich_cache_free(&cache);
        ich_skipped_free(&skipped);
        free(mine);
    }
    ich_ranks_wait();
}

bool ich_source_decode(ich_source *source, const ich_train_job *job, ich_error *err) {
    ich_preprocess preprocess;
    if (!ich_recipe_preprocess(&job->recipe, &preprocess, err)) return false;
    char *folder =
        job->cache ? ich_run_path(".", job->cache, err) : ich_run_path(job->out, ICH_RUN_CACHE, err);
    bool *wanted = ich_new(source->dataset.n_studies, sizeof *wanted, "the list of studies", err);
    bool done = folder && wanted;
    if (done) {
        for (size_t i = 0; i < source->n_train; i++) wanted[source->train[i]] = true;
        for (size_t i = 0; i < source->n_val; i++) wanted[source->val[i]] = true;
        decode_part(source, job, wanted, folder, &preprocess);
        done = ich_cache_open(&source->cache, &source->dataset, wanted, folder, &preprocess, &source->skipped,
                              job->progress, job->stop, err);
        ich_error second = {0}; /* the table is worth most when nothing was left to learn from */
        if (ich_rank() == 0 && !ich_skipped_write(&source->skipped, job->out, &second) && done)
            done = ich_fail(err, "%s", second.text);
    }
    free(folder);
    free(wanted);
    if (!done) return false;
    source->n_train = keep_decoded(&source->cache, source->train, source->n_train);
    source->n_val = keep_decoded(&source->cache, source->val, source->n_val);
    return source->n_train > 0 ||
           ich_fail(err, "%s: no volume to learn from could be read; %s/skipped.csv says why", job->dataset,
                    job->out);
}

void ich_source_free(ich_source *source) {
    ich_cache_free(&source->cache);
    ich_dataset_free(&source->dataset);
    ich_skipped_free(&source->skipped);
    free(source->train);
    free(source->val);
    free(source->lost);
    memset(source, 0, sizeof *source);
}

void ich_source_slice_label(const ich_source *source, uint32_t study, int z, float label[ICH_LABELS]) {
    const ich_study *s = &source->dataset.studies[study];
    const int stored = source->cache.stored[study][z];
    const bool there = stored >= 0 && stored < s->n_slice_labels && !source->lost[study];
    for (int l = 0; l < ICH_LABELS; l++) label[l] = there ? s->slice_label[stored][l] : NAN;
}

void ich_source_study_label(const ich_source *source, uint32_t study, float label[ICH_LABELS]) {
    const float *known = source->dataset.studies[study].label;
    for (int l = 0; l < ICH_LABELS; l++) label[l] = source->lost[study] ? NAN : known[l];
}

/* -- lost on the way ----------------------------------------------------------------------------------- */

bool ich_source_lost_more(ich_source *source) {
    bool more = false;
    for (size_t i = 0; i < source->cache.n_studies; i++)
        if (!source->lost[i] && ich_cache_lost(&source->cache, i)) more = true;
    if (!ich_ranks_any(more)) return false;
    for (size_t i = 0; i < source->cache.n_studies; i++)
        source->lost[i] = ich_ranks_any(source->lost[i] || ich_cache_lost(&source->cache, i));
    return true;
}

bool ich_source_name_lost(ich_source *source, const char *out, ich_error *err) {
    bool any = false;
    for (size_t i = 0; i < source->cache.n_studies; i++) {
        const ich_study *study = &source->dataset.studies[i];
        if (!source->lost[i]) continue;
        any = true;
        if (!ich_skipped_add(
                &source->skipped, study->path, study->study_id,
                "could be decoded at first, but not again after its cached slices had been damaged: "
                "left out from then on"))
            return ich_fail(err, "out of memory: the list of studies left out");
    }
    return !any || ich_skipped_write(&source->skipped, out, err);
}

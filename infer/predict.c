#include "infer/predict.h"

#include "data/csv.h"
#include "data/file.h"
#include "data/lock.h"
#include "infer/merge.h"
#include "infer/provenance.h"
#include "infer/scans.h"
#include "infer/study.h"
#include "tensor/ranks.h"
#include "tensor/team.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* -- reading ahead ------------------------------------------------------------------------------------- */

/* One file being read. Inflating a .nii.gz takes one thread as long as several slices of the CNN take all of
 * them; resampling, in contrast, is spread over all threads when the study's turn comes (study.c). */
typedef struct reading {
    pthread_t thread;
    bool threaded; /* join before use */
    const char *path;
    double opened; /* ich_seconds() */
    bool done;
    ich_volume volume;
    ich_error why;
} reading;

static void *read_volume(void *argument) {
    reading *r = argument;
    r->opened = ich_seconds();
    r->done = ich_volume_read(&r->volume, r->path, &r->why);
    return NULL;
}

static void start_reading(reading *r, const char *path) {
    *r = (reading){.path = path};
    r->threaded = pthread_create(&r->thread, NULL, read_volume, r) == 0;
    if (!r->threaded) read_volume(r); /* no thread to be had: read it here and now */
}

static void finish_reading(reading *r) {
    if (r->threaded) pthread_join(r->thread, NULL);
    r->threaded = false;
}

static void drop_reading(reading *r) {
    finish_reading(r);
    if (r->done) ich_volume_free(&r->volume);
    r->done = false;
}

/* -- tables -------------------------------------------------------------------------------------------- */

typedef struct tables {
    ich_output studies, slices;
} tables;

static void put_label_header(FILE *stream) {
    for (int l = 0; l < ICH_LABELS; l++) fprintf(stream, ",%s", ich_label_names[l]);
}

/* Nine digits: what a float holds, so that no two answers tie that did not tie before. */
static void put_probabilities(FILE *stream, const double *probability) {
    for (int l = 0; l < ICH_LABELS; l++) fprintf(stream, "%.9g,", probability[l]);
}

/* Of rank 0 alone, if there are several. */
static bool open_tables(tables *out, const char *folder, bool uncertainty, ich_error *err) {
    memset(out, 0, sizeof *out);
    if (ich_rank() > 0) return true;
    char *studies = ich_path_join(folder, "studies.csv"), *slices = ich_path_join(folder, "slices.csv");
    bool done = (studies != NULL && slices != NULL) || ich_fail(err, "%s: no memory for a path", folder);
    done = done && ich_output_open(&out->studies, studies, err);
    if (done && !ich_output_open(&out->slices, slices, err)) {
        ich_output_abandon(&out->studies);
        done = false;
    }
    free(studies);
    free(slices);
    if (!done) return false;
    fputs("study_id,n_slices", out->studies.stream);
    put_label_header(out->studies.stream);
    fprintf(out->studies.stream, ",seconds%s\n", uncertainty ? ",uncertainty" : "");
    fputs("study_id,slice_index,image_id", out->slices.stream);
    put_label_header(out->slices.stream);
    fputs(",attention\n", out->slices.stream);
    return true;
}

/* studies.csv last: who sees a new one finds the slices that belong to it. */
static bool commit_tables(tables *out, ich_error *err) {
    if (ich_rank() > 0) return true;
    if (!ich_output_commit(&out->slices, err)) {
        ich_output_abandon(&out->studies);
        return false;
    }
    return ich_output_commit(&out->studies, err);
}

static void abandon_tables(tables *out) {
    ich_output_abandon(&out->slices);
    ich_output_abandon(&out->studies);
}

static void put_slice(FILE *stream, const ich_scan *scan, int stored, const ich_answer *answer, int z) {
    const char *image_id = stored < scan->n_images ? scan->image_id[stored] : NULL;
    ich_csv_put(stream, scan->study_id, ',');
    fprintf(stream, "%d,", stored);
    ich_csv_put(stream, image_id != NULL ? image_id : "", ',');
    put_probabilities(stream, answer->slice[z]);
    fprintf(stream, "%.9g\n", answer->attention[z]);
}

/* Network order is the stored order or its reverse (volume.h), so rows come sorted by slice_index. */
static void put_slices(FILE *stream, const ich_scan *scan, const ich_volume *volume,
                       const ich_answer *answer) {
    const int last = answer->slices - 1;
    const bool reversed =
        last > 0 && ich_volume_stored_slice(volume, 0) > ich_volume_stored_slice(volume, last);
    for (int i = 0; i <= last; i++) {
        const int z = reversed ? last - i : i;
        put_slice(stream, scan, ich_volume_stored_slice(volume, z), answer, z);
    }
}

static void put_study(FILE *stream, const ich_scan *scan, const ich_answer *answer, double seconds) {
    ich_csv_put(stream, scan->study_id, ',');
    fprintf(stream, "%d,", answer->slices);
    put_probabilities(stream, answer->study);
    fprintf(stream, "%.3f", seconds);
    if (!isnan(answer->uncertainty)) fprintf(stream, ",%.9g", answer->uncertainty);
    fputc('\n', stream);
}

/* -- about.csv ----------------------------------------------------------------------------------------- */

static void put_about(FILE *stream, const char *key, const char *value) {
    ich_csv_put(stream, key, ',');
    ich_csv_put(stream, value, '\n');
}

/* What a reader of the folder wants to know, and report needs: which scans, which model. */
static bool write_about(const char *folder, const char *input, const ich_model *model,
                        const ich_predict_options *options, ich_error *err) {
    ich_output out;
    char *path = ich_path_join(folder, "about.csv"), *place = realpath(input, NULL);
    bool done = (path != NULL && (place != NULL || errno != ENOMEM)) ||
                ich_fail(err, "%s: no memory for a path", folder);
    done = done && ich_output_open(&out, path, err);
    if (done) {
        fputs("key,value\n", out.stream);
        put_about(out.stream, "answered by", "Ichor " ICHOR_VERSION);
        put_about(out.stream, "input", place != NULL ? place : input);
        put_about(out.stream, "heatmaps",
                  options->heatmaps ? ich_label_names[options->explain.label] : "none");
        const char *method = options->explain.method, *layer = options->explain.layer;
        put_about(out.stream, "heatmap method", method != NULL ? method : ich_explain_name(0));
        put_about(out.stream, "heatmap layer", layer != NULL ? layer : "");
        put_about(out.stream, "arch", model->recipe.arch);
        put_about(out.stream, "study head",
                  model->classifier >= 0 ? model->recipe.pool : "most positive slice");
        for (int i = 0; i < model->n_meta; i++)
            if (strcmp(model->meta_keys[i], ICH_INPUTS) != 0 &&      /* numbers for programs only */
                strcmp(model->meta_keys[i], ICH_META_ANCESTRY) != 0) /* pages: inspect --provenance */
                put_about(out.stream, model->meta_keys[i], model->meta_values[i]);
        done = ich_output_commit(&out, err);
    }
    free(path);
    free(place);
    return done;
}

/* -- a study ------------------------------------------------------------------------------------------- */

typedef struct job {
    ich_lock lock; /* on the output folder */
    ich_reader reader;
    ich_scans scans;
    tables out;               /* rank 0's */
    ich_rows studies, slices; /* on their way there */
    char *heatmaps;           /* folder, NULL without */
    ich_likeness likeness;
    bool knows_inputs; /* the model says what it learned from */
    ich_skipped flagged;
} job;

/* A study unlike the training studies is answered, but not in silence. */
static bool flag_study(job *j, const ich_scan *scan, const ich_answer *answer, ich_error *why) {
    char reason[200];
    return !j->knows_inputs ||
           ich_likeness_judge(&j->likeness, &j->reader.cnn.slices.preprocess, &answer->look, reason,
                              sizeof reason) ||
           ich_skipped_add(&j->flagged, scan->path, scan->study_id, reason) ||
           ich_fail(why, "%s: no memory for the list of flagged studies", scan->path);
}

/* False with the reason when this study cannot be answered; nothing of it is in the tables then. */
static bool answer_study(job *j, const ich_scan *scan, const reading *r, ich_error *why) {
    if (!r->done) return ich_fail(why, "%s", r->why.text);
    ich_answer answer;
    if (!ich_reader_answer(&j->reader, &r->volume, &answer, why)) return false;
    const bool drawn = j->heatmaps == NULL || ich_heatmap_write(&j->reader.cnn.slices.preprocess, &r->volume,
                                                                &j->reader.explainer.grid[0], answer.heat,
                                                                j->heatmaps, scan->study_id, why);
    const bool done = drawn && flag_study(j, scan, &answer, why);
    if (done) {
        put_slices(j->slices.stream, scan, &r->volume, &answer);
        put_study(j->studies.stream, scan, &answer, ich_seconds() - r->opened);
    }
    ich_answer_free(&answer);
    return done;
}

/* What came of all studies together. */
typedef struct tally {
    size_t answered;
    ich_error first; /* why the first study that failed did */
} tally;

static bool count_study(tally *sum, bool answered, const ich_scan *scan, const ich_error *why,
                        ich_skipped *skipped, ich_error *err) {
    if (answered) {
        sum->answered++;
        return true;
    }
    if (sum->first.text[0] == '\0') sum->first = *why;
    return ich_skipped_add(skipped, scan->path, scan->study_id, why->text) ||
           ich_fail(err, "%s: no memory for the list of skipped studies", scan->path);
}

static bool answer_all(job *j, tally *sum, const ich_progress *progress, const volatile int *stop,
                       ich_skipped *skipped, ich_error *err) {
    const ich_part mine = ich_my_part(j->scans.count);
    const size_t count = mine.count;
    const ich_scan *scans = j->scans.scans + mine.first;
    reading slots[2] = {0};
    if (count > 0) start_reading(&slots[0], scans[0].path);
    ich_progress_update(progress, "predict", 0, count, "studies", NULL);
    bool done = true;
    for (size_t i = 0; done && i < count; i++) {
        reading *now = &slots[i % 2], *next = &slots[(i + 1) % 2];
        const ich_scan *scan = &scans[i];
        finish_reading(now);
        if (stop != NULL && *stop != 0) {
            done = ich_fail(err, "stopped after %zu of %zu studies: no prediction was written", i, count);
            break;
        }
        if (i + 1 < count) start_reading(next, scans[i + 1].path);
        ich_error why = {0};
        done = count_study(sum, answer_study(j, scan, now, &why), scan, &why, skipped, err);
        drop_reading(now);
        ich_progress_update(progress, "predict", i + 1, count, "studies", scan->study_id);
    }
    drop_reading(&slots[0]);
    drop_reading(&slots[1]);
    return done;
}

/* -- the whole job ------------------------------------------------------------------------------------- */

/* Predictions carry the same file names as a dataset: never write them over one. */
static bool check_folder(const char *input, const char *folder, ich_error *err) {
    return !ich_path_same(input, folder) ||
           ich_fail(err,
                    "%s: is the input itself, whose studies.csv would be lost: choose another output folder",
                    folder);
}

static bool open_job(job *j, const ich_model *model, const char *folder, const ich_predict_options *options,
                     ich_error *err) {
    if (!ich_folder_make(folder, err)) return false;
    if (options->heatmaps && !(j->heatmaps = ich_path_join(folder, "heatmaps")))
        return ich_fail(err, "%s: no memory for a path", folder);
    if (ich_rank() == 0) {
        if (!ich_lock_take(&j->lock, folder, "ichor predict", err)) return false;
        ich_folder_sweep(folder);
        if (j->heatmaps) ich_folder_sweep(j->heatmaps);
    }
    ich_ranks_wait(); /* what is written from here on is not swept away */
    if (!ich_reader_open(&j->reader, model, options->heatmaps ? &options->explain : NULL, err)) return false;
    const char *inputs = ich_model_meta(model, ICH_INPUTS);
    j->knows_inputs = inputs != NULL;
    return !inputs || ich_likeness_parse(&j->likeness, &j->reader.cnn.slices.preprocess, inputs, err);
}

/* The ranks' parts become one. */
static bool merge_answers(job *j, tally *sum, ich_skipped *skipped, ich_error *err) {
    double answered = (double)sum->answered;
    ich_ranks_sum(&answered, 1);
    sum->answered = (size_t)answered;
    return ich_rows_merge(&j->studies, err) && ich_rows_merge(&j->slices, err) &&
           ich_skipped_merge(skipped, err) && ich_skipped_merge(&j->flagged, err);
}

static bool run_job(job *j, const char *input, const char *folder, const ich_predict_options *options,
                    const ich_progress *progress, const volatile int *stop, ich_skipped *skipped,
                    ich_error *err) {
    if (!open_tables(&j->out, folder, j->reader.model->gp >= 0, err)) return false;
    tally sum = {0};
    if (!ich_rows_open(&j->studies, j->out.studies.stream, err) ||
        !ich_rows_open(&j->slices, j->out.slices.stream, err) ||
        !answer_all(j, &sum, progress, stop, skipped, err) || !merge_answers(j, &sum, skipped, err)) {
        abandon_tables(&j->out);
        return false;
    }
    if (ich_rank() == 0 &&
        (!ich_skipped_write(skipped, folder, err) ||
         !ich_skipped_write_as(&j->flagged, folder, "flagged.csv", err) ||
         (sum.answered > 0 && !write_about(folder, input, j->reader.model, options, err)))) {
        abandon_tables(&j->out);
        return false;
    }
    if (sum.answered > 0) return commit_tables(&j->out, err);
    abandon_tables(&j->out);
    return j->scans.count == 1 ? ich_fail(err, "%s", sum.first.text)
                               : ich_fail(err, "%s: none of its %zu studies could be answered; the first: %s",
                                          input, j->scans.count, sum.first.text);
}

bool ich_predict(const ich_model *model, const char *input, const char *folder,
                 const ich_predict_options *options, const ich_progress *progress, const volatile int *stop,
                 ich_skipped *skipped, ich_error *err) {
    job j = {0};
    char *dataset = NULL; /* what a folder of DICOM was made into */
    bool done = check_folder(input, folder, err) &&
                ich_scans_import(input, folder, options->keep_ids, &dataset, progress, stop, skipped, err);
    const char *scans = dataset != NULL ? dataset : input;
    done = done && ich_scans_list(&j.scans, scans, err) && open_job(&j, model, folder, options, err) &&
           run_job(&j, scans, folder, options, progress, stop, skipped, err);
    if (done) ich_ranks_wait(); /* until rank 0 has written all */
    ich_rows_close(&j.studies);
    ich_rows_close(&j.slices);
    free(dataset);
    if (options->flagged != NULL) {
        *options->flagged = j.flagged;
    } else {
        ich_skipped_free(&j.flagged);
    }
    ich_lock_release(&j.lock);
    ich_reader_close(&j.reader);
    ich_scans_free(&j.scans);
    free(j.heatmaps);
    return done;
}

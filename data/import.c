/* The kinds of data that can be imported, and the tables of a dataset. */
#include "import_internal.h"

#include "csv.h"
#include "file.h"
#include "tensor/hash.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const ich_kind kinds[] = {
    {"rsna", "stage_2_train.csv", {"stage_2_train"}, true, ich_import_rsna},
    {"cq500", "reads.csv", {NULL}, false, ich_import_cq500},
    {"ct-ich", "hemorrhage_diagnosis_raw_ct.csv", {"ct_scans", "volumes"}, false, ich_import_ct_ich},
    {"dicom", NULL, {NULL}, false, ich_import_dicom},
    {"nifti", NULL, {NULL}, false, ich_import_nifti},
};
enum { KINDS = sizeof kinds / sizeof *kinds, MOST_LINES = 10 };
static const double fractions[3] = {0.7, 0.15, 0.15};

const char *ich_import_kind(const void *unused, int i) {
    (void)unused;
    return i < KINDS ? kinds[i].name : NULL;
}

static const ich_kind *find_kind(const char *name, ich_error *err) {
    char names[100] = "";
    for (int i = 0; i < KINDS; i++) {
        if (!strcmp(kinds[i].name, name)) return &kinds[i];
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", kinds[i].name);
    }
    ich_fail(err, "there is no kind of data '%s': choose one of %s", name, names);
    return NULL;
}

/* -- a job ----------------------------------------------------------------------------------------------- */

/* What the result depends on: an import of other files, or with other options, begins afresh. */
static uint64_t identity_of(const ich_job *job) {
    const ich_import *o = job->options;
    struct stat info;
    uint64_t hash = ich_fnv(ich_fnv_start, o->kind, strlen(o->kind) + 1);
    hash = ich_fnv(hash, &o->keep_ids, sizeof o->keep_ids);
    hash = ich_fnv(hash, &o->spacing, sizeof o->spacing);
    for (size_t i = 0; i < job->files.n; i++)
        hash = ich_fnv(hash, &job->files.files[i].stamp, sizeof job->files.files[i].stamp);
    if (job->table && stat(job->table, &info) == 0) {
        const int64_t stamp[3] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
        hash = ich_fnv(hash, stamp, sizeof stamp);
    }
    return hash;
}

/* Where in the source the files are, by the kind's habit; "" for all of it. */
static const char *usual_folder(const ich_job *job) {
    for (size_t i = 0; i < 2 && job->kind->folders[i]; i++) {
        char *inside = ich_path_join(job->options->source, job->kind->folders[i]);
        const bool found = inside && ich_path_is_folder(inside);
        free(inside);
        if (found) return job->kind->folders[i];
    }
    return "";
}

bool ich_job_open(ich_job *job, size_t record_bytes, ich_error *err) {
    const ich_import *o = job->options;
    const char *const except[2] = {o->out, job->table};
    bool done = ich_files_list(&job->files, o->source, usual_folder(job), except, err);
    if (done && job->files.n == 0) done = ich_fail(err, "%s: holds no file", o->source);
    done = done && ich_ledger_open(&job->ledger, o->out, identity_of(job), job->files.n, record_bytes, err);
    job->volumes = ich_path_join(o->out, "volumes");
    if (!job->volumes) return ich_fail(err, "%s: out of memory: a path", o->out);
    if (!done || !ich_folder_make(job->volumes, err)) return false;
    ich_folder_sweep(o->out);
    ich_folder_sweep(job->volumes);
    return true;
}

char *ich_job_volume_path(const ich_job *job, const char *study_id) {
    char *path;
    return asprintf(&path, "%s/%s.nii.gz", job->volumes, study_id) < 0 ? NULL : path;
}

/* `text` may hold several lines, each a note of its own. */
bool ich_job_note(ich_job *job, const char *study_id, const char *text) {
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const size_t n = job->n_notes;
        if ((n & (n - 1)) == 0) {
            struct ich_note *notes = realloc(job->notes, (n ? 2 * n : 1) * sizeof *notes);
            if (!notes) return false;
            job->notes = notes;
        }
        struct ich_note note = {strdup(study_id), strndup(line, strcspn(line, "\n"))};
        job->notes[job->n_notes++] = note;
        if (!note.study_id || !note.text) return false;
    }
    return true;
}

ich_study *ich_job_add_study(ich_job *job, const char *study_id, const char *patient_id, ich_error *err) {
    ich_dataset *d = &job->dataset;
    if ((d->n_studies & (d->n_studies - 1)) == 0) {
        ich_study *studies = realloc(d->studies, (d->n_studies ? 2 * d->n_studies : 1) * sizeof *studies);
        if (!studies) {
            ich_fail(err, "out of memory: the list of studies");
            return NULL;
        }
        d->studies = studies;
    }
    ich_study *study = &d->studies[d->n_studies++];
    *study = (ich_study){.study_id = strdup(study_id), .patient_id = strdup(patient_id)};
    for (int l = 0; l < ICH_LABELS; l++) study->label[l] = NAN;
    if (study->study_id && study->patient_id && asprintf(&study->path, "volumes/%s.nii.gz", study_id) >= 0)
        return study;
    study->path = NULL;
    ich_fail(err, "out of memory: the list of studies");
    return NULL;
}

bool ich_job_add_slices(ich_study *study, int n, ich_error *err) {
    study->slice_label = ich_new((size_t)n, sizeof *study->slice_label, "labels of slices", err);
    study->image_id = ich_new((size_t)n, sizeof *study->image_id, "labels of slices", err);
    if (!study->slice_label || !study->image_id) return false;
    study->n_slice_labels = n;
    for (int z = 0; z < n; z++)
        for (int l = 0; l < ICH_LABELS; l++) study->slice_label[z][l] = NAN;
    return true;
}

static void close_job(ich_job *job, bool whole) {
    for (size_t i = 0; i < job->n_notes; i++) {
        free(job->notes[i].study_id);
        free(job->notes[i].text);
    }
    free(job->notes);
    ich_dataset_free(&job->dataset);
    if (job->ledger.folder) ich_ledger_close(&job->ledger, whole);
    ich_files_free(&job->files);
    free(job->volumes);
    free(job->table);
}

/* -- tables ---------------------------------------------------------------------------------------------- */

static void put_labels(FILE *stream, const float label[ICH_LABELS]) {
    for (int l = 0; l < ICH_LABELS; l++) {
        if (!isnan(label[l])) fputc(label[l] > 0 ? '1' : '0', stream);
        fputc(l + 1 < ICH_LABELS ? ',' : '\n', stream);
    }
}

static void put_label_names(FILE *stream) {
    for (int l = 0; l < ICH_LABELS; l++)
        fprintf(stream, "%s%c", ich_label_names[l], l + 1 < ICH_LABELS ? ',' : '\n');
}

static void put_studies(FILE *stream, const ich_job *job) {
    fputs("study_id,patient_id,path,", stream);
    put_label_names(stream);
    for (size_t i = 0; i < job->dataset.n_studies; i++) {
        const ich_study *s = &job->dataset.studies[i];
        ich_csv_put(stream, s->study_id, ',');
        ich_csv_put(stream, s->patient_id, ',');
        ich_csv_put(stream, s->path, ',');
        put_labels(stream, s->label);
    }
}

static void put_slices(FILE *stream, const ich_job *job) {
    fputs("study_id,slice_index,image_id,", stream);
    put_label_names(stream);
    for (size_t i = 0; i < job->dataset.n_studies; i++) {
        const ich_study *s = &job->dataset.studies[i];
        for (int z = 0; z < s->n_slice_labels; z++) {
            ich_csv_put(stream, s->study_id, ',');
            fprintf(stream, "%d,", z);
            ich_csv_put(stream, s->image_id[z] ? s->image_id[z] : "", ',');
            put_labels(stream, s->slice_label[z]);
        }
    }
}

static void put_notes(FILE *stream, const ich_job *job) {
    fputs("study_id,note\n", stream);
    for (size_t i = 0; i < job->n_notes; i++) {
        ich_csv_put(stream, job->notes[i].study_id, ',');
        ich_csv_put(stream, job->notes[i].text, '\n');
    }
}

/* Writes a table; removes one of an earlier import if there is nothing to put into it. */
static bool write_table(const ich_job *job, const char *name, bool wanted,
                        void (*put)(FILE *, const ich_job *), ich_error *err) {
    ich_output out;
    char *path = ich_path_join(job->options->out, name);
    if (!path) return ich_fail(err, "%s: out of memory: a path", job->options->out);
    bool done = true;
    if (wanted) {
        done = ich_output_open(&out, path, err);
        if (done) put(out.stream, job);
        done = done && ich_output_commit(&out, err);
    } else {
        unlink(path);
    }
    free(path);
    return done;
}

static bool write_dataset(const ich_job *job, ich_error *err) {
    bool has_slices = false;
    size_t counts[3];
    for (size_t i = 0; i < job->dataset.n_studies; i++)
        has_slices = has_slices || job->dataset.studies[i].n_slice_labels > 0;
    return write_table(job, "slices.csv", has_slices, put_slices, err) &&
           write_table(job, "notes.csv", job->n_notes > 0, put_notes, err) &&
           ich_skipped_write(&job->skipped, job->options->out, err) &&
           write_table(job, "studies.csv", true, put_studies, err) &&
           (!job->kind->split ||
            ich_dataset_split(job->options->out, fractions, job->options->seed, counts, err));
}

static void tell_notes(const ich_job *job) {
    for (size_t i = 0; i < job->n_notes && i < MOST_LINES; i++)
        ich_progress_line(job->progress, "%s: %s", job->notes[i].study_id, job->notes[i].text);
    if (job->n_notes > MOST_LINES)
        ich_progress_line(job->progress, "%zu more such lines are in %s/notes.csv", job->n_notes - MOST_LINES,
                          job->options->out);
}

/* -- all of it ------------------------------------------------------------------------------------------- */

/* The table of labels: the one named, or the kind's usual one in the source or beside it. */
static bool find_table(ich_job *job, ich_error *err) {
    const ich_import *o = job->options;
    const char *name = job->kind->table;
    if (o->labels || !name) {
        job->table = o->labels ? strdup(o->labels) : NULL;
        return !o->labels || job->table || ich_fail(err, "%s: out of memory: its name", o->labels);
    }
    char *beside = NULL;
    job->table = ich_path_join(o->source, name);
    if (!job->table || asprintf(&beside, "%s/../%s", o->source, name) < 0)
        return ich_fail(err, "%s: out of memory: a path", o->source);
    if (ich_path_exists(job->table) || !ich_path_exists(beside)) {
        free(beside);
        return ich_path_exists(job->table) ||
               ich_fail(err, "%s: has no %s: name the table of labels with --labels", o->source, name);
    }
    free(job->table);
    job->table = beside;
    return true;
}

/* Without a study there is no dataset, but skipped.csv still says why. */
static bool fail_empty(const ich_job *job, ich_error *err) {
    const struct ich_skip *first = job->skipped.rows;
    if (job->skipped.n_rows == 0) return ich_fail(err, "%s: holds no study", job->options->source);
    return ich_skipped_write(&job->skipped, job->options->out, err) &&
           ich_fail(err, "%s: no study could be imported, the first file because: %s: %s",
                    job->options->source, first->path, first->reason);
}

bool ich_import_run(const ich_import *options, ich_import_result *result, const ich_progress *progress,
                    const volatile int *stop, ich_error *err) {
    *result = (ich_import_result){0};
    ich_job job = {.options = options, .progress = progress, .stop = stop, .err = err};
    job.kind = find_kind(options->kind, err);
    if (!job.kind) return false;
    if (!ich_path_exists(options->source)) return ich_fail(err, "%s: no such folder", options->source);
    const bool ran = find_table(&job, err) && job.kind->run(&job, err), empty = job.dataset.n_studies == 0;
    const bool done = ran && (empty ? fail_empty(&job, err) : write_dataset(&job, err));
    if (done) tell_notes(&job);
    result->studies = job.dataset.n_studies;
    result->slices = job.n_slices;
    result->skipped = job.skipped;
    close_job(&job, done || (ran && empty));
    return done;
}

void ich_import_result_free(ich_import_result *result) {
    ich_skipped_free(&result->skipped);
    *result = (ich_import_result){0};
}

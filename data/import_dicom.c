/* rsna, cq500, dicom: from converted studies to the tables of a dataset. */
#include "import_dicom.h"
#include "sha256.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- the dataset ----------------------------------------------------------------------------------------- */

typedef struct owner {
    uint64_t patient;
    size_t study;
} owner;

static int by_patient(const void *a, const void *b) {
    const owner *x = a, *y = b;
    if (x->patient != y->patient) return x->patient < y->patient ? -1 : 1;
    return (x->study > y->study) - (x->study < y->study);
}

/* Patients are named after the first of their studies, which tells nothing of them. */
static bool find_patients(ich_dicom_job *dj, ich_error *err) {
    const size_t n = dj->n_studies;
    owner *owners = ich_new(n, sizeof *owners, "the list of patients", err);
    if (!owners) return false;
    for (size_t i = 0; i < n; i++) owners[i] = (owner){ich_record_at(dj, dj->studies[i].first)->patient, i};
    if (n > 1) qsort(owners, n, sizeof *owners, by_patient);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && owners[i].patient && owners[end].patient == owners[i].patient;) end++;
        for (size_t j = i; j < end; j++) {
            dj->studies[owners[j].study].first_of_patient = owners[i].study;
            dj->studies[owners[j].study].is_only = end - i == 1;
        }
    }
    free(owners);
    return true;
}

static ich_study *add_study(ich_dicom_job *dj, size_t i, ich_error *err) {
    const ich_record *r = ich_record_at(dj, dj->studies[i].first);
    const ich_scan_study *first = &dj->studies[dj->studies[i].first_of_patient];
    char patient[ICH_DICOM_TEXT + 1];
    if (*r->patient_id)
        snprintf(patient, sizeof patient, "%s", r->patient_id);
    else
        snprintf(patient, sizeof patient, "P%s", ich_record_at(dj, first->first)->study_id);
    dj->job->n_slices += (size_t)dj->studies[i].slices;
    return ich_job_add_study(dj->job, r->study_id, patient, err);
}

/* Why a file is not in the dataset; NULL if it is. `reason` has room for a made-up one. */
static const char *why_not(const ich_dicom_job *dj, size_t place, const ich_scan_study *s, char *reason,
                           size_t size) {
    const char *bad = dj->job->ledger.bad[dj->order[place]];
    if (bad) return bad;
    if (place < s->chosen || place >= s->chosen + s->n_chosen) {
        snprintf(reason, size, "is of another series of its study than the one chosen (series %d, %d slices)",
                 ich_record_at(dj, s->chosen)->series_number, s->slices);
        return reason;
    }
    if (s->slices > 0) return NULL;
    snprintf(reason, size, "its series is refused: it %s", s->text);
    return reason;
}

typedef struct left_out { /* a file, for skipped.csv in the order of the files */
    size_t file, place, study;
} left_out;

static int by_file(const void *a, const void *b) {
    const left_out *x = a, *y = b;
    return (x->file > y->file) - (x->file < y->file);
}

static bool list_left_out(ich_dicom_job *dj, ich_error *err) {
    left_out *list = ich_new(dj->job->files.n, sizeof *list, "the list of inputs left out", err);
    if (!list) return false;
    size_t n = 0;
    char reason[700];
    for (size_t i = 0; i < dj->job->files.n; i++)
        if (dj->records[i].state == ICH_REFUSED) list[n++] = (left_out){i, SIZE_MAX, 0};
    for (size_t s = 0; s < dj->n_studies; s++)
        for (size_t p = dj->studies[s].first; p < dj->studies[s].first + dj->studies[s].count; p++)
            if (why_not(dj, p, &dj->studies[s], reason, sizeof reason))
                list[n++] = (left_out){dj->order[p], p, s};
    if (n > 1) qsort(list, n, sizeof *list, by_file);
    bool done = true;
    for (size_t i = 0; done && i < n; i++) {
        const bool refused = list[i].place == SIZE_MAX;
        const char *why =
            refused ? dj->job->ledger.bad[list[i].file]
                    : why_not(dj, list[i].place, &dj->studies[list[i].study], reason, sizeof reason);
        done = ich_skipped_add(&dj->job->skipped, ich_files_name(&dj->job->files, list[i].file),
                               refused ? "" : ich_record_at(dj, list[i].place)->study_id, why);
    }
    free(list);
    return done || ich_fail(err, "out of memory: the list of inputs left out");
}

typedef bool (*label_function)(ich_dicom_job *dj, size_t study, ich_study *to, ich_error *err);

/* Everything that is written but for the volumes, which are there. */
static bool make_dataset(ich_dicom_job *dj, label_function label, ich_error *err) {
    bool done = find_patients(dj, err);
    for (size_t i = 0; done && i < dj->n_studies; i++) {
        const ich_scan_study *s = &dj->studies[i];
        if (s->slices == 0) continue;
        ich_study *to = add_study(dj, i, err);
        done = to && (!label || label(dj, i, to, err)) &&
               (!*s->text || ich_job_note(dj->job, to->study_id, s->text) ||
                ich_fail(err, "out of memory: remarks"));
    }
    return done && list_left_out(dj, err);
}

static bool run(ich_dicom_job *dj, label_function label, ich_error *err) {
    if (!ich_dicom_prepare(err) || !ich_job_open(dj->job, sizeof(ich_record), err)) return false;
    dj->records = dj->job->ledger.records;
    const bool done = ich_import_scan(dj, err) && ich_import_choose(dj, err) && ich_import_convert(dj, err) &&
                      make_dataset(dj, label, err);
    for (size_t i = 0; i < dj->n_studies; i++) free(dj->studies[i].text);
    free(dj->studies);
    free(dj->order);
    free(dj->todo);
    return done;
}

/* -- labels of studies ----------------------------------------------------------------------------------- */

/* A patient's id names a study only where it is the patient's only one: an earlier scan has labels of its
 * own. */
static bool label_from_table(ich_dicom_job *dj, size_t i, ich_study *to, ich_error *err) {
    const ich_record *r = ich_record_at(dj, dj->studies[i].first);
    const uint64_t keys[] = {r->study, ich_sha256_text(r->study_id), r->accession,
                             dj->studies[i].is_only ? r->patient : 0};
    (void)err;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        struct ich_label_row *row = keys[k] ? ich_label_table_find(&dj->table, keys[k]) : NULL;
        if (!row) continue;
        memcpy(to->label, row->label, sizeof to->label);
        row->used = true;
        break;
    }
    return true;
}

static bool label_from_reads(ich_dicom_job *dj, size_t i, ich_study *to, ich_error *err) {
    const char *name = ich_record_at(dj, dj->studies[i].first)->study_id;
    struct ich_label_row *row = ich_label_table_find(&dj->table, ich_cq500_key(name, strlen(name)));
    (void)err;
    if (row) memcpy(to->label, row->label, sizeof to->label);
    if (row) row->used = true;
    return true;
}

bool ich_import_dicom(ich_job *job, ich_error *err) {
    ich_dicom_job dj = {.job = job};
    if (job->table && !ich_label_table_read(&dj.table, job->table, err)) return false;
    const bool done = run(&dj, job->table ? label_from_table : NULL, err);
    if (done) ich_job_tell_unused(job, &dj.table);
    ich_label_table_free(&dj.table);
    return done;
}

bool ich_import_cq500(ich_job *job, ich_error *err) {
    ich_dicom_job dj = {.job = job, .is_cq500 = true};
    if (!ich_label_table_read_cq500(&dj.table, job->table, err)) return false;
    const bool done = run(&dj, label_from_reads, err);
    if (done) ich_job_tell_unused(job, &dj.table);
    ich_label_table_free(&dj.table);
    return done;
}

/* -- labels of images ------------------------------------------------------------------------------------ */

typedef struct rsna_import {
    ich_dicom_job dj; /* first: label_from_images gets a pointer to it */
    ich_image_labels labels;
    size_t unlabelled;
} rsna_import;

/* "stage_2_train/ID_12cadc6af.dcm" is image ID_12cadc6af. */
static bool label_slice(rsna_import *rsna, size_t file, ich_study *to, int z, ich_error *err) {
    const char *name = ich_files_name(&rsna->dj.job->files, file), *slash = strrchr(name, '/');
    const char *stem = slash ? slash + 1 : name;
    const size_t length = strcspn(stem, ".");
    struct ich_image_row *row = ich_image_labels_find(&rsna->labels, stem, length);
    to->image_id[z] = strndup(stem, length);
    if (!to->image_id[z]) return ich_fail(err, "out of memory: image ids");
    for (int l = 0; row && l < ICH_LABELS; l++)
        to->slice_label[z][l] = row->label[l] < 0 ? NAN : (float)row->label[l];
    if (row)
        row->used = true;
    else
        rsna->unlabelled++;
    return true;
}

/* Arranges the series once more, as the worker did: the headers are still here, and what was left out is
 * marked. */
static bool label_from_images(ich_dicom_job *dj, size_t i, ich_study *to, ich_error *err) {
    rsna_import *rsna = (rsna_import *)dj;
    const ich_scan_study *s = &dj->studies[i];
    ich_frame *frames = ich_new(s->n_chosen, sizeof *frames, "a series' slices", err);
    if (!frames) return false;
    size_t n = 0;
    for (size_t p = s->chosen; p < s->chosen + s->n_chosen; p++)
        if (ich_record_at(dj, p)->state == ICH_READ)
            frames[n++] = ich_record_frame(dj, p, 0, &ich_record_at(dj, p)->plane);
    ich_stack stack;
    bool done = ich_stack_arrange(&stack, frames, n, err);
    if (done && stack.n_levels == s->slices) { /* else it is one file of many frames, without labels */
        done = ich_job_add_slices(to, stack.n_levels, err);
        for (int z = 0; done && z < stack.n_levels; z++)
            if (stack.level[z].own >= 0)
                done = label_slice(rsna, frames[stack.source[stack.level[z].own]].file, to, z, err);
        if (done) ich_labels_of_slices(to);
    }
    ich_stack_free(&stack);
    free(frames);
    return done;
}

static void tell_unmatched(const rsna_import *rsna) {
    const ich_progress *progress = rsna->dj.job->progress;
    const char *table = rsna->dj.job->table;
    size_t unused = 0;
    for (size_t i = 0; i < rsna->labels.n; i++) unused += !rsna->labels.rows[i].used;
    if (unused > 0)
        ich_progress_line(progress, "%s: labels %zu images that were not imported", table, unused);
    if (rsna->unlabelled > 0)
        ich_progress_line(progress, "%s: has no row for %zu images: their labels are unknown", table,
                          rsna->unlabelled);
    if (rsna->labels.n_conflicts > 0)
        ich_progress_line(progress, "%s: contradicts itself on %zu labels: they are unknown", table,
                          rsna->labels.n_conflicts);
}

bool ich_import_rsna(ich_job *job, ich_error *err) {
    rsna_import rsna = {.dj = {.job = job}};
    if (!ich_image_labels_read_rsna(&rsna.labels, job->table, err)) return false;
    const bool done = run(&rsna.dj, label_from_images, err);
    if (done) tell_unmatched(&rsna);
    ich_image_labels_free(&rsna.labels);
    return done;
}

/* Every header once, in batches, into its record. */
#include "dicom_worker.h"
#include "import_dicom.h"
#include "sha256.h"
#include "tensor/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 32 }; /* headers a task */

static uint64_t check_of(const ich_record *r) {
    const size_t from = offsetof(ich_record, study);
    return ich_fnv(ich_fnv_start, (const char *)r + from, offsetof(ich_record, state) - from);
}

/* An identifier that can be written as it is: into a table, and as a file's name. */
static bool is_plain(const char *id) {
    if (!*id || *id == '.') return false;
    for (; *id; id++)
        if ((unsigned char)*id <= ' ' || *id == 127 || *id == '/' || *id == '\\') return false;
    return true;
}

/* CQ500's cases are known by name: PatientID has it, or else a folder on the file's path. */
static const char *cq500_name(const ich_dicom_job *dj, const char *patient, const char *path) {
    const struct ich_label_row *row =
        ich_label_table_find(&dj->table, ich_cq500_key(patient, strlen(patient)));
    while (!row && *path) {
        const size_t word = strcspn(path, "/ ");
        row = ich_label_table_find(&dj->table, ich_cq500_key(path, word));
        path += word + (path[word] != '\0');
    }
    return row ? row->patient_id : NULL;
}

static void identify(const ich_dicom_job *dj, ich_record *r, const ich_dicom *d, size_t file) {
    const bool keep = dj->job->options->keep_ids;
    char hex[17];
    r->study = ich_sha256_text(d->study);
    r->series = *d->series ? ich_sha256_text(d->series) : 0;
    r->patient = *d->patient ? ich_sha256_text(d->patient) : 0;
    r->accession = *d->accession ? ich_sha256_text(d->accession) : 0;
    ich_sha256_hex(d->study, hex);
    snprintf(r->study_id, sizeof r->study_id, "%s", keep && is_plain(d->study) ? d->study : hex);
    if (keep && is_plain(d->patient)) snprintf(r->patient_id, sizeof r->patient_id, "%s", d->patient);
    if (!dj->is_cq500) return;
    const char *name = cq500_name(dj, d->patient, ich_files_name(&dj->job->files, file));
    if (!name || !is_plain(name)) return;
    snprintf(r->study_id, sizeof r->study_id, "%s", name);
    snprintf(r->patient_id, sizeof r->patient_id, "%s", name);
}

static bool scan_file(const ich_dicom_job *dj, size_t file, ich_error *why) {
    ich_record *r = &dj->records[file];
    ich_dicom d;
    char *path = ich_files_path(&dj->job->files, file);
    if (!path) return ich_fail(why, "out of memory");
    bool done = ich_dicom_open(&d, path, false, why);
    free(path);
    if (!done) return false;
    memset(r, 0, sizeof *r);
    done = ich_dicom_plane_of(&d, 0, &r->plane, why);
    identify(dj, r, &d, file);
    r->thickness = d.thickness;
    r->series_number = d.series_number, r->acquisition = d.acquisition, r->instance = d.instance;
    r->frames = d.frames, r->rows = d.rows, r->columns = d.columns;
    r->contrast = d.contrast, r->sharp = d.sharp;
    r->check = check_of(r);
    ich_dicom_close(&d);
    return done;
}

/* A reason without the path that it begins with: skipped.csv has a column for that. */
void ich_tell_reason(ich_worker *worker, const ich_job *job, size_t file, const char *reason) {
    char *path = ich_files_path(&job->files, file);
    const size_t n = path ? strlen(path) : 0;
    const bool begins = path && !strncmp(reason, path, n) && !strncmp(reason + n, ": ", 2);
    ich_worker_tell(worker, file, true, begins ? reason + n + 2 : reason);
    free(path);
}

static ich_task_end scan_batch(void *self, size_t task, ich_worker *worker, ich_error *why) {
    const ich_dicom_job *dj = self;
    for (size_t i = task * BATCH; i < dj->job->files.n && i < (task + 1) * BATCH; i++) {
        if (dj->records[i].state != ICH_NEW) continue;
        ich_worker_touch(worker, i);
        if (!scan_file(dj, i, why)) ich_tell_reason(worker, dj->job, i, why->text);
    }
    return ICH_TASK_DONE;
}

void ich_job_hold(ich_job *job, bool done) { job->failed = job->failed || !done; }

static void scan_told(void *self, size_t task, size_t item, bool bad, const char *text) {
    ich_dicom_job *dj = self;
    (void)task, (void)bad;
    ich_job_hold(dj->job, ich_ledger_put_bad(&dj->job->ledger, item, text, dj->job->err));
    dj->records[item].state = ICH_REFUSED;
}

static void scan_ended(void *self, size_t task, bool done, const char *why) {
    ich_dicom_job *dj = self;
    const size_t total = dj->job->files.n;
    (void)why;
    for (size_t i = task * BATCH; i < total && i < (task + 1) * BATCH; i++) {
        if (done && dj->records[i].state == ICH_NEW) dj->records[i].state = ICH_READ;
        dj->n_done++;
    }
    ich_progress_update(dj->job->progress, "headers", dj->n_done, total, "files", NULL);
}

/* Records of an earlier run count only if they are whole, and with their reasons if they have any. */
static void take_over(ich_dicom_job *dj) {
    for (size_t i = 0; i < dj->job->files.n; i++) {
        ich_record *r = &dj->records[i];
        const bool bad = dj->job->ledger.bad[i] != NULL, intact = r->check == check_of(r);
        if (r->state == ICH_REFUSED)
            r->state = bad ? ICH_REFUSED : ICH_NEW;
        else if (r->state != ICH_NEW)
            r->state = !intact ? ICH_NEW : bad ? ICH_LEFT_OUT : ICH_READ;
    }
}

bool ich_import_scan(ich_dicom_job *dj, ich_error *err) {
    const ich_work work = {.n_tasks = (dj->job->files.n + BATCH - 1) / BATCH,
                           .processes = dj->job->options->processes,
                           .memory = ich_item_memory,
                           .seconds = ICH_HEADER_SECONDS,
                           .self = dj,
                           .work = scan_batch,
                           .told = scan_told,
                           .ended = scan_ended};
    take_over(dj);
    return ich_work_run(&work, dj->job->stop, err) && !dj->job->failed;
}

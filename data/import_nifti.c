/* Folders of volumes: each volume is read, checked and written again, so that what the dataset holds is
 * sound, in Hounsfield units, and without the texts that headers and extensions may carry.
 */
#include "dicom_worker.h"
#include "file.h"
#include "import_internal.h"
#include "sha256.h"
#include "volume.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MOST_ID = 120,     /* bytes of a study's name */
    ITEM_SECONDS = 60, /* of processor time: a thousand slices, packed, take a few */
};
static const size_t item_memory = (size_t)5 << 29; /* 2,048 slices of 512 × 512, twice, and some */

typedef struct scan {
    size_t file;
    char *study_id;
    uint64_t key;
    int slices;
    char *why; /* it failed; NULL: it did not */
} scan;

typedef struct nifti_import {
    ich_job *job;
    scan *scans; /* by study_id */
    size_t n, n_done;
    size_t *todo;
    size_t n_todo;
} nifti_import;

/* -- names ----------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *tail) {
    const size_t n = strlen(text), m = strlen(tail);
    return n > m && strcasecmp(text + n - m, tail) == 0;
}

/* "a/b/049.nii.gz" -> "049", as far as it can name a file. */
static char *stem_of(const char *name) {
    static const char *const endings[] = {".nii.gz", ".nii", ".hdr.gz", ".hdr", ".img.gz", ".img"};
    const char *slash = strrchr(name, '/'), *stem = slash ? slash + 1 : name;
    size_t n = strlen(stem);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(stem, endings[i])) {
            n -= strlen(endings[i]);
            break;
        }
    char *id = strndup(stem, n < MOST_ID ? n : MOST_ID);
    for (char *c = id; c && *c; c++)
        if (iscntrl((unsigned char)*c)) *c = '_';
    return id;
}

/* An image file of a pair is read with its header; it is not an input of its own. */
static bool is_second_of_pair(const ich_job *job, size_t i) {
    const char *name = ich_files_name(&job->files, i);
    char *other = ich_files_path(&job->files, i);
    bool found = false;
    const bool packed = ends_with(name, ".img.gz");
    if (other && (packed || ends_with(name, ".img"))) {
        char *part = other + strlen(other) - (packed ? 6 : 3);
        const bool upper = *part == 'I';
        memcpy(part, upper ? "HDR" : "hdr", 3);
        found = ich_path_exists(other);
        part[3] = '\0';
        found = found || ich_path_exists(other);
    }
    free(other);
    return found;
}

static int by_id(const void *a, const void *b) {
    const scan *x = a, *y = b;
    const int order = strcmp(x->study_id, y->study_id);
    return order ? order : (x->file > y->file) - (x->file < y->file);
}

/* Where two files of different folders have the same name, a hash of the path tells them apart. */
static bool make_unique(nifti_import *ni, ich_error *err) {
    for (size_t i = 0, end; i < ni->n; i = end) {
        for (end = i + 1; end < ni->n && !strcmp(ni->scans[i].study_id, ni->scans[end].study_id); end++) {
        }
        if (end - i < 2) continue;
        char *stem = ni->scans[i].study_id;
        for (size_t j = i; j < end; j++) {
            char hex[17], *id = NULL;
            ich_sha256_hex(ich_files_name(&ni->job->files, ni->scans[j].file), hex);
            if (asprintf(&id, "%s-%.8s", stem, hex) < 0) id = NULL;
            if (j > i) free(ni->scans[j].study_id);
            ni->scans[j].study_id = id;
        }
        free(stem);
    }
    for (size_t i = 0; i < ni->n; i++)
        if (!ni->scans[i].study_id) return ich_fail(err, "out of memory: the list of studies");
    qsort(ni->scans, ni->n, sizeof *ni->scans, by_id);
    return true;
}

static bool list_scans(nifti_import *ni, ich_error *err) {
    const ich_files *files = &ni->job->files;
    ni->scans = ich_new(files->n, sizeof *ni->scans, "the list of studies", err);
    ni->todo = ich_new(files->n, sizeof *ni->todo, "the list of studies", err);
    if (!ni->scans || !ni->todo) return false;
    for (size_t i = 0; i < files->n; i++) {
        if (is_second_of_pair(ni->job, i)) continue;
        scan *s = &ni->scans[ni->n++];
        *s = (scan){.file = i, .key = files->files[i].stamp, .study_id = stem_of(ich_files_name(files, i))};
        if (!s->study_id) return ich_fail(err, "out of memory: the list of studies");
    }
    qsort(ni->scans, ni->n, sizeof *ni->scans, by_id);
    return make_unique(ni, err);
}

/* -- converting ------------------------------------------------------------------------------------------ */

static ich_task_end convert(void *self, size_t task, ich_worker *worker, ich_error *why) {
    const nifti_import *ni = self;
    const scan *s = &ni->scans[ni->todo[task]];
    ich_volume volume;
    char *from = ich_files_path(&ni->job->files, s->file), *to = ich_job_volume_path(ni->job, s->study_id);
    ich_task_end end = ICH_TASK_FAILED;
    ich_worker_touch(worker, task);
    if (s->why) {
        ich_fail(why, "%s", s->why); /* a worker died of it */
    } else if (!from || !to) {
        ich_fail(why, "out of memory: a path");
    } else if (ich_volume_read(&volume, from, why)) {
        const int slices = volume.slices;
        ich_worker_touch(worker, ICH_NO_ITEM);
        end = ich_volume_write(to, &volume, why) ? ICH_TASK_DONE : ICH_TASK_BROKEN;
        if (end == ICH_TASK_DONE) snprintf(why->text, sizeof why->text, "%d", slices); /* for ended() */
        ich_volume_free(&volume);
    } else if (!strncmp(why->text, from, strlen(from)) && !strncmp(why->text + strlen(from), ": ", 2)) {
        memmove(why->text, why->text + strlen(from) + 2, strlen(why->text + strlen(from) + 2) + 1);
    }
    free(from);
    free(to);
    return end;
}

static void hold(nifti_import *ni, bool done) { ni->job->failed = ni->job->failed || !done; }

static void ended(void *self, size_t task, bool done, const char *why) {
    nifti_import *ni = self;
    scan *s = &ni->scans[ni->todo[task]];
    s->slices = done ? atoi(why) : 0;
    if (!done && !s->why) s->why = strdup(why);
    hold(ni, done || s->why || ich_fail(ni->job->err, "out of memory: a reason"));
    if (!done && !s->why) return;
    char none[] = "";
    const ich_entry entry = {s->key, s->slices, done ? none : s->why};
    hold(ni, ich_ledger_put_entry(&ni->job->ledger, &entry, ni->job->err));
    ich_progress_update(ni->job->progress, "convert", ++ni->n_done, ni->n, "studies", NULL);
}

/* A worker died of the volume; the next one sees that. */
static void told(void *self, size_t task, size_t item, bool bad, const char *text) {
    nifti_import *ni = self;
    scan *s = &ni->scans[ni->todo[task]];
    (void)item, (void)bad;
    free(s->why);
    s->why = strdup(text);
}

static bool plan(nifti_import *ni, ich_error *err) {
    for (size_t i = 0; i < ni->n; i++) {
        scan *s = &ni->scans[i];
        const ich_entry *entry = ich_ledger_find(&ni->job->ledger, s->key);
        char *path = ich_job_volume_path(ni->job, s->study_id);
        const bool known = entry && path && (entry->slices == 0 || ich_path_exists(path));
        free(path);
        if (known) {
            s->slices = entry->slices;
            s->why = s->slices ? NULL : strdup(entry->text);
            if (!s->slices && !s->why) return ich_fail(err, "out of memory: a reason");
        } else {
            ni->todo[ni->n_todo++] = i;
        }
    }
    return true;
}

static bool convert_all(nifti_import *ni, ich_error *err) {
    const ich_work work = {.n_tasks = ni->n_todo,
                           .processes = ni->job->options->processes,
                           .memory = item_memory,
                           .writes = true,
                           .seconds = ITEM_SECONDS,
                           .self = ni,
                           .work = convert,
                           .told = told,
                           .ended = ended};
    ni->n_done = ni->n - ni->n_todo;
    return ich_work_run(&work, ni->job->stop, err) && !ni->job->failed;
}

/* -- the dataset ----------------------------------------------------------------------------------------- */

static int by_file(const void *a, const void *b) {
    const scan *x = a, *y = b;
    return (x->file > y->file) - (x->file < y->file);
}

static bool make_dataset(nifti_import *ni, ich_label_function *label, void *self, ich_error *err) {
    for (size_t i = 0; i < ni->n; i++) {
        const scan *s = &ni->scans[i];
        if (s->slices == 0) continue;
        ich_study *to = ich_job_add_study(ni->job, s->study_id, s->study_id, err);
        ni->job->n_slices += (size_t)s->slices;
        if (!to || !label(self, to, s->slices, err)) return false;
    }
    qsort(ni->scans, ni->n, sizeof *ni->scans, by_file);
    for (size_t i = 0; i < ni->n; i++) {
        const scan *s = &ni->scans[i];
        if (s->slices == 0 && !ich_skipped_add(&ni->job->skipped, ich_files_name(&ni->job->files, s->file),
                                               s->study_id, s->why))
            return ich_fail(err, "out of memory: the list of inputs left out");
    }
    return true;
}

bool ich_import_volumes(ich_job *job, ich_label_function *label, void *self, ich_error *err) {
    nifti_import ni = {.job = job};
    const bool done = ich_job_open(job, 0, err) && list_scans(&ni, err) && plan(&ni, err) &&
                      convert_all(&ni, err) && make_dataset(&ni, label, self, err);
    for (size_t i = 0; i < ni.n; i++) {
        free(ni.scans[i].study_id);
        free(ni.scans[i].why);
    }
    free(ni.scans);
    free(ni.todo);
    return done;
}

static bool label_from_table(void *self, ich_study *to, int slices, ich_error *err) {
    const ich_label_table *table = self;
    struct ich_label_row *row = ich_label_table_find(table, ich_sha256_text(to->study_id));
    (void)slices;
    if (!row) return true;
    row->used = true;
    memcpy(to->label, row->label, sizeof to->label);
    if (!row->patient_id) return true;
    free(to->patient_id);
    to->patient_id = strdup(row->patient_id);
    return to->patient_id || ich_fail(err, "out of memory: patients");
}

bool ich_import_nifti(ich_job *job, ich_error *err) {
    ich_label_table table = {0};
    if (job->table && !ich_label_table_read(&table, job->table, err)) return false;
    const bool done = ich_import_volumes(job, label_from_table, &table, err);
    if (done) ich_job_tell_unused(job, &table);
    ich_label_table_free(&table);
    return done;
}

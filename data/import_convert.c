/* Each study's series, in a worker process, straight into its volume. */
#include "dicom_worker.h"
#include "import_dicom.h"
#include "volume.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A series while it is converted, in a worker. */
typedef struct conversion {
    const ich_dicom_job *dj;
    const ich_scan_study *study;
    ich_worker *worker;
    ich_frame *frames;
    size_t n_frames;
    ich_stack stack;
    ich_dicom open; /* the file read last */
    size_t open_file;
    bool again; /* files were found bad */
} conversion;

static void leave_out(conversion *c, size_t file, const char *why) {
    c->dj->records[file].state = ICH_LEFT_OUT;
    ich_tell_reason(c->worker, c->dj->job, file, why);
}

static bool open_file(conversion *c, size_t file, ich_error *why) {
    if (c->open.dcm && c->open_file == file) return true;
    ich_dicom_close(&c->open);
    c->open_file = file;
    char *path = ich_files_path(&c->dj->job->files, file);
    const bool done = path ? ich_dicom_open(&c->open, path, true, why) : ich_fail(why, "out of memory");
    free(path);
    return done;
}

/* All frames of a file that has many. */
static bool add_frames(conversion *c, size_t place, ich_error *why) {
    const size_t file = c->dj->order[place];
    ich_worker_touch(c->worker, file);
    bool done = open_file(c, file, why);
    for (int f = 0; done && f < ich_record_at(c->dj, place)->frames; f++) {
        ich_dicom_plane plane;
        ich_worker_touch(c->worker, file);
        done = ich_dicom_plane_of(&c->open, f, &plane, why);
        if (done) c->frames[c->n_frames++] = ich_record_frame(c->dj, place, f, &plane);
    }
    return done;
}

/* The slices that may become part of the volume. */
static bool collect(conversion *c, ich_error *why) {
    const ich_scan_study *s = c->study;
    size_t n = 0;
    for (size_t i = s->chosen; i < s->chosen + s->n_chosen; i++) n += (size_t)ich_record_at(c->dj, i)->frames;
    c->frames = ich_new(n, sizeof *c->frames, "a series' slices", why);
    if (!c->frames) return false;
    for (size_t i = s->chosen; i < s->chosen + s->n_chosen; i++) {
        const size_t before = c->n_frames;
        if (ich_record_at(c->dj, i)->state == ICH_LEFT_OUT) continue;
        if (ich_record_at(c->dj, i)->frames == 1) {
            c->frames[c->n_frames++] = ich_record_frame(c->dj, i, 0, &ich_record_at(c->dj, i)->plane);
        } else if (!add_frames(c, i, why)) {
            c->n_frames = before;
            leave_out(c, c->dj->order[i], why->text);
        }
    }
    return true;
}

static bool read_source(conversion *c, int source, int16_t *hu, ich_error *why) {
    const ich_frame *frame = &c->frames[c->stack.source[source]];
    ich_dicom_plane plane;
    ich_worker_touch(c->worker, frame->file);
    return open_file(c, frame->file, why) && ich_dicom_plane_of(&c->open, frame->frame, &plane, why) &&
           ich_dicom_hu(&c->open, &plane, frame->frame, hu, why);
}

/* Decodes the slices in order; each level of the volume is made as soon as the sources on both sides of it
 * are there. After a bad one the rest is still tried, so that all bad ones are found in one go. */
static void decode(conversion *c, int16_t *volume, int16_t *pair[2], ich_error *why) {
    const size_t slice = (size_t)c->stack.rows * (size_t)c->stack.columns;
    int z = 0;
    for (int s = 0; s < c->stack.n_sources; s++) {
        const size_t file = c->frames[c->stack.source[s]].file;
        int16_t *below = pair[(s + 1) % 2], *above = pair[s % 2];
        if (c->dj->records[file].state == ICH_LEFT_OUT) continue; /* another of its frames was bad */
        if (!read_source(c, s, above, why)) {
            c->again = true;
            leave_out(c, file, why->text);
            ich_dicom_close(&c->open);
        }
        for (; !c->again && z < c->stack.n_levels && c->stack.level[z].above <= s; z++) {
            const int16_t *under = c->stack.level[z].below == s ? above : below;
            ich_stack_blend(&c->stack, z, under, above, volume + (size_t)z * slice);
        }
    }
    ich_dicom_close(&c->open); /* what the last file took, packing the volume may need */
    ich_worker_touch(c->worker, ICH_NO_ITEM);
}

/* What a reader of the dataset should know, and the files that did not get into the volume. */
static void tell_all(conversion *c) {
    const ich_stack *s = &c->stack;
    char text[200];
    if (s->tilt >= 0.5) {
        snprintf(text, sizeof text, "gantry tilt of %.1f degrees: kept, by a sheared affine", s->tilt);
        ich_worker_tell(c->worker, ICH_NO_ITEM, false, text);
    }
    if (s->n_filled > 0) {
        snprintf(
            text, sizeof text,
            "gaps: slices lie from %.4g to %.4g mm apart; resampled to %.4g mm, %d of %d slices filled in",
            s->gap[0], s->gap[1], s->step, s->n_filled, s->n_levels);
        ich_worker_tell(c->worker, ICH_NO_ITEM, false, text);
    }
    size_t frames_out = 0;
    for (size_t i = 0; i < c->n_frames; i++) {
        const ich_fate fate = s->fate[i];
        if (fate == ICH_KEPT) continue;
        if (c->dj->records[c->frames[i].file].frames == 1)
            leave_out(c, c->frames[i].file, ich_fate_reasons[fate]);
        else
            frames_out++;
    }
    if (frames_out == 0) return;
    snprintf(text, sizeof text,
             "%zu frames of a multi-frame file were left out: duplicates, or unlike the rest", frames_out);
    ich_worker_tell(c->worker, ICH_NO_ITEM, false, text);
}

static ich_task_end write_volume(conversion *c, int16_t *volume, ich_error *why) {
    const ich_stack *s = &c->stack;
    char *path = ich_job_volume_path(c->dj->job, ich_record_at(c->dj, c->study->first)->study_id);
    const bool done =
        path && ich_volume_write_hu(path, volume, s->columns, s->rows, s->n_levels, s->affine, why);
    free(path);
    if (!done) return ICH_TASK_BROKEN;
    tell_all(c);
    snprintf(why->text, sizeof why->text, "%d", s->n_levels); /* for convert_ended */
    return ICH_TASK_DONE;
}

static ich_task_end make_volume(conversion *c, ich_error *why) {
    const ich_stack *s = &c->stack;
    const size_t slice = (size_t)s->rows * (size_t)s->columns, n = (size_t)s->n_levels;
    if (slice * n > ich_most_voxels) {
        ich_fail(why, "its volume of %d × %d × %d voxels is larger than any head CT", s->columns, s->rows,
                 s->n_levels);
        return ICH_TASK_FAILED;
    }
    int16_t *volume = ich_new(n, slice * sizeof *volume, "a volume", why);
    int16_t *pair = ich_new(2, slice * sizeof *pair, "two slices", why);
    ich_task_end end = ICH_TASK_FAILED;
    if (volume && pair) {
        decode(c, volume, (int16_t *[2]){pair, pair + slice}, why);
        end = c->again ? ICH_TASK_AGAIN : write_volume(c, volume, why);
    }
    free(pair);
    free(volume);
    return end;
}

static ich_task_end convert(void *self, size_t task, ich_worker *worker, ich_error *why) {
    const ich_dicom_job *dj = self;
    conversion c = {.dj = dj, .study = &dj->studies[dj->todo[task]], .worker = worker};
    ich_task_end end = ICH_TASK_FAILED;
    if (collect(&c, why) && ich_stack_arrange(&c.stack, c.frames, c.n_frames, why))
        end = make_volume(&c, why);
    ich_stack_free(&c.stack);
    ich_dicom_close(&c.open);
    free(c.frames);
    return end;
}

static void convert_told(void *self, size_t task, size_t item, bool bad, const char *text) {
    ich_dicom_job *dj = self;
    ich_scan_study *s = &dj->studies[dj->todo[task]];
    if (item != ICH_NO_ITEM) {
        (void)bad;
        ich_job_hold(dj->job, ich_ledger_put_bad(&dj->job->ledger, item, text, dj->job->err));
        dj->records[item].state = ICH_LEFT_OUT;
        return;
    }
    char *longer = NULL;
    if (asprintf(&longer, "%s%s%s", s->text ? s->text : "", s->text ? "\n" : "", text) < 0) {
        ich_job_hold(dj->job, ich_fail(dj->job->err, "out of memory: remarks"));
        return;
    }
    free(s->text);
    s->text = longer;
}

static void convert_ended(void *self, size_t task, bool done, const char *why) {
    ich_dicom_job *dj = self;
    ich_scan_study *s = &dj->studies[dj->todo[task]];
    s->slices = done ? atoi(why) : 0;
    if (!done || !s->text) {
        free(s->text);
        s->text = strdup(done ? "" : why);
    }
    ich_job_hold(dj->job, s->text || ich_fail(dj->job->err, "out of memory: remarks"));
    const ich_entry entry = {s->key, s->slices, s->text ? s->text : ""};
    ich_job_hold(dj->job, ich_ledger_put_entry(&dj->job->ledger, &entry, dj->job->err));
    ich_progress_update(dj->job->progress, "convert", ++dj->n_done, dj->n_studies, "studies", NULL);
}

bool ich_import_convert(ich_dicom_job *dj, ich_error *err) {
    const ich_work work = {.n_tasks = dj->n_todo,
                           .processes = dj->job->options->processes,
                           .memory = ich_item_memory + 2 * sizeof(int16_t) * dj->most,
                           .seconds = ICH_SLICE_SECONDS,
                           .self = dj,
                           .work = convert,
                           .told = convert_told,
                           .ended = convert_ended};
    dj->n_done = dj->n_studies - dj->n_todo;
    return ich_work_run(&work, dj->job->stop, err) && !dj->job->failed;
}

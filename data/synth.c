/* Which phantoms a dataset holds, and its files. What a phantom is: synth_internal.h. */
#include "synth.h"
#include "file.h"
#include "synth_internal.h"
#include "volume.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 64, BLOCK = 10, MAX_STUDIES = 1000000, MIN_SIZE = 32, MAX_SIZE = 1024 };

typedef struct plan { /* one study: what is asked for, and what came of it */
    uint32_t patient;
    bool positive;
    uint8_t label[ICH_LABELS];
    int slices;
    uint8_t (*slice_label)[ICH_LABELS];
} plan;

typedef struct job {
    const ich_synth *options;
    const char *folder;
    plan *plans;
} job;

static void study_name(const ich_synth *o, uint32_t study, char name[NAME]) {
    snprintf(name, NAME, "%c%llu-%04u", o->population, (unsigned long long)o->seed, study);
}

static ich_scan_key key_of(const ich_synth *o, uint32_t study, uint32_t patient) {
    return (ich_scan_key){o->seed, o->population, study, patient};
}

/* Positives are drawn within strata, so that even ten studies hold nearly the share asked for; and a study
 * does not depend on how many follow it. */
static void plan_positives(const ich_synth *o, plan *plans, double prevalence) {
    for (int first = 0; first < o->studies; first += BLOCK) {
        ich_scan_key key = key_of(o, 0, 0);
        ich_rng rng = ich_scan_rng(&key, (uint32_t)(first / BLOCK), ICH_PART_PLAN);
        uint32_t rank[BLOCK];
        for (uint32_t i = 0; i < BLOCK; i++) rank[i] = i;
        ich_rng_shuffle(&rng, rank, BLOCK);
        for (int i = 0; i < BLOCK && first + i < o->studies; i++)
            plans[first + i].positive =
                ((double)rank[i] + (double)ich_rng_uniform(&rng)) / BLOCK < prevalence;
    }
}

/* About one study in ten is the second one of the patient before it. */
static void plan_patients(const ich_synth *o, plan *plans) {
    bool second = false;
    for (uint32_t i = 0; i < (uint32_t)o->studies; i++) {
        ich_scan_key key = key_of(o, i, i);
        ich_rng rng = ich_scan_rng(&key, i, ICH_PART_PATIENT);
        second = i > 0 && !second && ich_rng_uniform(&rng) < 0.11f;
        plans[i].patient = second ? i - 1 : i;
    }
}

static bool write_mask(const ich_scan *scan, const char *path, ich_error *err) {
    size_t n = (size_t)scan->size * (size_t)scan->size * (size_t)scan->slices;
    for (size_t i = 0; i < n; i++) scan->hu[i] = scan->mask[i]; /* the volume is on disk by now */
    return ich_volume_write_hu(path, scan->hu, scan->size, scan->size, scan->slices, scan->affine, err);
}

static bool make_study(const job *j, uint32_t study, ich_error *err) {
    plan *p = &j->plans[study];
    ich_scan_key key = key_of(j->options, study, p->patient);
    char id[NAME], name[NAME + 32];
    study_name(j->options, study, id);
    snprintf(name, sizeof name, "volumes/%s.nii.gz", id);
    ich_scan scan;
    if (!ich_scan_make(&scan, &key, j->options->size, p->positive, err)) return false;
    char *path = ich_path_join(j->folder, name);
    bool done = path ? ich_volume_write_hu(path, scan.hu, scan.size, scan.size, scan.slices, scan.affine, err)
                     : ich_fail(err, "%s: out of memory", j->folder);
    free(path);
    if (done && j->options->masks) {
        snprintf(name, sizeof name, "masks/%s.nii.gz", id);
        path = ich_path_join(j->folder, name);
        done = path ? write_mask(&scan, path, err) : ich_fail(err, "%s: out of memory", j->folder);
        free(path);
    }
    memcpy(p->label, scan.study_label, sizeof p->label);
    p->slices = scan.slices;
    p->slice_label = scan.label;
    scan.label = NULL; /* the plan's now */
    ich_scan_free(&scan);
    return done;
}

/* Studies are made in any order by any thread; each depends only on its own number. */
static bool make_studies(const job *j, const ich_progress *progress, const volatile int *stop,
                         ich_error *err) {
    atomic_bool failed = false;
    size_t done = 0, total = (size_t)j->options->studies;
    ich_progress_update(progress, "phantoms", 0, total, "studies", NULL);
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < j->options->studies; i++) {
        ich_error mine = {""};
        if (failed || (stop && *stop)) continue;
        bool made = make_study(j, (uint32_t)i, &mine);
#pragma omp critical(ich_synth)
        {
            if (!made && !failed) {
                if (err) *err = mine;
                failed = true;
            }
            done += made;
            if (made) ich_progress_update(progress, "phantoms", done, total, "studies", NULL);
        }
    }
    if (failed) return false;
    return done == total ||
           ich_fail(err, "%s: stopped after %zu of %zu phantoms; run it again", j->folder, done, total);
}

static void put_labels(FILE *f, const uint8_t label[ICH_LABELS]) {
    for (int l = 0; l < ICH_LABELS; l++) fprintf(f, ",%d", label[l]);
    fputc('\n', f);
}

static void put_header(FILE *f, const char *columns) {
    fputs(columns, f);
    for (int l = 0; l < ICH_LABELS; l++) fprintf(f, ",%s", ich_label_names[l]);
    fputc('\n', f);
}

static void put_studies(const job *j, FILE *f) {
    put_header(f, "study_id,patient_id,path");
    for (uint32_t i = 0; i < (uint32_t)j->options->studies; i++) {
        char id[NAME], patient[NAME];
        study_name(j->options, i, id);
        study_name(j->options, j->plans[i].patient, patient);
        fprintf(f, "%s,p-%s,volumes/%s.nii.gz", id, patient, id);
        put_labels(f, j->plans[i].label);
    }
}

static void put_slices(const job *j, FILE *f) {
    put_header(f, "study_id,slice_index,image_id");
    for (uint32_t i = 0; i < (uint32_t)j->options->studies; i++) {
        char id[NAME];
        study_name(j->options, i, id);
        for (int z = 0; z < j->plans[i].slices; z++) {
            fprintf(f, "%s,%d,%s-%d", id, z, id, z);
            put_labels(f, j->plans[i].slice_label[z]);
        }
    }
}

static bool write_table(const job *j, const char *name, void (*put)(const job *, FILE *), ich_error *err) {
    char *path = ich_path_join(j->folder, name);
    if (!path) return ich_fail(err, "%s: out of memory", j->folder);
    ich_output out;
    bool done = ich_output_open(&out, path, err);
    if (done) {
        put(j, out.stream);
        done = ich_output_commit(&out, err);
    }
    free(path);
    return done;
}

static bool check_options(const ich_synth *o, ich_error *err) {
    if (o->studies < 1 || o->studies > MAX_STUDIES)
        return ich_fail(err, "synth: %d studies; ask for 1 to %d", o->studies, MAX_STUDIES);
    if (o->size < MIN_SIZE || o->size > MAX_SIZE)
        return ich_fail(err, "synth: %d pixels a side; ask for %d to %d", o->size, MIN_SIZE, MAX_SIZE);
    if (o->prevalence < 0 || o->prevalence > 1)
        return ich_fail(err, "synth: prevalence %g; it is a part, 0 to 1", o->prevalence);
    return true;
}

/* Phantoms may replace phantoms, never somebody's own table of studies. */
static bool check_folder(const char *folder, ich_error *err) {
    char *path = ich_path_join(folder, "studies.csv"), row[256] = "";
    if (!path) return ich_fail(err, "%s: out of memory", folder);
    bool ours = true;
    FILE *f = fopen(path, "r");
    if (f) {
        unsigned long long seed;
        unsigned study;
        char population;
        while (fgets(row, sizeof row, f) && !strchr(row, '\n')) continue; /* the header */
        if (fgets(row, sizeof row, f)) ours = sscanf(row, "%c%llu-%u,p-", &population, &seed, &study) == 3;
        fclose(f);
    }
    free(path);
    return ours ||
           ich_fail(err, "%s: holds a dataset that is not of phantoms; choose another folder", folder);
}

static bool make_folders(const ich_synth *o, const char *folder, ich_error *err) {
    const char *names[] = {"volumes", o->masks ? "masks" : "volumes"};
    for (int i = 0; i < 2; i++) {
        char *path = ich_path_join(folder, names[i]);
        bool done = path ? ich_folder_make(path, err) : ich_fail(err, "%s: out of memory", folder);
        free(path);
        if (!done) return false;
    }
    return true;
}

bool ich_synth_write(const ich_synth *options, const char *folder, const ich_progress *progress,
                     const volatile int *stop, ich_error *err) {
    const ich_population *at = ich_population_find(options->population, err);
    if (!at || !check_options(options, err) || !check_folder(folder, err)) return false;
    plan *plans = ich_new((size_t)options->studies, sizeof *plans, "the list of phantoms", err);
    if (!plans) return false;
    plan_positives(options, plans, isnan(options->prevalence) ? at->prevalence : options->prevalence);
    plan_patients(options, plans);
    job j = {options, folder, plans};
    bool done = make_folders(options, folder, err) && make_studies(&j, progress, stop, err) &&
                write_table(&j, "slices.csv", put_slices, err) &&
                write_table(&j, "studies.csv", put_studies, err);
    for (int i = 0; i < options->studies; i++) free(plans[i].slice_label);
    free(plans);
    return done;
}

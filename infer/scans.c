#include "infer/scans.h"

#include "data/csv.h"
#include "data/dataset.h"
#include "data/file.h"
#include "data/import.h"
#include "tensor/ranks.h"
#include "tensor/team.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_SLICE_INDEX = 1 << 20 }; /* keeps a lying slice_index from asking for the machine's memory */

void ich_scans_free(ich_scans *scans) {
    for (size_t i = 0; i < scans->count; i++) {
        ich_scan *scan = &scans->scans[i];
        for (int s = 0; s < scan->n_images; s++) free(scan->image_id[s]);
        free(scan->image_id);
        free(scan->study_id);
        free(scan->path);
    }
    free(scans->scans);
    *scans = (ich_scans){0};
}

static bool make_scans(ich_scans *scans, size_t count, ich_error *err) {
    scans->scans = ich_new(count, sizeof *scans->scans, "the list of studies", err);
    scans->count = scans->scans != NULL ? count : 0;
    return scans->scans != NULL;
}

static bool set_scan(ich_scan *scan, const char *study_id, size_t id_length, const char *path,
                     ich_error *err) {
    scan->study_id = strndup(study_id, id_length);
    scan->path = strdup(path);
    return (scan->study_id != NULL && scan->path != NULL) ||
           ich_fail(err, "%s: no memory for its name", path);
}

/* -- one file ------------------------------------------------------------------------------------------ */

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Letters of the name before the ending of a NIfTI or Analyze file; 0 if it has none. */
static size_t stem_length(const char *path) {
    static const char *const endings[] = {".nii.gz", ".nii", ".hdr", ".img", ".hdr.gz", ".img.gz"};
    const char *name = name_of(path);
    const size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        const size_t tail = strlen(endings[i]);
        if (length > tail && strcasecmp(name + length - tail, endings[i]) == 0) return length - tail;
    }
    return 0;
}

static bool list_file(ich_scans *scans, const char *path, ich_error *err) {
    const size_t length = stem_length(path);
    if (length == 0)
        return ich_fail(err, "%s: not a scan: give a dataset folder or a .nii, .nii.gz, .hdr or .img file",
                        path);
    return make_scans(scans, 1, err) && set_scan(&scans->scans[0], name_of(path), length, path, err);
}

/* -- a dataset ----------------------------------------------------------------------------------------- */

static bool put_image_id(ich_scan *scan, int slice, const char *image_id, ich_error *err) {
    if (slice >= scan->n_images) {
        int room = scan->n_images > 0 ? scan->n_images : 16;
        while (room <= slice) room *= 2;
        char **bigger = realloc(scan->image_id, (size_t)room * sizeof *bigger);
        if (bigger == NULL) return ich_fail(err, "no memory for the image ids of study %s", scan->study_id);
        memset(bigger + scan->n_images, 0, (size_t)(room - scan->n_images) * sizeof *bigger);
        scan->image_id = bigger;
        scan->n_images = room;
    }
    free(scan->image_id[slice]);
    scan->image_id[slice] = strdup(image_id);
    return scan->image_id[slice] != NULL || ich_fail(err, "no memory for image id %s", image_id);
}

static int by_study_id(const void *a, const void *b) {
    return strcmp((*(ich_scan *const *)a)->study_id, (*(ich_scan *const *)b)->study_id);
}

static bool read_image_id_row(const ich_csv *csv, size_t row, const int column[3], ich_scan *const *sorted,
                              size_t count, ich_error *err) {
    const char *image_id = ich_csv_cell(csv, row, column[2]);
    if (image_id[0] == '\0') return true;
    ich_scan key = {.study_id = (char *)ich_csv_cell(csv, row, column[0])}, *key_pointer = &key;
    ich_scan *const *found = bsearch(&key_pointer, sorted, count, sizeof(ich_scan *), by_study_id);
    if (found == NULL) return true; /* about a study that nobody asks for here */
    double slice;
    if (!ich_csv_number(csv, row, column[1], &slice, err)) return false;
    if (!(slice >= 0 && slice <= MAX_SLICE_INDEX) || slice != (int)slice) {
        return ich_fail(err, "%s: line %zu: slice_index '%s' is not a whole number from 0 to %d: correct it",
                        csv->path, csv->lines[row], ich_csv_cell(csv, row, column[1]), MAX_SLICE_INDEX);
    }
    return put_image_id(*found, (int)slice, image_id, err);
}

static bool read_image_ids(ich_scans *scans, const ich_csv *csv, ich_error *err) {
    static const char *const names[3] = {"study_id", "slice_index", "image_id"};
    int column[3];
    for (int i = 0; i < 3; i++) {
        if (!ich_csv_require(csv, names[i], &column[i], err)) return false;
    }
    ich_scan **sorted = ich_new(scans->count, sizeof *sorted, "the index of studies", err);
    if (sorted == NULL) return false;
    for (size_t i = 0; i < scans->count; i++) sorted[i] = &scans->scans[i];
    qsort(sorted, scans->count, sizeof *sorted, by_study_id);
    bool done = true;
    for (size_t row = 0; done && row < csv->n_rows; row++) {
        done = read_image_id_row(csv, row, column, sorted, scans->count, err);
    }
    free(sorted);
    return done;
}

static bool add_image_ids(ich_scans *scans, const char *folder, ich_error *err) {
    char *path = ich_path_join(folder, "slices.csv");
    if (path == NULL) return ich_fail(err, "%s: no memory for a path", folder);
    bool done = true;
    if (ich_path_exists(path)) {
        ich_csv csv;
        done = ich_csv_read(&csv, path, err);
        if (done) {
            done = read_image_ids(scans, &csv, err);
            ich_csv_free(&csv);
        }
    }
    free(path);
    return done;
}

static bool list_dataset(ich_scans *scans, const char *folder, ich_error *err) {
    ich_dataset dataset;
    if (!ich_dataset_read(&dataset, folder, false, NULL, err)) return false;
    bool done = dataset.n_studies > 0 ||
                ich_fail(err, "%s: studies.csv names no study: add a row for each scan", folder);
    done = done && make_scans(scans, dataset.n_studies, err);
    for (size_t i = 0; done && i < dataset.n_studies; i++) {
        const ich_study *study = &dataset.studies[i];
        done = set_scan(&scans->scans[i], study->study_id, strlen(study->study_id), study->path, err);
    }
    ich_dataset_free(&dataset);
    return done && add_image_ids(scans, folder, err);
}

bool ich_scans_list(ich_scans *scans, const char *input, ich_error *err) {
    *scans = (ich_scans){0};
    bool done = false;
    if (ich_path_is_folder(input)) {
        done = list_dataset(scans, input, err);
    } else if (ich_path_exists(input)) {
        done = list_file(scans, input, err);
    } else {
        ich_fail(err, "%s: no such file or folder", input);
    }
    if (!done) ich_scans_free(scans);
    return done;
}

/* -- DICOM --------------------------------------------------------------------------------------------- */

/* A folder without studies.csv, or a file that is no NIfTI by its name. */
static bool is_dicom(const char *input) {
    if (!ich_path_is_folder(input)) return ich_path_exists(input) && stem_length(input) == 0;
    char *table = ich_path_join(input, "studies.csv");
    const bool is = table != NULL && !ich_path_exists(table);
    free(table);
    return is;
}

static bool keep_skipped(ich_skipped *skipped, const ich_skipped *more, ich_error *err) {
    for (size_t i = 0; i < more->n_rows; i++) {
        const struct ich_skip *row = &more->rows[i];
        if (!ich_skipped_add(skipped, row->path, row->study_id, row->reason))
            return ich_fail(err, "no memory for the list of inputs left out");
    }
    return true;
}

bool ich_scans_import(const char *input, const char *folder, bool keep_ids, char **dataset,
                      const ich_progress *progress, const volatile int *stop, ich_skipped *skipped,
                      ich_error *err) {
    *dataset = NULL;
    if (!is_dicom(input)) return true;
    char *out = ich_path_join(folder, "scans");
    if (out == NULL) return ich_fail(err, "%s: no memory for a path", folder);
    const ich_import options = {.kind = "dicom",
                                .source = input,
                                .out = out,
                                .keep_ids = keep_ids,
                                .spacing = ICH_USUAL_SPACING,
                                .processes = ich_team_size()};
    ich_import_result result = {0};
    ich_error why = {0};
    bool done = ich_rank() > 0 || ich_import_run(&options, &result, progress, stop, &why);
    if (done) ich_ranks_wait(); /* rank 0 imports for all */
    if (!done && ich_path_is_folder(input))
        ich_fail(err, "%s (taken for a folder of DICOM, as there is no %s/studies.csv)", why.text, input);
    else if (!done)
        ich_fail(err, "%s (taken for DICOM, as its name is no NIfTI file's)", why.text);
    done = done && keep_skipped(skipped, &result.skipped, err);
    ich_import_result_free(&result);
    if (done) {
        *dataset = out;
    } else {
        free(out);
    }
    return done;
}

/* Constructed masks, heat and attention, whose figures can be counted by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/csv.h"
#include "data/file.h"
#include "data/volume.h"
#include "infer/localisation.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NX = 20, NY = 16, NZ = 4 };
static const double affine[4][4] = {
    {-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 5, 0}, {0, 0, 0, 1}}; /* 1 × 1 × 5 mm */
static int16_t mask[NZ][NY][NX];
static float heat[NZ][NY][NX];

typedef struct bench {
    char predictions[300], truth[300];
} bench;

static bench make_bench(const char *folder, const char *about) {
    static int number;
    bench b;
    char path[340];
    ich_error err = {0};
    number++;
    snprintf(b.predictions, sizeof b.predictions, "%s/%d-p", folder, number);
    snprintf(b.truth, sizeof b.truth, "%s/%d-t", folder, number);
    snprintf(path, sizeof path, "%s/heatmaps", b.predictions);
    assert_true(ich_folder_make(path, &err));
    snprintf(path, sizeof path, "%s/masks", b.truth);
    assert_true(ich_folder_make(path, &err));
    test_write_text(test_path(b.predictions, "about.csv"), about);
    memset(mask, 0, sizeof mask);
    memset(heat, 0, sizeof heat);
    return b;
}

static void write_study(const bench *b, const char *id) {
    char name[80];
    ich_volume volume;
    ich_error err = {0};
    snprintf(name, sizeof name, "masks/%s.nii.gz", id);
    const char *path = test_path(b->truth, name);
    if (!ich_volume_write_hu(path, &mask[0][0][0], NX, NY, NZ, affine, &err) ||
        !ich_volume_read(&volume, path, &err))
        fail_msg("%s", err.text);
    snprintf(name, sizeof name, "heatmaps/%s.nii.gz", id);
    if (!ich_volume_write_map(test_path(b->predictions, name), &volume, &heat[0][0][0], &err))
        fail_msg("%s", err.text);
    ich_volume_free(&volume);
}

/* -- rows ---------------------------------------------------------------------------------------------- */

static bool localise(const bench *b, const char *out, ich_part part, ich_error *err) {
    FILE *stream = fopen(out, "w");
    assert_non_null(stream);
    fputs("level,label,metric,value,ci_low,ci_high,method,n,n_positive\n", stream);
    const bool done = ich_localisation_write(b->predictions, b->truth, part, 0.5, stream, err);
    assert_int_equal(fclose(stream), 0);
    return done;
}

static const ich_part all_studies = {0};

static void read_rows(const bench *b, const char *out, ich_part part, ich_csv *rows) {
    ich_error err = {0};
    if (!localise(b, out, part, &err) || !ich_csv_read(rows, out, &err)) fail_msg("%s", err.text);
}

static void expect(const ich_csv *rows, const char *level, const char *label, const char *metric,
                   double value, double n) {
    for (size_t r = 0; r < rows->n_rows; r++) {
        if (strcmp(ich_csv_cell(rows, r, 0), level) || strcmp(ich_csv_cell(rows, r, 1), label) ||
            strcmp(ich_csv_cell(rows, r, 2), metric))
            continue;
        if (!(fabs(atof(ich_csv_cell(rows, r, 3)) - value) < 1e-6 && atof(ich_csv_cell(rows, r, 7)) == n))
            fail_msg("%s %s: %s of %s, expected %g of %g", level, metric, ich_csv_cell(rows, r, 3),
                     ich_csv_cell(rows, r, 7), value, n);
        return;
    }
    fail_msg("no row %s,%s,%s", level, label, metric);
}

/* -- two studies --------------------------------------------------------------------------------------- */

static const char tables_studies[] = "study_id,n_slices,any,subdural\n"
                                     "hit,4,0.9,0.1\n"
                                     "miss,4,0.8,0.9\n"
                                     "clean,4,0.1,0.1\n"
                                     "../out,4,0.9,0.9\n";
static const char tables_slices[] = "study_id,slice_index,any,subdural,attention\n"
                                    "hit,0,0.1,0,0.1\n"
                                    "hit,1,0.9,0,0.6\n"
                                    "hit,2,0.2,0,0.2\n"
                                    "hit,3,0.1,0,0.1\n"
                                    "miss,0,0.7,0,0.5\n"
                                    "miss,1,0.6,0,0.3\n"
                                    "miss,2,0.8,0.9,0.15\n"
                                    "miss,3,0.1,0,0.05\n"
                                    "clean,0,0.9,0,1\n";

/* hit: blood of type 1 at (5, 5) in slices 1 (called; peak 3 mm away) and 2 (not called; peak 4 mm away).
 * miss: blood of type 5 in slice 2, third in attention, called, heat in its middle. */
static void write_studies(const bench *b) {
    mask[1][5][5] = mask[2][5][5] = 1;
    heat[1][5][8] = 0.9f;
    heat[2][9][5] = 0.2f;
    write_study(b, "hit");
    memset(mask, 0, sizeof mask);
    memset(heat, 0, sizeof heat);
    mask[2][3][3] = mask[2][3][4] = 5;
    heat[2][3][3] = 0.8f;
    heat[2][3][4] = 0.45f;
    write_study(b, "miss");
    memset(mask, 0, sizeof mask);
    write_study(b, "clean");
    test_write_text(test_path(b->predictions, "studies.csv"), tables_studies);
    test_write_text(test_path(b->predictions, "slices.csv"), tables_slices);
}

static void peaks_attention_and_overlap_are_counted(void **state) {
    const bench b = make_bench(*state, "key,value\nheatmaps,any\n");
    ich_csv rows;
    write_studies(&b);
    read_rows(&b, test_path(*state, "any.csv"), all_studies, &rows);
    expect(&rows, "slice", "any", "pointing_game", 1, 2);
    expect(&rows, "slice", "any", "pointing_game_all", 2 / 3.0, 3);
    expect(&rows, "study", "any", "pointing_game", 0.5, 2);
    expect(&rows, "study", "any", "hit_rate_top_1", 0.5, 2);
    expect(&rows, "study", "any", "hit_rate_top_3", 1, 2);
    expect(&rows, "study", "any", "dice_at_0.4", 0.5, 2);               /* 0 and 1 */
    expect(&rows, "study", "any", "dice_at_0.5", (0 + 2 / 3.0) / 2, 2); /* 0 and 2 · 1 / (1 + 2) */
    expect(&rows, "study", "any", "dice_at_0.9", 0, 2);
    ich_csv_free(&rows);
}

static void one_type_is_judged_by_its_own_mask_and_column(void **state) {
    const bench b = make_bench(*state, "key,value\nheatmaps,subdural\n");
    ich_csv rows;
    write_studies(&b);
    read_rows(&b, test_path(*state, "subdural.csv"), all_studies, &rows);
    expect(&rows, "slice", "subdural", "pointing_game", 1, 1);
    expect(&rows, "study", "subdural", "hit_rate_top_1", 0, 1);
    ich_csv_free(&rows);
}

static void only_studies_of_the_split_are_judged(void **state) {
    const bench b = make_bench(*state, "key,value\nheatmaps,any\n");
    ich_csv rows;
    write_studies(&b);
    test_write_text(test_path(b.truth, "studies.csv"),
                    "study_id,any,split\nhit,1,test\nmiss,1,val\nclean,0,test\n");
    read_rows(&b, test_path(*state, "test.csv"), (ich_part){.only = "test"}, &rows);
    expect(&rows, "slice", "any", "pointing_game_all", 0.5, 2);
    expect(&rows, "study", "any", "pointing_game", 1, 1);
    ich_csv_free(&rows);
    read_rows(&b, test_path(*state, "rest.csv"), (ich_part){.except = "test"}, &rows);
    expect(&rows, "study", "any", "pointing_game", 0, 1);
    ich_csv_free(&rows);
}

static void a_cold_slice_points_nowhere(void **state) {
    const bench b = make_bench(*state, "key,value\nheatmaps,any\n");
    ich_csv rows;
    mask[0][0][0] = 1; /* where the first of equal voxels lies */
    write_study(&b, "hit");
    test_write_text(test_path(b.predictions, "studies.csv"), "study_id,any\nhit,0.9\n");
    test_write_text(test_path(b.predictions, "slices.csv"),
                    "study_id,slice_index,any,attention\nhit,0,0.9,0.7\nhit,1,0.1,0.3\n");
    read_rows(&b, test_path(*state, "cold.csv"), all_studies, &rows);
    expect(&rows, "slice", "any", "pointing_game", 0, 1);
    expect(&rows, "study", "any", "pointing_game", 0, 1);
    ich_csv_free(&rows);
}

static void without_masks_there_are_no_rows(void **state) {
    const bench b = make_bench(*state, "key,value\nheatmaps,any\n");
    ich_csv rows;
    test_write_text(test_path(b.predictions, "studies.csv"), tables_studies);
    test_write_text(test_path(b.predictions, "slices.csv"), tables_slices);
    read_rows(&b, test_path(*state, "none.csv"), all_studies, &rows);
    assert_int_equal(rows.n_rows, 0);
    ich_csv_free(&rows);
}

static void what_does_not_lie_on_the_mask_is_named(void **state) {
    static const double turned[4][4] = {{1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 5, 0}, {0, 0, 0, 1}};
    const bench b = make_bench(*state, "key,value\nheatmaps,any\n");
    ich_error err = {0};
    write_studies(&b);
    assert_true(ich_volume_write_hu(test_path(b.truth, "masks/hit.nii.gz"), &mask[0][0][0], NX, NY, NZ,
                                    turned, &err));
    assert_false(localise(&b, test_path(*state, "turned.csv"), all_studies, &err));
    assert_non_null(strstr(err.text, "heatmaps/hit.nii.gz"));
    test_write_text(test_path(b.truth, "masks/hit.nii.gz"), "no scan");
    assert_false(localise(&b, test_path(*state, "broken.csv"), all_studies, &err));
    assert_non_null(strstr(err.text, "masks/hit.nii.gz"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peaks_attention_and_overlap_are_counted),
        cmocka_unit_test(one_type_is_judged_by_its_own_mask_and_column),
        cmocka_unit_test(only_studies_of_the_split_are_judged),
        cmocka_unit_test(a_cold_slice_points_nowhere),
        cmocka_unit_test(without_masks_there_are_no_rows),
        cmocka_unit_test(what_does_not_lie_on_the_mask_is_named),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}

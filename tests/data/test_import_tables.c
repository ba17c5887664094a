/* The labels of RSNA, CQ500, CT-ICH and of anybody's table end up at the right study and slice. */
#include "data/file.h"
#include "data/sha256.h"
#include "dicom_maker.h"
#include "import_world.h"
#include "scratch.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include <cmocka.h>

static const char *path_of(const char *folder, const char *name) {
    static char paths[4][600];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_path(folder), name);
    return path;
}

/* The same, kept until the next call. */
static const char *source_of(const char *folder) {
    static char path[600];
    snprintf(path, sizeof path, "%s", scratch_path(folder));
    return path;
}
static const char *out_of(const char *folder) {
    static char path[600];
    snprintf(path, sizeof path, "%s-out", scratch_path(folder));
    return path;
}

static void make_folder(const char *name) {
    ich_error err = {""};
    if (!ich_folder_make(scratch_path(name), &err)) fail_msg("%s", err.text);
}

/* -- RSNA ------------------------------------------------------------------------------------------------ */

/* A file as RSNA has them: named after its image, no SOP class, no image type. */
static void put_image(const char *folder, const char *id, const char *study, const char *patient, double z) {
    char name[80], series[80];
    int16_t pixels[12];
    made_slice s = made_default();
    snprintf(name, sizeof name, "%s.dcm", id);
    snprintf(series, sizeof series, "ID_series_%s", study);
    for (int p = 0; p < 12; p++) pixels[p] = (int16_t)(z + 1000);
    s.sop_class = s.image_type = s.thickness = NULL;
    s.image = id, s.study = study, s.series = series, s.patient = patient;
    s.position = made_position(0, 0, z), s.pixels = pixels;
    made_write(path_of(folder, name), &s);
}

static void put_rows(FILE *f, const char *id, const char *labels) {
    static const char *const names[] = {"epidural",     "intraparenchymal", "intraventricular",
                                        "subarachnoid", "subdural",         "any"};
    for (int l = 0; l < 6; l++) fprintf(f, "%s_%s,%c\n", id, names[l], labels[l]);
}

/* Two patients; the first has two studies. */
static void put_rsna(void) {
    make_folder("rsna/stage_2_train");
    for (int i = 0; i < 12; i++) {
        char id[20];
        const int study = i / 4;
        snprintf(id, sizeof id, "ID_%08x", 0xabc000 + i * 7 % 12);
        put_image("rsna/stage_2_train", id, (const char *[]){"ID_a", "ID_b", "ID_c"}[study],
                  study < 2 ? "ID_p" : "ID_q", 5 * (3 - i % 4));
    }
    FILE *f = fopen(path_of("rsna", "stage_2_train.csv"), "w");
    assert_non_null(f);
    fputs("ID,Label\n", f);
    for (int i = 0; i < 12; i++) {
        char id[20];
        snprintf(id, sizeof id, "ID_%08x", 0xabc000 + i * 7 % 12);
        if (i == 11) continue; /* no row for it */
        put_rows(f, id, i == 1 ? "100001" : i == 2 ? "000011" : "000000");
        if (i == 1) put_rows(f, id, "100001"); /* twice, as a few are */
    }
    put_rows(f, "ID_00abc007", "000000"); /* i == 1 again, far away, and different */
    put_rows(f, "ID_elsewhere", "000001");
    fclose(f);
}

static void rsna_labels_images_and_studies(void **state) {
    (void)state;
    const char *out = out_of("rsna");
    put_rsna();
    const ich_import options = import_of("rsna", source_of("rsna"), out);
    run_import(&options);
    ich_dataset d = dataset_of(out);
    assert_int_equal(d.n_studies, 3);
    assert_true(d.has_slice_labels && d.has_split);
    for (size_t s = 0; s < 3; s++) {
        const ich_study *study = &d.studies[s];
        char hex[3][17];
        for (int i = 0; i < 3; i++) ich_sha256_hex((const char *[]){"ID_a", "ID_b", "ID_c"}[i], hex[i]);
        const int which = !strcmp(study->study_id, hex[0]) ? 0 : !strcmp(study->study_id, hex[1]) ? 1 : 2;
        assert_string_equal(study->study_id, hex[which]);
        ich_volume v = volume_of(study);
        assert_int_equal(study->n_slice_labels, 4);
        for (int z = 0; z < 4; z++) {
            char id[20];
            const int i = 4 * which + 3 - z;
            snprintf(id, sizeof id, "ID_%08x", 0xabc000 + i * 7 % 12);
            assert_string_equal(study->image_id[z], id);
            assert_int_equal(v.hu[12 * z], 1000 + 5 * z);
            const float *label = study->slice_label[z];
            if (i == 1) /* contradicted: unknown, but for what both say */
                assert_true(isnan(label[ICH_ANY]) && isnan(label[ICH_EPIDURAL]) && label[ICH_SUBDURAL] == 0);
            else if (i == 11)
                assert_true(isnan(label[ICH_ANY]) && isnan(label[ICH_SUBDURAL]));
            else
                assert_true(label[ICH_ANY] == (i == 2) && label[ICH_SUBDURAL] == (i == 2) &&
                            label[ICH_EPIDURAL] == 0);
        }
        if (which == 0)
            assert_true(study->label[ICH_ANY] == 1 && isnan(study->label[ICH_EPIDURAL]) &&
                        study->label[ICH_SUBARACHNOID] == 0);
        if (which == 1)
            for (int l = 0; l < ICH_LABELS; l++) assert_true(study->label[l] == 0);
        if (which == 2) assert_true(isnan(study->label[ICH_ANY]));
        ich_volume_free(&v);
    }
    for (size_t a = 0; a < 3; a++)
        for (size_t b = 0; b < 3; b++)
            if (!strcmp(d.studies[a].patient_id, d.studies[b].patient_id))
                assert_int_equal(d.studies[a].split, d.studies[b].split);
    ich_dataset_free(&d);
}

/* What was filled in has no image and no labels, and does not make its study unknown. */
static void a_filled_in_slice_has_no_label(void **state) {
    (void)state;
    const char *out = out_of("holes");
    make_folder("holes");
    FILE *f = fopen(path_of("holes", "stage_2_train.csv"), "w");
    assert_non_null(f);
    fputs("ID,Label\n", f);
    static const double z[] = {0, 5, 15, 20};
    for (int i = 0; i < 4; i++) {
        char id[20];
        snprintf(id, sizeof id, "ID_%d", i);
        put_image("holes", id, "ID_a", "ID_p", z[i]);
        put_rows(f, id, "000000");
    }
    fclose(f);
    const ich_import options = import_of("rsna", source_of("holes"), out);
    run_import(&options);
    ich_dataset d = dataset_of(out);
    assert_int_equal(d.studies[0].n_slice_labels, 5);
    assert_null(d.studies[0].image_id[2]);
    assert_true(isnan(d.studies[0].slice_label[2][ICH_ANY]));
    assert_string_equal(d.studies[0].image_id[3], "ID_2");
    assert_true(d.studies[0].label[ICH_ANY] == 0);
    ich_volume v = volume_of(&d.studies[0]);
    assert_int_equal(v.hu[12 * 2], 1010);
    ich_volume_free(&v);
    ich_dataset_free(&d);
}

static void a_broken_rsna_table_is_named_by_line(void **state) {
    (void)state;
    static const char *const tables[][2] = {{"ID;Label\n", "line 1"},
                                            {"ID,Label\nID_1_any,2\n", "line 2"},
                                            {"ID,Label\nID_1_any,1\nID_1_blood,1\n", "line 3"},
                                            {"ID,Label\nID_1_any\n", "line 2"},
                                            {"ID,Label\n_any,1\n", "line 2"},
                                            {"", "no study"}}; /* an empty table labels nothing */
    make_folder("broken");
    const ich_import options = import_of("rsna", source_of("broken"), out_of("broken"));
    refuse_import(&options, "stage_2_train.csv");
    put_text(path_of("broken", "x.dcm"), "x");
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        put_text(path_of("broken", "stage_2_train.csv"), tables[i][0]);
        refuse_import(&options, tables[i][1]);
    }
}

/* -- CQ500 ----------------------------------------------------------------------------------------------- */

static void cq500_takes_the_majority_of_three(void **state) {
    (void)state;
    static const char *const heads[] = {"ICH", "IPH", "IVH", "SDH", "EDH", "SAH", "Fracture"};
    /* readers × findings; study 0: ICH 2 of 3, SAH 1 of 3; study 1: none; study 2: one reader missing */
    static const char *const reads[3][3] = {{"1000010", "1000000", "0000000"},
                                            {"0000000", "0000000", "1111111"},
                                            {"1100000", "10 0000", "       "}};
    const char *out = out_of("cq500");
    make_folder("cq500/CQ500CT2 CQ500CT2/Unknown Study/CT Plain");
    FILE *f = fopen(path_of("cq500", "reads.csv"), "w");
    assert_non_null(f);
    fputs("name,Category", f);
    for (int r = 1; r <= 3; r++)
        for (int h = 0; h < 7; h++) fprintf(f, ",R%d:%s", r, heads[h]);
    for (int s = 0; s < 3; s++) {
        fprintf(f, "\nCQ500-CT-%d,B1", s);
        for (int r = 0; r < 3; r++)
            for (int h = 0; h < 7; h++) fprintf(f, ",%.*s", reads[s][r][h] != ' ', &reads[s][r][h]);
    }
    fputs("\n", f);
    fclose(f);
    made_slice m = made_default();
    m.study = "1.1", m.series = "1.1.1", m.patient = "CQ500-CT-0";
    made_series(scratch_path("cq500/one"), &m, 3);
    m.study = "1.2", m.series = "1.2.1", m.patient = "cq500ct1";
    made_series(scratch_path("cq500/two"), &m, 3);
    m.study = "1.3", m.series = "1.3.1", m.patient = NULL; /* then the folder has the name */
    made_series(scratch_path("cq500/CQ500CT2 CQ500CT2/Unknown Study/CT Plain"), &m, 3);
    m.study = "1.4", m.series = "1.4.1", m.patient = "somebody";
    made_series(scratch_path("cq500/four"), &m, 3);
    const ich_import options = import_of("cq500", source_of("cq500"), out);
    run_import(&options);
    static const char *const expected[3][3] = {{"1", "0", "0"}, {"0", "0", "0"}, {"1", "", "0"}};
    static const char *const labels[3] = {"any", "intraparenchymal", "subarachnoid"};
    assert_int_equal(rows_of(out, "studies.csv"), 4);
    for (int s = 0; s < 3; s++)
        for (int l = 0; l < 3; l++) {
            char name[20];
            snprintf(name, sizeof name, "CQ500-CT-%d", s);
            assert_string_equal(cell_of(out, "studies.csv", "study_id", name, labels[l]), expected[s][l]);
            assert_string_equal(cell_of(out, "studies.csv", "study_id", name, "patient_id"), name);
        }
    char hex[17];
    ich_sha256_hex("1.4", hex);
    assert_string_equal(cell_of(out, "studies.csv", "study_id", hex, "any"), "");
    assert_false(any_file_holds(out, "somebody"));
}

/* -- CT-ICH and NIfTI ------------------------------------------------------------------------------------ */

/* A volume of n slices of 2 × 2, slice k holds 10 k. */
static void put_volume(const char *path, int n) {
    int16_t hu[4 * 40];
    const double affine[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 5, 0}, {0, 0, 0, 1}};
    ich_error err = {""};
    for (int i = 0; i < 4 * n; i++) hu[i] = (int16_t)(10 * (i / 4));
    if (!ich_volume_write_hu(path, hu, 2, 2, n, affine, &err)) fail_msg("%s", err.text);
}

#define CT_ICH_HEAD                                                                                          \
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,"            \
    "No_Hemorrhage,Fracture_Yes_No\n"

static void ct_ich_labels_slices_by_number(void **state) {
    (void)state;
    const char *out = out_of("ct_ich");
    make_folder("ct_ich/ct_scans");
    make_folder("ct_ich/masks");
    put_volume(path_of("ct_ich/ct_scans", "049.nii"), 3);
    put_volume(path_of("ct_ich/ct_scans", "050.nii"), 2);
    put_volume(path_of("ct_ich/ct_scans", "051.nii"), 2);
    put_volume(path_of("ct_ich/masks", "049.nii"), 3);
    put_text(path_of("ct_ich", "hemorrhage_diagnosis_raw_ct.csv"),
             CT_ICH_HEAD "49,1,0,0,0,0,0,1,0\n49,2,0,1,0,0,0,0,0\n49,3,0,0,0,0,0,1,0\n49,4,0,0,0,1,0,0,0\n"
                         "50,2,0,0,0,0,0,1,1\n50,1,0,0,0,0,0,1,0\n");
    const ich_import options = import_of("ct-ich", source_of("ct_ich"), out);
    run_import(&options);
    ich_dataset d = dataset_of(out);
    assert_int_equal(d.n_studies, 3);
    assert_string_equal(d.studies[0].study_id, "049");
    assert_string_equal(d.studies[0].image_id[1], "49-2");
    for (int z = 0; z < 3; z++) {
        assert_true(d.studies[0].slice_label[z][ICH_ANY] == (z == 1));
        assert_true(d.studies[0].slice_label[z][ICH_INTRAPARENCHYMAL] == (z == 1));
        assert_true(d.studies[0].slice_label[z][ICH_EPIDURAL] == 0);
    }
    assert_true(d.studies[0].label[ICH_ANY] == 1 && d.studies[0].label[ICH_EPIDURAL] == 0);
    assert_true(d.studies[1].label[ICH_ANY] == 0 && d.studies[1].label[ICH_SUBDURAL] == 0);
    assert_true(isnan(d.studies[2].label[ICH_ANY])); /* not in the table */
    ich_volume v = volume_of(&d.studies[0]);
    assert_int_equal(v.slices, 3);
    ich_volume_free(&v);
    ich_dataset_free(&d);
}

/* A dataset made from CT-ICH, with slices left out: its slices.csv says which are there. */
static void ct_ich_may_be_a_dataset_already(void **state) {
    (void)state;
    const char *out = out_of("ct_set");
    make_folder("ct_set/volumes");
    put_volume(path_of("ct_set/volumes", "050.nii.gz"), 2);
    put_text(path_of("ct_set", "hemorrhage_diagnosis_raw_ct.csv"),
             CT_ICH_HEAD "50,1,0,0,0,0,0,1,0\n50,2,0,0,0,0,1,0,0\n50,3,0,0,1,0,0,0,0\n");
    put_text(path_of("ct_set", "slices.csv"), "study_id,slice_index,image_id\n050,0,50-1\n050,1,50-3\n");
    const ich_import options = import_of("ct-ich", source_of("ct_set"), out);
    run_import(&options);
    ich_dataset d = dataset_of(out);
    assert_string_equal(d.studies[0].image_id[1], "50-3");
    assert_true(d.studies[0].slice_label[1][ICH_SUBARACHNOID] == 1);
    assert_true(d.studies[0].label[ICH_SUBDURAL] == 0);
    ich_dataset_free(&d);
}

static void a_broken_ct_ich_table_is_named(void **state) {
    (void)state;
    make_folder("ct_bad/ct_scans");
    put_volume(path_of("ct_bad/ct_scans", "049.nii"), 3);
    static char table[600];
    snprintf(table, sizeof table, "%s", path_of("ct_bad", "hemorrhage_diagnosis_raw_ct.csv"));
    const ich_import options = import_of("ct-ich", source_of("ct_bad"), out_of("ct_bad"));
    put_text(table, "PatientNumber,SliceNumber\n"), refuse_import(&options, "No_Hemorrhage");
    put_text(table, CT_ICH_HEAD "49,1.5,0,0,0,0,0,1,0\n"), refuse_import(&options, "line 2");
    put_text(table, CT_ICH_HEAD "49,1,0,0,0,0,5,1,0\n"), refuse_import(&options, "Subdural");
    put_text(table, CT_ICH_HEAD "49,1,0,0,0,0,0,1,0\n49,1,0,0,0,0,0,1,0\n"), refuse_import(&options, "twice");
}

static void nifti_folders_keep_names_and_patients(void **state) {
    (void)state;
    const char *out = out_of("nifti");
    make_folder("nifti/a");
    make_folder("nifti/b");
    put_volume(path_of("nifti/a", "head.nii.gz"), 3);
    put_volume(path_of("nifti/b", "head.nii"), 4);
    put_volume(path_of("nifti", "one.nii"), 2);
    put_text(path_of("nifti", "broken.nii"), "this is no volume");
    put_text(path_of("nifti", "labels.csv"), "study_id,patient_id,epidural,intraparenchymal,intraventricular,"
                                             "subarachnoid,subdural\none,p1,0,0,1,0,0\n");
    ich_import options = import_of("nifti", source_of("nifti"), out);
    options.labels = path_of("nifti", "labels.csv");
    run_import(&options);
    assert_int_equal(rows_of(out, "studies.csv"), 3);
    assert_string_equal(cell_of(out, "studies.csv", "study_id", "one", "patient_id"), "p1");
    assert_string_equal(cell_of(out, "studies.csv", "study_id", "one", "any"), "1"); /* it follows */
    assert_string_equal(cell_of(out, "studies.csv", "study_id", "one", "intraventricular"), "1");
    assert_int_equal(rows_of(out, "skipped.csv"), 1);
    assert_true(strlen(cell_of(out, "skipped.csv", "path", "broken.nii", "reason")) > 5);
    char id[40], hex[17];
    ich_sha256_hex("b/head.nii", hex);
    snprintf(id, sizeof id, "head-%.8s", hex);
    assert_string_equal(cell_of(out, "studies.csv", "study_id", id, "any"), "");
    ich_dataset d = dataset_of(out);
    for (size_t s = 0; s < 3; s++) {
        ich_volume v = volume_of(&d.studies[s]);
        if (!strcmp(d.studies[s].study_id, id)) assert_int_equal(v.slices, 4);
        for (int z = 0; z < v.slices; z++) assert_int_equal(v.hu[4 * z], 10 * z);
        ich_volume_free(&v);
    }
    ich_dataset_free(&d);
}

/* Whatever way a volume is stored, it is stored the same way again. */
static void a_volume_keeps_its_grid(void **state) {
    (void)state;
    static const char *const names[] = {"pir.nii", "sal.nii", "oblique.nii.gz", "float64.nii", "uint8.nii"};
    make_folder("grids");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n;
        char to[80];
        unsigned char *bytes = read_bytes(fixture_path(names[i]), &n);
        snprintf(to, sizeof to, "grids/%s", names[i]);
        scratch_write(to, bytes, n);
        free(bytes);
    }
    const char *out = out_of("grids");
    const ich_import options = import_of("nifti", source_of("grids"), out);
    run_import(&options);
    ich_dataset d = dataset_of(out);
    assert_int_equal(d.n_studies, 5);
    for (size_t s = 0; s < 5; s++) {
        ich_volume v = volume_of(&d.studies[s]), source;
        for (size_t i = 0; i < 5; i++) {
            if (strncmp(names[i], d.studies[s].study_id, strlen(d.studies[s].study_id)) != 0) continue;
            ich_error err = {""};
            if (!ich_volume_read(&source, fixture_path(names[i]), &err)) fail_msg("%s", err.text);
            assert_memory_equal(v.stored, source.stored, sizeof v.stored);
            for (int r = 0; r < 3; r++)
                for (int c = 0; c < 4; c++) assert_float_equal(v.affine[r][c], source.affine[r][c], 1e-4);
            assert_memory_equal(v.hu, source.hu,
                                (size_t)v.width * (size_t)v.height * (size_t)v.slices * sizeof *v.hu);
            ich_volume_free(&source);
        }
        ich_volume_free(&v);
    }
    ich_dataset_free(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rsna_labels_images_and_studies),
        cmocka_unit_test(a_filled_in_slice_has_no_label),
        cmocka_unit_test(a_broken_rsna_table_is_named_by_line),
        cmocka_unit_test(cq500_takes_the_majority_of_three),
        cmocka_unit_test(ct_ich_labels_slices_by_number),
        cmocka_unit_test(ct_ich_may_be_a_dataset_already),
        cmocka_unit_test(a_broken_ct_ich_table_is_named),
        cmocka_unit_test(nifti_folders_keep_names_and_patients),
        cmocka_unit_test(a_volume_keeps_its_grid),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

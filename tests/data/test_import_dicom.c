/* A folder of DICOM becomes a dataset: volumes that lie where the slices lay, one series a study, every file
 * used or named, and nothing that tells who was scanned.
 */
#include "data/dicom.h"
#include "data/file.h"
#include "data/sha256.h"
#include "dicom_maker.h"
#include "import_world.h"
#include "scratch.h"
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include <fcntl.h>

/* A folder of the test's own, and where its import goes. */
static const char *source_of(const char *name) {
    static char path[400];
    snprintf(path, sizeof path, "%s", scratch_path(name));
    mkdir(path, 0777);
    return path;
}
static const char *out_of(const char *name) {
    static char path[400];
    snprintf(path, sizeof path, "%s-out", scratch_path(name));
    return path;
}
static const char *file_in(const char *folder, const char *name) {
    static char paths[4][600];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *hash_of(const char *uid) {
    static char hex[4][17];
    static unsigned next;
    char *to = hex[next++ % 4];
    ich_sha256_hex(uid, to);
    return to;
}

static const char *reason_of(const char *out, const char *path) {
    return cell_of(out, "skipped.csv", "path", path, "reason");
}

/* -- volumes --------------------------------------------------------------------------------------------- */

static void a_series_becomes_a_volume_in_its_place(void **state) {
    (void)state;
    const char *source = source_of("volume"), *out = out_of("volume");
    const made_slice slice = made_default();
    made_series(source, &slice, 6);
    const ich_import options = import_of("dicom", source, out);
    run_import(&options);
    ich_dataset d = dataset_of(out);
    assert_int_equal(d.n_studies, 1);
    assert_string_equal(d.studies[0].study_id, hash_of("1.2.3"));
    ich_volume v = volume_of(&d.studies[0]);
    assert_int_equal(v.stored[0], 4);
    assert_int_equal(v.stored[1], 3);
    assert_int_equal(v.stored[2], 6);
    const double expected[3][4] = {{-0.25, 0, 0, 0}, {0, 0.5, 0, -1}, {0, 0, 5, 0}};
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++) assert_float_equal(v.affine[r][c], expected[r][c], 1e-6);
    /* The network's orientation is DICOM's own. */
    for (int z = 0; z < 6; z++)
        for (int p = 0; p < 12; p++) assert_int_equal(v.hu[12 * z + p], 100 * z + p);
    for (int l = 0; l < ICH_LABELS; l++) assert_true(isnan(d.studies[0].label[l]));
    assert_false(d.has_slice_labels);
    assert_false(ich_path_exists(file_in(out, "skipped.csv")));
    ich_volume_free(&v);
    ich_dataset_free(&d);
}

static void a_file_of_many_frames_becomes_a_volume(void **state) {
    (void)state;
    const char *source = source_of("enhanced"), *out = out_of("enhanced");
    int16_t pixels[5 * 12];
    made_slice s = made_default();
    s.sop_class = "1.2.840.10008.5.1.4.1.1.2.1";
    s.frames = 5, s.pixels = pixels, s.pixel_bytes = sizeof pixels;
    for (int f = 0; f < 5; f++) {
        s.frame_position[f] = made_position(0, 0, 2 * (f * 2 % 5));
        for (int p = 0; p < 12; p++) pixels[12 * f + p] = (int16_t)(10 * (f * 2 % 5) + p);
    }
    s.frame_intercept[3] = "-500", s.frame_slope[3] = "1"; /* the one at 2 mm */
    made_write(file_in(source, "enhanced.dcm"), &s);
    const ich_import options = import_of("dicom", source, out);
    run_import(&options);
    ich_dataset d = dataset_of(out);
    ich_volume v = volume_of(&d.studies[0]);
    assert_int_equal(v.slices, 5);
    assert_float_equal(v.spacing[2], 2, 1e-6);
    for (int z = 0; z < 5; z++)
        for (int p = 0; p < 12; p++) assert_int_equal(v.hu[12 * z + p], 10 * z + p - (z == 1 ? 500 : 0));
    ich_volume_free(&v);
    ich_dataset_free(&d);
}

static void a_slice_that_cannot_be_decoded_is_named_and_filled_in(void **state) {
    (void)state;
    const char *source = source_of("gap"), *out = out_of("gap");
    const made_slice slice = made_default();
    made_series(source, &slice, 6);
    size_t n;
    unsigned char *bytes = read_bytes(file_in(source, "1.2.3.1-4.dcm"), &n); /* slice 3 */
    FILE *f = fopen(file_in(source, "1.2.3.1-4.dcm"), "wb");
    assert_int_equal(fwrite(bytes, 1, n - 4, f), n - 4);
    fclose(f);
    free(bytes);
    const ich_import options = import_of("dicom", source, out);
    run_import(&options);
    assert_int_equal(rows_of(out, "skipped.csv"), 1);
    assert_non_null(strstr(reason_of(out, "1.2.3.1-4.dcm"), "damaged"));
    assert_string_equal(cell_of(out, "skipped.csv", "path", "1.2.3.1-4.dcm", "study_id"), hash_of("1.2.3"));
    assert_non_null(
        strstr(cell_of(out, "notes.csv", "study_id", hash_of("1.2.3"), "note"), "1 of 6 slices filled"));
    ich_dataset d = dataset_of(out);
    ich_volume v = volume_of(&d.studies[0]);
    assert_int_equal(v.slices, 6);
    for (int z = 0; z < 6; z++) assert_int_equal(v.hu[12 * z], 100 * z); /* linear, so nobody sees it */
    ich_volume_free(&v);
    ich_dataset_free(&d);
}

/* -- what is used ---------------------------------------------------------------------------------------- */

static void every_file_that_is_left_out_is_named(void **state) {
    (void)state;
    const char *source = source_of("odd"), *out = out_of("odd");
    made_slice s = made_default();
    made_series(source, &s, 5);
    s.image = "9", s.position = "0\\0\\5";
    s.image_type = "ORIGINAL\\PRIMARY\\LOCALIZER", made_write(file_in(source, "scout"), &s);
    s = made_default(), s.instance = 99, s.position = "0\\0\\5", made_write(file_in(source, "twice.dcm"), &s);
    s = made_default(), s.rows = 2, s.pixel_bytes = 16, made_write(file_in(source, "small.dcm"), &s);
    s = made_default(), s.position = "0\\0\\1000", made_write(file_in(source, "far.dcm"), &s);
    s = made_default(), s.modality = "MR", made_write(file_in(source, "mr.dcm"), &s);
    put_text(file_in(source, "readme.txt"), "hello");
    put_text(file_in(source, ".hidden"), "hello");
    mkfifo(file_in(source, "pipe.dcm"), 0600);
    const ich_import options = import_of("dicom", source, out);
    run_import(&options);
    static const char *const expected[][2] = {
        {"scout", "localizer"},      {"twice.dcm", "duplicate"}, {"small.dcm", "number of pixels"},
        {"far.dcm", "hole"},         {"mr.dcm", "modality MR"},  {"readme.txt", "no DICOM"},
        {"pipe.dcm", "regular file"}};
    assert_int_equal(rows_of(out, "skipped.csv"), sizeof expected / sizeof *expected);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!strstr(reason_of(out, expected[i][0]), expected[i][1]))
            fail_msg("%s: '%s' does not say '%s'", expected[i][0], reason_of(out, expected[i][0]),
                     expected[i][1]);
    ich_dataset d = dataset_of(out);
    ich_volume v = volume_of(&d.studies[0]);
    assert_int_equal(v.slices, 5);
    ich_volume_free(&v);
    ich_dataset_free(&d);
}

/* Series of one study: the first slice's HU tells which was chosen. */
typedef struct offer {
    const char *description, *kernel;
    int slices;
    double step;
} offer;

static int chosen_of(const offer *offers, int n, double spacing) {
    static int number;
    char name[40];
    snprintf(name, sizeof name, "choice%d", number++);
    const char *source = source_of(name), *out = out_of(name);
    for (int i = 0; i < n; i++) {
        int16_t pixels[12];
        char series[40], file[40];
        made_slice s = made_default();
        snprintf(series, sizeof series, "1.2.3.%d", i + 1);
        for (int p = 0; p < 12; p++) pixels[p] = (int16_t)i;
        s.series = series, s.series_number = i + 1, s.description = offers[i].description;
        s.kernel = offers[i].kernel, s.pixels = pixels;
        for (int k = 0; k < offers[i].slices; k++) {
            s.position = made_position(0, 0, offers[i].step * k);
            snprintf(file, sizeof file, "%d-%d", i, k);
            made_write(file_in(source, file), &s);
        }
    }
    ich_import options = import_of("dicom", source, out);
    options.spacing = spacing;
    run_import(&options);
    ich_dataset d = dataset_of(out);
    assert_int_equal(d.n_studies, 1);
    ich_volume v = volume_of(&d.studies[0]);
    const int chosen = v.hu[0];
    assert_int_equal(v.slices, offers[chosen].slices);
    size_t others = 0;
    for (int i = 0; i < n; i++) others += i == chosen ? 0 : (size_t)offers[i].slices;
    assert_int_equal(rows_of(out, "skipped.csv"), others);
    ich_volume_free(&v);
    ich_dataset_free(&d);
    return chosen;
}

static void the_series_is_chosen_by_the_rule(void **state) {
    (void)state;
    const offer thickness[] = {{"THIN", "H30s", 50, 1}, {"5MM", "H30s", 10, 5}, {"3MM", "H30s", 17, 3}};
    assert_int_equal(chosen_of(thickness, 3, 5), 1);
    assert_int_equal(chosen_of(thickness, 3, 0.6), 0);
    assert_int_equal(chosen_of(thickness, 3, 3.4), 2);
    const offer kernels[] = {{"HEAD", "H70h", 10, 5}, {"HEAD", "H30s", 17, 3}};
    assert_int_equal(chosen_of(kernels, 2, 5), 1);
    const offer contrast[] = {{"POST CONTRAST", "H30s", 10, 5}, {"PLAIN", "H70h", 17, 3}};
    assert_int_equal(chosen_of(contrast, 2, 5), 1);
    const offer length[] = {{"PLAIN", "H30s", 3, 5}, {"POST CONTRAST", "H70h", 17, 3}};
    assert_int_equal(chosen_of(length, 2, 5), 1);
    const offer equal[] = {{"A", "H30s", 10, 5}, {"B", "H30s", 10, 5}};
    assert_int_equal(chosen_of(equal, 2, 5), 0);
}

static void the_output_in_the_source_is_not_imported(void **state) {
    (void)state;
    const char *source = source_of("inside");
    const made_slice slice = made_default();
    made_series(source, &slice, 3);
    const ich_import options = import_of("dicom", source, file_in(source, "dataset"));
    run_import(&options);
    const ich_import again = import_of("dicom", source, file_in(source, "dataset"));
    run_import(&again);
    assert_int_equal(rows_of(file_in(source, "dataset"), "skipped.csv"), 0);
}

/* -- who ------------------------------------------------------------------------------------------------- */

static void put_patients(const char *source) {
    static const char *const studies[][2] = {{"1.2.3", "MRN-4711"},
                                             {"1.2.4", "MRN-4711"},
                                             {"1.2.5", "MRN-0815"},
                                             {"1.2.6", NULL},
                                             {"1.2.7", NULL}};
    for (size_t i = 0; i < sizeof studies / sizeof *studies; i++) {
        char series[40];
        made_slice s = made_default();
        snprintf(series, sizeof series, "%s.77", studies[i][0]);
        s.study = studies[i][0], s.patient = studies[i][1], s.series = series, s.accession = "ACC-1";
        made_series(source, &s, 3);
    }
}

static void nothing_private_is_written(void **state) {
    (void)state;
    const char *source = source_of("private"), *out = out_of("private");
    put_patients(source);
    const ich_import options = import_of("dicom", source, out);
    run_import(&options);
    static const char *const secrets[] = {"Secret", "MRN", "4711", "1951", "ACC-1", "1.2.3"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        assert_false(any_file_holds(out, secrets[i]));
    assert_true(any_file_holds(out, hash_of("1.2.3"))); /* or the search finds nothing at all */
}

static void patients_are_kept_apart_and_together(void **state) {
    (void)state;
    const char *source = source_of("patients"), *out = out_of("patients");
    put_patients(source);
    const ich_import options = import_of("dicom", source, out);
    run_import(&options);
    char patient[5][100];
    for (int i = 0; i < 5; i++) {
        const char *const uids[] = {"1.2.3", "1.2.4", "1.2.5", "1.2.6", "1.2.7"};
        snprintf(patient[i], sizeof patient[i], "%s",
                 cell_of(out, "studies.csv", "study_id", hash_of(uids[i]), "patient_id"));
        assert_int_equal(strlen(patient[i]), 17);
        for (int j = 0; j < i; j++) assert_int_equal(strcmp(patient[i], patient[j]) == 0, i == 1 && j == 0);
    }
}

static void identifiers_are_kept_when_asked(void **state) {
    (void)state;
    const char *source = source_of("keep"), *out = out_of("keep");
    put_patients(source);
    ich_import options = import_of("dicom", source, out);
    options.keep_ids = true;
    run_import(&options);
    assert_string_equal(cell_of(out, "studies.csv", "study_id", "1.2.4", "patient_id"), "MRN-4711");
    assert_string_equal(cell_of(out, "studies.csv", "study_id", "1.2.6", "patient_id"), "P1.2.6");
    assert_false(any_file_holds(out, "Secret"));
}

static void labels_are_found_by_any_identifier(void **state) {
    (void)state;
    const char *source = source_of("labels"), *out = out_of("labels");
    static const char *const studies[][3] = {{"1.2.3", "P1", "A1"},
                                             {"1.2.4", "P2", "A2"},
                                             {"1.2.5", "P3", "A3"},
                                             {"1.2.6", "P4", "A4"},
                                             {"1.2.7", "P5", "A5"}};
    for (int i = 0; i < 5; i++) {
        char series[40];
        made_slice s = made_default();
        snprintf(series, sizeof series, "%s.77", studies[i][0]);
        s.study = studies[i][0], s.patient = studies[i][1], s.accession = studies[i][2], s.series = series;
        made_series(source, &s, 3);
    }
    char table[600];
    snprintf(table, sizeof table,
             "study_id,any,subdural,comment\n1.2.3,1,1,\"by UID\"\nA2,1,0,\nP3,0,,\n%s,0,0,\nnobody,1,1,\n",
             hash_of("1.2.6"));
    put_text(file_in(source, "labels.csv"), table);
    ich_import options = import_of("dicom", source, out);
    options.labels = file_in(source, "labels.csv");
    run_import(&options);
    static const char *const expected[][2] = {{"1", "1"}, {"1", "0"}, {"0", ""}, {"0", "0"}, {"", ""}};
    for (int i = 0; i < 5; i++) {
        const char *id = hash_of(studies[i][0]);
        assert_string_equal(cell_of(out, "studies.csv", "study_id", id, "any"), expected[i][0]);
        assert_string_equal(cell_of(out, "studies.csv", "study_id", id, "subdural"), expected[i][1]);
        assert_string_equal(cell_of(out, "studies.csv", "study_id", id, "epidural"), "");
    }
    assert_int_equal(rows_of(out, "skipped.csv"), 0); /* the table is no input left out */
}

static void a_patient_of_two_studies_names_neither(void **state) {
    (void)state;
    const char *source = source_of("two"), *out = out_of("two");
    put_patients(source);
    put_text(file_in(source, "labels.csv"), "study_id,any\nMRN-4711,1\nMRN-0815,1\n");
    ich_import options = import_of("dicom", source, out);
    options.labels = file_in(source, "labels.csv");
    run_import(&options);
    assert_string_equal(cell_of(out, "studies.csv", "study_id", hash_of("1.2.3"), "any"), "");
    assert_string_equal(cell_of(out, "studies.csv", "study_id", hash_of("1.2.4"), "any"), "");
    assert_string_equal(cell_of(out, "studies.csv", "study_id", hash_of("1.2.5"), "any"), "1");
}

static void a_bad_table_of_labels_is_named(void **state) {
    (void)state;
    const char *source = source_of("tables"), *out = out_of("tables");
    const made_slice slice = made_default();
    made_series(source, &slice, 3);
    ich_import options = import_of("dicom", source, out);
    options.labels = file_in(source, "none.csv");
    refuse_import(&options, "none.csv");
    options.labels = file_in(source, "labels.csv");
    put_text(options.labels, "study,any\n1.2.3,1\n"), refuse_import(&options, "study_id");
    put_text(options.labels, "study_id,blood\n1.2.3,1\n"), refuse_import(&options, "any");
    put_text(options.labels, "study_id,any\n1.2.3,maybe\n"), refuse_import(&options, "line 2");
    put_text(options.labels, "study_id,any\n1.2.3,1\n1.2.3,0\n"), refuse_import(&options, "lines 2 and 3");
}

/* -- hostile files --------------------------------------------------------------------------------------- */

/* A deflated data set that goes on for a gigabyte (of zeros, in an element that nobody needs). A chunk of
 * zeros is packed once, on its own, and written again and again. */
static void put_bomb(const char *path) {
    static const unsigned char start[] = {0, 0, 0, 0, 'D', 'I', 'C', 'M', 2, 0, 0x10, 0, 'U', 'I', 22, 0};
    static unsigned char element[] = {8, 0, 0x08, 0, 'U', 'N', 0, 0, 0xf0, 0xff, 0xff, 0x3f};
    static unsigned char zeros[1 << 16], packed[1 << 12];
    FILE *f = fopen(path, "wb");
    z_stream z = {0};
    assert_non_null(f);
    for (int i = 0; i < 124; i++) fputc(0, f);
    fwrite(start, 1, sizeof start, f);
    fwrite("1.2.840.10008.1.2.1.99", 1, 22, f);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    for (int i = 0; i < 2; i++) {
        z.next_in = i ? zeros : element, z.avail_in = i ? sizeof zeros : sizeof element;
        z.next_out = packed, z.avail_out = sizeof packed;
        assert_int_equal(deflate(&z, Z_FULL_FLUSH), Z_OK);
        for (int n = 0; n < (i ? 16384 : 1); n++) fwrite(packed, 1, sizeof packed - z.avail_out, f);
    }
    deflateEnd(&z);
    fclose(f);
}

static void put_hostile(const char *source) {
    made_slice s = made_default();
    s.nested = 300000, made_write(file_in(source, "nested.dcm"), &s);
    s = made_default(), s.rows = s.columns = 65535, made_write(file_in(source, "vast.dcm"), &s);
    s = made_default(), s.position = "nan\\nan\\nan", made_write(file_in(source, "nan.dcm"), &s);
    s = made_default(), s.syntax = "1.2.840.10008.1.2.4.90", made_write(file_in(source, "liar.dcm"), &s);
    put_bomb(file_in(source, "bomb.dcm"));
}

static void hostile_files_cost_themselves(void **state) {
    (void)state;
    const char *source = source_of("hostile"), *out = out_of("hostile");
    const made_slice slice = made_default();
    made_series(source, &slice, 4);
    put_hostile(source);
    const ich_import options = import_of("dicom", source, out);
    run_import(&options);
    assert_int_equal(rows_of(out, "studies.csv"), 1);
    assert_int_equal(rows_of(out, "skipped.csv"), 5);
    assert_non_null(strstr(reason_of(out, "vast.dcm"), "more than any head CT"));
    assert_non_null(strstr(reason_of(out, "nan.dcm"), "ImagePositionPatient"));
    static const char *const others[] = {"nested.dcm", "liar.dcm", "bomb.dcm"};
    for (size_t i = 0; i < 3; i++) assert_true(strlen(reason_of(out, others[i])) > 5);
}

/* One byte of one file is changed: whatever that makes of it, the import ends, and what is left out is named.
 */
static void a_changed_byte_does_no_harm(void **state) {
    (void)state;
    const char *source = source_of("flips"), *out = out_of("flips");
    static const char *const fixtures[] = {"dicom/rle_signed16.dcm", "dicom/jpeg_lossless_signed16.dcm",
                                           "dicom/jpeg2000_signed16.dcm", "dicom/implicit_signed16.dcm"};
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        size_t n;
        unsigned char *bytes = read_bytes(fixture_path(fixtures[i]), &n);
        for (int k = 0; k < 60; k++) {
            char name[40];
            random = random * 1664525 + 1013904223;
            const size_t at = 132 + (random >> 8) % (n - 132);
            const unsigned char kept = bytes[at];
            bytes[at] ^= (unsigned char)(1 << (random >> 5 & 7));
            snprintf(name, sizeof name, "flips/%zu-%d.dcm", i, k);
            scratch_write(name, bytes, n);
            bytes[at] = kept;
        }
        free(bytes);
    }
    const made_slice slice = made_default();
    made_series(source, &slice, 3);
    const ich_import options = import_of("dicom", source, out);
    run_import(&options);
    assert_string_equal(cell_of(out, "studies.csv", "study_id", hash_of("1.2.3"), "study_id"),
                        hash_of("1.2.3"));
}

/* -- again ----------------------------------------------------------------------------------------------- */

static void put_many(const char *source) {
    for (int i = 0; i < 12; i++) {
        char study[40], series[40];
        made_slice s = made_default();
        snprintf(study, sizeof study, "1.2.%d", 100 + i);
        snprintf(series, sizeof series, "1.2.%d.1", 100 + i);
        s.study = study, s.series = series;
        made_series(source, &s, 3 + i);
    }
    put_text(file_in(source, "readme.txt"), "hello");
    made_slice s = made_default();
    s.study = "1.2.100", s.series = "1.2.100.1", s.position = "0\\0\\5", s.instance = 77;
    made_write(file_in(source, "twice.dcm"), &s);
    s.position = "0\\0\\25", s.pixel_bytes = 4; /* too few */
    made_write(file_in(source, "short.dcm"), &s);
}

static void any_number_of_processes_gives_the_same_bytes(void **state) {
    (void)state;
    const char *source = source_of("many");
    put_many(source);
    for (int processes = 1; processes <= 5; processes += 2) {
        char out[400];
        snprintf(out, sizeof out, "%s%d", scratch_path("many-out"), processes);
        ich_import options = import_of("dicom", source, out);
        options.processes = processes;
        run_import(&options);
    }
    assert_true(same_files(scratch_path("many-out1"), scratch_path("many-out3")));
    assert_true(same_files(scratch_path("many-out1"), scratch_path("many-out5")));
    assert_int_equal(rows_of(scratch_path("many-out1"), "skipped.csv"), 3);
}

static void a_killed_import_goes_on_where_it_was(void **state) {
    (void)state;
    const char *source = source_of("killed");
    put_many(source);
    const ich_import whole = import_of("dicom", source, scratch_path("killed-whole"));
    run_import(&whole);
    for (int round = 0; round < 4; round++) {
        char out[400];
        snprintf(out, sizeof out, "%s%d", scratch_path("killed-out"), round);
        const ich_import options = import_of("dicom", source, out);
        for (int kills = 0; kills < 6; kills++) {
            const pid_t child = fork();
            if (child == 0) {
                ich_import_result result;
                _exit(!ich_import_run(&options, &result, NULL, NULL, NULL));
            }
            usleep((useconds_t)(1000 * (3 + 7 * kills + round)));
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
        }
        run_import(&options);
        assert_true(same_files(scratch_path("killed-whole"), out));
    }
}

static void a_changed_source_is_imported_afresh(void **state) {
    (void)state;
    const char *source = source_of("fresh"), *out = out_of("fresh");
    const made_slice slice = made_default();
    made_series(source, &slice, 3);
    const ich_import options = import_of("dicom", source, out);
    run_import(&options);
    made_series(source, &slice, 5);
    run_import(&options);
    ich_dataset d = dataset_of(out);
    ich_volume v = volume_of(&d.studies[0]);
    assert_int_equal(v.slices, 5);
    ich_volume_free(&v);
    ich_dataset_free(&d);
}

static void two_imports_do_not_share_a_folder(void **state) {
    (void)state;
    const char *source = source_of("shared"), *out = out_of("shared");
    const made_slice slice = made_default();
    made_series(source, &slice, 3);
    mkdir(out, 0777);
    mkdir(file_in(out, ".import"), 0700);
    const int lock = open(file_in(out, ".import"), O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    const ich_import options = import_of("dicom", source, out);
    refuse_import(&options, "workers of an import that was killed");
    close(lock);
    run_import(&options);
}

static void nothing_usable_is_a_failure(void **state) {
    (void)state;
    const char *source = source_of("nothing"), *out = out_of("nothing");
    ich_import options = import_of("dicom", source, out);
    refuse_import(&options, "holds no file");
    assert_false(ich_path_exists(out));
    put_text(file_in(source, "readme.txt"), "hello");
    refuse_import(&options, "no study could be imported, the first file because: readme.txt: is no DICOM");
    options.source = scratch_path("none");
    refuse_import(&options, "none");
    options.kind = "dcm";
    refuse_import(&options, "rsna, cq500, ct-ich, dicom, nifti");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_becomes_a_volume_in_its_place),
        cmocka_unit_test(a_file_of_many_frames_becomes_a_volume),
        cmocka_unit_test(a_slice_that_cannot_be_decoded_is_named_and_filled_in),
        cmocka_unit_test(every_file_that_is_left_out_is_named),
        cmocka_unit_test(the_series_is_chosen_by_the_rule),
        cmocka_unit_test(the_output_in_the_source_is_not_imported),
        cmocka_unit_test(nothing_private_is_written),
        cmocka_unit_test(patients_are_kept_apart_and_together),
        cmocka_unit_test(identifiers_are_kept_when_asked),
        cmocka_unit_test(labels_are_found_by_any_identifier),
        cmocka_unit_test(a_patient_of_two_studies_names_neither),
        cmocka_unit_test(a_bad_table_of_labels_is_named),
        cmocka_unit_test(hostile_files_cost_themselves),
        cmocka_unit_test(a_changed_byte_does_no_harm),
        cmocka_unit_test(any_number_of_processes_gives_the_same_bytes),
        cmocka_unit_test(a_killed_import_goes_on_where_it_was),
        cmocka_unit_test(a_changed_source_is_imported_afresh),
        cmocka_unit_test(two_imports_do_not_share_a_folder),
        cmocka_unit_test(nothing_usable_is_a_failure),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

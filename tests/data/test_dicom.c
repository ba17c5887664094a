/* One DICOM file: Hounsfield units as pydicom has them in every transfer syntax, and what is no CT picture is
 * refused with the reason.
 */
#include "data/dicom.h"
#include "dicom_maker.h"
#include "scratch.h"
#include "tensor/hash.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static ich_dicom open_made(const made_slice *s) {
    ich_dicom d;
    ich_error err = {""};
    made_write(scratch_path("s.dcm"), s);
    if (!ich_dicom_open(&d, scratch_path("s.dcm"), true, &err)) fail_msg("%s", err.text);
    return d;
}

/* The HU of frame `frame` of a file made like `s`. */
static void hu_of(const made_slice *s, int frame, int16_t *hu) {
    ich_dicom d = open_made(s);
    ich_dicom_plane plane;
    ich_error err = {""};
    if (!ich_dicom_plane_of(&d, frame, &plane, &err) || !ich_dicom_hu(&d, &plane, frame, hu, &err))
        fail_msg("%s", err.text);
    ich_dicom_close(&d);
}

static void check_hu(const int16_t *hu, const int *expected, int n) {
    for (int i = 0; i < n; i++)
        if (hu[i] != expected[i]) fail_msg("pixel %d is %d, expected %d", i, hu[i], expected[i]);
}
/* The first pixels are these. */
#define assert_hu(hu, ...)                                                                                   \
    check_hu(hu, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static void refuse_file(const char *path, const char *word) {
    ich_dicom d;
    ich_dicom_plane plane;
    ich_error err = {""};
    int16_t *hu = NULL;
    bool done = ich_dicom_open(&d, path, true, &err);
    if (done) {
        hu = calloc((size_t)d.rows * (size_t)d.columns, sizeof *hu);
        done = ich_dicom_plane_of(&d, 0, &plane, &err) && ich_dicom_hu(&d, &plane, 0, hu, &err);
        ich_dicom_close(&d);
    }
    free(hu);
    if (done) fail_msg("was taken, expected: %s", word);
    if (!strstr(err.text, word)) fail_msg("'%s' does not say '%s'", err.text, word);
    assert_ptr_equal(strstr(err.text, path), err.text);
    assert_null(strchr(err.text, '\n'));
}

static void refuse(const made_slice *s, const char *word) {
    made_write(scratch_path("s.dcm"), s);
    refuse_file(scratch_path("s.dcm"), word);
}

/* -- transfer syntaxes ----------------------------------------------------------------------------------- */

static void check_fixture(const char *name) {
    char other[300];
    size_t bytes;
    ich_dicom d;
    ich_dicom_plane plane;
    ich_error err = {""};
    snprintf(other, sizeof other, "dicom/%s", name);
    if (!ich_dicom_open(&d, fixture_path(other), true, &err)) fail_msg("%s", err.text);
    if (!ich_dicom_plane_of(&d, 0, &plane, &err)) fail_msg("%s", err.text);
    assert_int_equal(d.columns, 20);
    assert_int_equal(d.rows, 24);
    int16_t hu[20 * 24];
    if (!ich_dicom_hu(&d, &plane, 0, hu, &err)) fail_msg("%s", err.text);
    snprintf(strrchr(other, '.'), 4, ".hu");
    int16_t *expected = (int16_t *)read_bytes(fixture_path(other), &bytes);
    assert_int_equal(bytes, sizeof hu);
    for (int i = 0; i < 20 * 24; i++)
        if (hu[i] != expected[i]) fail_msg("%s: pixel %d is %d, expected %d", name, i, hu[i], expected[i]);
    assert_float_equal(plane.position[2], 12.5, 0);
    assert_float_equal(plane.spacing[0], 0.4, 0);
    assert_float_equal(plane.spacing[1], 0.5, 0);
    free(expected);
    ich_dicom_close(&d);
}

static void every_transfer_syntax_is_decoded(void **state) {
    (void)state;
    int count = 0;
    DIR *folder = opendir(fixture_path("dicom"));
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (strstr(entry->d_name, ".dcm")) check_fixture(entry->d_name), count++;
    closedir(folder);
    assert_in_range(count, 35, 100);
}

/* The CT files that Debian's python3-pydicom brings along, where it is installed. */
static void pydicoms_files_are_read_as_pydicom_reads_them(void **state) {
    (void)state;
    static const char root[] = "/usr/lib/python3/dist-packages/pydicom/data/test_files";
    char name[200], path[400];
    int columns, rows, count = 0;
    unsigned long long expected;
    if (access(root, R_OK) != 0) {
        print_message("python3-pydicom is not installed: its files are not tried\n");
        skip();
    }
    FILE *table = fopen(fixture_path("dicom/pydicom.txt"), "r");
    assert_non_null(table);
    for (; fscanf(table, "%199s %d %d %llx", name, &columns, &rows, &expected) == 4; count++) {
        ich_dicom d;
        ich_dicom_plane plane;
        ich_error err = {""};
        snprintf(path, sizeof path, "%s/%s", root, name);
        if (!ich_dicom_open(&d, path, true, &err)) fail_msg("%s", err.text);
        assert_true(d.columns == columns && d.rows == rows);
        int16_t *hu = calloc((size_t)columns * (size_t)rows, sizeof *hu);
        if (!ich_dicom_plane_of(&d, 0, &plane, &err) || !ich_dicom_hu(&d, &plane, 0, hu, &err))
            fail_msg("%s", err.text);
        if (ich_fnv(ich_fnv_start, hu, (size_t)columns * (size_t)rows * sizeof *hu) != expected)
            fail_msg("%s: its HU are not pydicom's", name);
        free(hu);
        ich_dicom_close(&d);
    }
    fclose(table);
    assert_int_equal(count, 12);
}

static void a_truncated_file_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"dicom/explicit_signed16.dcm", "dicom/deflated_signed16.dcm",
                                        "dicom/rle_signed16.dcm",      "dicom/jpeg2000_signed16.dcm",
                                        "dicom/jpeg_ls_signed16.dcm",  "dicom/jpeg_lossless_signed16.dcm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n;
        unsigned char *bytes = read_bytes(fixture_path(names[i]), &n);
        for (size_t keep = 0; keep < n - 16; keep += 1 + n / 37)
            refuse_file(scratch_write("t.dcm", bytes, keep), "");
        free(bytes);
    }
}

/* DCMTK's decoder follows the header wherever it points. */
static void an_rle_header_that_lies_is_refused(void **state) {
    (void)state;
    static const unsigned char header[] = {2, 0, 0, 0, 64, 0, 0, 0}; /* two segments, the first behind it */
    static const struct lie {
        size_t at;
        unsigned char byte;
    } lies[] = {{0, 1}, {0, 3}, {0, 15}, {3, 0x80}, {4, 0}, {4, 63}, {7, 0x7f}, {11, 0x7f}, {11, 0xff}};
    size_t n;
    unsigned char *bytes = read_bytes(fixture_path("dicom/rle_signed16.dcm"), &n);
    unsigned char *at = memmem(bytes, n, header, sizeof header);
    assert_non_null(at);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        const unsigned char right = at[lies[i].at];
        at[lies[i].at] = lies[i].byte;
        refuse_file(scratch_write("t.dcm", bytes, n), "RLE");
        at[lies[i].at] = right;
    }
    free(bytes);
}

/* -- numbers --------------------------------------------------------------------------------------------- */

static void slope_and_intercept_are_applied_and_rounded(void **state) {
    (void)state;
    made_slice s = made_default();
    int16_t hu[12];
    s.slope = "0.5", s.intercept = "-1000.25";
    hu_of(&s, 0, hu);
    assert_hu(hu, -1000, -1000, -999, -999, -998, -998, -997, -997, -996, -996, -995, -995);
    s.slope = s.intercept = NULL;
    hu_of(&s, 0, hu);
    assert_int_equal(hu[7], 7);
    s.slope = "30000";
    hu_of(&s, 0, hu);
    assert_int_equal(hu[1], 30000);
    assert_int_equal(hu[2], 32767);
}

static void bits_are_read_as_the_header_says(void **state) {
    (void)state;
    const uint16_t stored[12] = {0x0fff, 0x0800, 0x07ff, 0xf001, 0x8000, 0xffff, 0x0010};
    made_slice s = made_default();
    int16_t hu[12];
    s.pixels = stored, s.pixel_bytes = sizeof stored;
    s.bits_stored = 12, s.high_bit = 11;
    hu_of(&s, 0, hu);
    assert_hu(hu, -1, -2048, 2047, 1, 0, -1, 16);
    s.high_bit = 15; /* the value is in the upper twelve bits */
    hu_of(&s, 0, hu);
    assert_hu(hu, 255, 128, 127, -256, -2048, -1, 1);
    s.bits_stored = 16, s.is_signed = 0, s.intercept = "-32768";
    hu_of(&s, 0, hu);
    assert_hu(hu, -28673, -30720, -30721, 28673, 0, 32767, -32752);
}

static void eight_bits_are_enough(void **state) {
    (void)state;
    const int8_t stored[12] = {-128, -1, 0, 1, 127};
    made_slice s = made_default();
    int16_t hu[12];
    s.pixels = stored, s.pixel_bytes = sizeof stored;
    s.bits_allocated = s.bits_stored = 8, s.high_bit = 7;
    hu_of(&s, 0, hu);
    for (int i = 0; i < 5; i++) assert_int_equal(hu[i], stored[i]);
    s.is_signed = 0;
    hu_of(&s, 0, hu);
    for (int i = 0; i < 5; i++) assert_int_equal(hu[i], (uint8_t)stored[i]);
}

static void an_odd_number_of_bytes_is_read(void **state) {
    (void)state;
    const uint8_t stored[9] = {9, 8, 7, 6, 5, 4, 3, 2, 1};
    made_slice s = made_default();
    int16_t hu[9];
    s.rows = s.columns = 3;
    s.pixels = stored, s.pixel_bytes = sizeof stored;
    s.bits_allocated = s.bits_stored = 8, s.high_bit = 7, s.is_signed = 0;
    hu_of(&s, 0, hu);
    for (int i = 0; i < 9; i++) assert_int_equal(hu[i], 9 - i);
}

static void padding_is_never_brighter_than_air(void **state) {
    (void)state;
    const int16_t stored[12] = {-2000, 0, 100, 3000, 3001, 3002};
    made_slice s = made_default();
    int16_t hu[12];
    s.pixels = stored, s.pixel_bytes = sizeof stored;
    s.has_padding = true, s.padding = s.padding_limit = (uint16_t)-2000;
    hu_of(&s, 0, hu);
    assert_int_equal(hu[0], -2000);
    s.intercept = "1500";
    hu_of(&s, 0, hu);
    assert_int_equal(hu[0], -1024);
    assert_int_equal(hu[1], 1500);
    s.padding = 3001, s.padding_limit = 3000; /* a range, given the wrong way round */
    hu_of(&s, 0, hu);
    assert_int_equal(hu[0], -500);
    assert_int_equal(hu[3], -1024);
    assert_int_equal(hu[4], -1024);
    assert_int_equal(hu[5], 4502);
    s.is_signed = 0, s.padding = s.padding_limit = 63536; /* -2000, had it been signed */
    s.intercept = "0";
    hu_of(&s, 0, hu);
    assert_int_equal(hu[0], -1024);
}

/* method: add 1000, subtract 4096 where it is 4096 or more, intercept -1000 */
static void twelve_bits_that_wrapped_round_are_unwrapped(void **state) {
    (void)state;
    const uint16_t stored[12] = {0, 40, 3095, 3096, 4095, 1000};
    made_slice s = made_default();
    int16_t hu[12];
    s.pixels = stored, s.pixel_bytes = sizeof stored;
    s.bits_stored = 12, s.high_bit = 11, s.is_signed = 0;
    hu_of(&s, 0, hu);
    assert_hu(hu, 0, 40, 3095, -1000, -1, 1000);
    s.intercept = "-1024"; /* as it should be: nothing to mend */
    hu_of(&s, 0, hu);
    for (int i = 0; i < 6; i++) assert_int_equal(hu[i], stored[i] - 1024);
}

static void monochrome1_does_not_change_the_numbers(void **state) {
    (void)state;
    made_slice s = made_default();
    int16_t hu[12];
    s.photometric = "MONOCHROME1";
    hu_of(&s, 0, hu);
    for (int i = 0; i < 12; i++) assert_int_equal(hu[i], i);
}

static void frames_have_places_and_scales_of_their_own(void **state) {
    (void)state;
    int16_t stored[3 * 12], hu[12];
    made_slice s = made_default();
    for (int i = 0; i < 36; i++) stored[i] = (int16_t)i;
    s.sop_class = "1.2.840.10008.5.1.4.1.1.2.1";
    s.pixels = stored, s.pixel_bytes = sizeof stored;
    s.frames = 3;
    s.frame_position[0] = "0\\0\\10", s.frame_position[1] = "0\\0\\5", s.frame_position[2] = "0\\0\\0";
    s.frame_slope[1] = "2", s.frame_intercept[1] = "-1000";
    for (int f = 0; f < 3; f++) {
        hu_of(&s, f, hu);
        for (int i = 0; i < 12; i++)
            assert_int_equal(hu[i], f == 1 ? 2 * stored[12 + i] - 1000 : stored[12 * f + i]);
        ich_dicom d = open_made(&s);
        ich_dicom_plane plane;
        assert_true(ich_dicom_plane_of(&d, f, &plane, NULL));
        assert_float_equal(plane.position[2], 10 - 5 * f, 0);
        assert_float_equal(plane.spacing[0], 0.25, 0);
        assert_float_equal(d.thickness, 5, 0);
        ich_dicom_close(&d);
    }
}

/* -- refusals -------------------------------------------------------------------------------------------- */

static void what_is_no_ct_picture_is_told(void **state) {
    (void)state;
    const made_slice good = made_default();
    made_slice s = good;
    s.image_type = "ORIGINAL\\PRIMARY\\LOCALIZER", refuse(&s, "localizer");
    s = good, s.sop_class = "1.2.840.10008.5.1.4.1.1.7", refuse(&s, "secondary capture");
    s = good, s.sop_class = "1.2.840.10008.5.1.4.1.1.7.2", refuse(&s, "secondary capture");
    s = good, s.image_type = "DERIVED\\SECONDARY\\SCREEN SAVE", refuse(&s, "secondary capture");
    s = good, s.modality = "MR", refuse(&s, "modality MR");
    s = good, s.modality = NULL, s.sop_class = NULL, refuse(&s, "does not say what it is");
    s = good, s.sop_class = "1.2.840.10008.5.1.4.1.1.481.3", refuse(&s, "SOP class");
    s = good, s.samples = 3, refuse(&s, "colour");
    s = good, s.photometric = "PALETTE COLOR", refuse(&s, "PALETTE COLOR");
    s = good, s.pixels = NULL, refuse(&s, "no pixels");
    s = good, s.study = NULL, refuse(&s, "StudyInstanceUID");
    refuse_file(scratch_write("t.txt", "hello", 5), "no DICOM file");
    refuse_file(scratch_write("t.txt", "", 0), "no DICOM file");
    refuse_file(scratch_path("none.dcm"), "cannot be read");
    mkdir(scratch_path("folder.dcm"), 0777);
    refuse_file(scratch_path("folder.dcm"), "regular file");
}

static void a_broken_header_is_told(void **state) {
    (void)state;
    const made_slice good = made_default();
    made_slice s = good;
    s.position = NULL, refuse(&s, "ImagePositionPatient");
    s = good, s.position = "0\\0\\nan", refuse(&s, "ImagePositionPatient");
    s = good, s.position = "0\\0", refuse(&s, "ImagePositionPatient");
    s = good, s.position = "0\\0\\1e9", refuse(&s, "1e+09 mm away");
    s = good, s.orientation = "1\\0\\0\\1\\0\\0", refuse(&s, "no right angle");
    s = good, s.orientation = "0\\0\\0\\0\\0\\0", refuse(&s, "no right angle");
    s = good, s.orientation = "1\\0\\0", refuse(&s, "ImageOrientationPatient");
    s = good, s.spacing = NULL, refuse(&s, "PixelSpacing");
    s = good, s.spacing = "0\\0.5", refuse(&s, "pixels of");
    s = good, s.spacing = "inf\\0.5", refuse(&s, "PixelSpacing");
    s = good, s.slope = "0", refuse(&s, "RescaleSlope");
    s = good, s.slope = "x", refuse(&s, "RescaleSlope");
    s = good, s.intercept = "nan", refuse(&s, "RescaleIntercept");
    s = good, s.rows = 0, refuse(&s, "no picture");
    s = good, s.rows = 65535, s.columns = 65535, refuse(&s, "more than any head CT");
    s = good, s.rows = 2000, s.columns = 2000, refuse(&s, "truncated");
    s = good, s.bits_allocated = 32, refuse(&s, "32 bits");
    s = good, s.bits_stored = 17, refuse(&s, "bits");
    s = good, s.high_bit = 3, refuse(&s, "bit 3");
    s = good, s.syntax = "1.2.840.10008.1.2.4.100", refuse(&s, "damaged");
    s = good, s.syntax = "1.2.3.4", refuse(&s, "transfer syntax 1.2.3.4");
    s = good, s.pixel_vr = "UT", refuse(&s, "marked as something else");
    s = good, s.pixel_vr = "OF", refuse(&s, "marked as something else");
}

static void identifiers_are_read_and_names_are_not(void **state) {
    (void)state;
    made_slice s = made_default();
    s.accession = "A1", s.acquisition = 4;
    ich_dicom d = open_made(&s);
    assert_string_equal(d.study, "1.2.3");
    assert_string_equal(d.series, "1.2.3.1");
    assert_string_equal(d.patient, "MRN-4711");
    assert_string_equal(d.accession, "A1");
    assert_int_equal(d.acquisition, 4);
    assert_int_equal(d.instance, 1);
    const char *bytes = (const char *)&d;
    for (size_t i = 0; i + 6 < sizeof d; i++) assert_int_not_equal(memcmp(bytes + i, "Secret", 6), 0);
    ich_dicom_close(&d);
}

static void kernels_and_contrast_are_recognised(void **state) {
    (void)state;
    static const struct {
        const char *kernel, *description, *agent;
        bool sharp, contrast;
    } cases[] = {
        {"H30s", "HEAD 5MM", NULL, false, false},
        {"H60f", "HEAD", NULL, true, false},
        {"Hr68h\\3", "HEAD", NULL, true, false},
        {"FC21", "HEAD", NULL, false, false},
        {"FC30", "HEAD", NULL, true, false},
        {"BONEPLUS", "HEAD", NULL, true, false},
        {"STANDARD", "BONE 0.6", NULL, true, false},
        {"SOFT", "CT POST CONTRAST 5MM", NULL, false, true},
        {"SOFT", "CT PRE CONTRAST 5MM", NULL, false, false},
        {"SOFT", "CT PLAIN THIN", "OMNIPAQUE", false, false},
        {"SOFT", "HEAD", "OMNIPAQUE", false, true},
        {NULL, NULL, NULL, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_slice s = made_default();
        s.kernel = cases[i].kernel, s.description = cases[i].description, s.agent = cases[i].agent;
        ich_dicom d = open_made(&s);
        assert_int_equal(d.sharp, cases[i].sharp);
        assert_int_equal(d.contrast, cases[i].contrast);
        ich_dicom_close(&d);
    }
}

static int prepare(void **state) { return ich_dicom_prepare(NULL) ? scratch_make(state) : -1; }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transfer_syntax_is_decoded),
        cmocka_unit_test(pydicoms_files_are_read_as_pydicom_reads_them),
        cmocka_unit_test(a_truncated_file_is_refused),
        cmocka_unit_test(an_rle_header_that_lies_is_refused),
        cmocka_unit_test(slope_and_intercept_are_applied_and_rounded),
        cmocka_unit_test(bits_are_read_as_the_header_says),
        cmocka_unit_test(eight_bits_are_enough),
        cmocka_unit_test(an_odd_number_of_bytes_is_read),
        cmocka_unit_test(padding_is_never_brighter_than_air),
        cmocka_unit_test(twelve_bits_that_wrapped_round_are_unwrapped),
        cmocka_unit_test(monochrome1_does_not_change_the_numbers),
        cmocka_unit_test(frames_have_places_and_scales_of_their_own),
        cmocka_unit_test(what_is_no_ct_picture_is_told),
        cmocka_unit_test(a_broken_header_is_told),
        cmocka_unit_test(identifiers_are_read_and_names_are_not),
        cmocka_unit_test(kernels_and_contrast_are_recognised),
    };
    return cmocka_run_group_tests(tests, prepare, scratch_remove);
}

/* Volumes of every kind are read as nibabel reads them, written back onto their own grid, and refused with
 * one line when they are not what they should be. Expected numbers: make_fixtures.py. */
#include "data/volume_internal.h"
#include "scratch.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static ich_volume read_volume(const char *path) {
    ich_volume volume;
    ich_error err = {""};
    if (!ich_volume_read(&volume, path, &err)) fail_msg("%s", err.text);
    return volume;
}

static size_t voxels(const ich_volume *v) { return (size_t)v->width * (size_t)v->height * (size_t)v->slices; }

static double number(FILE *file) {
    double value;
    assert_int_equal(fscanf(file, "%lf", &value), 1);
    return value;
}

static void near(double got, double wanted, double tolerance, const char *what, const char *name) {
    if (!(fabs(got - wanted) <= tolerance))
        fail_msg("%s: %s is %.9g, nibabel says %.9g", name, what, got, wanted);
}

/* Width, height, slices, spacing, axes, flips and affine, as make_fixtures.py's describe() prints them. */
static void check_geometry(FILE *expected, const ich_volume *v, const char *name) {
    near(v->width, number(expected), 0, "width", name);
    near(v->height, number(expected), 0, "height", name);
    near(v->slices, number(expected), 0, "slices", name);
    for (int a = 0; a < 3; a++) near(v->spacing[a], number(expected), 1e-5, "spacing", name);
    for (int a = 0; a < 3; a++) near(v->axis[a], number(expected), 0, "axis", name);
    for (int a = 0; a < 3; a++) near(v->flipped[a], number(expected), 0, "flip", name);
    for (int i = 0; i < 12; i++) near(v->affine[i / 4][i % 4], number(expected), 1e-5, "affine", name);
}

static void volumes_are_read_as_nibabel_reads_them(void **state) {
    (void)state;
    FILE *expected = fopen(fixture_path("volumes.txt"), "r");
    assert_non_null(expected);
    char name[64];
    int files = 0;
    for (; fscanf(expected, "%63s", name) == 1; files++) {
        ich_volume v = read_volume(fixture_path(name));
        check_geometry(expected, &v, name);
        assert_int_equal(ich_volume_count_slices(fixture_path(name)), v.slices);
        for (size_t i = 0; i < voxels(&v); i++) near(v.hu[i], number(expected), 0, "a voxel", name);
        ich_volume_free(&v);
    }
    fclose(expected);
    assert_true(files >= 25);
    assert_int_equal(ich_volume_count_slices(fixture_path("nowhere.nii")), 0);
    assert_int_equal(ich_volume_count_slices(fixture_path("volumes.txt")), 0);
}

static void either_file_of_a_pair_names_it(void **state) {
    (void)state;
    ich_volume a = read_volume(fixture_path("pair.img")), b = read_volume(fixture_path("pair.hdr"));
    assert_memory_equal(a.hu, b.hu, voxels(&a) * sizeof *a.hu);
    ich_volume c = read_volume(fixture_path("packed_pair.hdr.gz"));
    ich_volume d = read_volume(fixture_path("packed_pair.hdr")); /* found although it is packed */
    assert_memory_equal(c.hu, d.hu, voxels(&c) * sizeof *c.hu);
    ich_volume_free(&a);
    ich_volume_free(&b);
    ich_volume_free(&c);
    ich_volume_free(&d);
}

static void axes_are_matched_as_nibabel_matches_them(void **state) {
    (void)state;
    FILE *expected = fopen(fixture_path("orientations.txt"), "r");
    assert_non_null(expected);
    int cases = 0;
    for (double first; fscanf(expected, "%lf", &first) == 1; cases++) {
        double affine[4][4] = {{0}};
        for (int i = 0; i < 9; i++) affine[i / 3][i % 3] = i ? number(expected) : first;
        int axis[3];
        bool flipped[3];
        ich_nifti_orient((const double(*)[4])affine, axis, flipped);
        for (int a = 0; a < 3; a++) assert_int_equal(axis[a], (int)number(expected));
        for (int a = 0; a < 3; a++) assert_int_equal(flipped[a], (int)number(expected));
    }
    fclose(expected);
    assert_int_equal(cases, 400);
}

static void slices_are_counted_along_the_stored_axis(void **state) {
    (void)state;
    ich_volume up = read_volume(fixture_path("lps.nii")), down = read_volume(fixture_path("lai.nii"));
    for (int z = 0; z < up.slices; z++) {
        assert_int_equal(ich_volume_stored_slice(&up, z), z);
        assert_int_equal(ich_volume_stored_slice(&down, z), down.slices - 1 - z);
    }
    ich_volume_free(&up);
    ich_volume_free(&down);
}

/* -- writing ------------------------------------------------------------------------------------------- */

static void a_map_lies_on_the_grid_it_came_from(void **state) {
    (void)state;
    static const char *const names[] = {"pir.nii", "ila.nii", "lai.nii", "steep.nii.gz", "nifti2.nii"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ich_volume v = read_volume(fixture_path(names[i]));
        float *values = malloc(voxels(&v) * sizeof *values);
        assert_non_null(values);
        for (size_t k = 0; k < voxels(&v); k++) values[k] = (float)v.hu[k];
        ich_error err = {""};
        const char *path = scratch_path(i % 2 ? "map.nii" : "map.nii.gz");
        if (!ich_volume_write_map(path, &v, values, &err)) fail_msg("%s", err.text);
        ich_volume back = read_volume(path);
        assert_memory_equal(back.stored, v.stored, sizeof v.stored);
        for (int k = 0; k < 16; k++)
            near(back.affine[k / 4][k % 4], v.affine[k / 4][k % 4], 1e-5, "affine", names[i]);
        assert_memory_equal(back.hu, v.hu, voxels(&v) * sizeof *v.hu);
        free(values);
        ich_volume_free(&v);
        ich_volume_free(&back);
    }
}

static void write_hu(const char *path, int nx, int ny, int nz, bool *done, ich_error *err) {
    static const double affine[4][4] = {{-0.5, 0, 0, 9}, {0, -0.5, 0, 8}, {0, 0, 5, 7}, {0, 0, 0, 1}};
    const size_t count = (size_t)nx * (size_t)ny * (size_t)nz;
    int16_t *hu = malloc(count * sizeof *hu);
    assert_non_null(hu);
    for (size_t i = 0; i < count; i++) hu[i] = (int16_t)(i * 7919);
    *done = ich_volume_write_hu(path, hu, nx, ny, nz, affine, err);
    free(hu);
}

static void what_is_written_can_be_read(void **state) {
    (void)state;
    ich_error err = {""};
    bool done;
    for (int packed = 0; packed < 2; packed++) {
        const char *path = scratch_path(packed ? "hu.nii.gz" : "hu.nii");
        write_hu(path, 37, 29, 11, &done, &err);
        if (!done) fail_msg("%s", err.text);
        size_t bytes;
        unsigned char *file = read_bytes(path, &bytes);
        assert_int_equal(file[0] == 0x1f && file[1] == 0x8b, packed);
        free(file);
        ich_volume v = read_volume(path);
        assert_int_equal(v.width, 37);
        assert_true(v.affine[0][3] == 9 && v.affine[2][2] == 5 && v.spacing[1] == 0.5f);
        for (size_t i = 0; i < voxels(&v); i++) assert_int_equal(v.hu[i], (int16_t)(i * 7919));
        ich_volume_free(&v);
    }
}

static void a_volume_that_cannot_be_written_leaves_nothing(void **state) {
    (void)state;
    ich_error err = {""};
    bool done;
    write_hu(scratch_path("nowhere/hu.nii"), 2, 2, 2, &done, &err);
    assert_false(done);
    assert_non_null(strstr(err.text, "nowhere/hu.nii"));
    write_hu(scratch_path("hu.png"), 2, 2, 2, &done, &err);
    assert_false(done);
    assert_non_null(strstr(err.text, ".nii.gz"));
    write_hu(scratch_path("long.nii"), 40000, 1, 1, &done, &err);
    assert_false(done);
    assert_non_null(strstr(err.text, "32767"));
    assert_int_equal(access(scratch_path("long.nii"), F_OK), -1);
}

/* -- what is refused ------------------------------------------------------------------------------------- */

static void refuse(const char *path, const char *what) {
    ich_volume v;
    ich_error err = {""};
    if (ich_volume_read(&v, path, &err)) fail_msg("%s was read, although: %s", path, what);
    const char *name = strrchr(path, '/') + 1;
    if (!strstr(err.text, what) || strncmp(err.text, path, (size_t)(name - path)) != 0 ||
        strchr(err.text, '\n'))
        fail_msg("\"%s\" should name %s and say \"%s\"", err.text, path, what);
    assert_null(v.hu);
}

/* lps.nii with `count` bytes at `offset` replaced. */
static const char *changed(int offset, const void *bytes, size_t count) {
    size_t n;
    unsigned char *file = read_bytes(fixture_path("lps.nii"), &n);
    memcpy(file + offset, bytes, count);
    const char *path = scratch_write("changed.nii", file, n);
    free(file);
    return path;
}
#define CHANGED(offset, type, ...)                                                                           \
    changed(offset, (const type[]){__VA_ARGS__}, sizeof((const type[]){__VA_ARGS__}))

static void files_that_are_no_volumes_are_named(void **state) {
    (void)state;
    assert_int_equal(mkdir(scratch_path("folder"), 0700), 0);
    assert_int_equal(mkdir(scratch_path("folder.nii"), 0700), 0);
    refuse(scratch_path("folder"), "is a folder");
    refuse(scratch_path("folder.nii"), "is a folder");
    refuse(scratch_path("missing.nii"), "No such file");
    refuse(scratch_path("missing.hdr"), "No such file");
    refuse(scratch_write("slice.dcm", "x", 1), "dcm2niix");
    refuse(scratch_write("noname", "x", 1), "dcm2niix");
    refuse(scratch_write("empty.nii", "", 0), "is empty");
    refuse(scratch_write("empty.nii.gz", "", 0), "is empty");
    refuse(scratch_write("short.nii", "\x5c\1\0\0abc", 7), "truncated");
    refuse(scratch_write("text.nii", "this is a text, not a volume\n", 29), "not a NIfTI");
    assert_int_equal(mkfifo(scratch_path("pipe.nii"), 0600), 0);
    refuse(scratch_path("pipe.nii"), "no regular file");
    size_t n;
    unsigned char *header = read_bytes(fixture_path("pair.hdr"), &n);
    scratch_write("alone.hdr", header, n);
    refuse(scratch_path("alone.img"), "No such file");
    refuse(scratch_write("pair.nii", header, n), "rename it to .hdr");
    free(header);
    header = read_bytes(fixture_path("analyze.hdr"), &n);
    refuse(scratch_write("analyze.nii", header, n), "n+1");
    free(header);
    header = read_bytes(fixture_path("lps.nii"), &n);
    scratch_write("single.img", header, n);
    scratch_write("single.hdr", header, n);
    refuse(scratch_path("single.hdr"), "rename it to .nii");
    free(header);
}

static void headers_that_lie_are_named(void **state) {
    (void)state;
    enum { DIM = 40, TYPE = 70, PIXDIM = 76, OFFSET = 108, SLOPE = 112, QFORM = 252, SFORM = 254, ROW = 280 };
    refuse(CHANGED(DIM, int16_t, 2), "is 2-D");
    refuse(CHANGED(DIM, int16_t, 9), "claims 9 dimensions");
    refuse(CHANGED(DIM, int16_t, 4, 5, 4, 1, 3), "is 4-D, 3 volumes");
    refuse(CHANGED(DIM, int16_t, 5, 5, 4, 1, 1, 3), "is 5-D, 3 volumes");
    refuse(CHANGED(DIM, int16_t, 3, 5, 0, 3), "0 voxels along axis 2");
    refuse(CHANGED(DIM, int16_t, 3, 5, 4, -3), "-3 voxels along axis 3");
    refuse(CHANGED(DIM, int16_t, 3, 5, 4, 4), "its header lies");
    refuse(CHANGED(DIM, int16_t, 3, 32767, 32767, 32767), "limit of 2^29");
    refuse(CHANGED(DIM, int16_t, 3, 16384, 16384, 2), "its header lies");
    refuse(CHANGED(TYPE, int16_t, 32, 64), "COMPLEX64");
    refuse(CHANGED(TYPE, int16_t, 128, 24), "RGB24");
    refuse(CHANGED(TYPE, int16_t, 4, 8), "claims 8 bits a voxel");
    refuse(CHANGED(TYPE, int16_t, 77, 8), "type 77");
    refuse(CHANGED(OFFSET, float, 12), "vox_offset");
    refuse(CHANGED(OFFSET, float, -1), "vox_offset");
    refuse(CHANGED(OFFSET, float, NAN), "vox_offset");
    refuse(CHANGED(OFFSET, float, 1e30f), "vox_offset");
    refuse(CHANGED(OFFSET, float, 400), "its header lies");
    refuse(CHANGED(SLOPE, float, INFINITY, 0), "slope inf");
    refuse(CHANGED(SLOPE, float, 1, NAN), "intercept nan");
    refuse(CHANGED(ROW, float, NAN), "affine holds nan");
    refuse(CHANGED(ROW, float, INFINITY), "affine holds inf");
    refuse(CHANGED(ROW, float, 0, 0, 0, 0), "singular");
    refuse(CHANGED(ROW, float, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0), "singular");
    refuse(CHANGED(SFORM, int16_t, 0, 0, 0, 0, 0x7fff, 0x7fff, 0x7fff, 0x7fff),
           "affine holds nan"); /* quaternion */
}

static void a_volume_of_one_slice_is_fine(void **state) {
    (void)state;
    ich_volume v = read_volume(CHANGED(40, int16_t, 3, 5, 4, 1));
    assert_int_equal(v.slices, 1);
    ich_volume_free(&v);
}

static void a_volume_without_a_number_is_refused(void **state) {
    (void)state;
    size_t n;
    unsigned char *file = read_bytes(fixture_path("float32_holes.nii"), &n);
    for (size_t i = 352; i < n; i += 4) memcpy(file + i, &(float){NAN}, 4);
    refuse(scratch_write("nan.nii", file, n), "every voxel is NaN");
    memcpy(file + n - 4, &(float){17}, 4);
    ich_volume v = read_volume(scratch_write("one.nii", file, n));
    size_t air = 0, found = 0;
    for (size_t i = 0; i < voxels(&v); i++) air += v.hu[i] == -1024, found += v.hu[i] == 17;
    assert_int_equal(air, voxels(&v) - 1);
    assert_int_equal(found, 1);
    ich_volume_free(&v);
    free(file);
}

static const char *pack(const char *name, const void *bytes, size_t n) {
    const char *path = scratch_path(name);
    gzFile file = gzopen(path, "wb9");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)n), n);
    assert_int_equal(gzclose(file), Z_OK);
    return path;
}

/* Claims 2^29 voxels of 8 bytes, 4 GiB, in a packed file of a few hundred bytes. */
static void a_packed_file_that_claims_gigabytes_is_refused(void **state) {
    (void)state;
    size_t n;
    unsigned char *file = read_bytes(fixture_path("float64.nii"), &n);
    memcpy(file + 40, (int16_t[]){3, 16384, 16384, 2}, 8);
    const char *path = pack("bomb.nii.gz", file, n);
    free(file);
    refuse(path, "its header lies");
}

/* All of its 384 MiB are there, packed to 400 kB: refused before they are unpacked. A packed file may consist
 * of several, one behind the other (RFC 1952 2.2), so the zeros need packing but once. */
static void a_gzip_bomb_is_refused(void **state) {
    (void)state;
    enum { PIECE = 4 << 20, PIECES = 96 };
    size_t header_count, n;
    unsigned char *file = read_bytes(fixture_path("uint8.nii"), &n), *zeros = calloc(1, PIECE);
    assert_non_null(zeros);
    memcpy(file + 40, (int16_t[]){3, 1024, 1024, 384}, 8);
    unsigned char *header = read_bytes(pack("header.gz", file, 352), &header_count);
    unsigned char *piece = read_bytes(pack("zeros.gz", zeros, PIECE), &n);
    const char *path = scratch_write("empty.nii.gz", header, header_count);
    FILE *stream = fopen(path, "ab");
    assert_non_null(stream);
    for (int i = 0; i < PIECES; i++) assert_int_equal(fwrite(piece, 1, n, stream), n);
    assert_int_equal(fclose(stream), 0);
    free(piece), free(header), free(zeros), free(file);
    refuse(path, "can only hold emptiness");
}

static void damaged_packing_is_told_from_truncation(void **state) {
    (void)state;
    size_t n;
    unsigned char *file = read_bytes(fixture_path("oblique.nii.gz"), &n);
    refuse(scratch_write("cut.nii.gz", file, n - 1), "is truncated"); /* only the check sum is incomplete */
    file[n - 8] ^= 1;                                                 /* … or wrong */
    refuse(scratch_write("sum.nii.gz", file, n), "is damaged");
    free(file);
}

/* -- files of other programs ----------------------------------------------------------------------------- */

static uint64_t fnv(const int16_t *values, size_t count) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < 2 * count; i++)
        hash = (hash ^ (uint8_t)((uint16_t)values[i / 2] >> 8 * (i % 2))) * UINT64_C(0x100000001b3);
    return hash;
}

static void nibabels_own_files_are_read(void **state) {
    (void)state;
    const char *folder = "/usr/lib/python3/dist-packages/nibabel/tests/data";
    if (access(folder, R_OK) != 0) {
        print_message("skipped: %s is not there (package python3-nibabel)\n", folder);
        skip();
    }
    FILE *expected = fopen(fixture_path("nibabel.txt"), "r");
    assert_non_null(expected);
    char name[64], path[256], hash[32], got[32];
    while (fscanf(expected, "%63s", name) == 1) {
        snprintf(path, sizeof path, "%s/%s", folder, name);
        ich_volume v = read_volume(path);
        check_geometry(expected, &v, name);
        assert_int_equal(fscanf(expected, "%31s", hash), 1);
        snprintf(got, sizeof got, "%016llx", (unsigned long long)fnv(v.hu, voxels(&v)));
        assert_string_equal(got, hash);
        ich_volume_free(&v);
    }
    fclose(expected);
    static const char *const refused[][2] = {{"functional.nii", "4-D"},
                                             {"example4d.nii.gz", "4-D"},
                                             {"example_nifti2.nii.gz", "4-D"},
                                             {"nifti1.hdr", "No such file"},
                                             {"analyze.hdr", "No such file"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, refused[i][0]);
        refuse(path, refused[i][1]);
    }
}

static void a_real_ct_is_read(void **state) {
    (void)state;
    const char *path = ICHOR_SOURCE "/../shared/data/ct_ich/volumes/050.nii.gz";
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    ich_volume v = read_volume(path);
    assert_int_equal(v.width, 256);
    assert_int_equal(v.height, 256);
    assert_true(v.slices > 10 && v.spacing[2] == 5);
    size_t brain = 0, bone = 0;
    for (size_t i = 0; i < voxels(&v); i++) brain += v.hu[i] > 0 && v.hu[i]<80, bone += v.hu[i]> 500;
    assert_true(brain > voxels(&v) / 20 && bone > voxels(&v) / 200);
    ich_volume_free(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(volumes_are_read_as_nibabel_reads_them),
        cmocka_unit_test(either_file_of_a_pair_names_it),
        cmocka_unit_test(axes_are_matched_as_nibabel_matches_them),
        cmocka_unit_test(slices_are_counted_along_the_stored_axis),
        cmocka_unit_test(a_map_lies_on_the_grid_it_came_from),
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(a_volume_that_cannot_be_written_leaves_nothing),
        cmocka_unit_test(files_that_are_no_volumes_are_named),
        cmocka_unit_test(headers_that_lie_are_named),
        cmocka_unit_test(a_volume_of_one_slice_is_fine),
        cmocka_unit_test(a_volume_without_a_number_is_refused),
        cmocka_unit_test(a_packed_file_that_claims_gigabytes_is_refused),
        cmocka_unit_test(a_gzip_bomb_is_refused),
        cmocka_unit_test(damaged_packing_is_told_from_truncation),
        cmocka_unit_test(nibabels_own_files_are_read),
        cmocka_unit_test(a_real_ct_is_read),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

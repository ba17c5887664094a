/* A folder of odd and broken DICOM and NIfTI files beside good ones: each is read rightly or refused by name,
 * the good ones arrive whole, and no worker takes a GiB. The files are made here: bombs, endless nesting,
 * lies, and damaged copies of the fixtures; where Debian's python3-pydicom and python3-nibabel are installed,
 * their test files too. What a single file may cost is limited by data/dicom_worker.h.
 */
#include "dicom_maker.h"
#include "import_world.h"
#include "scratch.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

enum { MANY = 1 << 20, NESTED = 100000, DEFLATED_TO = 1 << 28 };
static const char deflated[] = "1.2.840.10008.1.2.1.99";

/* -- DICOM files, built from the bytes of a good one ----------------------------------------------------- */

typedef struct blob {
    unsigned char *bytes;
    size_t count;
} blob;

static blob blob_of(const void *bytes, size_t count, size_t times) {
    blob b = {malloc(count * times + 1), count * times};
    assert_non_null(b.bytes);
    for (size_t i = 0; i < times; i++) memcpy(b.bytes + i * count, bytes, count);
    return b;
}

/* A good slice; *pixels: where its last element, the pixels, begins. */
static blob good_slice(const char *syntax, size_t *pixels) {
    made_slice s = made_default();
    blob b;
    s.syntax = syntax;
    s.study = "1.2.666";
    made_write(scratch_path("slice.dcm"), &s);
    b.bytes = read_bytes(scratch_path("slice.dcm"), &b.count);
    *pixels = b.count - 12 - s.pixel_bytes;
    return b;
}

/* A good slice with something in front of its pixels, or instead of them. */
static void put_odd(const char *folder, const char *name, const char *syntax, blob odd, bool has_pixels) {
    char path[600];
    size_t pixels;
    blob slice = good_slice(syntax, &pixels);
    snprintf(path, sizeof path, "%s/%s.dcm", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(slice.bytes, 1, pixels, f);
    fwrite(odd.bytes, 1, odd.count, f);
    if (has_pixels) fwrite(slice.bytes + pixels, 1, slice.count - pixels, f);
    assert_int_equal(fclose(f), 0);
    free(slice.bytes);
    free(odd.bytes);
}

/* Elements without a value, of rising tags from (2801,0000) on. */
static blob tiny_elements(size_t n) {
    blob b = blob_of("\1\50\0\0LO\0\0", 8, n);
    for (size_t i = 0; i < n; i++) {
        const size_t group = 0x2801 + 2 * (i >> 16);
        unsigned char *e = b.bytes + 8 * i;
        e[0] = group & 255, e[1] = (unsigned char)(group >> 8);
        e[2] = i & 255, e[3] = i >> 8 & 255;
    }
    return b;
}

/* What opens a sequence or ends one, n times, behind a head. */
static blob after(const char *head, size_t head_count, const char *bytes, size_t count, size_t times) {
    blob b = blob_of(bytes, count, times), all = blob_of(head, head_count, 1);
    all.bytes = realloc(all.bytes, head_count + b.count);
    assert_non_null(all.bytes);
    memcpy(all.bytes + head_count, b.bytes, b.count);
    all.count += b.count;
    free(b.bytes);
    return all;
}
#define SEQUENCE  "\x40\0\x30\xa7SQ\0\0\xff\xff\xff\xff"
#define FRAGMENTS "\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"
#define ITEM      "\xfe\xff\0\xe0"
#define CLOSED    "\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"

/* The data set of a file in deflated syntax, followed by zeros without end. */
static void put_deflate_bomb(const char *folder, const char *name, const char *head, size_t head_count) {
    static unsigned char zeros[1 << 20], packed[1 << 21];
    size_t meta = 128 + 4, pixels;
    z_stream z = {0};
    blob slice = good_slice(deflated, &pixels), out = {malloc(DEFLATED_TO / 500), 0};
    while (memcmp(slice.bytes + meta, "\10\0", 2)) meta += 8 + slice.bytes[meta + 6]; /* group 2 */
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    const struct {
        const void *bytes;
        size_t count, times;
    } parts[] = {{slice.bytes + meta, pixels - meta, 1},
                 {head, head_count, 1},
                 {zeros, sizeof zeros, DEFLATED_TO / sizeof zeros}};
    for (size_t p = 0; p < 3; p++)
        for (size_t i = 0; i < parts[p].times; i++) {
            z.next_in = (unsigned char *)(uintptr_t)parts[p].bytes, z.avail_in = (unsigned)parts[p].count;
            z.next_out = packed, z.avail_out = sizeof packed;
            const bool last = p == 2 && i + 1 == parts[p].times;
            deflate(&z, last ? Z_FINISH : Z_NO_FLUSH);
            const size_t n = sizeof packed - z.avail_out;
            assert_true(out.count + n < DEFLATED_TO / 500);
            memcpy(out.bytes + out.count, packed, n);
            out.count += n;
        }
    deflateEnd(&z);
    char path[600];
    snprintf(path, sizeof path, "%s/%s.dcm", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(slice.bytes, 1, meta, f);
    fwrite(out.bytes, 1, out.count, f);
    assert_int_equal(fclose(f), 0);
    free(slice.bytes), free(out.bytes);
}

static void put_bombs(const char *folder) {
    static const char rle[] = "1.2.840.10008.1.2.5", jpeg[] = "1.2.840.10008.1.2.4.70",
                      plain[] = "1.2.840.10008.1.2.1";
    put_odd(folder, "tiny_elements", plain, tiny_elements(3 * MANY), true);
    put_odd(folder, "nested", plain, after("", 0, SEQUENCE ITEM "\xff\xff\xff\xff", 20, NESTED), true);
    blob nested = after("", 0, SEQUENCE ITEM "\xff\xff\xff\xff", 20, NESTED);
    blob whole = after((char *)nested.bytes, nested.count, CLOSED, 16, NESTED);
    free(nested.bytes);
    put_odd(folder, "nested_and_closed", plain, whole, true);
    put_odd(folder, "items", plain, after(SEQUENCE, 12, ITEM "\0\0\0\0", 8, 3 * MANY), true);
    put_odd(folder, "fragments", rle, after(FRAGMENTS, 12, ITEM "\0\0\0\0", 8, 3 * MANY), false);
    put_odd(folder, "no_fragments", jpeg, after(FRAGMENTS, 12, "\xfe\xff\xdd\xe0\0\0\0\0", 8, 1), false);
    put_odd(folder, "long_element", plain, after("\1\50\0\0OB\0\0\xf0\xff\xff\x7f", 12, "", 0, 1), true);
    put_odd(folder, "long_sequence", plain, after("\1\50\0\0SQ\0\0\xf0\xff\xff\x7f", 12, "", 0, 1), true);
    put_odd(folder, "long_pixels", plain, after("\xe0\x7f\x10\0OW\0\0\xfe\xff\xff\xff", 12, "", 0, 1), false);
    put_deflate_bomb(folder, "deflated_nothing", "", 0);
    put_deflate_bomb(folder, "deflated_element", "\1\50\0\0OB\0\0\0\0\0\x10", 12);
    put_deflate_bomb(folder, "deflated_pixels", "\xe0\x7f\x10\0OW\0\0\0\0\0\x10", 12);
}

/* Slices that lie about themselves, each in one way. */
static void put_liars(const char *folder) {
    static const char *const positions[] = {"nan\\0\\0", "1e400\\0\\0", "0,5\\0\\0",
                                            "0\\0",      "a\\b\\c",     "1e9\\0\\0"};
    made_slice good = made_default(), s;
    char path[600];
    int n = 0;
    good.study = "1.2.666";
#define LIAR(change)                                                                                         \
    do {                                                                                                     \
        s = good;                                                                                            \
        change;                                                                                              \
        snprintf(path, sizeof path, "%s/liar_%d.dcm", folder, n++);                                          \
        made_write(path, &s);                                                                                \
    } while (0)
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) LIAR(s.position = positions[i]);
    LIAR(s.rows = 65535; s.columns = 65535);
    LIAR(s.rows = 0);
    LIAR(s.rows = 400); /* more than there are pixels */
    LIAR(s.bits_allocated = 12);
    LIAR(s.bits_stored = 17);
    LIAR(s.high_bit = 3);
    LIAR(s.samples = 3);
    LIAR(s.spacing = "0\\0");
    LIAR(s.spacing = "0.5");
    LIAR(s.orientation = "0\\0\\0\\0\\0\\0");
    LIAR(s.slope = "0");
    LIAR(s.intercept = "inf");
    LIAR(s.study = NULL);
    LIAR(s.pixels = NULL);
    LIAR(s.modality = "MR");
    LIAR(s.syntax = "1.2.840.10008.1.2.4.100"); /* a film, MPEG-2 */
    LIAR(s.pixel_vr = "SQ");
#undef LIAR
}

/* -- damaged copies -------------------------------------------------------------------------------------- */

/* A fixture cut short, and another with bytes changed throughout (the same on every machine). */
static void put_damaged(const char *from, const char *folder, const char *name) {
    char path[600];
    size_t count;
    unsigned char *bytes = read_bytes(from, &count);
    uint32_t state = (uint32_t)count;
    for (int kind = 0; kind < 2; kind++) {
        snprintf(path, sizeof path, "%s/%s_%s", folder, kind ? "changed" : "cut", name);
        for (size_t i = 200; kind && i < count; i += 1 + (state >> 24))
            bytes[i] ^= (unsigned char)((state = state * 1664525 + 1013904223) >> 16);
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fwrite(bytes, 1, kind ? count : count * 3 / 4, f);
        assert_int_equal(fclose(f), 0);
    }
    free(bytes);
}

static void put_damaged_fixtures(const char *folder, const char *fixtures, const char *ending) {
    char from[600];
    DIR *d = opendir(fixture_path(fixtures));
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        if (!strstr(e->d_name, ending)) continue;
        snprintf(from, sizeof from, "%s/%s", fixture_path(fixtures), e->d_name);
        put_damaged(from, folder, e->d_name);
    }
    closedir(d);
}

/* The files of a Debian package, where it is installed. */
static void copy_package(const char *folder, const char *package, const char *from) {
    char path[600], to[600];
    DIR *d = opendir(from);
    if (!d) print_message("%s is not installed: its files are not tried\n", package);
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", from, e->d_name);
        snprintf(to, sizeof to, "%s/%s_%s", folder, package, e->d_name);
        if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) continue;
        assert_int_equal(symlink(path, to), 0);
    }
    if (d) closedir(d);
}

/* -- what must hold -------------------------------------------------------------------------------------- */

static size_t files_in(const char *folder) {
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Each skipped file is named with a reason; and no worker has taken a GiB. */
static void check_refusals(const char *out, size_t least) {
    ich_csv csv;
    ich_error err = {""};
    char path[600];
    snprintf(path, sizeof path, "%s/skipped.csv", out);
    if (!ich_csv_read(&csv, path, &err)) fail_msg("%s", err.text);
    print_message("%s: %zu files refused\n", out, csv.n_rows);
    assert_true(csv.n_rows >= least);
    for (size_t i = 0; i < csv.n_rows; i++)
        if (strlen(ich_csv_cell(&csv, i, 0)) < 3 || strlen(ich_csv_cell(&csv, i, 2)) < 10)
            fail_msg("'%s' is refused for '%s'", ich_csv_cell(&csv, i, 0), ich_csv_cell(&csv, i, 2));
    ich_csv_free(&csv);
#ifndef ICH_SANITIZED
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    assert_true(used.ru_maxrss < 1 << 20); /* KiB */
#endif
}

static ich_volume good_volume(const char *out, const char *study_id) {
    ich_dataset d = dataset_of(out);
    size_t i = 0;
    while (i < d.n_studies && strcmp(d.studies[i].study_id, study_id) != 0) i++;
    if (i == d.n_studies) fail_msg("%s was lost", study_id);
    ich_volume v = volume_of(&d.studies[i]);
    ich_dataset_free(&d);
    return v;
}

static void dicom_files_that_are_broken_cost_themselves(void **state) {
    (void)state;
    char folder[500], out[600];
    snprintf(folder, sizeof folder, "%s", scratch_path("dicom"));
    snprintf(out, sizeof out, "%s-out", folder);
    made_slice s = made_default();
    made_series(folder, &s, 5); /* the good ones, of another study */
    put_bombs(folder);
    put_liars(folder);
    put_damaged_fixtures(folder, "dicom", ".dcm");
    copy_package(folder, "pydicom", "/usr/lib/python3/dist-packages/pydicom/data/test_files");
    copy_package(folder, "nibabel", "/usr/lib/python3/dist-packages/nibabel/nicom/tests/data");
    print_message("%zu DICOM files\n", files_in(folder));
    ich_import options = import_of("dicom", folder, out);
    options.keep_ids = true;
    run_import(&options);
    ich_volume v = good_volume(out, s.study);
    assert_int_equal(v.slices, 5);
    for (int k = 0; k < 5; k++)
        for (int p = 0; p < 12; p++) assert_int_equal(v.hu[k * 12 + p], 100 * k + p);
    ich_volume_free(&v);
    check_refusals(out, 60);
}

static void volumes_that_are_broken_cost_themselves(void **state) {
    (void)state;
    char folder[500], out[600], path[600];
    size_t count;
    snprintf(folder, sizeof folder, "%s", scratch_path("nifti"));
    snprintf(out, sizeof out, "%s-out", folder);
    mkdir(folder, 0777);
    unsigned char *good = read_bytes(fixture_path("lps.nii"), &count);
    snprintf(path, sizeof path, "%s/good.nii", folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(good, 1, count, f);
    assert_int_equal(fclose(f), 0);
    put_damaged_fixtures(folder, ".", ".nii");
    put_damaged_fixtures(folder, ".", ".hdr");
    copy_package(folder, "nibabel", "/usr/lib/python3/dist-packages/nibabel/tests/data");
    print_message("%zu NIfTI files\n", files_in(folder));
    ich_import options = import_of("nifti", folder, out);
    run_import(&options);
    ich_volume v = good_volume(out, "good"), original;
    ich_error err = {""};
    assert_true(ich_volume_read(&original, path, &err));
    assert_memory_equal(v.hu, original.hu, 2 * (size_t)v.width * (size_t)v.height * (size_t)v.slices);
    ich_volume_free(&v);
    ich_volume_free(&original);
    free(good);
    check_refusals(out, 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dicom_files_that_are_broken_cost_themselves),
        cmocka_unit_test(volumes_that_are_broken_cost_themselves),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

#include "support.h"

#include "data/file.h"
#include "data/volume.h"
#include "tensor/rng.h"
#include <ftw.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <setjmp.h>

#include <cmocka.h>

int test_folder_make(void **state) {
    const char *parent = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/ichor-test-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(path) == NULL) return -1;
    *state = strdup(path);
    return *state != NULL ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk) {
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

int test_folder_remove(void **state) {
    const int failed = nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return failed;
}

const char *test_path(const char *folder, const char *name) {
    static char ring[64][1024];
    static int next;
    char *path = ring[next++ % 64];
    snprintf(path, sizeof ring[0], "%s/%s", folder, name);
    return path;
}

char *test_read(const char *path, size_t *count) {
    ich_error err = {0};
    size_t n;
    char *bytes = ich_file_read(path, (size_t)1 << 30, &n, &err);
    if (bytes == NULL) fail_msg("%s", err.text);
    if (count != NULL) *count = n;
    return bytes;
}

void test_write_text(const char *path, const char *text) {
    ich_error err = {0};
    if (!ich_file_write(path, text, strlen(text), &err)) fail_msg("%s", err.text);
}

void test_assert_same_file(const char *a, const char *b) {
    size_t n, m;
    char *first = test_read(a, &n), *second = test_read(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(first, second, n);
    free(first);
    free(second);
}

ich_recipe test_recipe(void) {
    ich_recipe recipe;
    ich_recipe_default(&recipe, ICH_FOR_FINETUNE);
    snprintf(recipe.arch, sizeof recipe.arch, "resnet18");
    recipe.size = 32;
    recipe.hidden = 8;
    recipe.attention = 8;
    recipe.chunk = 4;
    return recipe;
}

void test_model(ich_model *model, bool image_head, bool study_head, uint64_t seed) {
    ich_recipe recipe = test_recipe();
    recipe.seed = seed;
    ich_error err = {0};
    if (!ich_model_create(model, &recipe, image_head, study_head, &err)) fail_msg("%s", err.text);
}

void test_scan(const char *path, const int size[3], const double spacing[3], const int direction[3],
               uint64_t seed) {
    const int nx = size[0], ny = size[1], nz = size[2];
    int16_t *hu = calloc((size_t)nx * (size_t)ny * (size_t)nz, sizeof *hu);
    assert_non_null(hu);
    ich_rng rng = ich_rng_make(seed, ICH_RNG_TEST, 0);
    for (int z = 0; z < nz; z++) {
        for (int y = 0; y < ny; y++) {
            for (int x = 0; x < nx; x++) {
                const int i = direction[0] > 0 ? x : nx - 1 - x, j = direction[1] > 0 ? y : ny - 1 - y;
                const int k = direction[2] > 0 ? z : nz - 1 - z;
                hu[((size_t)k * (size_t)ny + (size_t)j) * (size_t)nx + (size_t)i] =
                    (int16_t)ich_rng_range(&rng, -20, 100);
            }
        }
    }
    double affine[4][4] = {{0}};
    affine[3][3] = 1;
    for (int a = 0; a < 3; a++) {
        affine[a][a] = direction[a] * spacing[a];
        affine[a][3] = direction[a] > 0 ? 0 : spacing[a] * (size[a] - 1);
    }
    ich_error err = {0};
    if (!ich_volume_write_hu(path, hu, nx, ny, nz, (const double(*)[4])affine, &err))
        fail_msg("%s", err.text);
    free(hu);
}

/* -- PNG (ISO/IEC 15948) ------------------------------------------------------------------------------- */

static uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int paeth(int a, int b, int c) {
    const int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

static void unfilter(const uint8_t *raw, int width, int height, uint8_t *rgb) {
    const int row = 3 * width;
    for (int y = 0; y < height; y++) {
        const int filter = *raw++;
        assert_in_range(filter, 0, 4);
        for (int x = 0; x < row; x++) {
            const int left = x >= 3 ? rgb[y * row + x - 3] : 0, up = y > 0 ? rgb[(y - 1) * row + x] : 0;
            const int corner = x >= 3 && y > 0 ? rgb[(y - 1) * row + x - 3] : 0;
            const int guess[5] = {0, left, up, (left + up) / 2, paeth(left, up, corner)};
            rgb[y * row + x] = (uint8_t)(*raw++ + guess[filter]);
        }
    }
}

uint8_t *test_png(const char *path, int *width, int *height) {
    static const uint8_t signature[8] = {137, 'P', 'N', 'G', 13, 10, 26, 10};
    size_t count;
    uint8_t *file = (uint8_t *)test_read(path, &count);
    assert_true(count > 57);
    assert_memory_equal(file, signature, 8);
    assert_memory_equal(file + 12, "IHDR", 4);
    *width = (int)big_endian(file + 16);
    *height = (int)big_endian(file + 20);
    assert_memory_equal(file + 24, "\x08\x02\x00\x00\x00", 5); /* 8 bits, RGB, no interlace */
    assert_memory_equal(file + 37, "IDAT", 4);
    const uint32_t deflated = big_endian(file + 33);
    assert_true(count == 8 + 25 + 12 + (size_t)deflated + 12);
    assert_int_equal(crc32(0, file + 37, deflated + 4), big_endian(file + 41 + deflated));
    uLongf size = (uLongf)*height * (3 * (uLongf)*width + 1);
    const uLongf expected = size;
    uint8_t *raw = malloc(size), *rgb = malloc(size);
    assert_non_null(raw);
    assert_non_null(rgb);
    assert_int_equal(uncompress(raw, &size, file + 41, deflated), Z_OK);
    assert_int_equal(size, expected);
    unfilter(raw, *width, *height, rgb);
    free(raw);
    free(file);
    return rgb;
}

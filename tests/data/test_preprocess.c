/* Slices are windowed and resampled as torch does it, squares stay square, places map back, and augmentation
 * does what it says. Expected numbers: make_fixtures.py. */
#include "data/preprocess.h"
#include "scratch.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double number(FILE *file) {
    double value;
    assert_int_equal(fscanf(file, "%lf", &value), 1);
    return value;
}

static void *take(size_t count, size_t size) {
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

static ich_volume volume_of(int width, int height, float mm_x, float mm_y, int16_t fill) {
    ich_volume v = {.width = width, .height = height, .slices = 1, .spacing = {mm_x, mm_y, 5}};
    v.hu = take((size_t)width * (size_t)height, sizeof *v.hu);
    for (int i = 0; i < width * height; i++) v.hu[i] = fill;
    return v;
}

static uint8_t *slice_of(const ich_preprocess *p, const ich_volume *v) {
    uint8_t *bytes = take((size_t)(p->size * p->size * p->channels), 1);
    ich_error err = {""};
    if (!ich_preprocess_slice(p, v, 0, bytes, &err)) fail_msg("%s", err.text);
    return bytes;
}

/* -- resampling ------------------------------------------------------------------------------------------ */

/* The middle of the square shows the whole slice, as torch resizes it; around it is air. */
static void resampling_is_torchs(void **state) {
    (void)state;
    FILE *expected = fopen(fixture_path("resize.txt"), "r");
    assert_non_null(expected);
    int height, width, size, rows, columns, cases = 0;
    for (; fscanf(expected, "%d %d %d %d %d", &height, &width, &size, &rows, &columns) == 5; cases++) {
        /* pixel sizes by which rows × columns pixels of the square cover the slice */
        ich_volume v =
            volume_of(width, height, (float)columns / (float)width, (float)rows / (float)height, 0);
        for (int i = 0; i < width * height; i++) v.hu[i] = (int16_t)number(expected);
        const ich_preprocess p = ich_preprocess_default(size);
        uint8_t *bytes = slice_of(&p, &v);
        const int top = (size - rows) / 2, left = (size - columns) / 2;
        for (int y = 0; y < size; y++)
            for (int x = 0; x < size; x++)
                for (int c = 0; c < 3; c++) {
                    const bool inside = y >= top && y < top + rows && x >= left && x < left + columns;
                    const double wanted = inside ? number(expected) : 0;
                    const double got = bytes[(y * size + x) * 3 + c];
                    if (!(fabs(got - wanted) <= (inside ? 0.506 : 0))) /* expected has two decimals */
                        fail_msg("%d × %d to %d: %g at (%d, %d, %d), torch says %g", width, height, size, got,
                                 x, y, c, wanted);
                }
        free(bytes);
        ich_volume_free(&v);
    }
    fclose(expected);
    assert_int_equal(cases, 7);
}

static void a_window_maps_its_ends_to_black_and_white(void **state) {
    (void)state;
    static const struct {
        int16_t hu;
        uint8_t brain, subdural, wide;
    } rows[] = {{-1024, 0, 0, 0},    {0, 0, 26, 101},      {40, 128, 77, 128},
                {80, 255, 128, 154}, {180, 255, 255, 221}, {3000, 255, 255, 255}};
    const ich_preprocess p = ich_preprocess_default(8);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ich_volume v = volume_of(16, 16, 1, 1, rows[i].hu);
        uint8_t *bytes = slice_of(&p, &v);
        for (int k = 0; k < 64; k++) {
            assert_in_range(bytes[3 * k], rows[i].brain ? rows[i].brain - 1 : 0, rows[i].brain);
            assert_in_range(bytes[3 * k + 1], rows[i].subdural ? rows[i].subdural - 1 : 0, rows[i].subdural);
            assert_in_range(bytes[3 * k + 2], rows[i].wide ? rows[i].wide - 1 : 0, rows[i].wide);
        }
        free(bytes);
        ich_volume_free(&v);
    }
}

static void any_number_of_channels_is_the_same_arithmetic(void **state) {
    (void)state;
    ich_volume v = volume_of(33, 21, 0.4f, 0.7f, 0);
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, 0);
    for (int i = 0; i < 33 * 21; i++) v.hu[i] = (int16_t)ich_rng_range(&rng, -50, 150);
    ich_preprocess all = {.size = 19, .channels = ICH_MAX_CHANNELS};
    for (int c = 0; c < all.channels; c++)
        all.center[c] = 10 + 9 * (float)c, all.width[c] = 60 + 25 * (float)c;
    uint8_t *together = slice_of(&all, &v);
    for (int c = 0; c < all.channels; c++) {
        ich_preprocess one = {.size = 19, .channels = 1, .center = {all.center[c]}, .width = {all.width[c]}};
        uint8_t *alone = slice_of(&one, &v);
        for (int i = 0; i < 19 * 19; i++) assert_int_equal(alone[i], together[i * all.channels + c]);
        free(alone);
    }
    free(together);
    ich_volume_free(&v);
}

/* Slices of one pixel, needles, and sizes beyond the slice's own. */
static void extreme_shapes_are_resampled(void **state) {
    (void)state;
    static const struct {
        int width, height, size;
        float mm_x, mm_y;
    } shapes[] = {{1, 1, 32, 1, 1},       {1, 5000, 16, 1, 1},    {5000, 1, 16, 1, 1},
                  {3, 3, 1, 1, 1},        {512, 512, 7, 1, 1},    {2, 2, 300, 1, 1},
                  {64, 64, 16, 1e-5f, 1}, {64, 64, 16, 1, 1e-5f}, {10, 10, 16, 1e5f, 1e5f}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        ich_volume v = volume_of(shapes[i].width, shapes[i].height, shapes[i].mm_x, shapes[i].mm_y, 1000);
        const ich_preprocess p = ich_preprocess_default(shapes[i].size);
        uint8_t *bytes = slice_of(&p, &v);
        for (int k = 0; k < p.size * p.size * 3; k++) assert_true(bytes[k] == 0 || bytes[k] == 255);
        free(bytes);
        ich_volume_free(&v);
    }
}

static void a_place_leads_back_to_the_voxel(void **state) {
    (void)state;
    static const struct {
        int width, height, size;
        float mm_x, mm_y;
    } shapes[] = {{128, 128, 64, 0.5f, 0.5f}, {100, 60, 64, 0.5f, 1.2f}, {40, 64, 96, 0.9f, 0.7f}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        ich_volume v = volume_of(shapes[i].width, shapes[i].height, shapes[i].mm_x, shapes[i].mm_y, -1000);
        const ich_preprocess p = ich_preprocess_default(shapes[i].size);
        const int dot_x = v.width / 3, dot_y = v.height / 4;
        for (int y = dot_y - 2; y <= dot_y + 2; y++)
            for (int x = dot_x - 2; x <= dot_x + 2; x++) v.hu[y * v.width + x] = 1000;
        uint8_t *bytes = slice_of(&p, &v);
        double sum = 0, row = 0, column = 0;
        for (int k = 0; k < p.size * p.size; k++) {
            sum += bytes[3 * k];
            row += (double)bytes[3 * k] * (k / p.size);
            column += (double)bytes[3 * k] * (k % p.size);
        }
        assert_true(sum > 0);
        float x, y, mm;
        ich_preprocess_place(&p, &v, (float)(column / sum), (float)(row / sum), &x, &y, &mm);
        assert_true(fabs(x - dot_x) < 0.05 && fabs(y - dot_y) < 0.05);
        const float longer = fmaxf((float)v.width * v.spacing[0], (float)v.height * v.spacing[1]);
        assert_true(fabsf(mm * (float)p.size - longer) < 1e-3f);
        free(bytes);
        ich_volume_free(&v);
    }
}

/* -- the network's input --------------------------------------------------------------------------------- */

enum { N = 48, COUNT = N * N * 3 };

/* A bright blob of radius 3 at (x, y) in all channels. */
static uint8_t *blob(float x, float y) {
    uint8_t *bytes = take(COUNT, 1);
    for (int k = 0; k < N * N; k++)
        for (int c = 0; c < 3; c++)
            bytes[3 * k + c] = hypotf((float)(k % N) - x, (float)(k / N) - y) < 3 ? 200 : 0;
    return bytes;
}

static float *finish(const uint8_t *bytes, const ich_augment *a, uint64_t sample) {
    const ich_preprocess p = ich_preprocess_default(N);
    float *out = take(COUNT, sizeof *out);
    ich_preprocess_finish(&p, bytes, a, ich_rng_make(5, ICH_RNG_AUGMENT, sample), out);
    return out;
}

/* Middle and mass of what is brighter than air. */
static void find_blob(const float *image, double *x, double *y, double *mass) {
    *x = *y = *mass = 0;
    for (int k = 0; k < N * N; k++) {
        const double v = image[3 * k] + 2; /* air is -2 */
        *mass += v, *x += v * (k % N), *y += v * (k / N);
    }
    *x /= *mass, *y /= *mass;
}

static void without_augmentation_the_input_is_a_table(void **state) {
    (void)state;
    uint8_t *bytes = take(COUNT, 1);
    for (int i = 0; i < COUNT; i++) bytes[i] = (uint8_t)(i % 256);
    float *out = finish(bytes, NULL, 0), *neutral = finish(bytes, &(ich_augment){0}, 0);
    for (int i = 0; i < COUNT; i++) {
        assert_true(out[i] == ((float)bytes[i] / 255 - 0.5f) / 0.25f);
        assert_true(fabsf(neutral[i] - out[i]) < 2e-4f); /* drawn from ± 0: only rounding differs */
    }
    free(bytes);
    free(out);
    free(neutral);
}

static void half_of_the_samples_are_flipped(void **state) {
    (void)state;
    uint8_t *bytes = blob(10, 20);
    int flips = 0;
    for (uint64_t sample = 0; sample < 200; sample++) {
        double x, y, mass;
        float *out = finish(bytes, &(ich_augment){.flip = true}, sample);
        find_blob(out, &x, &y, &mass);
        assert_true(fabs(y - 20) < 1e-3 && (fabs(x - 10) < 1e-3 || fabs(x - (N - 1 - 10)) < 1e-3));
        flips += x > N / 2;
        free(out);
    }
    assert_in_range(flips, 70, 130);
    free(bytes);
}

static void shifts_stay_within_bounds_and_use_them(void **state) {
    (void)state;
    uint8_t *bytes = blob(23.5f, 23.5f);
    double least[2] = {9, 9}, most[2] = {-9, -9};
    for (uint64_t sample = 0; sample < 100; sample++) {
        double at[2], mass;
        float *out = finish(bytes, &(ich_augment){.shift = 0.1f}, sample);
        find_blob(out, &at[0], &at[1], &mass);
        for (int i = 0; i < 2; i++) {
            least[i] = fmin(least[i], (at[i] - 23.5) / N);
            most[i] = fmax(most[i], (at[i] - 23.5) / N);
        }
        free(out);
    }
    for (int i = 0; i < 2; i++)
        assert_true(least[i] > -0.101 && least[i] < -0.08 && most[i] < 0.101 && most[i] > 0.08);
    free(bytes);
}

static void rotation_keeps_the_distance_from_the_middle(void **state) {
    (void)state;
    uint8_t *bytes = blob(38.5f, 23.5f); /* 15 to the right of the middle */
    double least = 99, most = -99;
    for (uint64_t sample = 0; sample < 100; sample++) {
        double x, y, mass;
        float *out = finish(bytes, &(ich_augment){.rotate = 20}, sample);
        find_blob(out, &x, &y, &mass);
        assert_true(fabs(hypot(x - 23.5, y - 23.5) - 15) < 0.1);
        const double degrees = atan2(y - 23.5, x - 23.5) * 180 / 3.14159265358979;
        least = fmin(least, degrees), most = fmax(most, degrees);
        free(out);
    }
    assert_true(least > -20.5 && least < -17 && most < 20.5 && most > 17);
    free(bytes);
}

static void scale_moves_away_from_the_middle_and_grows(void **state) {
    (void)state;
    uint8_t *bytes = blob(34.5f, 23.5f);
    double x, y, mass, before;
    float *out = finish(bytes, NULL, 0);
    find_blob(out, &x, &y, &before);
    free(out);
    double least = 9, most = 0;
    for (uint64_t sample = 0; sample < 60; sample++) {
        out = finish(bytes, &(ich_augment){.scale = 0.2f}, sample);
        find_blob(out, &x, &y, &mass);
        const double scale = (x - 23.5) / 11;
        assert_true(fabs(mass / before - scale * scale) < 0.06 && fabs(y - 23.5) < 0.01);
        least = fmin(least, scale), most = fmax(most, scale);
        free(out);
    }
    assert_true(least > 0.79 && least < 0.85 && most < 1.21 && most > 1.15);
    free(bytes);
}

static void brightness_jitters_in_hounsfield_units(void **state) {
    (void)state;
    uint8_t *bytes = take(COUNT, 1);
    memset(bytes, 128, COUNT);
    double most = 0;
    for (uint64_t sample = 0; sample < 60; sample++) {
        float *out = finish(bytes, &(ich_augment){.hu = 8}, sample);
        const double base = (128 / 255.0 - 0.5) / 0.25;
        /* windows of 80, 200 and 380 HU: the same offset in HU on each */
        const double hu = (out[0] - base) * 0.25 * 80;
        assert_true(fabs((out[1] - base) * 0.25 * 200 - hu) < 1e-2 &&
                    fabs((out[2] - base) * 0.25 * 380 - hu) < 1e-2);
        assert_true(fabs(hu) < 8.01);
        most = fmax(most, fabs(hu));
        free(out);
        out = finish(bytes, &(ich_augment){.contrast = 0.2f}, sample);
        const double gain = (out[0] * 0.25 + 0.5) / (128 / 255.0);
        assert_true(gain > 0.799 && gain < 1.201 && out[0] == out[2]);
        free(out);
    }
    assert_true(most > 7);
    memset(bytes, 255, COUNT); /* nothing leaves the window */
    for (uint64_t sample = 0; sample < 20; sample++) {
        float *out = finish(bytes, &(ich_augment){.hu = 30, .contrast = 0.5f}, sample);
        for (int i = 0; i < COUNT; i++) assert_true(out[i] >= -2 && out[i] <= 2);
        free(out);
    }
    free(bytes);
}

static void the_same_sample_is_augmented_alike(void **state) {
    (void)state;
    const ich_augment a = {true, 10, 0.1f, 0.05f, 4, 0.1f};
    uint8_t *bytes = blob(30, 14);
    float *one = finish(bytes, &a, 7), *two = finish(bytes, &a, 7), *other = finish(bytes, &a, 8);
    assert_memory_equal(one, two, COUNT * sizeof *one);
    assert_memory_not_equal(one, other, COUNT * sizeof *one);
    free(one);
    free(two);
    free(other);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resampling_is_torchs),
        cmocka_unit_test(a_window_maps_its_ends_to_black_and_white),
        cmocka_unit_test(any_number_of_channels_is_the_same_arithmetic),
        cmocka_unit_test(extreme_shapes_are_resampled),
        cmocka_unit_test(a_place_leads_back_to_the_voxel),
        cmocka_unit_test(without_augmentation_the_input_is_a_table),
        cmocka_unit_test(half_of_the_samples_are_flipped),
        cmocka_unit_test(shifts_stay_within_bounds_and_use_them),
        cmocka_unit_test(rotation_keeps_the_distance_from_the_middle),
        cmocka_unit_test(scale_moves_away_from_the_middle_and_grows),
        cmocka_unit_test(brightness_jitters_in_hounsfield_units),
        cmocka_unit_test(the_same_sample_is_augmented_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

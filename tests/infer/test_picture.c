#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/picture.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t red[3] = {200, 10, 20};

/* Pixels that differ from black. */
static int count_lit(const ich_picture *picture, int x0, int x1) {
    int lit = 0;
    for (int y = 0; y < picture->height; y++) {
        for (int x = x0; x < x1; x++) {
            const uint8_t *p = picture->rgb + 3 * (y * picture->width + x);
            lit += p[0] + p[1] + p[2] > 0;
        }
    }
    return lit;
}

static void a_written_png_decodes_to_the_same_pixels(void **state) {
    ich_error err = {0};
    ich_picture picture;
    assert_true(ich_picture_init(&picture, 61, 37, &err));
    for (int i = 0; i < 61 * 37 * 3; i++) picture.rgb[i] = (uint8_t)(i * i / 7 + i % 13);
    const char *path = test_path(*state, "a.png");
    assert_true(ich_picture_write(&picture, path, &err));
    int width, height;
    uint8_t *rgb = test_png(path, &width, &height);
    assert_int_equal(width, 61);
    assert_int_equal(height, 37);
    assert_memory_equal(rgb, picture.rgb, 61 * 37 * 3);
    free(rgb);
    ich_picture_free(&picture);
}

static void drawing_outside_is_cut_off(void **state) {
    (void)state;
    ich_error err = {0};
    ich_picture picture;
    assert_true(ich_picture_init(&picture, 10, 10, &err));
    ich_picture_fill(&picture, -5, -5, 7, 7, red);
    ich_picture_fill(&picture, 8, 8, 100, 100, red);
    ich_picture_fill(&picture, 30, 30, 5, 5, red);
    assert_int_equal(count_lit(&picture, 0, 10), 2 * 2 + 2 * 2);
    ich_picture_text(&picture, 7, 7, 3, "R10");
    ich_picture_text(&picture, -100, 2, 1, "R");
    assert_int_equal(count_lit(&picture, 0, 4), 4);
    ich_picture_free(&picture);
}

static void letters_differ_and_scale(void **state) {
    (void)state;
    ich_error err = {0};
    const char *const letters = "0123456789ALPRcm";
    int previous[16][8 * 8] = {{0}};
    for (int i = 0; letters[i] != '\0'; i++) {
        ich_picture one, two;
        assert_true(ich_picture_init(&one, 8, 8, &err));
        assert_true(ich_picture_init(&two, 16, 16, &err));
        const char text[2] = {letters[i], '\0'};
        ich_picture_text(&one, 0, 0, 1, text);
        ich_picture_text(&two, 0, 0, 2, text);
        for (int p = 0; p < 64; p++) previous[i][p] = one.rgb[3 * p];
        for (int j = 0; j < i; j++) assert_memory_not_equal(previous[i], previous[j], sizeof previous[i]);
        assert_int_equal(4 * count_lit(&one, 0, 8), count_lit(&two, 0, 16));
        ich_picture_free(&one);
        ich_picture_free(&two);
    }
}

static void a_picture_beyond_the_format_is_refused(void **state) {
    (void)state;
    ich_error err = {0};
    ich_picture picture;
    assert_false(ich_picture_init(&picture, 60000, 60000, &err));
    assert_non_null(strstr(err.text, "60000"));
    assert_false(ich_picture_init(&picture, 0, 5, &err));
    ich_picture_free(&picture);
}

/* L* of CIE 1976 from sRGB. */
static double lightness(const uint8_t colour[3]) {
    static const double share[3] = {0.2126, 0.7152, 0.0722};
    double luminance = 0;
    for (int c = 0; c < 3; c++) {
        const double u = colour[c] / 255.0;
        luminance += share[c] * (u <= 0.04045 ? u / 12.92 : pow((u + 0.055) / 1.055, 2.4));
    }
    return luminance > 0.008856 ? 116 * cbrt(luminance) - 16 : 903.3 * luminance;
}

static void lightness_of_the_colour_scale_rises_evenly(void **state) {
    (void)state;
    for (int i = 0; i <= 64; i++) {
        uint8_t colour[3];
        ich_picture_colour((float)i / 64, colour);
        assert_true(fabs(lightness(colour) - (2 + 93 * i / 64.0)) < 2.5);
    }
}

static void values_outside_the_scale_take_its_ends(void **state) {
    (void)state;
    uint8_t low[3], high[3], colour[3];
    ich_picture_colour(0, low);
    ich_picture_colour(1, high);
    ich_picture_colour(-3, colour);
    assert_memory_equal(colour, low, 3);
    ich_picture_colour(NAN, colour);
    assert_memory_equal(colour, low, 3);
    ich_picture_colour(INFINITY, colour);
    assert_memory_equal(colour, high, 3);
}

/* Baseline, 8 bits; what a browser makes of it is tests/browser's. */
static void a_jpeg_is_whole_and_has_its_size(void **state) {
    (void)state;
    static uint8_t grey[200 * 200];
    size_t flat_count, count;
    unsigned char *flat = ich_picture_jpeg(grey, 200, 85, &flat_count);
    for (int i = 0; i < 200 * 200; i++) grey[i] = (uint8_t)(i * 7919 >> 3);
    unsigned char *jpeg = ich_picture_jpeg(grey, 200, 85, &count);
    assert_non_null(flat);
    assert_non_null(jpeg);
    assert_memory_equal(jpeg, "\xff\xd8", 2);
    assert_memory_equal(jpeg + count - 2, "\xff\xd9", 2);
    static const uint8_t frame[] = {0xff, 0xc0, 0, 17, 8, 0, 200, 0, 200};
    assert_non_null(memmem(jpeg, count, frame, sizeof frame));
    assert_true(count > 16384); /* beyond the first room */
    assert_true(flat_count < count / 4);
    free(flat);
    free(jpeg);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_written_png_decodes_to_the_same_pixels),
        cmocka_unit_test(drawing_outside_is_cut_off),
        cmocka_unit_test(letters_differ_and_scale),
        cmocka_unit_test(a_picture_beyond_the_format_is_refused),
        cmocka_unit_test(lightness_of_the_colour_scale_rises_evenly),
        cmocka_unit_test(values_outside_the_scale_take_its_ends),
        cmocka_unit_test(a_jpeg_is_whole_and_has_its_size),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}

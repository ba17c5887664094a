/* A volume out of memory is the one that a file of the same numbers would give, whichever way it is stored;
 * sizes and affines that cannot be are refused before memory is taken. */
#include "data/volume_internal.h"
#include "scratch.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The numbers of a volume as NIfTI stores them: the first stored axis runs fastest. Caller frees. */
static int16_t *stored_order(const ich_volume *v) {
    const ich_strides at = ich_volume_strides(v);
    int16_t *hu = malloc((size_t)v->stored[0] * (size_t)v->stored[1] * (size_t)v->stored[2] * sizeof *hu);
    int16_t *next = hu;
    assert_non_null(hu);
    for (int k = 0; k < v->stored[2]; k++)
        for (int j = 0; j < v->stored[1]; j++)
            for (int i = 0; i < v->stored[0]; i++)
                *next++ = v->hu[at.first + i * at.step[0] + j * at.step[1] + k * at.step[2]];
    return hu;
}

static void memory_and_file_give_the_same_volume(void **state) {
    (void)state;
    static const char *const names[] = {"lps.nii", "pir.nii", "ila.nii", "lai.nii", "steep.nii.gz"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        ich_volume file, made;
        ich_error err = {""};
        if (!ich_volume_read(&file, fixture_path(names[n]), &err)) fail_msg("%s", err.text);
        int16_t *hu = stored_order(&file);
        if (!ich_volume_make(&made, file.stored, (const double(*)[4])file.affine, hu, &err))
            fail_msg("%s", err.text);
        const size_t voxels = (size_t)file.width * (size_t)file.height * (size_t)file.slices;
        assert_memory_equal(made.hu, file.hu, voxels * sizeof *hu);
        assert_int_equal(made.width, file.width);
        assert_int_equal(made.height, file.height);
        assert_int_equal(made.slices, file.slices);
        assert_memory_equal(made.spacing, file.spacing, sizeof made.spacing);
        assert_memory_equal(made.axis, file.axis, sizeof made.axis);
        assert_memory_equal(made.flipped, file.flipped, sizeof made.flipped);
        assert_memory_equal(made.affine, file.affine, sizeof made.affine);
        free(hu);
        ich_volume_free(&file);
        ich_volume_free(&made);
    }
}

static void refused(const int size[3], const double affine[4][4], const char *word) {
    static const int16_t one = 0; /* never read */
    ich_volume volume;
    ich_error err = {""};
    assert_false(ich_volume_make(&volume, size, affine, &one, &err));
    if (!strstr(err.text, word)) fail_msg("'%s' is not in: %s", word, err.text);
    assert_null(volume.hu);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    static const double upright[4][4] = {{-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 5, 0}, {0, 0, 0, 1}};
    static const double nan_in[4][4] = {{-1, 0, 0, 0}, {0, NAN, 0, 0}, {0, 0, 5, 0}, {0, 0, 0, 1}};
    static const double flat[4][4] = {{-1, 0, 1, 0}, {0, -1, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 1}};
    refused((const int[]){0, 4, 4}, upright, "0 × 4 × 4");
    refused((const int[]){4, -4, 4}, upright, "4 × -4 × 4");
    refused((const int[]){1 << 20, 1 << 20, 1 << 20}, upright, "2^29");
    refused((const int[]){INT32_MAX, INT32_MAX, INT32_MAX}, upright, "2^29");
    refused((const int[]){1, 1, 1}, nan_in, "affine holds");
    refused((const int[]){1, 1, 1}, flat, "singular");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_and_file_give_the_same_volume),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

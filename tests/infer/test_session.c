/* A session answers a volume in memory with the bits that a reader gives for the file, in stored order, and
 * says what is unusual about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/session.h"
#include "infer/study.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>

enum { SLICES = 7 };
static const int size[3] = {20, 18, SLICES};
static const double spacing[3] = {1, 1, 5};
static const int upright[3] = {-1, -1, 1}, upside_down[3] = {-1, -1, -1};

static double slice[SLICES][ICH_LABELS], attention[SLICES];

static ich_reading room_for(int slices) {
    return (ich_reading){.room = slices, .slice = slice, .attention = attention};
}

/* Saved in the folder; with what one training study looked like. */
static const char *saved_model(const char *folder, bool image_head, bool study_head, ich_model *model) {
    const char *path = test_path(folder, "model.safetensors");
    ich_error err = {0};
    ich_preprocess preprocess;
    ich_likeness inputs = {0};
    ich_look look = {.slices = 30, .pixels = 1000, .below = {500, 500, 500}, .inside = {900, 900, 900}};
    test_model(model, image_head, study_head, 3);
    assert_true(ich_recipe_preprocess(&model->recipe, &preprocess, &err));
    ich_likeness_learn(&inputs, &preprocess, &look);
    char *text = ich_likeness_text(&inputs, &err);
    assert_true(ich_model_set_meta(model, ICH_INPUTS, text, &err));
    if (!ich_model_save(model, path, &err)) fail_msg("%s", err.text);
    free(text);
    return path;
}

/* The volume's numbers as its file stores them: test_scan's, which turns no axis but flips them. */
static int16_t *stored(const ich_volume *v) {
    const ptrdiff_t row = v->width, plane = row * v->height;
    int16_t *hu = malloc((size_t)plane * (size_t)v->slices * sizeof *hu);
    assert_non_null(hu);
    for (int z = 0; z < v->slices; z++)
        memcpy(hu + ich_volume_stored_slice(v, z) * plane, v->hu + z * plane, (size_t)plane * sizeof *hu);
    return hu;
}

static void check(const char *folder, const int direction[3], bool image_head, bool study_head) {
    ich_model model;
    ich_reader reader;
    ich_volume volume;
    ich_answer answer;
    ich_error err = {0};
    const char *path = saved_model(folder, image_head, study_head, &model);
    test_scan(test_path(folder, "a.nii"), size, spacing, direction, 5);
    assert_true(ich_volume_read(&volume, test_path(folder, "a.nii"), &err));
    assert_true(ich_reader_open(&reader, &model, NULL, &err));
    assert_true(ich_reader_answer(&reader, &volume, &answer, &err));

    ich_session *session = ich_session_open(path, &err);
    ich_reading reading = room_for(SLICES);
    int16_t *hu = stored(&volume);
    assert_non_null(session);
    if (!ich_session_read(session, volume.stored, (const double(*)[4])volume.affine, hu, &reading, &err))
        fail_msg("%s", err.text);
    assert_int_equal(reading.slices, SLICES);
    assert_memory_equal(reading.study, answer.study, sizeof reading.study);
    for (int z = 0; z < SLICES; z++) {
        const int at = ich_volume_stored_slice(&volume, z);
        assert_int_equal(at, direction[2] > 0 ? z : SLICES - 1 - z);
        assert_memory_equal(slice[at], answer.slice[z], sizeof slice[at]);
        assert_true(attention[at] == answer.attention[z]);
    }
    assert_true(reading.unlike[0] != '\0'); /* 7 slices of noise are no 30 of a head */
    free(hu);
    ich_session_close(session);
    ich_reader_close(&reader);
    ich_answer_free(&answer);
    ich_volume_free(&volume);
    ich_model_free(&model);
}

static void answers_are_the_readers(void **state) {
    check(*state, upright, true, true);
    check(*state, upside_down, false, true);
    check(*state, upside_down, true, false);
}

static void too_little_room_is_told(void **state) {
    ich_model model;
    ich_error err = {0};
    static const int16_t hu[20 * 18 * SLICES];
    static const double affine[4][4] = {{-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 5, 0}, {0, 0, 0, 1}};
    ich_session *session = ich_session_open(saved_model(*state, true, true, &model), &err);
    ich_reading reading = room_for(SLICES - 1);
    assert_non_null(session);
    assert_false(ich_session_read(session, size, affine, hu, &reading, &err));
    assert_non_null(strstr(err.text, "7 slices"));
    assert_int_equal(reading.slices, SLICES);
    reading = room_for(SLICES); /* the session is as good as before */
    assert_true(ich_session_read(session, size, affine, hu, &reading, &err));
    ich_session_close(session);
    ich_model_free(&model);
}

static void no_model_no_session(void **state) {
    ich_error err = {0};
    const char *path = test_path(*state, "text.safetensors");
    test_write_text(path, "no model at all");
    assert_null(ich_session_open(path, &err));
    assert_non_null(strstr(err.text, path));
    ich_session_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_readers),
        cmocka_unit_test(too_little_room_is_told),
        cmocka_unit_test(no_model_no_session),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}

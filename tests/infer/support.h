/* support.h: what the tests of infer share: a folder that disappears, small models and scans, a PNG reader.
 */
#ifndef ICH_TESTS_INFER_SUPPORT_H
#define ICH_TESTS_INFER_SUPPORT_H

#include "infer/model.h"

/* cmocka's setup and teardown of a group: *state is the path of a fresh folder. */
int test_folder_make(void **state);
int test_folder_remove(void **state);

/* folder/name in a ring of 64 static buffers. */
const char *test_path(const char *folder, const char *name);

/* Whole file; fails the test if it cannot be read. Caller frees. */
char *test_read(const char *path, size_t *count);
void test_write_text(const char *path, const char *text);
void test_assert_same_file(const char *a, const char *b);

/* A resnet18 of 32 pixels, small head, random weights by `seed`; caller frees. */
ich_recipe test_recipe(void);
void test_model(ich_model *model, bool image_head, bool study_head, uint64_t seed);

/* A scan of nx × ny × nz with noise of `seed`, stored with the signs of the affine's diagonal `direction`
 * (RAS; +1 or -1 each) and `spacing` mm, so that the same seed is the same patient however it is stored. */
void test_scan(const char *path, const int size[3], const double spacing[3], const int direction[3],
               uint64_t seed);

/* 8-bit RGB PNG without interlace -> pixels [height][width][3]; fails the test on anything else. */
uint8_t *test_png(const char *path, int *width, int *height);

#endif

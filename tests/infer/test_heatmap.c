#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/labels.h"
#include "infer/heatmap.h"
#include "layers/exec.h"
#include "support.h"
#include "tensor/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* -- grid ---------------------------------------------------------------------------------------------- */

static void cells_are_centred_where_their_windows_are(void **state) {
    (void)state;
    ich_graph graph;
    ich_error err = {0};
    ich_graph_init(&graph);
    const int input = ich_graph_input(&graph, "input", (ich_shape){29, 29, 1});
    const ich_attr valid = {.out = 1, .kernel = 5, .stride = 2, .dilation = 1, .groups = 1};
    const ich_attr dilated = {.out = 1, .kernel = 3, .stride = 1, .pad = 1, .dilation = 2, .groups = 1};
    const int first = ich_graph_add(&graph, "conv2d", "first", valid, input);     /* cell i on 2 i + 2 */
    const int second = ich_graph_add(&graph, "conv2d", "second", dilated, first); /* cell i on i + 1 */
    if (graph.error.text[0] != '\0') fail_msg("%s", graph.error.text);
    ich_heatmap_grid grid;
    assert_true(ich_heatmap_locate(&graph, input, second, &grid, &err));
    assert_int_equal(grid.width, graph.nodes[second].shape.w);
    assert_true(grid.stride == 2 && grid.offset == 4);
    assert_false(ich_heatmap_locate(&graph, first, input, &grid, &err));
    ich_graph_free(&graph);
}

static void resnet_cells_start_on_the_first_pixel(void **state) {
    (void)state;
    ich_model model;
    ich_error err = {0};
    test_model(&model, true, false, 1);
    const int maps = model.graph.nodes[model.features].inputs[0];
    ich_heatmap_grid grid;
    assert_true(ich_heatmap_locate(&model.graph, model.input, maps, &grid, &err));
    assert_true(grid.stride == 32 && grid.offset == 0);
    assert_true(grid.height == 1 && grid.width == 1);
    ich_model_free(&model);
}

static void a_map_keeps_its_place_on_another_grid(void **state) {
    (void)state;
    const ich_heatmap_grid coarse = {3, 3, 8, 2},
                           fine = {9, 9, 2, 0}; /* cell 1 on pixel 10, which is cell 5 */
    const float map[9] = {0, 0, 0, 0, 1, 0, 0, 0, 0};
    float out[81];
    ich_error err = {0};
    assert_true(ich_heatmap_regrid(&coarse, map, &fine, out, &err));
    assert_true(out[5 * 9 + 5] == 1);
    assert_true(fabsf(out[5 * 9 + 7] - 0.5f) < 1e-6f && fabsf(out[7 * 9 + 7] - 0.25f) < 1e-6f);
    assert_true(out[5 * 9 + 1] == 0);
}

/* -- onto the volume ----------------------------------------------------------------------------------- */

enum { NX = 60, NY = 40, NZ = 3 }; /* a volume of 60 × 40 pixels of 1 × 2 mm */

/* One bright voxel, given in patient order (right to left, front to back), stored as `direction` says. */
static void write_dot(const char *path, const int direction[3], int x, int y, int z) {
    static int16_t hu[NZ][NY][NX];
    memset(hu, 0, sizeof hu);
    /* RAS: the stored first axis runs to the patient's left when its sign is -1 */
    const int i = direction[0] < 0 ? x : NX - 1 - x, j = direction[1] < 0 ? y : NY - 1 - y;
    const int k = direction[2] > 0 ? z : NZ - 1 - z;
    for (int dy = -1; dy <= 1; dy++) {
        for (int dx = -1; dx <= 1; dx++) hu[k][j + dy][i + dx] = 70;
    }
    const double affine[4][4] = {{direction[0] * 1.0, 0, 0, 5},
                                 {0, direction[1] * 2.0, 0, -7},
                                 {0, 0, direction[2] * 5.0, 11},
                                 {0, 0, 0, 1}};
    ich_error err = {0};
    if (!ich_volume_write_hu(path, &hu[0][0][0], NX, NY, NZ, affine, &err)) fail_msg("%s", err.text);
}

/* Heat at the cells of a fine grid (stride 4) about the brightest pixel of the network's own input. */
static void heat_where_the_network_sees_the_dot(const ich_preprocess *p, const ich_volume *volume, int z,
                                                const ich_heatmap_grid *grid, float *heat) {
    uint8_t *bytes = malloc((size_t)p->size * (size_t)p->size * (size_t)p->channels);
    ich_error err = {0};
    assert_non_null(bytes);
    assert_true(ich_preprocess_slice(p, volume, z, bytes, &err));
    double sum = 0, column = 0, row = 0;
    for (int i = 0; i < p->size * p->size; i++) {
        const int v = bytes[i * p->channels];
        if (v < 150) continue; /* 0 HU is 0 here, the dot 70 HU of the window 40/80 */
        sum += v;
        column += (double)v * (i % p->size);
        row += (double)v * (int)(i / p->size);
    }
    free(bytes);
    assert_true(sum > 0);
    column /= sum;
    row /= sum;
    for (int v = 0; v < grid->height; v++) {
        for (int u = 0; u < grid->width; u++) {
            const double dx = u * grid->stride + grid->offset - column;
            const double dy = v * grid->stride + grid->offset - row;
            heat[v * grid->width + u] = (float)exp(-(dx * dx + dy * dy) / 50);
        }
    }
}

/* Heat-weighted mean place of a slice. */
static void centre_of(const float *values, int width, int height, double *x, double *y) {
    double sum = 0;
    *x = *y = 0;
    for (int i = 0; i < width * height; i++) {
        sum += values[i];
        *x += (double)values[i] * (i % width);
        *y += (double)values[i] * (int)(i / width);
    }
    *x /= sum;
    *y /= sum;
}

static const int directions[][3] = {{1, 1, 1}, {-1, -1, 1}, {-1, 1, -1}, {1, -1, -1}};
enum { DOT_X = 18, DOT_Y = 25, DOT_Z = 2, SIZE = 64, CELLS = 16 };

static void heat_lands_on_the_dot_however_the_volume_is_stored(void **state) {
    const char *path = test_path(*state, "dot.nii");
    for (size_t d = 0; d < sizeof directions / sizeof directions[0]; d++) {
        write_dot(path, directions[d], DOT_X, DOT_Y, DOT_Z);
        ich_volume volume;
        ich_error err = {0};
        if (!ich_volume_read(&volume, path, &err)) fail_msg("%s", err.text);
        const ich_preprocess p = ich_preprocess_default(SIZE);
        const ich_heatmap_grid grid = {CELLS, CELLS, 4, 0};
        float heat[CELLS * CELLS], *out = malloc(NX * NY * sizeof *out);
        assert_non_null(out);
        heat_where_the_network_sees_the_dot(&p, &volume, DOT_Z, &grid, heat);
        assert_true(ich_heatmap_place(&p, &volume, &grid, heat, out, &err));
        double x, y;
        centre_of(out, NX, NY, &x, &y);
        assert_true(fabs(x - DOT_X) < 1 && fabs(y - DOT_Y) < 1);
        free(out);
        ich_volume_free(&volume);
    }
}

static void a_shifted_grid_shifts_the_heat(void **state) {
    const char *path = test_path(*state, "shift.nii");
    ich_volume volume;
    ich_error err = {0};
    write_dot(path, directions[1], DOT_X, DOT_Y, DOT_Z);
    assert_true(ich_volume_read(&volume, path, &err));
    const ich_preprocess p = ich_preprocess_default(SIZE);
    ich_heatmap_grid grid = {CELLS, CELLS, 4, 0};
    float heat[CELLS * CELLS] = {0}, *out = malloc(NX * NY * sizeof *out);
    assert_non_null(out);
    heat[8 * CELLS + 8] = 1;
    double x[2], y[2];
    for (int shifted = 0; shifted < 2; shifted++) {
        grid.offset = (float)(4 * shifted); /* one cell, 4 network pixels */
        assert_true(ich_heatmap_place(&p, &volume, &grid, heat, out, &err));
        centre_of(out, NX, NY, &x[shifted], &y[shifted]);
    }
    const double pixel = 2.0 * NY / SIZE; /* mm of a network pixel: the longer side, 80 mm, over the square */
    assert_true(fabs(x[1] - x[0] - 4 * pixel) < 0.1);
    assert_true(fabs(y[1] - y[0] - 4 * pixel / 2) < 0.1);
    free(out);
    ich_volume_free(&volume);
}

/* -- files --------------------------------------------------------------------------------------------- */

/* A float volume of NIfTI-1 as it lies in the file, without any reader of ours. */
static float *read_raw_nifti(const char *path, float *pixdim) {
    gzFile file = gzopen(path, "rb");
    assert_non_null(file);
    char header[348];
    assert_int_equal(gzread(file, header, sizeof header), sizeof header);
    int16_t dim[8], datatype;
    float offset;
    memcpy(dim, header + 40, sizeof dim);
    memcpy(&datatype, header + 70, sizeof datatype);
    memcpy(pixdim, header + 76, 4 * sizeof *pixdim);
    memcpy(&offset, header + 108, sizeof offset);
    assert_int_equal(datatype, 16); /* float32 */
    assert_true(dim[1] == NX && dim[2] == NY && dim[3] == NZ);
    float *values = malloc(NX * NY * NZ * sizeof *values);
    assert_non_null(values);
    assert_true(gzseek(file, (z_off_t)offset, SEEK_SET) == (z_off_t)offset);
    assert_int_equal(gzread(file, values, NX * NY * NZ * sizeof *values), NX * NY * NZ * sizeof *values);
    gzclose(file);
    return values;
}

static void check_map_file(const char *path, const int direction[3]) {
    float pixdim[4];
    float *values = read_raw_nifti(path, pixdim);
    assert_true(pixdim[1] == 1 && pixdim[2] == 2 && pixdim[3] == 5);
    const int k = direction[2] > 0 ? DOT_Z : NZ - 1 - DOT_Z;
    double x, y;
    centre_of(values + k * NX * NY, NX, NY, &x, &y);
    assert_true(fabs(x - (direction[0] < 0 ? DOT_X : NX - 1 - DOT_X)) < 1);
    assert_true(fabs(y - (direction[1] < 0 ? DOT_Y : NY - 1 - DOT_Y)) < 1);
    for (int i = 0; i < NX * NY * NZ; i++) {
        assert_true(values[i] >= 0 && values[i] <= 1);
        if (i / (NX * NY) != k) assert_true(values[i] == 0);
    }
    free(values);
}

/* The picture is in radiological display whatever the storage: the dot at DOT_X, DOT_Y in colour, the other
 * slices grey. */
static void check_overlays(const char *folder, const int direction[3]) {
    for (int stored = 0; stored < NZ; stored++) {
        char name[16];
        snprintf(name, sizeof name, "%03d.png", stored);
        int width, height;
        uint8_t *rgb = test_png(test_path(folder, name), &width, &height);
        assert_true(width == NX && height == NY);
        const uint8_t *dot = rgb + 3 * (DOT_Y * NX + DOT_X);
        const bool hot = (direction[2] > 0 ? stored : NZ - 1 - stored) == DOT_Z;
        assert_int_equal(dot[0] - dot[2] > 20, hot);
        const uint8_t *corner = rgb + 3 * (2 * NX + NX - 3);
        assert_true(corner[0] == corner[1] && corner[1] == corner[2]);
        free(rgb);
    }
}

static void files_carry_the_heat_on_the_stored_grid_and_in_display_order(void **state) {
    for (size_t d = 0; d < sizeof directions / sizeof directions[0]; d++) {
        const char *path = test_path(*state, "source.nii.gz"), *folder = test_path(*state, "heatmaps");
        write_dot(path, directions[d], DOT_X, DOT_Y, DOT_Z);
        ich_volume volume;
        ich_error err = {0};
        assert_true(ich_volume_read(&volume, path, &err));
        const ich_preprocess p = ich_preprocess_default(SIZE);
        const ich_heatmap_grid grid = {CELLS, CELLS, 4, 0};
        static float heat[NZ][CELLS * CELLS];
        memset(heat, 0, sizeof heat);
        heat_where_the_network_sees_the_dot(&p, &volume, DOT_Z, &grid, heat[DOT_Z]);
        if (!ich_heatmap_write(&p, &volume, &grid, heat[0], folder, "dot", &err)) fail_msg("%s", err.text);
        check_map_file(test_path(folder, "dot.nii.gz"), directions[d]);
        check_overlays(test_path(folder, "dot"), directions[d]);
        ich_volume_free(&volume);
    }
}

static void a_folder_that_cannot_be_written_is_named(void **state) {
    const char *path = test_path(*state, "in.nii"), *folder = test_path(*state, "a file");
    test_write_text(folder, "in the way");
    write_dot(path, directions[0], DOT_X, DOT_Y, DOT_Z);
    ich_volume volume;
    ich_error err = {0};
    assert_true(ich_volume_read(&volume, path, &err));
    const ich_preprocess p = ich_preprocess_default(SIZE);
    const ich_heatmap_grid grid = {1, 1, 4, 0};
    const float heat[NZ] = {1, 1, 1};
    assert_false(ich_heatmap_write(&p, &volume, &grid, heat, folder, "dot", &err));
    assert_non_null(strstr(err.text, "a file"));
    ich_volume_free(&volume);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_centred_where_their_windows_are),
        cmocka_unit_test(resnet_cells_start_on_the_first_pixel),
        cmocka_unit_test(a_map_keeps_its_place_on_another_grid),
        cmocka_unit_test(heat_lands_on_the_dot_however_the_volume_is_stored),
        cmocka_unit_test(a_shifted_grid_shifts_the_heat),
        cmocka_unit_test(files_carry_the_heat_on_the_stored_grid_and_in_display_order),
        cmocka_unit_test(a_folder_that_cannot_be_written_is_named),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}

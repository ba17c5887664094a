#include "infer/heatmap.h"

#include "data/file.h"
#include "infer/picture.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- where a cell lies --------------------------------------------------------------------------------- */

bool ich_heatmap_locate(const ich_graph *graph, int input, int node, ich_heatmap_grid *grid, ich_error *err) {
    const ich_shape shape = graph->nodes[node].shape;
    *grid = (ich_heatmap_grid){.height = shape.h, .width = shape.w, .stride = 1, .offset = 0};
    /* A window's cell i is centred on cell stride · i + (extent - 1) / 2 - pad of its input. All paths from a
     * node to the input agree on that in these CNNs (residual branches line up), so the first will do. */
    while (node != input) {
        if (node < 0 || graph->nodes[node].op < 0) {
            return ich_fail(err, "heatmaps: node '%s' does not come from the input", graph->nodes[node].name);
        }
        const ich_attr *attr = &graph->nodes[node].attr;
        if (attr->kernel > 0) {
            const int stride = attr->stride > 0 ? attr->stride : 1;
            const int dilation = attr->dilation > 0 ? attr->dilation : 1;
            const float middle = 0.5f * (float)(dilation * (attr->kernel - 1)) - (float)attr->pad;
            grid->offset = (float)stride * grid->offset + middle;
            grid->stride *= (float)stride;
        }
        node = graph->nodes[node].inputs[0];
    }
    return true;
}

/* -- from cells to cells, and onto the volume ----------------------------------------------------------- */

/* Network pixel = (position - start) / step, along one axis of what is written to. */
typedef struct axis {
    int count;
    float start, step;
} axis;

/* Between which two cells a position lies, and how far towards the second. */
typedef struct between {
    int low, high;
    float part;
} between;

static void find_cells(between *table, axis to, const ich_heatmap_grid *grid, int cells) {
    for (int i = 0; i < to.count; i++) {
        const float cell = (((float)i - to.start) / to.step - grid->offset) / grid->stride;
        const float inside = fminf(fmaxf(cell, 0), (float)(cells - 1));
        table[i].low = (int)inside;
        table[i].high = table[i].low + 1 < cells ? table[i].low + 1 : table[i].low;
        table[i].part = inside - (float)table[i].low;
    }
}

static bool stretch(const ich_heatmap_grid *grid, const float *map, axis x, axis y, float *out,
                    ich_error *err) {
    between *across = ich_new((size_t)x.count + (size_t)y.count, sizeof *across, "a heatmap's axes", err);
    if (across == NULL) return false;
    between *down = across + x.count;
    find_cells(across, x, grid, grid->width);
    find_cells(down, y, grid, grid->height);
    for (int v = 0; v < y.count; v++) {
        const float *upper = map + down[v].low * grid->width, *lower = map + down[v].high * grid->width;
        for (int u = 0; u < x.count; u++) {
            const between *b = &across[u];
            const float top = upper[b->low] + b->part * (upper[b->high] - upper[b->low]);
            const float bottom = lower[b->low] + b->part * (lower[b->high] - lower[b->low]);
            *out++ = top + down[v].part * (bottom - top);
        }
    }
    free(across);
    return true;
}

bool ich_heatmap_regrid(const ich_heatmap_grid *from, const float *map, const ich_heatmap_grid *to,
                        float *out, ich_error *err) {
    const float start = -to->offset / to->stride, step = 1 / to->stride;
    return stretch(from, map, (axis){to->width, start, step}, (axis){to->height, start, step}, out, err);
}

bool ich_heatmap_place(const ich_preprocess *preprocess, const ich_volume *volume,
                       const ich_heatmap_grid *grid, const float *heat, float *out, ich_error *err) {
    float x0, y0, x1, y1, mm; /* the network's square lies along the volume's axes: two points give it all */
    ich_preprocess_place(preprocess, volume, 0, 0, &x0, &y0, &mm);
    ich_preprocess_place(preprocess, volume, 1, 1, &x1, &y1, &mm);
    return stretch(grid, heat, (axis){volume->width, x0, x1 - x0}, (axis){volume->height, y0, y1 - y0}, out,
                   err);
}

/* -- overlays ------------------------------------------------------------------------------------------ */

enum { BRAIN_CENTER = 40, BRAIN_WIDTH = 80 }; /* HU: the radiologist's window for blood */

enum { STEPS = 1024 };

/* By heat in STEPS: what grey is multiplied by, and what is added to it. */
typedef struct shade {
    float keep, add[3];
} shade;

static void make_shades(shade table[STEPS + 1]) {
    const float opacity = 0.7f; /* of the hottest pixel: anatomy must stay readable below */
    for (int i = 0; i <= STEPS; i++) {
        const float heat = (float)i / STEPS, alpha = opacity * heat;
        uint8_t colour[3];
        ich_picture_colour(heat, colour);
        table[i].keep = 1 - alpha;
        for (int c = 0; c < 3; c++) table[i].add[c] = alpha * (float)colour[c] + 0.5f;
    }
}

static void draw_slice(ich_picture *picture, const int16_t *hu, const float *heat) {
    shade table[STEPS + 1];
    make_shades(table);
    const size_t pixels = (size_t)picture->width * (size_t)picture->height;
    for (size_t i = 0; i < pixels; i++) {
        const float windowed = ((float)hu[i] - BRAIN_CENTER) / BRAIN_WIDTH + 0.5f;
        const float grey = 255 * (windowed < 0 ? 0 : windowed > 1 ? 1 : windowed);
        const shade *s = &table[(int)(heat[i] * STEPS + 0.5f)];
        for (int c = 0; c < 3; c++) picture->rgb[3 * i + (size_t)c] = (uint8_t)(s->keep * grey + s->add[c]);
    }
}

/* A bar of 10, 5, 2 or 1 cm, the longest that takes at most a third of the width. */
static void draw_scale_bar(ich_picture *picture, float mm_per_pixel, int scale, int margin) {
    static const uint8_t dark[3] = {0, 0, 0}, white[3] = {255, 255, 255};
    static const int lengths[] = {10, 5, 2, 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const float pixels = 10 * (float)lengths[i] / mm_per_pixel;
        if (!(pixels >= 4 && pixels <= (float)picture->width / 3)) continue;
        const int length = (int)(pixels + 0.5f), y = picture->height - margin - scale;
        char text[16];
        snprintf(text, sizeof text, "%d cm", lengths[i]);
        ich_picture_fill(picture, margin - 1, y - 1, length + 2, scale + 2, dark);
        ich_picture_fill(picture, margin, y, length, scale, white);
        ich_picture_text(picture, margin, y - ICH_GLYPH_HEIGHT * scale - 1, scale, text);
        return;
    }
}

/* Radiological display (volume.h): the patient's right on the viewer's left, the front on top. */
static void annotate(ich_picture *picture, const ich_volume *volume) {
    const int side = picture->width < picture->height ? picture->width : picture->height;
    if (side < 6 * ICH_GLYPH_HEIGHT) return; /* letters would cover what they explain */
    const int scale = side < 512 ? 1 : side / 256, margin = 2 * scale;
    const int right = picture->width - ICH_GLYPH_WIDTH * scale - margin + scale;
    const int bottom = picture->height - ICH_GLYPH_HEIGHT * scale - margin + scale;
    ich_picture_text(picture, margin, bottom / 2, scale, "R");
    ich_picture_text(picture, right, bottom / 2, scale, "L");
    ich_picture_text(picture, right / 2, margin, scale, "A");
    ich_picture_text(picture, right / 2, bottom, scale, "P");
    draw_scale_bar(picture, volume->spacing[0], scale, margin);
}

static bool write_overlay(const ich_volume *volume, int z, const float *heat, const char *folder,
                          ich_error *err) {
    const size_t pixels = (size_t)volume->width * (size_t)volume->height;
    char name[32];
    snprintf(name, sizeof name, "%03d.png", ich_volume_stored_slice(volume, z));
    char *path = ich_path_join(folder, name);
    if (path == NULL) return ich_fail(err, "%s: no memory for a path", folder);
    ich_picture picture;
    bool done = ich_picture_init(&picture, volume->width, volume->height, err);
    if (done) {
        draw_slice(&picture, volume->hu + (size_t)z * pixels, heat);
        annotate(&picture, volume);
        done = ich_picture_write(&picture, path, err);
    }
    ich_picture_free(&picture);
    free(path);
    return done;
}

/* -- a study ------------------------------------------------------------------------------------------- */

/* Values in STEPS up to the slice's largest: finer than the eye or the method, also where all is faint;
 * and the file deflates several times faster and smaller. */
static void round_values(float *values, size_t count) {
    float largest = 0;
    for (size_t i = 0; i < count; i++) largest = values[i] > largest ? values[i] : largest;
    const float step = largest / STEPS;
    for (size_t i = 0; step > 0 && i < count; i++) values[i] = step * (float)(int)(values[i] / step + 0.5f);
}

/* Job 0 is the volume, which deflates on one thread for as long as many pictures take; job z + 1 is network
 * slice z. The jobs are independent files. */
static bool write_files(const ich_volume *volume, const float *values, const char *map_path,
                        const char *folder, ich_error *err) {
    const size_t pixels = (size_t)volume->width * (size_t)volume->height;
    ich_error *whys = ich_new((size_t)volume->slices + 1, sizeof *whys, "messages", err);
    if (whys == NULL) return false;
#pragma omp parallel for schedule(dynamic)
    for (int job = 0; job <= volume->slices; job++) {
        if (job == 0) {
            ich_volume_write_map(map_path, volume, values, &whys[job]);
        } else {
            write_overlay(volume, job - 1, values + (size_t)(job - 1) * pixels, folder, &whys[job]);
        }
    }
    bool done = true;
    for (int job = 0; done && job <= volume->slices; job++) {
        if (whys[job].text[0] != '\0') done = ich_fail(err, "%s", whys[job].text);
    }
    free(whys);
    return done;
}

static bool place_all(const ich_preprocess *preprocess, const ich_volume *volume,
                      const ich_heatmap_grid *grid, const float *heat, float *values, ich_error *err) {
    const size_t pixels = (size_t)volume->width * (size_t)volume->height;
    const size_t cells = (size_t)grid->height * (size_t)grid->width;
    int failed = 0;
#pragma omp parallel for schedule(static) reduction(+ : failed)
    for (int z = 0; z < volume->slices; z++) {
        float *slice = values + (size_t)z * pixels;
        if (!ich_heatmap_place(preprocess, volume, grid, heat + (size_t)z * cells, slice, NULL)) failed++;
        round_values(slice, pixels);
    }
    return failed == 0 || ich_fail(err, "no memory for a heatmap's axes");
}

bool ich_heatmap_write(const ich_preprocess *preprocess, const ich_volume *volume,
                       const ich_heatmap_grid *grid, const float *heat, const char *folder,
                       const char *study_id, ich_error *err) {
    const size_t voxels = (size_t)volume->width * (size_t)volume->height * (size_t)volume->slices;
    float *values = ich_new(voxels, sizeof *values, "a heatmap", err);
    char *pictures = ich_path_join(folder, study_id), *map_path = NULL;
    if (pictures == NULL || asprintf(&map_path, "%s.nii.gz", pictures) < 0) {
        map_path = NULL;
        ich_fail(err, "%s: no memory for a path", folder);
    }
    bool done = values != NULL && map_path != NULL && ich_folder_make(pictures, err);
    if (done) ich_folder_sweep(pictures);
    done = done && place_all(preprocess, volume, grid, heat, values, err) &&
           write_files(volume, values, map_path, pictures, err);
    free(values);
    free(pictures);
    free(map_path);
    return done;
}

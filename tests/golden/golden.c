#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"

enum { SAMPLES = 6 };

/* -- the hash that both sides draw from --------------------------------------------------------------- */

uint32_t golden_hash(const char *text) {
    uint32_t hash = 0x811c9dc5u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x01000193u;
    return hash;
}

double golden_number(uint32_t name, size_t i) { /* in [-1, 1) */
    uint32_t x = (uint32_t)i * 0x9e3779b9u + name;
    x = (x ^ x >> 16) * 0x21f0aaadu;
    x = (x ^ x >> 15) * 0x735a2d97u;
    x ^= x >> 15;
    return (double)(x >> 8) / 8388608.0 - 1;
}

static bool ends_with(const char *text, const char *tail) {
    size_t n = strlen(text), m = strlen(tail);
    return n >= m && !strcmp(text + n - m, tail);
}

/* The last norm of a residual block. */
static bool ends_block(const char *arch, const char *param) {
    return !strncmp(param, "layer", 5) &&
           ends_with(param, strcmp(arch, "resnet50") ? ".bn2.weight" : ".bn3.weight");
}

/* golden_fill() of make_golden.py */
void golden_fill(const char *arch, const ich_graph *graph, float *values) {
    for (int p = 0; p < graph->n_params; p++) {
        const ich_param *param = &graph->params[p];
        bool norm = strstr(param->name, "bn") || strstr(param->name, "downsample.1");
        double scale = 0.1, shift = 0;
        if (ends_with(param->name, "running_var")) {
            scale = 0.3, shift = 1;
        } else if (param->rank == 4) {
            scale = (float)sqrt(6.0 / ((double)param->dims[0] * param->dims[2] * param->dims[3]));
        } else if (param->rank == 2) {
            scale = (float)sqrt(1.0 / param->dims[1]);
        } else if (ends_block(arch, param->name)) {
            scale = 0.04, shift = 0.2;
        } else if (norm && ends_with(param->name, "weight")) {
            scale = 0.2, shift = 1;
        }
        for (size_t i = 0; i < param->count; i++)
            values[param->offset + i] = (float)(shift + scale * golden_number(golden_hash(param->name), i));
    }
}

/* -- comparing with the table --------------------------------------------------------------------------- */

void golden_compare(const ich_csv *table, const char *stage, const char *name, const double *value,
                    size_t count, double bound) {
    char label[160];
    double want[2 + SAMPLES], norm = 0, probe = 0;
    size_t row = 0;
    while (row < table->n_rows &&
           (strcmp(ich_csv_cell(table, row, 0), stage) || strcmp(ich_csv_cell(table, row, 1), name)))
        row++;
    if (row == table->n_rows) fail_msg("%s has no row %s,%s", table->path, stage, name);
    for (int i = 0; i < 2 + SAMPLES; i++) want[i] = strtod(ich_csv_cell(table, row, 2 + i), NULL);

    snprintf(label, sizeof label, "%s/probe", name);
    for (size_t i = 0; i < count; i++) {
        norm += value[i] * value[i];
        probe += value[i] * golden_number(golden_hash(label), i);
    }
    norm = sqrt(norm);
    if (!(fabs(norm - want[0]) <= bound * want[0] && fabs(probe - want[1]) <= bound * want[0]))
        fail_msg("%s %s %s: norm %.9g and probe %.9g, torch has %.9g and %.9g", table->path, stage, name,
                 norm, probe, want[0], want[1]);
    snprintf(label, sizeof label, "%s/samples", name);
    double typical = want[0] / sqrt((double)count);
    for (int i = 0; i < SAMPLES; i++) {
        size_t where = (size_t)((golden_number(golden_hash(label), (size_t)i) + 1) / 2 * (double)count);
        double error = fabs(value[where] - want[2 + i]);
        if (!(error <= bound * fmax(fabs(want[2 + i]), 3 * typical)))
            fail_msg("%s %s %s[%zu]: %.9g, torch has %.9g", table->path, stage, name, where, value[where],
                     want[2 + i]);
    }
}

void golden_compare_float(const ich_csv *table, const char *stage, const char *name, const float *value,
                          size_t count, double bound) {
    double *wide = malloc(count * sizeof *wide);
    assert_non_null(wide);
    for (size_t i = 0; i < count; i++) wide[i] = value[i];
    golden_compare(table, stage, name, wide, count, bound);
    free(wide);
}

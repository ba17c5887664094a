/* Small integers have exact sums in any order, so a product is right or wrong. Its speed is
 * told, and not judged. */
#include "../check.h"
#include "exercise.h"

#include <ichor/tensor/team.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 512, LONG = 1000003 };

static void plain(int n, const float *a, const float *b, float *c) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            float total = 0;
            for (int k = 0; k < n; k++) total += a[i * n + k] * b[k * n + j];
            c[i * n + j] = total;
        }
}

static bool check_product(void) {
    static const int sizes[] = {1, 5, 32, 67, 130, LARGEST};
    static float a[LARGEST * LARGEST], b[LARGEST * LARGEST], right[LARGEST * LARGEST],
        c[LARGEST * LARGEST];
    static double draw[2 * LARGEST * LARGEST];
    bool all = true;
    check_draw(16, 2 * LARGEST * LARGEST, draw, -4, 4);
    for (int i = 0; i < LARGEST * LARGEST; i++) {
        a[i] = (float)floor(draw[i]);
        b[i] = (float)floor(draw[LARGEST * LARGEST + i]);
    }
    for (int s = 0; s < 6; s++) {
        char what[40], text[120];
        const int n = sizes[s];
        memset(c, 0, sizeof c);
        const double start = ich_seconds();
        product(n, a, b, c);
        const double middle = ich_seconds();
        plain(n, a, b, right);
        const double end = ich_seconds();
        int wrong = -1;
        for (int i = 0; i < n * n && wrong < 0; i++)
            if (c[i] != right[i]) wrong = i;
        snprintf(what, sizeof what, "%d x %d", n, n);
        if (wrong >= 0)
            snprintf(text, sizeof text, "c[%d][%d] is %g, should be %g: relative error %.1e",
                     wrong / n, wrong % n, (double)c[wrong], (double)right[wrong],
                     fabs((double)c[wrong] - (double)right[wrong]) /
                         fabs((double)right[wrong]));
        all &= check_that("product", what, wrong < 0, text);
        if (wrong < 0 && n == LARGEST)
            printf("          %.1f times as fast as the plain loops\n",
                   (end - middle) / (middle - start));
    }
    return all;
}

static bool check_sum(void) {
    double *draw = malloc(LONG * sizeof *draw), exact = 0;
    float *x = malloc(LONG * sizeof *x);
    bool all = draw && x;
    if (all) {
        check_draw(17, LONG, draw, 0, 1);
        for (int i = 0; i < LONG; i++) exact += (double)(x[i] = (float)draw[i]);
        const float one = sum(LONG, x, 1);
        const double got = (double)one;
        all = check_numbers("sum", "of 1000003 numbers", 1, &got, &exact, 1e-5);
        for (int threads = 2; threads <= 7; threads++) {
            const float more = sum(LONG, x, threads);
            char what[40], text[100];
            snprintf(what, sizeof what, "%d threads", threads);
            snprintf(text, sizeof text, "%.9g, and on one thread %.9g", (double)more,
                     (double)one);
            all &= check_that("sum", what, memcmp(&one, &more, sizeof one) == 0, text);
        }
    }
    free(draw);
    free(x);
    return all;
}

int main(void) {
    bool all = check_product();
    all &= check_sum();
    return check_end(all);
}

/* reference_conv.c: convolution as its definition (compiled for float and double).
 *
 *   y[n,i,j,k] = sum over r,s,c of x[n, i·stride + r·dilation - pad, j·stride + s·dilation - pad, c] ·
 * w[k,c,r,s]
 *
 * What the fast kernels are checked against, and what a course shows. Weights are "packed" as they are: OIHW.
 */
#include "real.h"
#include "reference.h"
#include <string.h>

size_t ICH_NAME(ich_reference_conv_packed)(const ich_conv_shape *p, ich_direction direction) {
    (void)direction;
    return (size_t)p->k * (size_t)(p->c / p->groups) * (size_t)p->r * (size_t)p->s;
}

size_t ICH_NAME(ich_reference_conv_scratch)(const ich_conv_shape *p, ich_direction direction) {
    (void)p, (void)direction;
    return 0;
}

void ICH_NAME(ich_reference_conv_pack)(const ich_conv_shape *p, ich_direction direction, const real *weight,
                                       real *packed) {
    memcpy(packed, weight, ICH_NAME(ich_reference_conv_packed)(p, direction) * sizeof(real));
}

/* x[n,i,·,c] and w[k,c,r,s] as the formulas write them; long strides so that big batches do not overflow. */
static size_t at_x(const ich_conv_shape *p, int n, int i, int j, int c) {
    return (((size_t)n * (size_t)p->h + (size_t)i) * (size_t)p->w + (size_t)j) * (size_t)p->c + (size_t)c;
}

static size_t at_y(const ich_conv_shape *p, int n, int i, int j, int k) {
    return (((size_t)n * (size_t)p->oh + (size_t)i) * (size_t)p->ow + (size_t)j) * (size_t)p->k + (size_t)k;
}

static size_t at_w(const ich_conv_shape *p, int k, int c, int r, int s) {
    return (((size_t)k * (size_t)(p->c / p->groups) + (size_t)c) * (size_t)p->r + (size_t)r) * (size_t)p->s +
           (size_t)s;
}

void ICH_NAME(ich_reference_conv_forward)(const ich_conv_shape *p, const real *x, const real *w,
                                          const real *bias, const real *add, bool relu, real *y,
                                          real *scratch) {
    (void)scratch;
    int in_group = p->c / p->groups, out_group = p->k / p->groups;
#pragma omp parallel for collapse(2)
    for (int n = 0; n < p->n; n++)
        for (int i = 0; i < p->oh; i++)
            for (int j = 0; j < p->ow; j++)
                for (int k = 0; k < p->k; k++) {
                    real sum = bias ? bias[k] : 0;
                    int first = k / out_group * in_group;
                    for (int r = 0; r < p->r; r++)
                        for (int s = 0; s < p->s; s++) {
                            int row = i * p->stride + r * p->dilation - p->pad;
                            int column = j * p->stride + s * p->dilation - p->pad;
                            if (row < 0 || row >= p->h || column < 0 || column >= p->w) continue;
                            for (int c = 0; c < in_group; c++)
                                sum += x[at_x(p, n, row, column, first + c)] * w[at_w(p, k, c, r, s)];
                        }
                    if (add) sum += add[at_y(p, n, i, j, k)];
                    y[at_y(p, n, i, j, k)] = relu && sum < 0 ? 0 : sum;
                }
}

/* dL/dx[n,row,column,c] = sum over the k, r, s whose window covers it of dL/dy[n,i,j,k] · w[k,c,r,s]. */
void ICH_NAME(ich_reference_conv_backward_data)(const ich_conv_shape *p, const real *dy, const real *w,
                                                bool accumulate, real *dx, real *scratch) {
    (void)scratch;
    int in_group = p->c / p->groups, out_group = p->k / p->groups;
#pragma omp parallel for collapse(2)
    for (int n = 0; n < p->n; n++)
        for (int row = 0; row < p->h; row++)
            for (int column = 0; column < p->w; column++)
                for (int c = 0; c < p->c; c++) {
                    real sum = 0;
                    int first = c / in_group * out_group;
                    for (int r = 0; r < p->r; r++)
                        for (int s = 0; s < p->s; s++) {
                            int i = row + p->pad - r * p->dilation, j = column + p->pad - s * p->dilation;
                            if (i < 0 || j < 0 || i % p->stride || j % p->stride) continue;
                            i /= p->stride, j /= p->stride;
                            if (i >= p->oh || j >= p->ow) continue;
                            for (int k = first; k < first + out_group; k++)
                                sum += dy[at_y(p, n, i, j, k)] * w[at_w(p, k, c % in_group, r, s)];
                        }
                    real *to = &dx[at_x(p, n, row, column, c)];
                    *to = accumulate ? *to + sum : sum;
                }
}

/* dL/dw[k,c,r,s] = sum over n, i, j of dL/dy[n,i,j,k] · x[…]. Summed in double: the sum runs over every pixel
 * of the batch. */
void ICH_NAME(ich_reference_conv_backward_weights)(const ich_conv_shape *p, const real *x, const real *dy,
                                                   real *dw, real *scratch) {
    (void)scratch;
    int in_group = p->c / p->groups, out_group = p->k / p->groups;
#pragma omp parallel for collapse(2)
    for (int k = 0; k < p->k; k++)
        for (int c = 0; c < in_group; c++)
            for (int r = 0; r < p->r; r++)
                for (int s = 0; s < p->s; s++) {
                    double sum = 0;
                    for (int n = 0; n < p->n; n++)
                        for (int i = 0; i < p->oh; i++)
                            for (int j = 0; j < p->ow; j++) {
                                int row = i * p->stride + r * p->dilation - p->pad;
                                int column = j * p->stride + s * p->dilation - p->pad;
                                if (row < 0 || row >= p->h || column < 0 || column >= p->w) continue;
                                sum += (double)dy[at_y(p, n, i, j, k)] *
                                       (double)x[at_x(p, n, row, column, k / out_group * in_group + c)];
                            }
                    dw[at_w(p, k, c, r, s)] += (real)sum;
                }
}

/* kernels.h: the table of compute kernels and how one is chosen.
 *
 * Every kernel exists at least twice under one signature: *reference* (plain loops that read like the
 * formula, float and double) and *vector* (fast, float; one source compiled for each instruction set).
 * A table holds one version of each; `--kernels NAME` or the processor decides which table is active.
 * Signatures and meanings: kernel_table.h.
 *
 * Calls: BLAS. Called by: layers (through ich_call.kernels), optim, infer/audit, benchmarks.
 */
#ifndef ICH_TENSOR_KERNELS_H
#define ICH_TENSOR_KERNELS_H

#include "error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ich_precision { ICH_F32, ICH_F64 } ich_precision;

typedef enum ich_direction { ICH_FORWARD, ICH_BACKWARD_DATA, ICH_BACKWARD_WEIGHTS } ich_direction;

/* A 2-D convolution: x [n,h,w,c] * w [k, c/groups, r, s] (OIHW, torch's layout) -> y [n,oh,ow,k]. */
typedef struct ich_conv_shape {
    int n, h, w, c;                    /* input */
    int k, r, s;                       /* output channels, kernel height, kernel width */
    int stride, pad, dilation, groups; /* same along both axes */
    int oh, ow;                        /* output: (h + 2 pad - dilation (r-1) - 1) / stride + 1 */
} ich_conv_shape;

/* Max pooling over r × r windows of x [n,h,w,c] -> y [n,oh,ow,c]; padding never wins. */
typedef struct ich_pool_shape {
    int n, h, w, c;
    int r, stride, pad;
    int oh, ow;
} ich_pool_shape;

/* One parameter group's settings for one optimizer step. */
typedef struct ich_update {
    double lr, weight_decay;
    double momentum;          /* sgd */
    double beta1, beta2, eps; /* adamw */
    double bias1, bias2;      /* adamw: 1 - beta^step */
    double gradient_scale;    /* multiplies the gradient first: clipping, averaging */
} ich_update;

/* Sums over the processes that share a batch (ranks.h): in place, each then holds the sums over all. */
typedef struct ich_across {
    void (*sum)(void *self, double *values, size_t n);
    void *self;
} ich_across;

#define REAL    float
#define KERNELS ich_kernels_f32
#include "kernel_table.h"
#undef REAL
#undef KERNELS
#define REAL    double
#define KERNELS ich_kernels_f64
#include "kernel_table.h"
#undef REAL
#undef KERNELS

/* Chooses the active float table: "auto" (the best that this processor runs), "reference", "baseline"
 * (the vector source for any processor), "avx2", "avx512"; each vector table also as "avx2-direct" and so on,
 * without Winograd's algorithm. With `bf16` its variant whose convolutions round their factors to bfloat16
 * and sum in float ("avx512-bf16"); everything else, and all that is stored, stays float. Fails, listing the
 * names, for a name that is unknown or that this processor cannot run. Checks BLAS on the way (blas.h). */
bool ich_kernels_select(const char *name, bool bf16, ich_error *err);

const ich_kernels_f32 *ich_kernels_f32_active(void); /* "auto" if nothing was selected */
const ich_kernels_f64 *ich_kernels_f64_active(void); /* always the reference */

/* A table by name, or NULL if unknown or not for this processor. */
const ich_kernels_f32 *ich_kernels_f32_named(const char *name);

/* Names of the tables that this processor can run, best first, NULL at the end. */
const char *const *ich_kernels_available(void);
const char *const *ich_kernels_available_bf16(void); /* those that multiply in bfloat16 */

#endif

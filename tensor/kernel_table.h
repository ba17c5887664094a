/* kernel_table.h: the kernels' signatures. Included by kernels.h once per precision, with REAL and
 * KERNELS defined; include kernels.h, never this file.
 *
 * Rules for every kernel: arrays are dense, in the layout given, 64-byte aligned at their start; outputs
 * do not overlap inputs unless said; `scratch` holds at least what the matching *_scratch function
 * returned, in elements; results are the same bits for any number of threads, and a row's (image's)
 * result does not depend on the other rows in the batch, except where a kernel sums over rows.
 * "accumulate" means: add to what the output holds, else overwrite. A NaN that goes in comes out, so that a
 * network that diverged is seen.
 */
typedef struct KERNELS {
    const char *name;

    /* C [m,n] (+)= op(A) [m,k] · op(B) [k,n], row-major; op transposes when its flag is set, so that A is
     * stored [k,m] and B [n,k] then. ld* are the stored row lengths. */
    void (*gemm)(bool transpose_a, bool transpose_b, int m, int n, int k, const REAL *a, int lda,
                 const REAL *b, int ldb, bool accumulate, REAL *c, int ldc);

    /* -- convolution ---------------------------------------------------------------------------------
     * Weights are packed once after each change (conv2d_pack: OIHW -> the kernel's own layout, for
     * ICH_FORWARD or ICH_BACKWARD_DATA) and used many times. The choice of algorithm, the packed layout and
     * its size may depend on every field of the shape except n, so that a plan for n images serves fewer. */
    size_t (*conv2d_packed)(const ich_conv_shape *shape, ich_direction direction);  /* elements */
    size_t (*conv2d_scratch)(const ich_conv_shape *shape, ich_direction direction); /* elements */
    void (*conv2d_pack)(const ich_conv_shape *shape, ich_direction direction, const REAL *weight,
                        REAL *packed);

    /* y = x * w + bias + add, then max(0, ·) if relu. bias [k] and add [n,oh,ow,k] may be NULL; y may be add.
     */
    void (*conv2d_forward)(const ich_conv_shape *shape, const REAL *x, const REAL *packed, const REAL *bias,
                           const REAL *add, bool relu, REAL *y, REAL *scratch);
    /* dx[n,i,j,c] (+)= sum over r,s,k of dy · w */
    void (*conv2d_backward_data)(const ich_conv_shape *shape, const REAL *dy, const REAL *packed,
                                 bool accumulate, REAL *dx, REAL *scratch);
    /* dw[k,c,r,s] += sum over n,oh,ow of dy · x (OIHW; always accumulates) */
    void (*conv2d_backward_weights)(const ich_conv_shape *shape, const REAL *x, const REAL *dy, REAL *dw,
                                    REAL *scratch);

    /* -- per-channel kernels over x [rows, c]; for images rows = n·h·w. Where ldx is given, x's rows begin
     * ldx ≥ c elements apart: x may be the first channels of something wider ----------------------------- */
    size_t (*channel_scratch)(int64_t rows, int c); /* elements; for those below that take scratch */
    /* mean and biased variance of each channel */
    void (*channel_moments)(int64_t rows, int c, const REAL *x, int ldx, REAL *mean, REAL *variance,
                            REAL *scratch);
    /* y = x · scale + shift + add, then max(0, ·) if relu; add may be NULL; y may be add, or x if ldx = c. */
    void (*channel_affine)(int64_t rows, int c, const REAL *x, int ldx, const REAL *scale, const REAL *shift,
                           const REAL *add, bool relu, REAL *y);
    /* sum[c] += sum over rows of x (bias gradients) */
    void (*channel_sum)(int64_t rows, int c, const REAL *x, REAL *sum, REAL *scratch);
    /* Batch norm's backward (Ioffe and Szegedy 2015) for y = act(gamma · xhat + beta [+ add]), with xhat = (x
     * - mean) · invstd. With y != NULL the activation was ReLU and dz = dy · [y > 0]; else dz = dy.
     *
     * First the sums over rows, sums [2][c]: of dz, and of dz · xhat. */
    void (*batch_norm_sums)(int64_t rows, int c, const REAL *x, int ldx, const REAL *y, const REAL *dy,
                            const REAL *mean, const REAL *invstd, double *sums, REAL *scratch);
    /* Then, by their means over the batch, means [2][c]:
     *
     *   dx (+)= gamma · invstd · (dz - mean(dz) - xhat · mean(dz · xhat))
     *   d_add (+)= dz                                by accumulate_add; d_add may be NULL
     *
     * With running statistics the means are 0. dx lies as x does, ldx apart, and may be NULL; unless it
     * accumulates it may be dy if ldx = c; d_add may be dy. */
    void (*batch_norm_backward)(int64_t rows, int c, const REAL *x, int ldx, const REAL *y, const REAL *dy,
                                const REAL *mean, const REAL *invstd, const REAL *gamma, const double *means,
                                REAL *dx, bool accumulate, REAL *d_add, bool accumulate_add, REAL *scratch);

    /* -- element-wise; y may be x ------------------------------------------------------------------------ */
    void (*relu)(size_t n, const REAL *x, REAL *y);
    /* dx (+)= dy · [y > 0] */
    void (*relu_backward)(size_t n, const REAL *y, const REAL *dy, bool accumulate, REAL *dx);
    void (*sigmoid)(size_t n, const REAL *x, REAL *y);
    void (*tanh)(size_t n, const REAL *x, REAL *y);
    void (*add)(size_t n, const REAL *a, const REAL *b, bool relu, REAL *y);
    void (*copy)(size_t n, const REAL *x, bool accumulate, REAL *y);

    /* -- pooling --------------------------------------------------------------------------------------- */
    /* argmax: the winner's place in its window, row · r + column; the first wins a tie, and a NaN wins
     * always. May be NULL. */
    void (*max_pool)(const ich_pool_shape *shape, const REAL *x, REAL *y, uint8_t *argmax);
    void (*max_pool_backward)(const ich_pool_shape *shape, const REAL *dy, const uint8_t *argmax,
                              bool accumulate, REAL *dx);
    /* mean over the `pixels` of each image: x [n,pixels,c] -> y [n,c] */
    void (*global_average)(int n, int pixels, int c, const REAL *x, REAL *y);
    void (*global_average_backward)(int n, int pixels, int c, const REAL *dy, bool accumulate, REAL *dx);

    /* -- optimizers, one pass over memory (formulas: optim/) -------------------------------------------- */
    void (*sgd)(size_t n, const ich_update *u, const REAL *gradient, REAL *velocity, REAL *value);
    void (*adamw)(size_t n, const ich_update *u, const REAL *gradient, REAL *m, REAL *v, REAL *value);
    /* sum of squares, in double, in a fixed order */
    double (*sum_squares)(size_t n, const REAL *x);

    /* -- the benchmarks' yardstick ---------------------------------------------------------------------- */
    /* Multiply-adds in registers, `rounds` rounds on the calling thread; returns how many. sink [2] begins
     * with 0, which the compiler must not know, and receives the result. */
    double (*multiply_add_peak)(int64_t rounds, REAL *sink);
} KERNELS;

/* vector_peak.c: the yardstick of the benchmarks (compiled once per instruction set). */
#include "vector.h"

#include "vector_kernels.h"

/* Enough independent chains to hide a multiply-add's latency: 4 cycles times 2 a cycle, and some more. */
enum { CHAINS = ICH_VECTOR_REGISTERS == 32 ? 20 : 12 };

double ICH_ISA(ich_multiply_add_peak)(int64_t rounds, float *sink) {
    ich_vec sum[CHAINS];
    ICH_UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = ich_splat((float)i);
    /* Not constants to the compiler; the sums converge instead of growing without end. */
    ich_vec factor = ich_splat(0.5f + sink[0]), term = ich_splat(0.25f + sink[0]);
    for (int64_t r = 0; r < rounds; r++)
        ICH_UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = sum[i] * factor + term;
    ich_vec all = {0};
    ICH_UNROLL for (int i = 0; i < CHAINS; i++) all += sum[i];
    sink[1] = all[0];
    return (double)rounds * CHAINS * ICH_LANES;
}

#ifndef EXAMPLES_10_EXERCISE_H
#define EXAMPLES_10_EXERCISE_H

#include <stddef.h>

/* c = a · b, all [n,n], for any n ≥ 1. */
void product(int n, const float *a, const float *b, float *c);

/* The sum of n numbers on so many threads (#pragma omp parallel for num_threads(threads)):
 * the same bits for any. */
float sum(size_t n, const float *x, int threads);

#endif

/* bench_ranks.h: how long sums over ranks (tensor/ranks.h) take here: what a cost model of training on many
 * machines is made of (docs/scaling.md).
 *
 * Calls: tensor (ranks). Called by: cli.
 */
#ifndef ICH_TRAIN_BENCH_RANKS_H
#define ICH_TRAIN_BENCH_RANKS_H

#include "tensor/error.h"
#include <stdio.h>

/* Rows `what,ranks,bytes,microseconds`, a median of rank 0's over at least `seconds` each: "batch norm", a
 * sum of doubles that all wait for, and "gradients", sums of floats in the background that nothing hides. All
 * ranks call it; rank 0's stream matters. */
bool ich_bench_ranks(double seconds, FILE *out, ich_error *err);

#endif

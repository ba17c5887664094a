/* ranks.h: the processes that work on one job together, started by mpirun or Slurm.
 *
 * A rank is a process; ranks are numbered from 0. Without MPI (configured with ICHOR_MPI=OFF, or started by
 * hand) there is one rank, and everything here does nothing or what one rank alone would. All ranks must call
 * the same functions in the same order; only sums that were begun go on while others do something else. Sums
 * are added in an order that depends on the number of ranks alone, never on who arrives first, and every rank
 * gets the same bits.
 *
 * Errors of the transport end all ranks (MPI's own rule, MPI_ERRORS_ARE_FATAL): what a run has saved is all
 * that it can go on from.
 *
 * Calls: MPI. Called by: train, infer (predict), cli.
 */
#ifndef ICH_TENSOR_RANKS_H
#define ICH_TENSOR_RANKS_H

#include "kernels.h"
#include <stdbool.h>
#include <stddef.h>

/* Joins the other ranks if this process was started as one of several. Once, before all else. */
void ich_ranks_open(void);
/* Leaves. `status` 0 waits for the others; anything else ends them too, and then does not return. */
void ich_ranks_close(int status);

const char *ich_ranks_description(void); /* of the MPI it was built with; "none" */
int ich_rank(void);                      /* 0 … ich_ranks() - 1 */
int ich_ranks(void);                     /* at least 1 */

/* A part of n things in a row: things first … first + count - 1. The parts, in order, are all of them; their
 * sizes differ by 1 at most. */
typedef struct ich_part {
    size_t first, count;
} ich_part;
ich_part ich_cut(size_t n, int parts, int part);
static inline ich_part ich_part_of(size_t n, int rank) { return ich_cut(n, ich_ranks(), rank); }
static inline ich_part ich_my_part(size_t n) { return ich_part_of(n, ich_rank()); }

void ich_ranks_wait(void);                         /* until all ranks have come here */
bool ich_ranks_any(bool mine);                     /* whether it is true of any rank */
bool ich_ranks_agree(const void *bytes, size_t n); /* whether these bytes are the same on all */
void ich_ranks_sum(double *values, size_t n); /* in place: each rank then holds the sums over all ranks */
extern const ich_across ich_across_ranks;     /* the same, for batch norm */

/* all: n rows of `bytes` bytes, of which each rank has filled in its own part (ich_part_of); afterwards every
 * rank has all of them. */
void ich_ranks_gather(void *all, size_t n, size_t bytes);
/* Rank `from`'s bytes to all. */
void ich_ranks_share(void *bytes, size_t n, int from);

/* A sum in the background: values is not to be touched until its end. At most ICH_MAX_SUMS at a time. */
enum { ICH_MAX_SUMS = 256 };
void ich_ranks_begin_sum(float *values, size_t n);
/* Moves the sums along (MPI does so only when it is called); ended[i], i < ICH_MAX_SUMS, becomes the time
 * (ich_seconds) when the i-th that was begun ended, unless it is 0 no more. */
void ich_ranks_progress(double *ended);
void ich_ranks_end_sums(double *ended); /* waits for all that were begun */

#endif

/* All of MPI that Ichor uses. What is gathered by more than 2^31 - 1 bytes, which MPI's counts cannot tell,
 * goes from rank to rank in pieces. */
#include "ranks.h"

#include "hash.h"
#include "team.h"
#include <stdlib.h>
#include <string.h>

ich_part ich_cut(size_t n, int parts, int part) {
    const size_t each = n / (size_t)parts, more = n % (size_t)parts, p = (size_t)part;
    return (ich_part){.first = p * each + (p < more ? p : more), .count = each + (p < more)};
}

static void sum_across(void *self, double *values, size_t n) {
    (void)self;
    ich_ranks_sum(values, n);
}

const ich_across ich_across_ranks = {.sum = sum_across};

#ifdef ICHOR_MPI
#include <mpi.h>

enum { PIECE = 1 << 30 }; /* bytes, of one message */

static int my_rank = 0, rank_count = 1;
static bool joined;
static MPI_Request sums[ICH_MAX_SUMS];
static int begun;
static int *counts, *starts; /* [rank_count] of a gathering */

/* MPI_Init takes a tenth of a second and starts threads of its own: only where somebody started several. */
static bool started_as_one_of_several(void) {
    static const char *const signs[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_SIZE", "PMI_RANK"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (getenv(signs[i])) return true;
    return false;
}

void ich_ranks_open(void) {
    if (!started_as_one_of_several()) return;
    int provided; /* only the main thread talks to the others */
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &my_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &rank_count);
    counts = calloc(2 * (size_t)rank_count, sizeof *counts);
    if (!counts) MPI_Abort(MPI_COMM_WORLD, 1);
    starts = counts + rank_count;
    joined = true;
}

void ich_ranks_close(int status) {
    if (!joined) return;
    if (status != 0 && rank_count > 1) MPI_Abort(MPI_COMM_WORLD, status);
    MPI_Finalize();
    free(counts);
    joined = false;
}

/* The first line of what the library says of itself, up to a comma. */
const char *ich_ranks_description(void) {
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    MPI_Get_library_version(text, &length);
    text[strcspn(text, ",\n")] = '\0';
    return text;
}

int ich_rank(void) { return my_rank; }
int ich_ranks(void) { return rank_count; }

void ich_ranks_wait(void) {
    if (rank_count > 1) MPI_Barrier(MPI_COMM_WORLD);
}

bool ich_ranks_any(bool mine) {
    int any = mine;
    if (rank_count > 1) MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    return any;
}

/* The least and the greatest hash over the ranks are equal only if all are. */
bool ich_ranks_agree(const void *bytes, size_t n) {
    if (rank_count == 1) return true;
    uint64_t hash = ich_fnv(ich_fnv_start, bytes, n), least, most;
    MPI_Allreduce(&hash, &least, 1, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD);
    MPI_Allreduce(&hash, &most, 1, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD);
    return least == most;
}

void ich_ranks_sum(double *values, size_t n) {
    if (rank_count > 1) MPI_Allreduce(MPI_IN_PLACE, values, (int)n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

void ich_ranks_share(void *bytes, size_t n, int from) {
    if (rank_count == 1) return;
    for (size_t at = 0; at < n; at += PIECE)
        MPI_Bcast((char *)bytes + at, (int)(n - at < PIECE ? n - at : PIECE), MPI_BYTE, from, MPI_COMM_WORLD);
}

static void gather_small(void *all, size_t n, size_t bytes) {
    for (int r = 0; r < rank_count; r++) {
        const ich_part part = ich_part_of(n, r);
        counts[r] = (int)(part.count * bytes);
        starts[r] = (int)(part.first * bytes);
    }
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, counts, starts, MPI_BYTE, MPI_COMM_WORLD);
}

void ich_ranks_gather(void *all, size_t n, size_t bytes) {
    if (rank_count == 1) return;
    if (n * bytes < PIECE) {
        gather_small(all, n, bytes);
        return;
    }
    for (int r = 0; r < rank_count; r++) {
        const ich_part part = ich_part_of(n, r);
        ich_ranks_share((char *)all + part.first * bytes, part.count * bytes, r);
    }
}

/* Non-blocking collectives follow a schedule that is made from the number of ranks and of values alone. */
void ich_ranks_begin_sum(float *values, size_t n) {
    if (rank_count > 1)
        MPI_Iallreduce(MPI_IN_PLACE, values, (int)n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &sums[begun++]);
}

/* Marks the sums that have ended since. */
static void note_ends(const bool *were_active, double *ended) {
    for (int i = 0; i < begun; i++)
        if (ended && were_active[i] && sums[i] == MPI_REQUEST_NULL && ended[i] == 0) ended[i] = ich_seconds();
}

static void look(bool were_active[ICH_MAX_SUMS]) {
    for (int i = 0; i < begun; i++) were_active[i] = sums[i] != MPI_REQUEST_NULL;
}

void ich_ranks_progress(double *ended) {
    bool active[ICH_MAX_SUMS];
    look(active);
    for (int i = 0, done; i < begun; i++)
        if (active[i]) MPI_Test(&sums[i], &done, MPI_STATUS_IGNORE);
    note_ends(active, ended);
}

void ich_ranks_end_sums(double *ended) {
    bool active[ICH_MAX_SUMS];
    for (int i = 0; i < begun; i++) {
        look(active);
        MPI_Wait(&sums[i], MPI_STATUS_IGNORE);
        note_ends(active, ended);
    }
    begun = 0;
}

#else /* one rank: nothing to say to anybody */

const char *ich_ranks_description(void) { return "none"; }
void ich_ranks_open(void) {}
void ich_ranks_close(int status) { (void)status; }
int ich_rank(void) { return 0; }
int ich_ranks(void) { return 1; }
void ich_ranks_wait(void) {}
bool ich_ranks_any(bool mine) { return mine; }
bool ich_ranks_agree(const void *bytes, size_t n) {
    (void)bytes, (void)n;
    return true;
}
void ich_ranks_sum(double *values, size_t n) { (void)values, (void)n; }
void ich_ranks_share(void *bytes, size_t n, int from) { (void)bytes, (void)n, (void)from; }
void ich_ranks_gather(void *all, size_t n, size_t bytes) { (void)all, (void)n, (void)bytes; }
void ich_ranks_begin_sum(float *values, size_t n) { (void)values, (void)n; }
void ich_ranks_progress(double *ended) { (void)ended; }
void ich_ranks_end_sums(double *ended) { (void)ended; }

#endif

#include "bench_ranks.h"

#include "tensor/ranks.h"
#include "tensor/team.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_TIMES = 100000, LEAST_TIMES = 5 };

static void sum_doubles(void *values, size_t bytes) { ich_ranks_sum(values, bytes / sizeof(double)); }

static void sum_floats(void *values, size_t bytes) {
    ich_ranks_begin_sum(values, bytes / sizeof(float));
    ich_ranks_end_sums(NULL);
}

/* 129, 257, 1025 doubles: batch norm of 64, 128 and 512 channels. A bucket; resnet18's gradients. */
static const struct subject {
    const char *what;
    size_t bytes;
    void (*run)(void *values, size_t bytes);
} subjects[] = {{"batch norm", 129 * sizeof(double), sum_doubles},
                {"batch norm", 257 * sizeof(double), sum_doubles},
                {"batch norm", 1025 * sizeof(double), sum_doubles},
                {"gradients", (size_t)4 << 20, sum_floats},
                {"gradients", (size_t)44 << 20, sum_floats}};

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_time(const struct subject *s, void *values, double seconds, double *times) {
    const double begin = ich_seconds();
    int n = 0;
    for (bool go_on = true; go_on && n < MOST_TIMES; n++) {
        ich_ranks_wait();
        const double from = ich_seconds();
        s->run(values, s->bytes);
        times[n] = ich_seconds() - from;
        /* rank 0's clock decides for all */
        go_on = ich_ranks_any(ich_rank() == 0 && (n < LEAST_TIMES || ich_seconds() - begin < seconds));
    }
    qsort(times, (size_t)n, sizeof *times, ascending);
    return times[n / 2];
}

bool ich_bench_ranks(double seconds, FILE *out, ich_error *err) {
    const size_t most = subjects[sizeof subjects / sizeof *subjects - 1].bytes;
    void *values = ich_new(most, 1, "what is summed", err);
    double *times = ich_new(MOST_TIMES, sizeof *times, "the times", err);
    if (values && times) {
        fputs("what,ranks,bytes,microseconds\n", out);
        for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
            const double median = median_time(&subjects[i], values, seconds, times);
            fprintf(out, "%s,%d,%zu,%.2f\n", subjects[i].what, ich_ranks(), subjects[i].bytes, 1e6 * median);
        }
    }
    const bool done = values && times;
    free(values);
    free(times);
    return done;
}

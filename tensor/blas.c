#include "blas.h"

#include "reference.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>

static bool trusted;
static char description[400];
static pthread_once_t once = PTHREAD_ONCE_INIT;

enum { M = 37, N = 29, K = 43 };

/* One product, all four transposes, against the reference; the greatest error in units of K rounding errors.
 */
static double worst_error(void) {
    static float a[M * K], b[K * N], want[M * N], got[M * N];
    double worst = 0;
    for (int i = 0; i < M * K; i++) a[i] = sinf((float)i);
    for (int i = 0; i < K * N; i++) b[i] = cosf((float)i * 0.7f);
    for (int t = 0; t < 4; t++) {
        bool ta = t & 1, tb = t & 2;
        int lda = ta ? M : K, ldb = tb ? K : N;
        ich_reference_kernels_f32.gemm(ta, tb, M, N, K, a, lda, b, ldb, false, want, N);
        cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, M, N, K, 1,
                    a, lda, b, ldb, 0, got, N);
        for (int i = 0; i < M * N; i++) {
            double error = fabs((double)got[i] - (double)want[i]) / (K * 0x1p-24);
            if (!(error <= worst)) worst = error; /* NaN too */
        }
    }
    return worst;
}

/* In its OpenMP build openblas_set_num_threads(n) also calls omp_set_num_threads(n) (OpenBLAS 0.3.21,
 * driver/others/blas_server_omp.c): without the last line the whole program would run on one thread. */
void ich_blas_single_thread(void) {
    const int team = omp_get_max_threads();
    openblas_set_num_threads(1);
    omp_set_num_threads(team);
}

static void check(void) {
    static const char *const kinds[] = {"single-threaded", "POSIX threads", "OpenMP"};
    ich_blas_single_thread();
    int kind = openblas_get_parallel();
    const char *build = kind >= 0 && kind <= 2 ? kinds[kind] : "unknown threads";
    double error = worst_error();
    trusted = error <= 4;
    int length = snprintf(description, sizeof description, "%s (%s, core %s)", openblas_get_config(), build,
                          openblas_get_corename());
    if (length < 0 || length >= (int)sizeof description) return;
    char *tail = description + length;
    size_t room = sizeof description - (size_t)length;
    if (!trusted)
        snprintf(tail, room, ": wrong sgemm (error %.3g times the bound); Ichor's own gemm is used",
                 error / 4);
    else if (kind != 2)
        snprintf(tail, room, ": not the OpenMP build; install libopenblas-openmp-dev and rebuild");
}

bool ich_blas_trusted(void) {
    pthread_once(&once, check);
    return trusted;
}

const char *ich_blas_description(void) {
    pthread_once(&once, check);
    return description;
}

#include "exercise.h"

#include <string.h>

enum { ROWS = 4, COLUMNS = 32 };

static int least(int a, int b) { return a < b ? a : b; }

/* `rows` and `columns` are constants where a whole tile fits, so that the compiler keeps it
 * in registers. */
static inline void tile(int rows, int columns, int n, const float *a, const float *b,
                        float *c) {
    float part[ROWS][COLUMNS] = {{0}};
    for (int k = 0; k < n; k++)
        for (int r = 0; r < rows; r++)
            for (int s = 0; s < columns; s++) part[r][s] += a[r * n + k] * b[k * n + s];
    for (int r = 0; r < rows; r++)
        memcpy(c + r * n, part[r], (size_t)columns * sizeof **part);
}

void product(int n, const float *a, const float *b, float *c) {
    for (int j = 0; j < n; j += COLUMNS)
        for (int i = 0; i < n; i += ROWS) {
            const int rows = least(ROWS, n - i), columns = least(COLUMNS, n - j);
            if (rows == ROWS && columns == COLUMNS)
                tile(ROWS, COLUMNS, n, a + i * n, b + j, c + i * n + j);
            else
                tile(rows, columns, n, a + i * n, b + j, c + i * n + j);
        }
}

/* Pieces are cut by n alone, and added in their order. */
float sum(size_t n, const float *x, int threads) {
    enum { PIECES = 256 };
    float part[PIECES], total = 0;
#pragma omp parallel for num_threads(threads)
    for (int p = 0; p < PIECES; p++) {
        part[p] = 0;
        for (size_t i = n * (size_t)p / PIECES; i < n * (size_t)(p + 1) / PIECES; i++)
            part[p] += x[i];
    }
    for (int p = 0; p < PIECES; p++) total += part[p];
    return total;
}

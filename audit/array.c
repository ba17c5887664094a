#include "audit/array.h"

#include "tensor/hash.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum { PIECE = 4096 };

/* NULL with err->text empty where there is nothing to compare with. */
static FILE *open_other(const ich_array *a, const char *path, ich_error *err) {
    struct stat info;
    if (stat(path, &info) != 0) return NULL;
    FILE *other = S_ISREG(info.st_mode) ? fopen(path, "rb") : NULL; /* a FIFO must not block us */
    char shape[80];
    ich_array_shape(a, shape);
    if (!other) {
        ich_fail(err, "%s: cannot be read: is it a file, and yours to read?", path);
    } else if (!ich_npy_expect(other, a->rank, a->dims)) {
        ich_fail(err, "%s: no float32 array of %s: the dump is of another model or study", path, shape);
        fclose(other);
        other = NULL;
    }
    return other;
}

bool ich_array_open(ich_array *a, int rank, const int64_t *dims, const char *dump, const char *against,
                    ich_error *err) {
    *a = (ich_array){.rank = rank, .count = 1, .min = INFINITY, .max = -INFINITY, .fnv1a = ich_fnv_start};
    for (int d = 0; d < rank; d++) {
        a->dims[d] = dims[d];
        a->count *= (size_t)dims[d];
    }
    ich_error why = {0};
    if (against) a->other = open_other(a, against, &why);
    a->compared = a->other != NULL;
    if (why.text[0]) return ich_fail(err, "%s", why.text);
    if (!dump) return true;
    if (!ich_output_open(&a->file, dump, err)) return false;
    ich_npy_begin(a->file.stream, rank, a->dims);
    return true;
}

static void digest(ich_array *a, const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const double x = (double)values[i];
        if (x < a->min) a->min = x;
        if (x > a->max) a->max = x;
        a->sum += x; /* a NaN shows in the mean */
        a->squares += x * x;
    }
    a->fnv1a = ich_fnv(a->fnv1a, values, count * sizeof *values);
}

/* Where a number is not finite in either, only the same bits are no difference. */
static double distance(float x, float y) {
    if (!memcmp(&x, &y, sizeof x)) return 0;
    const double d = fabs((double)x - (double)y);
    return isfinite(d) ? d : INFINITY;
}

static bool compare(ich_array *a, const float *values, size_t count, ich_error *err) {
    float piece[PIECE];
    for (size_t at = 0; at < count;) {
        const size_t n = count - at < PIECE ? count - at : PIECE;
        if (fread(piece, sizeof *piece, n, a->other) != n)
            return ich_fail(err, "a file of the earlier dump ends too early: dump it again");
        for (size_t i = 0; i < n; i++) {
            a->worst = fmax(a->worst, distance(values[at + i], piece[i]));
            if (isfinite(piece[i])) a->largest = fmax(a->largest, fabs((double)piece[i]));
        }
        at += n;
    }
    return true;
}

bool ich_array_add(ich_array *a, const float *values, size_t count, ich_error *err) {
    digest(a, values, count);
    a->seen += count;
    if (a->file.stream) fwrite(values, sizeof *values, count, a->file.stream); /* commit looks at its state */
    return !a->other || compare(a, values, count, err);
}

bool ich_array_close(ich_array *a, ich_error *err) {
    a->mean = a->sum / (double)a->seen;
    a->l2 = sqrt(a->squares);
    if (a->other) a->difference = a->worst > 0 && a->largest > 0 ? a->worst / a->largest : a->worst;
    if (a->other) fclose(a->other);
    a->other = NULL;
    return !a->file.stream || ich_output_commit(&a->file, err);
}

void ich_array_abandon(ich_array *a) {
    if (a->other) fclose(a->other);
    a->other = NULL;
    ich_output_abandon(&a->file);
}

void ich_array_shape(const ich_array *a, char text[80]) {
    int used = 0;
    text[0] = '\0';
    for (int d = 0; d < a->rank; d++)
        used += snprintf(text + used, 80 - (size_t)used, "%s%" PRId64, d ? "x" : "", a->dims[d]);
}

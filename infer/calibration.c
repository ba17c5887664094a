#include "calibration.h"

#include <float.h>
#include <math.h>

enum { MOST_STEPS = 200 };

double ich_sigmoid(double logit) { return 1 / (1 + exp(-logit)); }

/* Tables hold nine digits, so a probability above 1 - 5e-10 reads as 1; small ones keep their digits. */
double ich_logit(double probability) {
    const double p = fmin(fmax(probability, 1e-30), 1 - 5e-10);
    return log(p) - log1p(-p);
}

typedef struct problem {
    const double *logit, *label;
    size_t n;
    double target[2]; /* of a negative, of a positive */
} problem;

/* -target · log(p) - (1 - target) · log(1 - p) summed, in a form that does not overflow (Lin, Lin and Weng
 * 2007). */
static double loss(const problem *q, ich_line line) {
    double sum = 0;
    for (size_t i = 0; i < q->n; i++) {
        const double z = line.slope * q->logit[i] + line.offset, target = q->target[q->label[i] > 0.5];
        sum += fmax(z, 0) - target * z + log1p(exp(-fabs(z)));
    }
    return sum;
}

typedef struct derivatives {
    double slope, offset;                            /* gradient */
    double slope_slope, slope_offset, offset_offset; /* Hessian */
} derivatives;

static derivatives derive(const problem *q, ich_line line) {
    derivatives d = {.slope_slope = 1e-12, .offset_offset = 1e-12}; /* keeps the Hessian regular */
    for (size_t i = 0; i < q->n; i++) {
        const double p = ich_sigmoid(line.slope * q->logit[i] + line.offset), x = q->logit[i];
        const double error = p - q->target[q->label[i] > 0.5], weight = p * (1 - p);
        d.slope += error * x;
        d.offset += error;
        d.slope_slope += weight * x * x;
        d.slope_offset += weight * x;
        d.offset_offset += weight;
    }
    return d;
}

enum { HALVINGS = 34 }; /* down to 1e-10 of a step */

/* Newton's step, halved until the loss falls; false at the end. */
static bool improve(const problem *q, bool with_offset, ich_line *line, double *least) {
    const derivatives d = derive(q, *line);
    ich_line step = {-d.slope / d.slope_slope, 0};
    if (with_offset) {
        const double determinant = d.slope_slope * d.offset_offset - d.slope_offset * d.slope_offset;
        step.slope = -(d.offset_offset * d.slope - d.slope_offset * d.offset) / determinant;
        step.offset = -(d.slope_slope * d.offset - d.slope_offset * d.slope) / determinant;
    }
    for (int i = 0; i < HALVINGS; i++) {
        const double size = ldexp(1, -i);
        const ich_line to = {line->slope + size * step.slope, line->offset + size * step.offset};
        const double found = loss(q, to);
        if (!(found < *least)) continue;
        const bool done = *least - found <= DBL_EPSILON * *least;
        *line = to;
        *least = found;
        return !done;
    }
    return false;
}

const char *ich_line_fit(const double *logit, const double *label, size_t n, bool with_offset,
                         ich_line *line) {
    size_t positives = 0;
    *line = (ich_line){1, 0};
    for (size_t i = 0; i < n; i++) positives += label[i] > 0.5;
    if (!n) return "no labelled case";
    if (!positives) return "no positive case";
    if (positives == n) return "no negative case";
    const double ones = (double)positives, zeros = (double)(n - positives);
    const problem q = {logit, label, n, {1 / (zeros + 2), (ones + 1) / (ones + 2)}};
    double least = loss(&q, *line);
    for (int i = 0; i < MOST_STEPS && improve(&q, with_offset, line, &least); i++) continue;
    if (line->slope > 0 && isfinite(line->slope) && isfinite(line->offset)) return NULL;
    *line = (ich_line){1, 0};
    return "higher answers are not more often right here";
}

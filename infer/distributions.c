#include "distributions.h"

#include <float.h>
#include <math.h>

double ich_normal_two_sided(double z) { return erfc(fabs(z) / sqrt(2)); }

/* The continued fraction of I_x(a, b) (DLMF 8.17.22) by Lentz's method; converges fast for
 * x < (a + 1) / (a + b + 2). */
static double beta_fraction(double x, double a, double b) {
    double c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), value = d;
    for (int m = 1; m < 100000; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / (1 + even * d);
        c = 1 + even / c;
        value *= c * d;
        d = 1 / (1 + odd * d);
        c = 1 + odd / c;
        value *= c * d;
        if (fabs(c * d - 1) < DBL_EPSILON) break;
    }
    return value;
}

/* The logarithm of the gamma function; libc's lgamma writes a global. */
static double log_gamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

double ich_beta_cdf(double x, double a, double b) {
    if (!(x > 0)) return isnan(x) ? NAN : 0;
    if (x >= 1) return 1;
    const double front = exp(a * log(x) + b * log1p(-x) - log_gamma(a) - log_gamma(b) + log_gamma(a + b));
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(1 - x, b, a) / b; /* DLMF 8.17.4 */
}

/* P(|T| ≥ |t|) = I_(ν / (ν + t²)) (ν / 2, 1 / 2) (Abramowitz and Stegun 26.5.27). */
double ich_student_two_sided(double t, double freedom) {
    return ich_beta_cdf(freedom / (freedom + t * t), freedom / 2, 0.5);
}

/* By bisection: the function is monotone, and a quantile is wanted once a table. */
double ich_student_quantile(double p, double freedom) {
    const double tail = 2 * fmin(p, 1 - p);
    double low = 0, high = 1;
    while (ich_student_two_sided(high, freedom) > tail && high < 1e300) high *= 2;
    for (int i = 0; i < 200; i++) {
        const double middle = 0.5 * (low + high);
        if (ich_student_two_sided(middle, freedom) > tail)
            low = middle;
        else
            high = middle;
    }
    return p < 0.5 ? -high : high;
}

double ich_binomial(size_t k, size_t n, double p) {
    const double x = (double)k, size = (double)n;
    if (k > n) return 0;
    if (p <= 0) return k == 0;
    if (p >= 1) return k == n;
    return exp(log_gamma(size + 1) - log_gamma(x + 1) - log_gamma(size - x + 1) + x * log(p) +
               (size - x) * log1p(-p));
}

/* P(X ≤ k) = I_(1 - p) (n - k, k + 1) (Abramowitz and Stegun 26.5.24). */
double ich_binomial_cdf(size_t k, size_t n, double p) {
    return k >= n ? 1 : ich_beta_cdf(1 - p, (double)(n - k), (double)k + 1);
}

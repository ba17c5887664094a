/* check.h: how an exercise is judged: numbers against numbers, and a gradient that was
 * written by hand against the numerical one. Each check prints one line and returns whether
 * it is kept.
 */
#ifndef EXAMPLES_CHECK_H
#define EXAMPLES_CHECK_H

#include <ichor/audit/layer_check.h>

/* |got - expected| ≤ tolerance · (largest |expected|), element by element. `layer` and `what`
 * name the numbers in the message: "linear: d weight[17] is 0, should be 0.31: relative error
 * 1, allowed 1e-06". */
bool check_numbers(const char *layer, const char *what, size_t n, const double *got,
                   const double *expected, double tolerance);

/* The same for d loss / d value[i]. `loss` computes the loss from what lies in `value` now;
 * it is moved by ±h and ±2h, f'(v) ≈ (8 (f(v+h) - f(v-h)) - (f(v+2h) - f(v-2h))) / 12h. */
bool check_gradient(const char *layer, const char *what, size_t n, double *value,
                    const double *got, double (*loss)(void *self), void *self,
                    double tolerance);

/* One of Ichor's own layers with `backward` in place of its own, judged by Ichor's own
 * gradient check (ichor/audit/layer_check.h): in double, within a bound derived from the
 * number of roundings. */
bool check_layer(const ich_layer_case *c, void (*backward)(const ich_call *));

/* Any other demand; `text` says what is wrong when `kept` is false. */
bool check_that(const char *layer, const char *what, bool kept, const char *text);

/* n numbers, the same on every machine, evenly from lo to hi. */
void check_draw(unsigned long long seed, size_t n, double *out, double lo, double hi);

/* The last line, and main's exit status: 0 when all is well, 1 when there is work left. */
int check_end(bool all);

#endif

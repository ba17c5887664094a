/* plot.h: a square plot from 0 to 1 on both axes, as SVG.
 *
 * Texts go into the file as they are: callers pass none that a user wrote.
 *
 * Calls: libc. Called by: infer/evaluate.
 */
#ifndef ICH_INFER_PLOT_H
#define ICH_INFER_PLOT_H

#include <stddef.h>
#include <stdio.h>

void ich_plot_begin(FILE *stream, const char *title, const char *x_label, const char *y_label);
/* A line through n points, and a line of the legend above the plot; `index` (0 or 1) picks the colour and the
 * legend's line. */
void ich_plot_line(FILE *stream, int index, const char *name, size_t n, const double *x, const double *y);
/* A dot on that line. */
void ich_plot_dot(FILE *stream, int index, double x, double y);
void ich_plot_end(FILE *stream);

#endif

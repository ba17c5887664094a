/* plot.h: the lessons' pictures as SVG: lines and dots over two axes, bars, and small
 * matrices as colours.
 *
 * Nothing is copied: arrays and names that a plot is given must live until it is written.
 * Names go into the file as they are, so they hold no '<' or '&'. Each function that writes
 * says on stderr why it could not.
 */
#ifndef EXAMPLES_PLOT_H
#define EXAMPLES_PLOT_H

#include <stdbool.h>
#include <stddef.h>

enum { PLOT_SERIES = 16 };

typedef enum plot_kind { PLOT_LINE, PLOT_DASHED, PLOT_DOTS } plot_kind;

typedef struct plot_series {
    plot_kind kind;
    const char *name; /* in the legend; NULL: not there, and drawn in grey */
    size_t n;
    const double *x, *y; /* points that are not finite (on a logarithmic axis: not positive)
                            are left out */
} plot_series;

typedef struct plot {
    const char *title, *x_label, *y_label;
    bool log_x, log_y;
    double x_low, x_high, y_low, y_high; /* both 0: from the data */
    plot_series series[PLOT_SERIES];
    int n_series;
} plot;

void plot_add(plot *p, plot_kind kind, const char *name, size_t n, const double *x,
              const double *y);
bool plot_write(const plot *p, const char *folder, const char *file);

/* One bar a value, from 0. */
bool plot_bars(const char *folder, const char *file, const char *title, int n,
               const char *const *names, const double *values, const char *unit);

/* A matrix as coloured cells, least value dark, greatest light; mark[i] (mark may be NULL)
 * draws a ring. */
bool plot_matrix(const char *folder, const char *file, const char *title, const char *x_label,
                 const char *y_label, int rows, int columns, const double *values,
                 const bool *mark);

/* Grey or coloured images [height][width], 0 … 1, side by side as one PNG, each pixel `zoom`
 * pixels wide. */
typedef struct plot_image {
    int width, height;
    const float *values;
    bool heat; /* in colour */
} plot_image;
bool plot_images(const char *folder, const char *file, int n, const plot_image *images,
                 int zoom);

#endif

#include "plot.h"

#include <ichor/infer/picture.h>
#include <math.h>
#include <stdio.h>

enum { LEFT = 84, SIDE_X = 520, SIDE_Y = 320, RIGHT = 24, BOTTOM = 56, LINE = 20 };

/* Okabe and Ito's palette, which any colour vision tells apart. */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73",
                                      "#cc79a7", "#56b4e9", "#e69f00"};
static const int n_colours = sizeof colours / sizeof *colours;

/* -- files ----------------------------------------------------------------------------- */

static FILE *open_svg(const char *folder, const char *file, int width, int height,
                      const char *title) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        return NULL;
    }
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" font-size=\"13\" role=\"img\" aria-label=\"%s\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
            "<text x=\"%d\" y=\"24\" font-size=\"16\">%s</text>\n",
            width, height, width, height, title, LEFT, title);
    return f;
}

static bool close_svg(FILE *f, const char *folder, const char *file) {
    fputs("</svg>\n", f);
    const bool failed = ferror(f) != 0;
    if (fclose(f) != 0 || failed) {
        fprintf(stderr, "%s/%s: could not be written; is the disk full?\n", folder, file);
        return false;
    }
    printf("picture: %s/%s\n", folder, file);
    return true;
}

/* -- axes ------------------------------------------------------------------------------ */

typedef struct axis {
    bool log;
    double low, high; /* of the data; of their log10 on a logarithmic axis */
    double step;      /* between ticks */
} axis;

static double scaled(const axis *a, double v) {
    return a->log ? (v > 0 ? log10(v) : NAN) : v;
}

/* The step 1, 2 or 5 times a power of ten that gives four to ten ticks. */
static double nice_step(double span) {
    const double ten = pow(10, floor(log10(span / 4)));
    const double n = span / 4 / ten;
    return (n >= 5 ? 5 : n >= 2 ? 2 : 1) * ten;
}

static axis make_axis(const plot *p, bool is_x) {
    axis a = {.log = is_x ? p->log_x : p->log_y, .low = INFINITY, .high = -INFINITY};
    const double low = is_x ? p->x_low : p->y_low, high = is_x ? p->x_high : p->y_high;
    for (int s = 0; s < p->n_series; s++)
        for (size_t i = 0; i < p->series[s].n; i++) {
            const double v = scaled(&a, is_x ? p->series[s].x[i] : p->series[s].y[i]);
            if (isfinite(v)) a.low = fmin(a.low, v), a.high = fmax(a.high, v);
        }
    if (low != 0 || high != 0) a.low = scaled(&a, low), a.high = scaled(&a, high);
    if (!isfinite(a.low) || !(a.high > a.low)) {
        const double middle = isfinite(a.low) ? a.low : 0;
        a.low = middle - 1, a.high = middle + 1;
    }
    a.step = nice_step(a.high - a.low);
    if (a.log) a.step = fmax(1, round(a.step));
    if (low == 0 && high == 0) {
        a.low = floor(a.low / a.step) * a.step;
        a.high = ceil(a.high / a.step) * a.step;
    }
    return a;
}

static void tick_text(const axis *a, double at, char text[80]) {
    if (a->log)
        snprintf(text, 80, "10<tspan dy=\"-5\" font-size=\"10\">%.0f</tspan>", at);
    else
        snprintf(text, 80, "%.6g", fabs(at) < a->step / 1000 ? 0 : at);
}

typedef struct frame {
    axis x, y;
    int top;
} frame;

static double across(const frame *f, double v) {
    return LEFT + (scaled(&f->x, v) - f->x.low) / (f->x.high - f->x.low) * SIDE_X;
}

static double down(const frame *f, double v) {
    return f->top + SIDE_Y - (scaled(&f->y, v) - f->y.low) / (f->y.high - f->y.low) * SIDE_Y;
}

static void draw_axes(FILE *f, const plot *p, const frame *fr) {
    char text[80];
    const int bottom = fr->top + SIDE_Y;
    for (double at = ceil(fr->x.low / fr->x.step - 1e-9) * fr->x.step;
         at <= fr->x.high + 1e-9 * fr->x.step; at += fr->x.step) {
        const double x = LEFT + (at - fr->x.low) / (fr->x.high - fr->x.low) * SIDE_X;
        tick_text(&fr->x, at, text);
        fprintf(f,
                "<path d=\"M%.1f %dV%d\" stroke=\"#ddd\"/>\n"
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                x, fr->top, bottom, x, bottom + 18, text);
    }
    for (double at = ceil(fr->y.low / fr->y.step - 1e-9) * fr->y.step;
         at <= fr->y.high + 1e-9 * fr->y.step; at += fr->y.step) {
        const double y = bottom - (at - fr->y.low) / (fr->y.high - fr->y.low) * SIDE_Y;
        tick_text(&fr->y, at, text);
        fprintf(f,
                "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>\n"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                LEFT, y, LEFT + SIDE_X, LEFT - 8, y + 4, text);
    }
    fprintf(
        f,
        "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
        "<text transform=\"translate(20 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
        LEFT + SIDE_X / 2, bottom + 42, p->x_label, fr->top + SIDE_Y / 2, p->y_label);
}

/* -- lines and dots -------------------------------------------------------------------- */

void plot_add(plot *p, plot_kind kind, const char *name, size_t n, const double *x,
              const double *y) {
    if (p->n_series < PLOT_SERIES)
        p->series[p->n_series++] =
            (plot_series){.kind = kind, .name = name, .n = n, .x = x, .y = y};
}

static void draw_series(FILE *f, const frame *fr, const plot_series *s, const char *colour) {
    bool pen_down = false;
    if (s->kind != PLOT_DOTS)
        fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%s\"%s d=\"", colour,
                s->name ? "2" : "1",
                s->kind == PLOT_DASHED ? " stroke-dasharray=\"6 4\"" : "");
    for (size_t i = 0; i < s->n; i++) {
        const double x = across(fr, s->x[i]), y = down(fr, s->y[i]);
        const bool drawn = isfinite(x) && isfinite(y);
        if (drawn && s->kind == PLOT_DOTS)
            fprintf(f,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" stroke=\"#fff\"/>\n",
                    x, y, colour);
        else if (drawn)
            fprintf(f, "%c%.1f %.1f", pen_down ? 'L' : 'M', x, y);
        pen_down = drawn;
    }
    if (s->kind != PLOT_DOTS) fputs("\"/>\n", f);
}

static void draw_legend(FILE *f, const plot_series *s, int line, const char *colour) {
    const int y = 44 + LINE * line;
    if (s->kind == PLOT_DOTS)
        fprintf(f, "<circle cx=\"%d\" cy=\"%d\" r=\"4\" fill=\"%s\"/>\n", LEFT + 12, y - 4,
                colour);
    else
        fprintf(f, "<path d=\"M%d %dh24\" stroke=\"%s\" stroke-width=\"3\"%s/>\n", LEFT,
                y - 4, colour, s->kind == PLOT_DASHED ? " stroke-dasharray=\"6 4\"" : "");
    fprintf(f, "<text x=\"%d\" y=\"%d\">%s</text>\n", LEFT + 32, y, s->name);
}

bool plot_write(const plot *p, const char *folder, const char *file) {
    int named = 0;
    for (int s = 0; s < p->n_series; s++) named += p->series[s].name != NULL;
    const frame fr = {make_axis(p, true), make_axis(p, false), 40 + LINE * named};
    const int width = LEFT + SIDE_X + RIGHT, height = fr.top + SIDE_Y + BOTTOM;
    FILE *f = open_svg(folder, file, width, height, p->title);
    if (!f) return false;
    draw_axes(f, p, &fr);
    fprintf(f,
            "<clipPath id=\"c\"><rect x=\"%d\" y=\"%d\" width=\"%d\" "
            "height=\"%d\"/></clipPath>\n",
            LEFT - 5, fr.top - 5, SIDE_X + 10, SIDE_Y + 10);
    for (int s = 0, line = 0; s < p->n_series; s++) {
        const char *colour = p->series[s].name ? colours[line % n_colours] : "#999";
        fputs("<g clip-path=\"url(#c)\">\n", f);
        draw_series(f, &fr, &p->series[s], colour);
        fputs("</g>\n", f);
        if (p->series[s].name) draw_legend(f, &p->series[s], line++, colour);
    }
    return close_svg(f, folder, file);
}

/* -- bars, matrices, images ------------------------------------------------------------ */

bool plot_bars(const char *folder, const char *file, const char *title, int n,
               const char *const *names, const double *values, const char *unit) {
    enum { NAMES = 210, HIGH = 30 };
    double most = 0;
    for (int i = 0; i < n; i++) most = fmax(most, values[i]);
    FILE *f = open_svg(folder, file, LEFT + SIDE_X + RIGHT + 60, 48 + n * HIGH, title);
    if (!f) return false;
    for (int i = 0; i < n; i++) {
        const int y = 40 + i * HIGH;
        const double wide = most > 0 ? values[i] / most * (SIDE_X + LEFT - NAMES - 40) : 0;
        fprintf(f,
                "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n"
                "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n"
                "<text x=\"%.1f\" y=\"%d\">%.*f %s</text>\n",
                NAMES, y + 18, names[i], NAMES + 8, y + 3, wide, HIGH - 8, colours[0],
                NAMES + 14 + wide, y + 18,
                values[i] >= 100  ? 0
                : values[i] >= 10 ? 1
                                  : 2,
                values[i], unit);
    }
    return close_svg(f, folder, file);
}

bool plot_matrix(const char *folder, const char *file, const char *title, const char *x_label,
                 const char *y_label, int rows, int columns, const double *values,
                 const bool *mark) {
    const int cell = columns > 40 ? 12 : 18, top = 40;
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < rows * columns; i++)
        if (isfinite(values[i])) low = fmin(low, values[i]), high = fmax(high, values[i]);
    FILE *f =
        open_svg(folder, file, LEFT + columns * cell + RIGHT, top + rows * cell + 36, title);
    if (!f) return false;
    for (int i = 0; i < rows * columns; i++) {
        if (!isfinite(values[i])) continue; /* no cell there */
        uint8_t c[3];
        ich_picture_colour((float)(high > low ? (values[i] - low) / (high - low) : 0), c);
        const int x = LEFT + i % columns * cell, y = top + i / columns * cell;
        fprintf(
            f,
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#%02x%02x%02x\"/>\n",
            x, y, cell - 1, cell - 1, c[0], c[1], c[2]);
        if (mark && mark[i])
            fprintf(
                f,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"none\" stroke=\"#56b4e9\" "
                "stroke-width=\"2\"/>\n",
                x + (cell - 1) / 2.0, y + (cell - 1) / 2.0);
    }
    fprintf(
        f,
        "<text x=\"%d\" y=\"%d\">%s</text>\n"
        "<text transform=\"translate(60 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
        LEFT, top + rows * cell + 20, x_label, top + rows * cell / 2, y_label);
    return close_svg(f, folder, file);
}

static void paint(ich_picture *picture, int left, const plot_image *image, int zoom) {
    for (int i = 0; i < image->width * image->height; i++) {
        const float v = fminf(fmaxf(image->values[i], 0), 1);
        uint8_t c[3] = {(uint8_t)(v * 255), (uint8_t)(v * 255), (uint8_t)(v * 255)};
        if (image->heat) ich_picture_colour(v, c);
        ich_picture_fill(picture, left + i % image->width * zoom, i / image->width * zoom,
                         zoom, zoom, c);
    }
}

bool plot_images(const char *folder, const char *file, int n, const plot_image *images,
                 int zoom) {
    enum { GAP = 6 };
    static const uint8_t white[3] = {255, 255, 255};
    int width = -GAP, height = 0, left = 0;
    for (int i = 0; i < n; i++) {
        width += images[i].width * zoom + GAP;
        if (images[i].height * zoom > height) height = images[i].height * zoom;
    }
    ich_picture picture;
    ich_error err = {0};
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    bool done = ich_picture_init(&picture, width, height, &err);
    if (done) {
        ich_picture_fill(&picture, 0, 0, width, height, white);
        for (int i = 0; i < n; left += images[i++].width * zoom + GAP)
            paint(&picture, left, &images[i], zoom);
        done = ich_picture_write(&picture, path, &err);
        ich_picture_free(&picture);
    }
    if (done)
        printf("picture: %s\n", path);
    else
        fprintf(stderr, "%s\n", err.text);
    return done;
}

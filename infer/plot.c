#include "plot.h"

#include <string.h>

enum { LEFT = 60, TOP = 76, SIDE = 400, WIDTH = LEFT + SIDE + 24, HEIGHT = TOP + SIDE + 56 };

/* Two of Okabe and Ito's palette, told apart with any colour vision and 4.5 : 1 against white. */
static const char *const colours[] = {"#0072b2", "#b34a00"};

static const char *colour_of(int index) {
    return colours[(size_t)index % (sizeof colours / sizeof *colours)];
}

static double across(double x) { return LEFT + x * SIDE; }
static double down(double y) { return TOP + (1 - y) * SIDE; }

void ich_plot_begin(FILE *stream, const char *title, const char *x_label, const char *y_label) {
    fprintf(stream,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" font-size=\"13\" role=\"img\" aria-label=\"%s\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
            "<text x=\"%d\" y=\"22\" font-size=\"16\">%s</text>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, title, LEFT, title);
    for (int i = 0; i <= 5; i++) {
        const double at = i / 5.0;
        fprintf(stream,
                "<path d=\"M%.0f %.0fV%.0fM%.0f %.0fH%.0f\" stroke=\"#ddd\" fill=\"none\"/>\n"
                "<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%.1f</text>\n"
                "<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%.1f</text>\n",
                across(at), down(0), down(1), across(0), down(at), across(1), across(at), TOP + SIDE + 18, at,
                LEFT - 8, down(at) + 4, at);
    }
    fprintf(stream,
            "<path d=\"M%.0f %.0fL%.0f %.0f\" stroke=\"#777\" stroke-dasharray=\"4 4\"/>\n"
            "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
            "<text transform=\"translate(18 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
            across(0), down(0), across(1), down(1), LEFT + SIDE / 2, TOP + SIDE + 42, x_label, TOP + SIDE / 2,
            y_label);
}

void ich_plot_line(FILE *stream, int index, const char *name, size_t n, const double *x, const double *y) {
    const int legend = 42 + 18 * index;
    fprintf(stream,
            "<path d=\"M%d %dh24\" stroke=\"%s\" stroke-width=\"3\"/>\n<text x=\"%d\" y=\"%d\">%s</text>\n"
            "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"",
            LEFT, legend - 4, colour_of(index), LEFT + 32, legend, name, colour_of(index));
    char last[40] = "", point[40]; /* a point that falls on the one before is not written again */
    for (size_t i = 0; i < n; i++) {
        snprintf(point, sizeof point, " %.1f,%.1f", across(x[i]), down(y[i]));
        if (strcmp(point, last) != 0) fputs(i > 0 ? point : point + 1, stream);
        memcpy(last, point, sizeof last);
    }
    fputs("\"/>\n", stream);
}

void ich_plot_dot(FILE *stream, int index, double x, double y) {
    fprintf(stream, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\" stroke=\"#fff\"/>\n", across(x),
            down(y), colour_of(index));
}

void ich_plot_end(FILE *stream) { fputs("</svg>\n", stream); }

#include "progress.h"

#include "tensor/ranks.h"
#include "tensor/team.h"
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double bar_interval = 0.1, line_interval = 10; /* seconds */

/* "0:07", "12:34", "1:02:03" */
static void print_time(char *text, size_t size, double seconds) {
    const long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
}

/* "512/1536 images, 84.2 images/s, 0:12 left, loss 0.213". The rate is that since the phase's first update.
 */
static void print_state(const ich_ui *ui, char *text, size_t size, size_t total, const char *unit,
                        const char *note) {
    const double elapsed = ui->shown - ui->began;
    const size_t done = ui->last - ui->first;
    int n = snprintf(text, size, "%zu/%zu %s", ui->last, total, unit);
    if (elapsed > 0 && done > 0 && (size_t)n < size) {
        const double rate = (double)done / elapsed;
        n += snprintf(text + n, size - (size_t)n, ", %.1f %s/s", rate, unit);
        char left[32];
        print_time(left, sizeof left, (double)(total - ui->last) / rate);
        if (ui->last < total && (size_t)n < size)
            n += snprintf(text + n, size - (size_t)n, ", %s left", left);
    }
    if (note && (size_t)n < size) snprintf(text + n, size - (size_t)n, ", %s", note);
}

static void draw_bar(ich_ui *ui, const char *state, size_t total) {
    struct winsize window = {0};
    const int columns =
        ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
    char bar[41] = "";
    int width = columns - (int)strlen(ui->phase) - (int)strlen(state) - 6;
    if (width > 40) width = 40;
    if (width >= 8) {
        const int full = total > 0 ? (int)((double)width * (double)ui->last / (double)total) : width;
        for (int i = 0; i < width; i++) bar[i] = i < full ? '#' : '.';
        bar[width] = '\0';
    }
    char line[512];
    snprintf(line, sizeof line, "%s [%s] %s", ui->phase, bar, state);
    fprintf(stderr, "\r\033[K%.*s", columns - 1, line);
    ui->drawn = true;
}

static void update(void *self, const char *what, size_t done, size_t total, const char *unit,
                   const char *note) {
    ich_ui *ui = self;
    const double now = ich_seconds();
    const bool fresh = strcmp(ui->phase, what) != 0 || done < ui->last;
    if (fresh) {
        snprintf(ui->phase, sizeof ui->phase, "%s", what);
        ui->first = done;
        ui->began = ui->shown = now;
    }
    ui->last = done < total ? done : total;
    const bool ends = done >= total;
    const bool due = now - ui->shown >= (ui->terminal ? bar_interval : line_interval);
    if (!ends && !due && !(fresh && ui->terminal)) return;
    ui->shown = now;
    char state[256];
    print_state(ui, state, sizeof state, total, unit, note);
    if (ui->terminal) {
        draw_bar(ui, state, total);
        if (ends) ich_ui_clear(ui);
    } else {
        printf("%s: %s\n", what, state);
        fflush(stdout);
    }
    if (ends) ui->phase[0] = '\0';
}

static void line(void *self, const char *text) {
    ich_ui_clear(self);
    puts(text);
    fflush(stdout);
}

static void warn(void *self, const char *text) {
    ich_ui_clear(self);
    fprintf(stderr, "ichor: %s\n", text);
}

/* Of several ranks the first warns of what all of them see. */
void ich_ui_init(ich_ui *ui, bool quiet) {
    quiet = quiet || ich_rank() > 0;
    *ui = (ich_ui){.quiet = quiet, .terminal = isatty(STDERR_FILENO) == 1};
    ui->progress = (ich_progress){.warn = ich_rank() > 0 ? NULL : warn, .self = ui};
    if (quiet) return;
    ui->progress.update = update;
    ui->progress.line = line;
}

void ich_ui_clear(ich_ui *ui) {
    if (!ui->drawn) return;
    fputs("\r\033[K", stderr);
    ui->drawn = false;
}

/* progress.h: what a person sees while work goes on.
 *
 * A bar on a terminal (stderr), with rate and time left; elsewhere a plain line on stdout every ten seconds
 * and at the end of each phase, so that stderr holds nothing but warnings and errors. Results are lines on
 * stdout. `quiet` leaves the warnings.
 *
 * Calls: tensor (progress, team). Called by: args.c, verb_*.c.
 */
#ifndef ICH_CLI_PROGRESS_H
#define ICH_CLI_PROGRESS_H

#include "tensor/progress.h"
#include <stdbool.h>

typedef struct ich_ui {
    bool quiet, terminal;
    bool drawn; /* a bar stands on the terminal's current line */
    char phase[64];
    size_t first, last;    /* done at the phase's first and latest update */
    double began, shown;   /* ich_seconds() of the first, and of the latest shown */
    ich_progress progress; /* what rooms are handed */
} ich_ui;

/* `ui` must stay where it is while its progress is in use. */
void ich_ui_init(ich_ui *ui, bool quiet);
void ich_ui_clear(ich_ui *ui); /* takes the bar off the terminal */

#endif

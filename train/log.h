/* log.h: log.csv, one row an epoch and split, kept as text so that a checkpoint can carry it.
 *
 * Calls: data (file). Called by: loop, checkpoint.
 */
#ifndef ICH_TRAIN_LOG_H
#define ICH_TRAIN_LOG_H

#include "tensor/error.h"

typedef struct ich_log {
    char *text; /* the whole file; NULL: only the header so far */
} ich_log;

typedef struct ich_log_row {
    int epoch;         /* from 1 */
    const char *split; /* "train" or "val" */
    double loss, auc;  /* NaN: an empty field */
    double lr;         /* of the epoch's last step */
    double seconds;
    double waiting; /* seconds of them in which the network waited for data */
    size_t images;
    int bad_steps; /* left out */
} ich_log_row;

bool ich_log_add(ich_log *log, const ich_log_row *row, ich_error *err);
bool ich_log_restore(ich_log *log, const char *text, ich_error *err); /* from ich_log_text */
const char *ich_log_text(const ich_log *log);
bool ich_log_write(const ich_log *log, const char *path, ich_error *err);
void ich_log_free(ich_log *log);

#endif

/* The whole file is one text in memory: it is short, a checkpoint carries it, and writing it is atomic. */
#include "log.h"

#include "data/file.h"
#include "data/text.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "epoch,split,loss,auc,lr,seconds,seconds_waiting,images_per_second,bad_steps\n"

const char *ich_log_text(const ich_log *log) { return log->text ? log->text : HEADER; }

static void put_figure(FILE *stream, double value) {
    if (isnan(value))
        fputc(',', stream);
    else
        fprintf(stream, ",%.6f", value);
}

bool ich_log_add(ich_log *log, const ich_log_row *row, ich_error *err) {
    ich_text text;
    if (!ich_text_open(&text, "the log", err)) return false;
    fprintf(text.stream, "%s%d,%s", ich_log_text(log), row->epoch, row->split);
    put_figure(text.stream, row->loss);
    put_figure(text.stream, row->auc);
    fprintf(text.stream, ",%.6g,%.3f,%.3f,%.1f,%d\n", row->lr, row->seconds, row->waiting,
            row->seconds > 0 ? (double)row->images / row->seconds : 0.0, row->bad_steps);
    char *longer = ich_text_close(&text, err);
    if (!longer) return false;
    free(log->text);
    log->text = longer;
    return true;
}

bool ich_log_restore(ich_log *log, const char *text, ich_error *err) {
    char *copy = strdup(text);
    if (!copy) return ich_fail(err, "no memory for the log");
    free(log->text);
    log->text = copy;
    return true;
}

bool ich_log_write(const ich_log *log, const char *path, ich_error *err) {
    const char *text = ich_log_text(log);
    return ich_file_write(path, text, strlen(text), err);
}

void ich_log_free(ich_log *log) {
    free(log->text);
    log->text = NULL;
}

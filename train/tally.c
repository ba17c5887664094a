/* Of the scores only *any*'s are kept, for the AUC; a checkpoint carries them. */
#include "tally.h"

#include "infer/stats.h"
#include <math.h>
#include <stdlib.h>

bool ich_tally_init(ich_tally *tally, size_t rows, ich_error *err) {
    *tally = (ich_tally){.room = rows};
    tally->score = ich_new(rows, sizeof *tally->score, "an epoch's scores", err);
    tally->label = ich_new(rows, sizeof *tally->label, "an epoch's labels", err);
    if (tally->score && tally->label) return true;
    ich_tally_free(tally);
    return false;
}

void ich_tally_free(ich_tally *tally) {
    free(tally->score);
    free(tally->label);
    *tally = (ich_tally){0};
}

void ich_tally_clear(ich_tally *tally) {
    tally->loss = 0;
    tally->rows = tally->images = tally->known = 0;
}

void ich_tally_add(ich_tally *tally, int rows, double mean_loss, const float *logits, const float *labels) {
    tally->loss += mean_loss * rows;
    tally->rows += (size_t)rows;
    for (int r = 0; r < rows; r++) {
        const float label = labels[r * ICH_LABELS + ICH_ANY];
        if (isnan(label) || tally->known == tally->room) continue;
        tally->score[tally->known] = logits[r * ICH_LABELS + ICH_ANY];
        tally->label[tally->known++] = label;
    }
}

double ich_tally_loss(const ich_tally *tally) {
    return tally->rows > 0 ? tally->loss / (double)tally->rows : NAN;
}

bool ich_tally_auc(const ich_tally *tally, double *auc, ich_error *err) {
    const ich_figure f = ich_auc(tally->score, tally->label, tally->known);
    *auc = f.value;
    return f.why != ich_no_memory || ich_fail(err, "out of memory: an epoch's AUC");
}

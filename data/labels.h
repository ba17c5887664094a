/* labels.h: the six labels, in the order of every file and every logit. */
#ifndef ICH_DATA_LABELS_H
#define ICH_DATA_LABELS_H

#include <stdbool.h>

enum {
    ICH_ANY,
    ICH_EPIDURAL,
    ICH_INTRAPARENCHYMAL,
    ICH_INTRAVENTRICULAR,
    ICH_SUBARACHNOID,
    ICH_SUBDURAL,
    ICH_LABELS
};

extern const char *const ich_label_names[ICH_LABELS]; /* "any", "epidural", … */
extern const float ich_label_weights[ICH_LABELS];     /* 2, 1, 1, 1, 1, 1: RSNA's metric */

/* A label as a table has it: "0", "1" (or "0.0", "1.0": pandas writes a column with gaps so), or "", which is
 * unknown: NaN. False for any other text. */
bool ich_label_parse(const char *text, float *label);

#endif

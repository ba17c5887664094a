#include "labels.h"
#include <math.h>
#include <string.h>

const char *const ich_label_names[ICH_LABELS] = {
    "any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"};
const float ich_label_weights[ICH_LABELS] = {2, 1, 1, 1, 1, 1};

bool ich_label_parse(const char *text, float *label) {
    static const struct {
        const char *text;
        float label;
    } known[] = {{"0", 0}, {"1", 1}, {"0.0", 0}, {"1.0", 1}, {"", NAN}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(text, known[i].text) != 0) continue;
        *label = known[i].label;
        return true;
    }
    return false;
}

/* layer_cases.h: the shapes and modes that the layers are tried in, by audit and by the tests. Both lists end
 * with op NULL. */
#ifndef ICH_AUDIT_LAYER_CASES_H
#define ICH_AUDIT_LAYER_CASES_H

#include "audit/layer_run.h"

extern const ich_layer_case
    ich_small_cases[]; /* small and odd; every layer, fusion and flag: numerical gradients */
extern const ich_layer_case ich_large_cases[]; /* large enough for the vector kernels' tiles and threads */

#endif

/* layer_cases.h: the shapes and modes that the layers are tested in. Both lists end with op NULL. */
#ifndef ICH_TESTS_LAYER_CASES_H
#define ICH_TESTS_LAYER_CASES_H

#include "layer_run.h"

extern const layer_case small_cases[]; /* small and odd; every layer, fusion and flag: numerical gradients */
extern const layer_case large_cases[]; /* large enough for the vector kernels' tiles and threads */

#endif

/* Exercise 8: from attention to a ranking of slices, and from gradients to a map. */
#include "exercise.h"

double hit_rate(int studies, const int *offsets, const double *attention, const int *bleeds,
                int k) {
    /* your code here: a slice is among the k first if fewer than k slices of its study have
     * more attention */
    return 0;
}

void grad_cam(int cells, int channels, const float *maps, const float *gradient,
              float *heat) {
    /* your code here */
}

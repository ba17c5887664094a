#ifndef EXAMPLES_08_EXERCISE_H
#define EXAMPLES_08_EXERCISE_H

/* Of the studies that bleed (some slice of theirs has bleeds[t] = 1): the share in which at
 * least one of the k slices of most attention does. Study s owns slices offsets[s] …
 * offsets[s+1]-1, and may have fewer than k. */
double hit_rate(int studies, const int *offsets, const double *attention, const int *bleeds,
                int k);

/* Grad-CAM of one slice, Selvaraju et al. 2017, equations 1 and 2. maps and gradient = d
 * answer / d maps [cells,channels]. heat_i = max(0, Σ_c α_c maps_ic), α_c the mean of
 * gradient_ic over the cells. */
void grad_cam(int cells, int channels, const float *maps, const float *gradient, float *heat);

#endif

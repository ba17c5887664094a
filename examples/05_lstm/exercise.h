#ifndef EXAMPLES_05_EXERCISE_H
#define EXAMPLES_05_EXERCISE_H

/* One step of one study, H units. Forward was c = f ⊙ c_before + i ⊙ g, h = o ⊙ tanh(c), with
 * i, f, o = σ(a_i), σ(a_f), σ(a_o) and g = tanh(a_g); `gates` holds i, f, g, o, one after
 * another [4·H]. Given dh = dL/dh (all of it), and in dc what step t+1 sent back through its
 * forget gate: set da = dL/d(a_i, a_f, a_g, a_o) [4·H], and leave in dc what goes on to step
 * t-1. */
void lstm_cell_backward(int H, const double *gates, const double *c_before, const double *c,
                        const double *dh, double *dc, double *da);

/* dU += Σ_t da_t h_{t-1}ᵀ, dU [4·H,H], over all studies. Rows of da [rows,4·H] and h [rows,H]
 * are slices; study s owns rows offsets[s] … offsets[s+1]-1, and its h before the first is 0.
 */
void lstm_recurrent_gradient(int H, int studies, const int *offsets, const double *da,
                             const double *h, double *dU);

#endif

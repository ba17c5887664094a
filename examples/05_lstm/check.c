/* A small LSTM on two studies of different length, forward here, backward by the exercise. */
#include "../check.h"
#include "exercise.h"

#include <math.h>
#include <string.h>

enum { H = 3, ROWS = 7, STUDIES = 2 };
static const int offsets[] = {0, 4, ROWS};

typedef struct lstm {
    double a_x[ROWS * 4 * H]; /* W x + b, as if given */
    double u[4 * H * H];      /* the recurrent weights */
    double probe[ROWS * H];   /* L = Σ probe · h */
    double gates[ROWS * 4 * H], c[ROWS * H], h[ROWS * H];
} lstm;

static const double zero[H];

static double forward(void *self) {
    lstm *m = self;
    double loss = 0;
    for (int s = 0; s < STUDIES; s++)
        for (int t = offsets[s]; t < offsets[s + 1]; t++) {
            const double *h_before = t > offsets[s] ? m->h + (t - 1) * H : zero;
            const double *c_before = t > offsets[s] ? m->c + (t - 1) * H : zero;
            double *gate = m->gates + t * 4 * H;
            for (int a = 0; a < 4 * H; a++) {
                double sum = m->a_x[t * 4 * H + a];
                for (int u = 0; u < H; u++) sum += m->u[a * H + u] * h_before[u];
                gate[a] = a / H == 2 ? tanh(sum) : 1 / (1 + exp(-sum));
            }
            for (int u = 0; u < H; u++) {
                m->c[t * H + u] = gate[H + u] * c_before[u] + gate[u] * gate[2 * H + u];
                m->h[t * H + u] = gate[3 * H + u] * tanh(m->c[t * H + u]);
                loss += m->probe[t * H + u] * m->h[t * H + u];
            }
        }
    return loss;
}

static void backward(const lstm *m, double *da) {
    for (int s = 0; s < STUDIES; s++) {
        double dc[H] = {0};
        for (int t = offsets[s + 1] - 1; t >= offsets[s]; t--) {
            double dh[H];
            memcpy(dh, m->probe + t * H, sizeof dh);
            for (int u = 0; u < H && t + 1 < offsets[s + 1]; u++)
                for (int a = 0; a < 4 * H; a++)
                    dh[u] += m->u[a * H + u] * da[(t + 1) * 4 * H + a];
            lstm_cell_backward(H, m->gates + t * 4 * H,
                               t > offsets[s] ? m->c + (t - 1) * H : zero, m->c + t * H, dh,
                               dc, da + t * 4 * H);
        }
    }
}

int main(void) {
    static lstm m;
    double da[ROWS * 4 * H] = {0}, d_u[4 * H * H] = {0};
    check_draw(5, ROWS * 4 * H, m.a_x, -1, 1);
    check_draw(6, 4 * H * H, m.u, -1, 1);
    check_draw(7, ROWS * H, m.probe, -1, 1);
    forward(&m);
    backward(&m, da);
    lstm_recurrent_gradient(H, STUDIES, offsets, da, m.h, d_u);
    bool all = check_gradient("lstm", "d a", ROWS * 4 * H, m.a_x, da, forward, &m, 1e-8);
    all &= check_gradient("lstm", "d U", 4 * H * H, m.u, d_u, forward, &m, 1e-8);
    return check_end(all);
}

/* Hands the exercise's functions to Ichor as the backward passes of its layers. */
#include "../check.h"
#include "exercise.h"

static void linear(const ich_call *call) {
    linear_backward(call->rows, call->in_shape[0].c, call->attr->out, call->in[0],
                    call->param[0], call->d_out, call->d_in[0], call->d_param[0],
                    call->d_param[1]);
}

static void silu(const ich_call *call) {
    const ich_shape s = call->in_shape[0];
    silu_backward(call->rows * s.h * s.w * s.c, call->in[0], call->d_out, call->d_in[0]);
}

int main(void) {
    const ich_layer_case linear_case = {.op = "linear",
                                        .what = "5 rows, 7 features to 3",
                                        .attr = {.out = 3, .bias = true},
                                        .in = {{1, 1, 7}},
                                        .lengths = {5}};
    const ich_layer_case silu_case = {
        .op = "silu", .what = "4 x 3 x 2", .in = {{4, 3, 2}}, .lengths = {2}};
    bool all = check_layer(&linear_case, linear);
    all &= check_layer(&silu_case, silu);
    return check_end(all);
}

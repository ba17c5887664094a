/* The node is found by going forward again with the same numbers and looking at each: only a bad step pays.
 */
#include "guard.h"

#include "loop.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool all_finite(const float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

/* -- what a step moves --------------------------------------------------------------------------------- */

/* Copies what no gradient moves to `kept`, or back. */
static void copy_statistics(const ich_graph *graph, float *values, float *kept, bool back) {
    for (int p = 0; p < graph->n_params; p++) {
        const ich_param *param = &graph->params[p];
        float *there = values + param->offset;
        if (param->trainable) continue;
        memcpy(back ? there : kept, back ? kept : there, param->count * sizeof *kept);
        kept += param->count;
    }
}

bool ich_guard_open(ich_guard *guard, const ich_graph *graph, ich_error *err) {
    size_t n = 0;
    for (int p = 0; p < graph->n_params; p++)
        if (!graph->params[p].trainable) n += graph->params[p].count;
    *guard = (ich_guard){.kept = ich_new(n + 1, sizeof *guard->kept, "running means and variances", err)};
    return guard->kept != NULL;
}

void ich_guard_free(ich_guard *guard) {
    free(guard->kept);
    *guard = (ich_guard){0};
}

void ich_guard_note(ich_loop *loop) {
    loop->guard.tally = loop->tally;
    copy_statistics(&loop->model.graph, loop->model.values, loop->guard.kept, false);
}

static void undo(ich_loop *loop, const ich_learner *learner) {
    copy_statistics(&loop->model.graph, loop->model.values, loop->guard.kept, true);
    loop->tally = loop->guard.tally;
    learner->changed(learner->self);
}

/* -- judging ------------------------------------------------------------------------------------------- */

const char *ich_guard_judge(const ich_loop *loop, double loss) {
    const double factor = loop->job->recipe.explode, mean = ich_tally_loss(&loop->guard.tally);
    if (!isfinite(loss)) return "the loss is not finite";
    if (factor <= 0 || loss <= factor * fmax(M_LN2, mean)) return NULL; /* fmax passes over the NaN of none */
    return "the loss explodes";
}

const char *ich_guard_judge_norm(double norm) { return isfinite(norm) ? NULL : "the gradient is not finite"; }

/* -- where it began ------------------------------------------------------------------------------------ */

static void see(void *self, int node) {
    ich_search *search = self;
    if (*search->node >= 0) return;
    const float *value = ich_exec_value(search->exec, node);
    if (value && !all_finite(value, ich_exec_elements(search->exec, node))) *search->node = node;
}

void ich_search_begin(ich_search *search, ich_exec *exec, int *node) {
    *search = (ich_search){exec, node};
    ich_exec_watch(exec, see, search);
}

void ich_search_end(ich_search *search) { ich_exec_watch(search->exec, NULL, NULL); }

/* The first weight, from the images to the loss, that is not finite; NULL: all are. */
static const ich_param *bad_weight(const ich_loop *loop) {
    const ich_graph *graph = &loop->model.graph;
    for (int p = 0; p < graph->n_params; p++)
        if (!all_finite(loop->model.values + graph->params[p].offset, graph->params[p].count))
            return &graph->params[p];
    return NULL;
}

/* Gradients come into being from the loss to the images. */
static const ich_param *bad_gradient(const ich_loop *loop) {
    const ich_graph *graph = &loop->model.graph;
    for (int p = graph->n_params - 1; p >= 0; p--)
        if (!all_finite(loop->gradients + graph->params[p].offset, graph->params[p].count))
            return &graph->params[p];
    return NULL;
}

/* The first that any rank has found. */
static int first_node(int mine) {
    int first = -1;
    for (int rank = 0; rank < ich_ranks(); rank++) {
        int its = mine;
        ich_ranks_share(&its, sizeof its, rank);
        if (its >= 0 && (first < 0 || its < first)) first = its;
    }
    return first;
}

static void find_origin(ich_loop *loop, const ich_learner *learner, char *text, size_t size) {
    const ich_param *weight = bad_weight(loop), *gradient = bad_gradient(loop);
    int node = -1;
    if (learner->locate) learner->locate(learner->self, loop->at.batch, &node);
    node = first_node(node);
    *text = '\0';
    if (weight)
        snprintf(text, size, ", first in the weight '%s'", weight->name);
    else if (node >= 0)
        snprintf(text, size, ", first in node '%s'", loop->model.graph.nodes[node].name);
    else if (gradient)
        snprintf(text, size, ", first in the gradient of '%s'", gradient->name);
}

/* -- leaving out --------------------------------------------------------------------------------------- */

bool ich_guard_leave_out(ich_loop *loop, const ich_learner *learner, const char *who, const char *why,
                         ich_error *err) {
    const int allowed = loop->job->recipe.bad_steps;
    char origin[160], what[320];
    undo(loop, learner); /* a weight is to blame only if it was bad before */
    find_origin(loop, learner, origin, sizeof origin);
    undo(loop, learner);
    snprintf(what, sizeof what, "epoch %d, step %zu (first study %s): %s%s", loop->at.epoch + 1,
             loop->at.batch + 1, who, why, origin);
    if (loop->at.bad_steps >= allowed)
        return ich_fail(err,
                        "%s: lower --lr, or look at that scan; at most %d such steps an epoch are left out",
                        what, allowed);
    loop->at.bad_steps++;
    ich_progress_warn(loop->job->progress, "%s: the step is left out, %d of at most %d in this epoch", what,
                      loop->at.bad_steps, allowed);
    return true;
}

void ich_guard_lost(ich_loop *loop, const ich_learner *learner, const char *who) {
    undo(loop, learner);
    ich_progress_warn(
        loop->job->progress,
        "epoch %d, step %zu (first study %s): a study's slices cannot be read any more, nor decoded "
        "again: the step is left out, and that study from now on (skipped.csv)",
        loop->at.epoch + 1, loop->at.batch + 1, who);
}

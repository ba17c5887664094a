/* guard.h: training defends itself against steps whose numbers went wrong.
 *
 * A step is bad when its loss or the norm of its gradient is not finite, or its loss is more than the setting
 * `explode` times the mean loss of the epoch's steps before it (at least ln 2, the loss of who knows
 * nothing). A bad step is left out: weights, moments, running means and variances and the epoch's figures are
 * what they were before it. It is told, with the study and the node where it began. More than `bad-steps` of
 * them in one epoch end the run; its checkpoints are from before. All of this follows from the numbers alone
 * and the count lies in the checkpoint, so a resumed run leaves out the same steps.
 *
 * A step that meets a study which the disk has lost (data/cache.h) is left out too, and does not count as
 * bad.
 *
 * Calls: layers (exec, graph), tally, source, loop. Called by: loop, pretrain, finetune.
 */
#ifndef ICH_TRAIN_GUARD_H
#define ICH_TRAIN_GUARD_H

#include "layers/exec.h"
#include "tally.h"

struct ich_loop;
struct ich_learner;

/* What a step moves before it is known to be good. */
typedef struct ich_guard {
    float *kept; /* running means and variances, one after another */
    ich_tally tally;
} ich_guard;

bool ich_guard_open(ich_guard *guard, const ich_graph *graph, ich_error *err);
void ich_guard_free(ich_guard *guard);
void ich_guard_note(struct ich_loop *loop); /* before a step */

/* What is wrong with a step of this loss, or with the norm of its gradient; NULL: nothing. */
const char *ich_guard_judge(const struct ich_loop *loop, double loss);
const char *ich_guard_judge_norm(double norm);

/* Leaves out the step that has just been judged; false if that was one too many. */
bool ich_guard_leave_out(struct ich_loop *loop, const struct ich_learner *learner, const char *who,
                         const char *why, ich_error *err);
/* Leaves it out for a study that the disk has lost. */
void ich_guard_lost(struct ich_loop *loop, const struct ich_learner *learner, const char *who);

/* Looks for the first node of a pass whose value is not finite: begin with node = -1, watch the execs, run
 * them. */
typedef struct ich_search {
    ich_exec *exec;
    int *node;
} ich_search;
void ich_search_begin(ich_search *search, ich_exec *exec, int *node);
void ich_search_end(ich_search *search);

#endif

/* loss_check.h: the loss, in float against double, and its gradient against the numerical one.
 *
 * Calls: layers (loss), sum_length, layer_check (findings). Called by: ops.
 */
#ifndef ICH_AUDIT_LOSS_CHECK_H
#define ICH_AUDIT_LOSS_CHECK_H

#include "audit/layer_check.h"

enum { ICH_LOSS_ROWS = 64, ICH_LOSS_LABELS = 16 }; /* at most */

/* `rows` × `labels` logits, with unknown labels among them; `noisy`: the loss that allows for labels with
 * errors. The finding's case is left NULL. */
void ich_loss_check(int rows, int labels, bool noisy, ich_layer_visit *visit, void *self);

#endif

/* inspect.h: a model as a table: what each node does, its shapes, parameters and cost.
 *
 * Calls: model, layers (graph, registry). Called by: cli.
 */
#ifndef ICH_INFER_INSPECT_H
#define ICH_INFER_INSPECT_H

#include "infer/model.h"
#include <stdio.h>

typedef struct ich_totals {
    int64_t parameters; /* numbers that learn, each once */
    int64_t buffers;    /* numbers that do not: running means and variances */
    int64_t macs;       /* multiply-adds of one row of every node */
    int64_t bytes;      /* of every node's output for one slice, before the plan shares memory */
} ich_totals;

ich_totals ich_inspect_totals(const ich_graph *graph);

/* One row a node: name, op, one, input, output, parameters, macs, bytes; `one` says whether a row of the
 * output is a slice or a study. Parameters that two nodes share are counted at the first. As CSV, or as
 * aligned text with a line of totals. Fails only when writing does. */
bool ich_inspect_graph(const ich_graph *graph, bool csv, FILE *out, ich_error *err);

/* The same, with the model's metadata before it (text only). */
bool ich_inspect_model(const ich_model *model, bool csv, FILE *out, ich_error *err);

#endif

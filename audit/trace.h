/* trace.h: one study through a model, node by node, so that every number can be checked elsewhere.
 *
 * Forward runs without fusing and without folding batch norm, so that each node's value is the graph's own,
 * under the names of the model file: whoever loads model.safetensors into another framework and feeds it
 * input.npy gets the same numbers. The CNN runs in chunks of slices; memory does not grow with the study
 * beyond its features. Backward (trace_gradient.c) is the one that training runs, batch norm on running
 * statistics.
 *
 * Files of a dump: nodes.csv, <index>_<node>.npy, input.npy; with backward gradients.csv, loss.npy,
 * grad/<parameter>.npy.
 *
 * Calls: array, infer (model, scans, slices), layers (exec, loss), data. Called by: cli.
 */
#ifndef ICH_AUDIT_TRACE_H
#define ICH_AUDIT_TRACE_H

#include "audit/array.h"
#include "infer/model.h"

typedef struct ich_trace_options {
    const char *study;   /* its study_id; NULL: the input's first */
    bool backward;       /* also the loss against the study's label, and each parameter's gradient */
    const char *dump;    /* folder to write to; NULL: none */
    const char *against; /* folder of an earlier dump; NULL: none */
} ich_trace_options;

typedef struct ich_trace_row {
    const char *name, *op;
    char file[140]; /* in a dump */
    ich_array array;
    double milliseconds;
    bool differs; /* from the earlier dump: in any bit */
} ich_trace_row;

typedef struct ich_trace {
    ich_trace_row *nodes; /* by index in the graph */
    int n_nodes;
    ich_trace_row *gradients; /* the loss, then the parameters that learn; none without backward */
    int n_gradients;
} ich_trace;

/* Fails, also, when `against` is of another model or study than this. */
bool ich_trace_run(ich_trace *trace, const ich_model *model, const char *input,
                   const ich_trace_options *options, ich_error *err);
void ich_trace_free(ich_trace *trace);

/* The first node, or else gradient, that differs from the earlier dump; NULL if all are the same bits. */
const ich_trace_row *ich_trace_first_difference(const ich_trace *trace);

/* -- trace_table.c: tables ----------------------------------------------------------------------------- */

typedef enum ich_trace_column {
    ICH_TRACE_FILE = 1,      /* file */
    ICH_TRACE_DIFFERENCE = 2 /* difference (empty where the dump has no file), same: yes or no */
} ich_trace_column;

/* index,name,op,shape,min,max,mean,l2,fnv1a,milliseconds and the columns asked for. */
void ich_trace_print_nodes(const ich_trace *trace, unsigned columns, FILE *out);
/* name,shape,min,max,mean,l2,fnv1a and the columns asked for. */
void ich_trace_print_gradients(const ich_trace *trace, unsigned columns, FILE *out);
/* nodes.csv and gradients.csv of a dump. */
bool ich_trace_write_tables(const ich_trace *trace, const char *folder, ich_error *err);
/* Fills in `differs` from the tables of an earlier dump. */
bool ich_trace_compare_tables(ich_trace *trace, const char *folder, ich_error *err);

#endif

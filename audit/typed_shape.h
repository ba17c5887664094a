/* typed_shape.h: a shape that somebody types, "n=2,h=14,w=14,c=64,k=64,r=3,pad=1", for any op, kernel or loss
 * that an audit tries: its fields, their bounds, and the layer's case that they make.
 *
 * Calls: layer_run (cases), layers. Called by: ops, kernel_cases.
 */
#ifndef ICH_AUDIT_TYPED_SHAPE_H
#define ICH_AUDIT_TYPED_SHAPE_H

#include "audit/layer_run.h"

enum { ICH_FIELDS = 16 };

typedef struct ich_typed_shape {
    int op;                /* row of the table of ops */
    int value[ICH_FIELDS]; /* of its fields, in the table's order */
    const char *text;      /* as it was typed */
} ich_typed_shape;

/* Is this a shape of its own, and not a part of a known one's name? */
bool ich_shape_is_typed(const char *text);

/* Fails, listing the op's fields, on an unknown op, an unknown or repeated field, a number out of its bounds,
 * and a missing field that has no usual value. `text` must outlive `typed`. */
bool ich_typed_parse(ich_typed_shape *typed, const char *op, const char *text, ich_error *err);

/* The field's number; 0 where the op has no such field. */
int ich_typed_get(const ich_typed_shape *typed, const char *field);

/* The case of the layer of that name. False without error if there is no such layer, or it takes no such
 * shape (a kernel that is no square, for example); with one if the layer refuses the shape. */
bool ich_typed_layer(const ich_typed_shape *typed, ich_layer_case *c, ich_error *err);

/* Multiply-adds and moved numbers of a layer's whole check, numerical gradient included; the layer has
 * accepted the shape. */
double ich_layer_check_operations(const ich_layer_case *c);

#endif

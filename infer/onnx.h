/* onnx.h: the few parts of an ONNX file that an export needs (github.com/onnx/onnx, onnx.proto3; operators of
 * set 13), written as protobuf's wire format (protobuf.dev/programming-guides/encoding): a message is a row
 * of fields, each a number (field << 3 | type) and its value; a message within a message is bytes with a
 * length.
 *
 * Memory that runs out makes a message `failed`, which sticks and is passed on to what it becomes part of.
 *
 * Calls: libc. Called by: export.
 */
#ifndef ICH_INFER_ONNX_H
#define ICH_INFER_ONNX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ich_message {
    unsigned char *bytes;
    size_t count, room;
    bool failed;
} ich_message;

void ich_message_free(ich_message *message);

/* Fields of any message. */
void ich_put_int(ich_message *to, int field, int64_t value);
void ich_put_bytes(ich_message *to, int field, const void *bytes, size_t count);
void ich_put_text(ich_message *to, int field, const char *text);
/* Empties and frees `part`. */
void ich_put_message(ich_message *to, int field, ich_message *part);

enum { /* fields of ModelProto, GraphProto, StringStringEntryProto and OperatorSetIdProto */
       ICH_MODEL_IR_VERSION = 1,
       ICH_MODEL_PRODUCER = 2,
       ICH_MODEL_PRODUCER_VERSION = 3,
       ICH_MODEL_DOC = 6,
       ICH_MODEL_GRAPH = 7,
       ICH_MODEL_OPSET = 8,
       ICH_MODEL_METADATA = 14,
       ICH_GRAPH_NODE = 1,
       ICH_GRAPH_NAME = 2,
       ICH_GRAPH_INITIALIZER = 5,
       ICH_GRAPH_INPUT = 11,
       ICH_GRAPH_OUTPUT = 12,
       ICH_ENTRY_KEY = 1,
       ICH_ENTRY_VALUE = 2,
       ICH_OPSET_VERSION = 2
};

/* Attributes of a node: filled in before ich_onnx_node, which takes them. */
void ich_onnx_int(ich_message *attributes, const char *name, int64_t value);
void ich_onnx_ints(ich_message *attributes, const char *name, const int64_t *values, int count);
void ich_onnx_float(ich_message *attributes, const char *name, float value);
void ich_onnx_text(ich_message *attributes, const char *name, const char *value);

/* A further output, behind the one that the node is called as. */
void ich_onnx_output(ich_message *attributes, const char *name);

/* output = op(inputs); inputs end with NULL. The node is called as its output. */
void ich_onnx_node(ich_message *graph, const char *op, const char *output, const char *const *inputs,
                   ich_message *attributes);

/* Constants of a graph. */
void ich_onnx_floats(ich_message *graph, const char *name, int rank, const int64_t *dims,
                     const float *values);
void ich_onnx_shape(ich_message *graph, const char *name, int rank, const int64_t *dims);

/* An input or output of float32; a dimension of -1 is free and called `free_dim`. */
void ich_onnx_end(ich_message *graph, int field, const char *name, int rank, const int64_t *dims,
                  const char *free_dim);

#endif

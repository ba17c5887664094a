#include "infer/onnx.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they stand in memory");

enum { VARINT = 0, LENGTH = 2, FIXED32 = 5 };                /* wire types */
enum { FLOAT = 1, INT64 = 7 };                               /* TensorProto.DataType */
enum { TYPE_FLOAT = 1, TYPE_INT, TYPE_TEXT, TYPE_INTS = 7 }; /* AttributeProto.AttributeType */

/* -- protobuf ------------------------------------------------------------------------------------------ */

void ich_message_free(ich_message *m) {
    free(m->bytes);
    *m = (ich_message){0};
}

static void append(ich_message *m, const void *bytes, size_t count) {
    if (m->failed || count == 0) return;
    if (m->room - m->count < count) {
        size_t room = m->room ? m->room : 256;
        while (room - m->count < count && room <= SIZE_MAX / 2) room *= 2;
        unsigned char *more = room - m->count < count ? NULL : realloc(m->bytes, room);
        m->failed = !more;
        if (!more) return;
        m->bytes = more;
        m->room = room;
    }
    memcpy(m->bytes + m->count, bytes, count);
    m->count += count;
}

/* Seven bits a byte, the lowest first. */
static void put_varint(ich_message *m, uint64_t value) {
    do {
        const unsigned char byte = (unsigned char)((value & 127) | (value > 127 ? 128 : 0));
        append(m, &byte, 1);
        value >>= 7;
    } while (value);
}

static void put_key(ich_message *m, int field, int type) {
    put_varint(m, (uint64_t)field << 3 | (uint64_t)type);
}

void ich_put_int(ich_message *to, int field, int64_t value) {
    put_key(to, field, VARINT);
    put_varint(to, (uint64_t)value);
}

void ich_put_bytes(ich_message *to, int field, const void *bytes, size_t count) {
    put_key(to, field, LENGTH);
    put_varint(to, count);
    append(to, bytes, count);
}

void ich_put_text(ich_message *to, int field, const char *text) {
    ich_put_bytes(to, field, text, strlen(text));
}

void ich_put_message(ich_message *to, int field, ich_message *part) {
    ich_put_bytes(to, field, part->bytes, part->count);
    to->failed |= part->failed;
    ich_message_free(part);
}

/* -- nodes --------------------------------------------------------------------------------------------- */

enum { NODE_INPUT = 1, NODE_OUTPUT, NODE_NAME, NODE_OP, NODE_ATTRIBUTE };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_F, ATTRIBUTE_I, ATTRIBUTE_S, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20 };

static ich_message attribute(const char *name, int type) {
    ich_message a = {0};
    ich_put_text(&a, ATTRIBUTE_NAME, name);
    ich_put_int(&a, ATTRIBUTE_TYPE, type);
    return a;
}

void ich_onnx_int(ich_message *attributes, const char *name, int64_t value) {
    ich_message a = attribute(name, TYPE_INT);
    ich_put_int(&a, ATTRIBUTE_I, value);
    ich_put_message(attributes, NODE_ATTRIBUTE, &a);
}

void ich_onnx_ints(ich_message *attributes, const char *name, const int64_t *values, int count) {
    ich_message a = attribute(name, TYPE_INTS);
    for (int i = 0; i < count; i++) ich_put_int(&a, ATTRIBUTE_INTS, values[i]);
    ich_put_message(attributes, NODE_ATTRIBUTE, &a);
}

void ich_onnx_float(ich_message *attributes, const char *name, float value) {
    ich_message a = attribute(name, TYPE_FLOAT);
    put_key(&a, ATTRIBUTE_F, FIXED32);
    append(&a, &value, sizeof value);
    ich_put_message(attributes, NODE_ATTRIBUTE, &a);
}

void ich_onnx_text(ich_message *attributes, const char *name, const char *value) {
    ich_message a = attribute(name, TYPE_TEXT);
    ich_put_text(&a, ATTRIBUTE_S, value);
    ich_put_message(attributes, NODE_ATTRIBUTE, &a);
}

void ich_onnx_output(ich_message *attributes, const char *name) {
    ich_put_text(attributes, NODE_OUTPUT, name);
}

void ich_onnx_node(ich_message *graph, const char *op, const char *output, const char *const *inputs,
                   ich_message *attributes) {
    ich_message node = {0};
    for (int i = 0; inputs[i]; i++) ich_put_text(&node, NODE_INPUT, inputs[i]);
    ich_put_text(&node, NODE_OUTPUT, output);
    ich_put_text(&node, NODE_NAME, output);
    ich_put_text(&node, NODE_OP, op);
    if (attributes) { /* they are fields of the node already */
        append(&node, attributes->bytes, attributes->count);
        node.failed |= attributes->failed;
        ich_message_free(attributes);
    }
    ich_put_message(graph, ICH_GRAPH_NODE, &node);
}

/* -- tensors ------------------------------------------------------------------------------------------- */

enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9 };

static void put_tensor(ich_message *graph, const char *name, int type, int rank, const int64_t *dims,
                       const void *values, size_t bytes) {
    ich_message tensor = {0};
    for (int d = 0; d < rank; d++) ich_put_int(&tensor, TENSOR_DIMS, dims[d]);
    ich_put_int(&tensor, TENSOR_TYPE, type);
    ich_put_text(&tensor, TENSOR_NAME, name);
    ich_put_bytes(&tensor, TENSOR_RAW, values, bytes);
    ich_put_message(graph, ICH_GRAPH_INITIALIZER, &tensor);
}

void ich_onnx_floats(ich_message *graph, const char *name, int rank, const int64_t *dims,
                     const float *values) {
    size_t count = 1;
    for (int d = 0; d < rank; d++) count *= (size_t)dims[d];
    put_tensor(graph, name, FLOAT, rank, dims, values, count * sizeof *values);
}

void ich_onnx_shape(ich_message *graph, const char *name, int rank, const int64_t *dims) {
    put_tensor(graph, name, INT64, 1, (int64_t[]){rank}, dims, (size_t)rank * sizeof *dims);
}

/* ValueInfoProto { name 1, type 2: TypeProto { tensor_type 1: { elem_type 1, shape 2: { dim 1: { dim_value 1,
 * dim_param 2 } } } } } */
void ich_onnx_end(ich_message *graph, int field, const char *name, int rank, const int64_t *dims,
                  const char *free_dim) {
    ich_message end = {0}, type = {0}, tensor = {0}, shape = {0};
    for (int d = 0; d < rank; d++) {
        ich_message dim = {0};
        if (dims[d] < 0)
            ich_put_text(&dim, 2, free_dim);
        else
            ich_put_int(&dim, 1, dims[d]);
        ich_put_message(&shape, 1, &dim);
    }
    ich_put_int(&tensor, 1, FLOAT);
    ich_put_message(&tensor, 2, &shape);
    ich_put_message(&type, 1, &tensor);
    ich_put_text(&end, 1, name);
    ich_put_message(&end, 2, &type);
    ich_put_message(graph, field, &end);
}

#include "audit/typed_shape.h"

#include "audit/loss_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- which fields an op has ---------------------------------------------------------------------------- */

typedef struct field {
    const char *name;
    int least, most, usual; /* usual: MUST: it has to be typed */
} field;

enum { MUST = -1, SIDE = 4096, WIDTH = 65536, WINDOW = 31, LENGTH = 4096, NUMBERS = 1 << 24 };

/* clang-format off */
#define ROWS        {"n", 1, LENGTH, 1}
#define PICTURE     ROWS, {"h", 1, SIDE, 1}, {"w", 1, SIDE, 1}, {"c", 1, WIDTH, MUST}
#define WINDOWED    ROWS, {"h", 1, SIDE, MUST}, {"w", 1, SIDE, MUST}, {"c", 1, WIDTH, MUST}, {"r", 1, WINDOW, MUST}, \
                    {"stride", 1, WINDOW, 1}, {"pad", 0, 2 * WINDOW, 0}
#define STUDIES     {"slices", 1, LENGTH, MUST}, {"slices2", 0, LENGTH, 0}, {"slices3", 0, LENGTH, 0}, \
                    {"slices4", 0, LENGTH, 0}, {"c", 1, WIDTH, MUST}
#define FLAG(NAME, USUAL) {NAME, 0, 1, USUAL}
#define LOGITS      {"n", 1, ICH_LOSS_ROWS, MUST}, {"labels", 1, ICH_LOSS_LABELS, 6}
#define ADDED       FLAG("added", 0) /* gradients are added to what is there */

static const struct op {
    const char *name;
    ich_layer_draw draw;
    field fields[ICH_FIELDS + 1];
} ops[] = {
    {"conv2d", ICH_DRAW_ANY, {WINDOWED, {"k", 1, WIDTH, MUST}, {"s", 0, WINDOW, 0}, {"dilation", 1, WINDOW, 1},
                              {"groups", 1, WIDTH, 1}, FLAG("bias", 0), ADDED}},
    {"batch_norm", ICH_DRAW_ANY, {PICTURE, FLAG("statistics", 1), FLAG("relu", 0), ADDED}},
    {"relu", ICH_DRAW_AWAY_FROM_ZERO, {PICTURE, ADDED}},
    {"sigmoid", ICH_DRAW_ANY, {PICTURE, ADDED}},
    {"tanh", ICH_DRAW_ANY, {PICTURE, ADDED}},
    {"silu", ICH_DRAW_ANY, {PICTURE, ADDED}},
    {"max_pool", ICH_DRAW_DISTINCT, {WINDOWED, ADDED}},
    {"average_pool", ICH_DRAW_ANY, {WINDOWED, ADDED}},
    {"global_average", ICH_DRAW_ANY, {PICTURE, ADDED}},
    {"add", ICH_DRAW_ANY, {PICTURE, FLAG("relu", 0), ADDED}},
    {"concat", ICH_DRAW_ANY, {PICTURE, {"c2", 1, WIDTH, MUST}, ADDED}},
    {"linear", ICH_DRAW_ANY, {PICTURE, {"k", 1, WIDTH, MUST}, FLAG("bias", 1), ADDED}},
    {"dropout", ICH_DRAW_ANY, {PICTURE, {"percent", 0, 99, 40}, ADDED}},
    {"lstm", ICH_DRAW_ANY, {STUDIES, {"hidden", 1, WIDTH, MUST}, FLAG("bidirectional", 1), ADDED}},
    {"attention", ICH_DRAW_ANY, {STUDIES, {"k", 1, WIDTH, MUST}, {"heads", 1, WINDOW, 1}, FLAG("gated", 1), ADDED}},
    {"attention_pool", ICH_DRAW_ANY, {STUDIES, {"heads", 1, WINDOW, 1}, ADDED}},
    {"mean_slices", ICH_DRAW_ANY, {STUDIES, ADDED}},
    {"max_slices", ICH_DRAW_DISTINCT, {STUDIES, ADDED}},
    {"top_slices", ICH_DRAW_DISTINCT, {STUDIES, {"top", 1, WIDTH, MUST}, ADDED}},
    {"noisy_or", ICH_DRAW_ANY, {STUDIES, ADDED}},
    {"smoothness", ICH_DRAW_POSITIVE, {STUDIES, {"order", 1, 2, 1}, {"weight", 1, WIDTH, 1}, ADDED}},
    {"layer_norm", ICH_DRAW_ANY, {STUDIES, ADDED}},
    {"self_attention", ICH_DRAW_ANY, {STUDIES, {"heads", 1, WINDOW, 1}, ADDED}},
    {"gp", ICH_DRAW_ANY, {STUDIES, {"hidden", 1, 1024, MUST}, {"k", 1, WIDTH, MUST}, ADDED}},
    {"moderate", ICH_DRAW_AWAY_FROM_ZERO, {STUDIES, {"w", 3, 3, 3}, ADDED}},
    {"gp_kl", ICH_DRAW_ANY, {STUDIES, {"w", 3, 3, 3}, {"weight", 1, WIDTH, 1}, ADDED}},
    {"loss", ICH_DRAW_ANY, {LOGITS}},
    {"noisy_loss", ICH_DRAW_ANY, {LOGITS}},
    {"gemm", ICH_DRAW_ANY, {{"m", 1, WIDTH, MUST}, {"n", 1, WIDTH, MUST}, {"k", 1, WIDTH, MUST},
                            {"padding", 0, WIDTH, 0}, FLAG("ta", 0), FLAG("tb", 0), ADDED}},
    {"channel", ICH_DRAW_ANY, {{"rows", 1, NUMBERS, MUST}, {"c", 1, WIDTH, MUST}, FLAG("relu", 0)}},
    {"elementwise", ICH_DRAW_ANY, {{"n", 1, NUMBERS, MUST}}},
    {"optimizer", ICH_DRAW_ANY, {{"n", 1, NUMBERS, MUST}}},
};
/* clang-format on */
enum { OPS = sizeof ops / sizeof *ops };

static const struct op *op_of(const ich_typed_shape *typed) { return &ops[typed->op]; }

static int find_field(const struct op *op, const char *name, size_t length) {
    for (int i = 0; op->fields[i].name; i++)
        if (strlen(op->fields[i].name) == length && !strncmp(op->fields[i].name, name, length)) return i;
    return -1;
}

int ich_typed_get(const ich_typed_shape *typed, const char *name) {
    const int i = find_field(op_of(typed), name, strlen(name));
    return i < 0 ? 0 : typed->value[i];
}

/* -- parsing ------------------------------------------------------------------------------------------- */

bool ich_shape_is_typed(const char *text) { return text && strchr(text, '='); }

/* "conv2d takes n[1] h w c …": what is usual stands in brackets. */
static bool fail_fields(const struct op *op, const char *what, int length, const char *text, ich_error *err) {
    char list[400] = "";
    for (int i = 0; op->fields[i].name; i++) {
        const field *f = &op->fields[i];
        const size_t used = strlen(list);
        if (f->usual == MUST)
            snprintf(list + used, sizeof list - used, " %s", f->name);
        else
            snprintf(list + used, sizeof list - used, " %s[%d]", f->name, f->usual);
    }
    return ich_fail(err, "--shape: %s '%.*s': %s takes%s, as in '%s=2'", what, length, text, op->name, list,
                    op->fields[0].name);
}

static bool parse_field(const struct op *op, const char *text, int length, int value[], ich_error *err) {
    const int name = (int)strcspn(text, "=,");
    const int i = find_field(op, text, (size_t)name);
    if (i < 0 || name >= length) return fail_fields(op, "there is no field", length, text, err);
    if (value[i] != MUST) return fail_fields(op, "given twice:", length, text, err);
    char *end;
    const long number = strtol(text + name + 1, &end, 10);
    if (end != text + length || end == text + name + 1)
        return fail_fields(op, "no number:", length, text, err);
    if (number < op->fields[i].least || number > op->fields[i].most)
        return ich_fail(err, "--shape: '%.*s': %s of %s goes from %d to %d", length, text, op->fields[i].name,
                        op->name, op->fields[i].least, op->fields[i].most);
    value[i] = (int)number;
    return true;
}

static bool find_op(ich_typed_shape *typed, const char *name, ich_error *err) {
    char list[400] = "";
    for (typed->op = 0; typed->op < OPS; typed->op++) {
        const size_t used = strlen(list);
        if (name && !strcmp(ops[typed->op].name, name)) return true;
        snprintf(list + used, sizeof list - used, " %s", ops[typed->op].name);
    }
    return ich_fail(err, "--shape with '=' needs an --op of:%s", list);
}

bool ich_typed_parse(ich_typed_shape *typed, const char *name, const char *text, ich_error *err) {
    *typed = (ich_typed_shape){.text = text};
    if (!find_op(typed, name, err)) return false;
    const struct op *op = op_of(typed);
    for (int i = 0; i < ICH_FIELDS; i++) typed->value[i] = MUST;
    for (const char *at = text;; at++) {
        const int length = (int)strcspn(at, ",");
        if (!parse_field(op, at, length, typed->value, err)) return false;
        at += length;
        if (!*at) break;
    }
    for (int i = 0; op->fields[i].name; i++) {
        if (typed->value[i] == MUST) typed->value[i] = op->fields[i].usual;
        if (typed->value[i] == MUST)
            return fail_fields(op, "missing:", (int)strlen(op->fields[i].name), op->fields[i].name, err);
    }
    return true;
}

/* -- the layer's case ---------------------------------------------------------------------------------- */

static int or_one(int number) { return number ? number : 1; }

static ich_layer_case case_of(const ich_typed_shape *typed) {
#define GET(field) ich_typed_get(typed, field)
    const int h = or_one(GET("h")), w = or_one(GET("w")), c = GET("c");
    ich_layer_case made = {
        .op = op_of(typed)->name,
        .what = typed->text,
        .attr = {.out = GET("k"),
                 .kernel = GET("r"),
                 .stride = GET("stride"),
                 .pad = GET("pad"),
                 .dilation = GET("dilation"),
                 .groups = GET("groups"),
                 .bias = GET("bias"),
                 .hidden = GET("hidden"),
                 .bidirectional = GET("bidirectional"),
                 .heads = GET("heads"),
                 .gated = GET("gated"),
                 .top = GET("top"),
                 .order = GET("order"),
                 .weight = (float)GET("weight"),
                 .eps = 1e-5f,
                 .momentum = 0.1f,
                 .rate = (float)GET("percent") / 100},
        .in = {{h, w, c}, {h, w, GET("c2") ? GET("c2") : c}},
        .lengths = {GET("slices") ? GET("slices") : GET("n"), GET("slices2"), GET("slices3"), GET("slices4")},
        .batch_statistics = GET("statistics"),
        .training = GET("percent") > 0,
        .relu = GET("relu"),
        .accumulate = GET("added"),
        .draw = op_of(typed)->draw};
    if (GET("heads")) made.in[1] = (ich_shape){1, 1, GET("heads")}; /* what attention_pool weighs by */
    return made;
#undef GET
}

bool ich_typed_layer(const ich_typed_shape *typed, ich_layer_case *c, ich_error *err) {
    const int layer = ich_layer_index(op_of(typed)->name), s = ich_typed_get(typed, "s");
    ich_shape out;
    ich_error why = {0};
    if (layer < 0 || (s && s != ich_typed_get(typed, "r"))) return false;
    *c = case_of(typed);
    if (c->batch_statistics && (int64_t)c->lengths[0] * c->in[0].h * c->in[0].w < 2)
        return ich_fail(err, "%s, %s: the statistics of one number say nothing: give more, or statistics=0",
                        c->op, c->what);
    return ich_layers(ICH_F64)[layer]->shape(&c->attr, c->in, &out, &why) ||
           ich_fail(err, "%s, %s: %s", c->op, c->what, why.text);
}

static double count(ich_shape shape) { return (double)shape.h * shape.w * shape.c; }

static double count_params(const ich_layer *layer, const ich_layer_case *c) {
    ich_param_spec specs[ICH_MAX_PARAMS] = {0};
    const int n = layer->params ? layer->params(&c->attr, c->in, specs) : 0;
    double sum = 0;
    for (int p = 0; p < n; p++) {
        double numbers = 1;
        for (int d = 0; d < specs[p].rank; d++) numbers *= specs[p].dims[d];
        sum += numbers;
    }
    return sum;
}

/* Each number is moved by ±h and ±2h, and forward and backward run for each: three products where there is
 * one in forward, and every result is looked at. */
double ich_layer_check_operations(const ich_layer_case *c) {
    const ich_layer *layer = ich_layers(ICH_F64)[ich_layer_index(c->op)];
    ich_shape out = {0};
    layer->shape(&c->attr, c->in, &out, NULL);
    double rows = 0, in = 0;
    for (int s = 0; s < ICH_CASE_STUDIES; s++) rows += c->lengths[s];
    for (int i = 0; i < layer->inputs; i++) in += count(c->in[i]);
    const double numbers = rows * (in + count(out)) + count_params(layer, c),
                 looks = 4 * numbers * 4 * numbers;
    if (looks > 1e15 || !layer->macs) return looks; /* their products might not fit an integer */
    return looks + 4 * numbers * 3 * rows * (double)layer->macs(&c->attr, c->in, &out);
}

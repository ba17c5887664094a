#include "infer/inspect.h"

#include "data/csv.h"
#include "infer/provenance.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

typedef struct row {
    const ich_node *node;
    const char *op;
    char input[80], output[32]; /* "56×56×64 + 56×56×64" */
    int64_t parameters, buffers, macs, bytes;
} row;

/* -- figures ------------------------------------------------------------------------------------------- */

/* Whether a node before `node` uses the parameter already. */
static bool is_shared(const ich_graph *graph, int node, int param) {
    for (int n = 0; n < node; n++) {
        const ich_node *other = &graph->nodes[n];
        for (int p = 0; p < other->n_params; p++) {
            if (other->params[p] == param) return true;
        }
    }
    return false;
}

static void count_params(const ich_graph *graph, int index, row *r) {
    for (int p = 0; p < r->node->n_params; p++) {
        const int param = r->node->params[p];
        if (is_shared(graph, index, param)) continue;
        const int64_t count = (int64_t)graph->params[param].count;
        if (graph->params[param].trainable) {
            r->parameters += count;
        } else {
            r->buffers += count;
        }
    }
}

static int64_t count_macs(const ich_graph *graph, const ich_node *node) {
    if (node->op < 0) return 0;
    const ich_layer *layer = ich_layers(ICH_F32)[node->op];
    if (layer->macs == NULL) return 0;
    ich_shape in[ICH_MAX_INPUTS];
    for (int i = 0; i < node->n_inputs; i++) in[i] = graph->nodes[node->inputs[i]].shape;
    return layer->macs(&node->attr, in, &node->shape);
}

static void shape_text(char *text, size_t size, ich_shape shape) {
    if (shape.h == 1 && shape.w == 1) {
        snprintf(text, size, "%d", shape.c);
    } else {
        snprintf(text, size, "%dx%dx%d", shape.h, shape.w, shape.c);
    }
}

static row make_row(const ich_graph *graph, int index) {
    const ich_node *node = &graph->nodes[index];
    row r = {.node = node, .op = node->op < 0 ? "input" : ich_layers(ICH_F32)[node->op]->op};
    size_t used = 0;
    for (int i = 0; i < node->n_inputs && used < sizeof r.input; i++) {
        char shape[32];
        shape_text(shape, sizeof shape, graph->nodes[node->inputs[i]].shape);
        used += (size_t)snprintf(r.input + used, sizeof r.input - used, "%s%s", i > 0 ? " + " : "", shape);
    }
    shape_text(r.output, sizeof r.output, node->shape);
    count_params(graph, index, &r);
    r.macs = count_macs(graph, node);
    r.bytes = (int64_t)(ich_shape_count(node->shape) * sizeof(float));
    return r;
}

ich_totals ich_inspect_totals(const ich_graph *graph) {
    ich_totals sum = {0};
    for (int i = 0; i < graph->n_nodes; i++) {
        const row r = make_row(graph, i);
        sum.parameters += r.parameters;
        sum.buffers += r.buffers;
        sum.macs += r.macs;
        sum.bytes += r.bytes;
    }
    return sum;
}

/* -- tables -------------------------------------------------------------------------------------------- */

static const char *one(const row *r) { return r->node->domain == ICH_PER_STUDY ? "study" : "slice"; }

static void print_csv(const ich_graph *graph, FILE *out) {
    fputs("name,op,one,input,output,parameters,macs,bytes\n", out);
    for (int i = 0; i < graph->n_nodes; i++) {
        const row r = make_row(graph, i);
        ich_csv_put(out, r.node->name, ',');
        fprintf(out, "%s,%s,%s,%s,%" PRId64 ",%" PRId64 ",%" PRId64 "\n", r.op, one(&r), r.input, r.output,
                r.parameters, r.macs, r.bytes);
    }
}

static int widest_name(const ich_graph *graph) {
    size_t widest = 4;
    for (int i = 0; i < graph->n_nodes; i++) {
        const size_t length = strlen(graph->nodes[i].name);
        widest = length > widest ? length : widest;
    }
    return (int)widest;
}

static void print_text(const ich_graph *graph, FILE *out) {
    const int width = widest_name(graph);
    fprintf(out, "%-*s  %-16s %-5s %-25s %-12s %12s %14s %11s\n", width, "name", "op", "one", "input",
            "output", "parameters", "MAC", "bytes");
    for (int i = 0; i < graph->n_nodes; i++) {
        const row r = make_row(graph, i);
        fprintf(out, "%-*s  %-16s %-5s %-25s %-12s %12" PRId64 " %14" PRId64 " %11" PRId64 "\n", width,
                r.node->name, r.op, one(&r), r.input, r.output, r.parameters, r.macs, r.bytes);
    }
    const ich_totals sum = ich_inspect_totals(graph);
    fprintf(out,
            "total: %" PRId64 " parameters, %" PRId64 " buffers, %.3f G multiply-adds and %.1f MiB of "
            "activations a slice\n",
            sum.parameters, sum.buffers, (double)sum.macs / 1e9, (double)sum.bytes / (1 << 20));
}

static bool check_stream(FILE *out, ich_error *err) {
    return (fflush(out) == 0 && ferror(out) == 0) ||
           ich_fail(err, "inspect: the output cannot be written: is the disk full, or the reader gone?");
}

bool ich_inspect_graph(const ich_graph *graph, bool csv, FILE *out, ich_error *err) {
    if (csv) {
        print_csv(graph, out);
    } else {
        print_text(graph, out);
    }
    return check_stream(out, err);
}

/* Text from a file that anybody may have made: nothing in it may steer a terminal. */
static void put_plain(FILE *out, const char *text) {
    for (; *text != '\0'; text++) fputc(iscntrl((unsigned char)*text) ? ' ' : *text, out);
}

bool ich_inspect_model(const ich_model *model, bool csv, FILE *out, ich_error *err) {
    if (!csv) {
        fprintf(out, "arch: %s\nheads:%s%s\n", model->recipe.arch, model->fc >= 0 ? " image" : "",
                model->classifier >= 0 ? " study" : "");
        for (int i = 0; i < model->n_meta; i++) {
            if (!strcmp(model->meta_keys[i], ICH_META_ANCESTRY)) continue; /* pages: --provenance */
            put_plain(out, model->meta_keys[i]);
            fputs(": ", out);
            put_plain(out, model->meta_values[i]);
            fputc('\n', out);
        }
        ich_recipe_print(&model->recipe, out);
        fputc('\n', out);
    }
    return ich_inspect_graph(&model->graph, csv, out, err);
}

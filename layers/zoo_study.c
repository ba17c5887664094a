/* zoo_study.c: study heads: from features per slice to logits per study, on study labels alone.
 *
 *   context   how a slice learns of the others                                   features -> h
 *     lstm      lstm: bidirectional, foot to head and back
 *     self-attention   context.embed -> context.norm -> context.attention, added to context.embed's: each
 *               slice looks at all others, wherever they lie
 *     none      each slice speaks for itself
 *   pool      how slices become a study                                          h -> logits
 *     attention       attention -> attention.pool -> classifier, once a study; the same linear on every
 *                     slice's h, as classifier.slices, says which slice it is
 *                     With `smooth`, attention.smoothness adds its term to the loss.
 *     mean, max, top-k, noisy-or   classifier on every slice -> classifier.pool of its logits
 *
 *   classifier
 *     linear    classifier
 *     gp        gp.norm -> gp.map -> gp.features -> gp -> classifier: a Gaussian process on a few numbers of
 * z (Wu et al. 2021), whose variance says how sure it is; gp.kl is its term of the loss. With attention alone
 *
 * Ilse et al. 2018 (arXiv 1802.04712), section 2, call the first kind embedding-level, the second
 * instance-level. Each context goes with each pool.
 */
#include "zoo_internal.h"

#include <string.h>

typedef struct context_rule {
    const char *name;
    int (*build)(ich_graph *graph, const ich_study_head *head, int features);
} context_rule;

typedef struct pool_rule {
    const char *name;
    const char *op; /* that pools logits; NULL: attention pools embeddings */
    float start;    /* of the classifier's bias */
} pool_rule;

static int lstm(ich_graph *graph, const ich_study_head *head, int features) {
    return ich_graph_add(graph, "lstm", "lstm", (ich_attr){.hidden = head->hidden, .bidirectional = true},
                         features);
}

static int none(ich_graph *graph, const ich_study_head *head, int features) {
    (void)graph, (void)head;
    return features;
}

/* Norm first, then attention on top of what is there (Xiong et al. 2020, arXiv 2002.04745). As wide as the
 * LSTM's two directions together. */
static int self_attention(ich_graph *graph, const ich_study_head *head, int features) {
    enum { HEADS = 4 };
    const ich_attr embed = {.out = 2 * head->hidden, .bias = true};
    int x = ich_graph_add(graph, "linear", "context.embed", embed, features);
    int norm = ich_graph_add(graph, "layer_norm", "context.norm", (ich_attr){.eps = 1e-5f}, x);
    int seen = ich_graph_add(graph, "self_attention", "context.attention", (ich_attr){.heads = HEADS}, norm);
    return ich_graph_add2(graph, "add", "context.add", (ich_attr){0}, x, seen);
}

static const context_rule contexts[] = {{"lstm", lstm}, {"self-attention", self_attention}, {"none", none}};

/* A noisy-or of slices that each begin at 1/2 would be sure of every study, and learn slowly from there. At
 * the logit of 0.023 a study of 30 slices begins at 1/2 (a prior, as in Lin et al. 2017, arXiv 1708.02002,
 * section 3.3). */
static const pool_rule pools[] = {{"attention", NULL, 0},
                                  {"mean", "mean_slices", 0},
                                  {"max", "max_slices", 0},
                                  {"top-k", "top_slices", 0},
                                  {"noisy-or", "noisy_or", -3.75f}};

/* Entry of a table by name; without a name the first. */
#define FIND(table, wanted, error)                                                                           \
    find(table, sizeof table / sizeof *table, sizeof *table, #table, wanted, error)

static const void *find(const void *table, size_t count, size_t size, const char *what, const char *wanted,
                        ich_error *err) {
    for (size_t i = 0; i < count; i++) {
        const void *entry = (const char *)table + i * size;
        if (!wanted || !strcmp(*(const char *const *)entry, wanted)) return entry;
    }
    ich_fail(err, "model: there is no '%s' among the study head's %s", wanted, what);
    return NULL;
}

/* -- classifiers ---------------------------------------------------------------------------------------- */

static int linear(ich_graph *graph, float start, int labels, int input) {
    return ich_graph_add(graph, "linear", "classifier",
                         (ich_attr){.out = labels, .bias = true, .start = start}, input);
}

/* As few numbers as Wu et al. 2021 hand to theirs, and points enough for their cube. */
static int gaussian_process(ich_graph *graph, int labels, int z, int h) {
    enum { FEATURES = 8, POINTS = 32 };
    const ich_attr map = {.out = FEATURES, .bias = true}, process = {.out = labels, .hidden = POINTS};
    int norm = ich_graph_add(graph, "layer_norm", "gp.norm", (ich_attr){.eps = 1e-5f}, z);
    int mapped = ich_graph_add(graph, "linear", "gp.map", map, norm);
    int features = ich_graph_add(graph, "tanh", "gp.features", (ich_attr){0}, mapped);
    int gp = ich_graph_add(graph, "gp", "gp", process, features);
    int classifier = ich_graph_add(graph, "moderate", "classifier", (ich_attr){0}, gp);
    ich_graph_add(graph, "gp_kl", "gp.kl", (ich_attr){.weight = 1.0f / 7}, gp); /* as the labels' losses */
    norm = ich_graph_share(graph, "gp.norm.slices", norm, h);
    mapped = ich_graph_share(graph, "gp.map.slices", mapped, norm);
    features = ich_graph_add(graph, "tanh", "gp.features.slices", (ich_attr){0}, mapped);
    gp = ich_graph_share(graph, "gp.slices", gp, features);
    ich_graph_add(graph, "moderate", "classifier.slices", (ich_attr){0}, gp);
    return classifier;
}

/* -- pools ---------------------------------------------------------------------------------------------- */

static int pool_embeddings(ich_graph *graph, const ich_study_head *head, int labels, int h) {
    ich_attr attr = {.out = head->attention, .heads = head->heads, .gated = head->gated};
    int a = ich_graph_add(graph, "attention", "attention", attr, h);
    int z = ich_graph_add2(graph, "attention_pool", "attention.pool", (ich_attr){0}, h, a);
    if (head->smooth > 0)
        ich_graph_add(graph, "smoothness", "attention.smoothness",
                      (ich_attr){.order = head->smooth_order, .weight = head->smooth}, a);
    if (head->gp) return gaussian_process(graph, labels, z, h);
    int classifier = linear(graph, 0, labels, z);
    ich_graph_share(graph, "classifier.slices", classifier, h);
    return classifier;
}

static int pool_logits(ich_graph *graph, const ich_study_head *head, const pool_rule *pool, int labels,
                       int h) {
    int slices = linear(graph, pool->start, labels, h);
    return ich_graph_add(graph, pool->op, "classifier.pool", (ich_attr){.top = head->top}, slices);
}

int ich_zoo_study_head(ich_graph *graph, int features, const ich_study_head *head, int labels) {
    const context_rule *context = FIND(contexts, head->context, &graph->error);
    const pool_rule *pool = FIND(pools, head->pool, &graph->error);
    if (!context || !pool) return -1;
    if (pool->op && (head->smooth > 0 || head->gp)) {
        ich_fail(&graph->error, "model: %s goes with pool = attention, not with %s",
                 head->gp ? "a Gaussian process" : "smooth", pool->name);
        return -1;
    }
    graph->group = ICH_GROUP_HEAD;
    int h = context->build(graph, head, features);
    int study =
        pool->op ? pool_logits(graph, head, pool, labels, h) : pool_embeddings(graph, head, labels, h);
    return graph->error.text[0] ? -1 : study;
}

ich_study_nodes ich_zoo_study_nodes(const ich_graph *graph) {
    int classifier = ich_graph_find(graph, "classifier"), pooled = ich_graph_find(graph, "classifier.pool");
    return (ich_study_nodes){.study = pooled >= 0 ? pooled : classifier,
                             .slices = pooled >= 0 ? classifier : ich_graph_find(graph, "classifier.slices"),
                             .weights = ich_graph_find(graph, "attention"),
                             .gp = ich_graph_find(graph, "gp")};
}

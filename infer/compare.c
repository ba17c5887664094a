#include "compare.h"

#include "data/file.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- reading ------------------------------------------------------------------------------------------- */

enum { A, B, TRUTH, TABLES };

static bool read_all(const ich_compare_options *o, ich_table t[TABLES], ich_error *err) {
    const char *const paths[TABLES] = {o->a, o->b, o->truth};
    for (int i = 0; i < TABLES; i++) {
        const bool folder = ich_path_is_folder(paths[i]);
        if (!(folder ? ich_table_read_folder : ich_table_read)(&t[i], paths[i], ICH_LEVEL_STUDY, i == TRUTH,
                                                               err))
            return false;
    }
    return true;
}

static bool name_missing(const ich_table t[TABLES], int from, ich_skipped *skipped, ich_error *err) {
    static const char *const reasons[TABLES] = {"the first reader has no such study",
                                                "the second reader has no such study",
                                                "the truth has no such study"};
    for (size_t r = 0; r < t[from].csv.n_rows; r++) {
        const ich_entry *e = &t[from].entries[r];
        int other = 0;
        while (other < TABLES && ich_table_find(&t[other], e)) other++;
        if (other < TABLES && !ich_skipped_add(skipped, t[from].csv.path, e->study, reasons[other]))
            return ich_fail(err, "%s: no memory for the list of skipped studies", t[from].csv.path);
    }
    return true;
}

/* -- pairs --------------------------------------------------------------------------------------------- */

typedef struct pairs { /* of one label, or of times */
    double *a, *b, *label;
    size_t n, positives;
} pairs;

static bool make_room(pairs *p, size_t rows, ich_error *err) {
    p->a = ich_new(rows, 3 * sizeof *p->a, "the pairs", err);
    if (!p->a) return false;
    p->b = p->a + rows;
    p->label = p->b + rows;
    return true;
}

static void add_pair(pairs *p, double a, double b, double label) {
    if (isnan(a) || isnan(b) || isnan(label)) return;
    p->a[p->n] = a;
    p->b[p->n] = b;
    p->label[p->n++] = label;
    p->positives += label > 0.5;
}

/* label < 0: seconds, for which the truth need not be known. */
static void pair_up(const ich_table t[TABLES], int label, pairs *p) {
    p->n = p->positives = 0;
    for (size_t r = 0; r < t[A].csv.n_rows; r++) {
        const ich_entry *a = &t[A].entries[r], *b = ich_table_find(&t[B], a),
                        *truth = ich_table_find(&t[TRUTH], a);
        if (!b || !truth) continue;
        if (label < 0)
            add_pair(p, a->seconds, b->seconds, 0);
        else
            add_pair(p, a->value[label], b->value[label], truth->value[label]);
    }
}

/* What a and b say (`right` false), or whether they are right, of the cases of one class (0, 1) or all (-1).
 */
static ich_pairs count(const pairs *p, double at, int class, bool right) {
    ich_pairs c = {0};
    for (size_t i = 0; i < p->n; i++) {
        const bool is = p->label[i] > 0.5;
        if (class >= 0 && is != class) continue;
        const bool a = (p->a[i] >= at) == (is || !right), b = (p->b[i] >= at) == (is || !right);
        c.both += a && b;
        c.only_a += a && !b;
        c.only_b += !a && b;
        c.neither += !a && !b;
    }
    return c;
}

/* -- rows ---------------------------------------------------------------------------------------------- */

static void add_row(ich_comparison *c, const char *label, const char *metric, double a, double b,
                    ich_test test, const pairs *p) {
    c->rows[c->n_rows++] = (ich_comparison_row){label, metric, a, b, test, p->n, p->positives};
}

static void compare_shares(ich_comparison *c, const char *label, const pairs *p) {
    static const struct {
        const char *metric;
        int class;
    } shares[] = {{"accuracy", -1}, {"sensitivity", 1}, {"specificity", 0}};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        const ich_pairs right = count(p, c->at, shares[i].class, true);
        const size_t n = right.both + right.only_a + right.only_b + right.neither;
        const double a = ich_proportion(right.both + right.only_a, n).value;
        const double b = ich_proportion(right.both + right.only_b, n).value;
        add_row(c, label, shares[i].metric, a, b, ich_mcnemar_exact(right), p);
        add_row(c, label, shares[i].metric, a, b, ich_mcnemar_mid_p(right), p);
    }
}

static bool compare_label(ich_comparison *c, const char *label, const pairs *p, ich_error *err) {
    const ich_figure a = ich_auc_delong(p->a, p->label, p->n), b = ich_auc_delong(p->b, p->label, p->n);
    const ich_test test = ich_delong_paired(p->a, p->b, p->label, p->n);
    if (a.why == ich_no_memory || b.why == ich_no_memory || test.why == ich_no_memory)
        return ich_fail(err, "out of memory: the AUCs of '%s'", label);
    compare_shares(c, label, p);
    add_row(c, label, "auc", a.value, b.value, test, p);
    add_row(c, label, "kappa", NAN, NAN, ich_kappa(count(p, c->at, -1, false)), p);
    return true;
}

static bool compare_times(ich_comparison *c, const pairs *p, ich_error *err) {
    const double a = ich_median(p->a, p->n), b = ich_median(p->b, p->n);
    const ich_test test = ich_signed_rank(p->a, p->b, p->n);
    if (isnan(a) || isnan(b) || test.why == ich_no_memory)
        return ich_fail(err, "out of memory: the medians of the seconds");
    add_row(c, "all", "mean_seconds", ich_mean(p->a, p->n), ich_mean(p->b, p->n),
            ich_paired_t(p->a, p->b, p->n), p);
    add_row(c, "all", "median_seconds", a, b, test, p);
    return true;
}

static bool compare_all(const ich_compare_options *o, const ich_table t[TABLES], ich_comparison *c,
                        ich_error *err) {
    pairs p = {0};
    if (!make_room(&p, t[A].csv.n_rows, err)) return false;
    bool done = true;
    for (int l = 0; done && l < ICH_LABELS; l++) {
        pair_up(t, l, &p);
        if (p.n > 0) done = compare_label(c, ich_label_names[l], &p, err);
        if (p.n == 0 && l == ICH_ANY) break;
    }
    pair_up(t, -1, &p);
    if (done && c->n_rows > 0 && p.n > 0) done = compare_times(c, &p, err);
    free(p.a);
    if (!done) return false;
    return c->n_rows > 0 ||
           ich_fail(err,
                    "%s: no study is in %s too and has an 'any' label in %s: check that the study_ids are "
                    "the same",
                    o->a, o->b, o->truth);
}

bool ich_compare(const ich_compare_options *o, ich_comparison *result, ich_skipped *skipped, ich_error *err) {
    ich_table t[TABLES] = {0};
    *result = (ich_comparison){.at = o->at};
    const bool done = read_all(o, t, err) && compare_all(o, t, result, err) &&
                      name_missing(t, A, skipped, err) && name_missing(t, B, skipped, err);
    for (int i = 0; i < TABLES; i++) ich_table_free(&t[i]);
    return done;
}

/* -- writing ------------------------------------------------------------------------------------------- */

void ich_comparison_put(const ich_comparison *c, FILE *stream) {
    fputs("label,metric,a,b,estimate,ci_low,ci_high,method,statistic,p_value,n,n_positive\n", stream);
    for (size_t r = 0; r < c->n_rows; r++) {
        const ich_comparison_row *row = &c->rows[r];
        const ich_test *t = &row->test;
        fprintf(stream, "%s,%s,", row->label, row->metric);
        const double numbers[] = {row->a, row->b, t->estimate, t->low, t->high};
        for (int i = 0; i < 5; i++) ich_put_number(stream, numbers[i], ',');
        ich_csv_put(stream, t->why ? t->why : t->method, ',');
        ich_put_number(stream, t->statistic, ',');
        ich_put_number(stream, t->p, ',');
        fprintf(stream, "%zu,%zu\n", row->n, row->positives);
    }
}

static void print_number(FILE *stream, bool sign, double value) {
    char text[40] = "-"; /* for what does not exist */
    if (!isnan(value)) snprintf(text, sizeof text, sign ? "%+.3f" : "%.3f", value);
    fprintf(stream, " %8s", text);
}

static void print_row(const ich_comparison_row *row, FILE *stream) {
    const ich_test *t = &row->test;
    char interval[64] = "", p[32] = "-";
    if (!isnan(t->low)) snprintf(interval, sizeof interval, "(%.3f to %.3f)", t->low, t->high);
    if (!isnan(t->p)) snprintf(p, sizeof p, t->p < 0.0001 ? "< 0.0001" : "%.4f", t->p);
    fprintf(stream, "  %-15s", row->metric);
    print_number(stream, false, row->a);
    print_number(stream, false, row->b);
    print_number(stream, true, t->estimate);
    fprintf(stream, " %-18s %8s  %s\n", interval, p, t->why ? t->why : t->method);
}

void ich_comparison_print(const ich_comparison *c, FILE *stream) {
    const char *label = "";
    fprintf(stream, "called positive from %.3g\n  %-15s %8s %8s %8s %-18s %8s  test\n", c->at, "", "A", "B",
            "A - B", "(95 % interval)", "p");
    for (size_t r = 0; r < c->n_rows; r++) {
        const ich_comparison_row *row = &c->rows[r];
        if (strcmp(label, row->label) != 0)
            fprintf(stream, "%s: n = %zu, %zu positive\n", row->label, row->n, row->positives);
        label = row->label;
        print_row(row, stream);
    }
}

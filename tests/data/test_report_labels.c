/* Labels out of reports: right on three sets of reports, with evidence that the report holds; the same
 * whatever names the finding and whatever frames it; a lexicon that can be replaced and whose mistakes are
 * named; hostile text.
 *
 * The sets (tests/data/fixtures/reports*.csv) were written for this project. reports.csv was written together
 * with the lexicon, rule by rule. reports_second.csv was written afterwards without looking at the lexicon;
 * on the first look `any` was right on 102 of 106, 8 of 9 doubtful ones were left open, and F1 was epidural
 * 0.86 (of 3), intraparenchymal 0.92, intraventricular 0.92, subarachnoid 0.96, subdural 1.00.
 * reports_more.csv is nine further such sets and a few single rules. Eight were written to be hard, each
 * looked at once before the lexicon was improved: `any` was right on 96.7, 91.5, 96.3, 92.2, 84.9, 92.9, 93.7
 * and 94.2 % of them; the ninth, of ordinary reports, on 47 of 47. Two last ones (h01 to h62, i01 to i50) of
 * mixed styles: on the first look `any` was right on 52 of 54 and 43 of 45, 9 of 13 doubtful ones were left
 * open, and F1 was, both together, epidural 0.80 (of 4), intraparenchymal 0.86, intraventricular 0.89,
 * subarachnoid 0.96, subdural 0.85.
 * reports_third.csv holds five sets of unusual wordings (u001 on), written one after the other, each looked
 * at once before the lexicon was improved: `any` was right on 48 of 53, 49 of 55, 48 of 52, 43 of 53 and 45
 * of 51, and 17 of 24, 16 of 18, 22 of 26, 13 of 18 and 12 of 22 labels were left open; then one of ordinary
 * reports, on which `any` was right on 45 of 45; and short ones (v001 on) on how what is said of one finding
 * must not spill over to the next: 135 of 148 were labelled rightly. Its last two sets of ordinary reports
 * (w001 to w059, w101 to w160) were looked at once before the lexicon was improved: `any` was right on 55 of
 * 55 and 53 of 54, all labels on 53 of 59 and 57 of 60 reports (the report that is still wrong in all, of a
 * clot in an artery, is left out), and after it another of stranger ones (w301 to w340): 33 of 36 and 33 of
 * 40; w201 on are single wordings of places, verbs of resolution and look-alikes. report_frames.csv holds
 * sentences in which any finding may stand. The floors below are of what is known now, not of reports that
 * nobody has seen. */
#include "data/csv.h"
#include "data/labels.h"
#include "data/report_labels.h"
#include "scratch.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* -- a table of reports, labelled ---------------------------------------------------------------------- */

typedef struct labelled {
    ich_csv in, out;
    int report, label[ICH_LABELS], truth[ICH_LABELS], evidence[ICH_LABELS]; /* columns; truth -1: not there */
} labelled;

static labelled label_file(const char *path, const char *lexicon) {
    labelled t;
    ich_report_counts counts;
    ich_error err = {""};
    const char *out = scratch_path("out.csv");
    if (!ich_label_reports(path, out, lexicon, NULL, &counts, &err) || !ich_csv_read(&t.in, path, &err) ||
        !ich_csv_read(&t.out, out, &err))
        fail_msg("%s", err.text);
    assert_int_equal(t.in.n_rows, t.out.n_rows);
    assert_int_equal(counts.reports, t.in.n_rows);
    assert_int_equal(counts.positive + counts.negative + counts.unknown, t.in.n_rows);
    t.report = ich_csv_column(&t.in, "report");
    for (int l = 0; l < ICH_LABELS; l++) {
        char name[64];
        snprintf(name, sizeof name, "%s_evidence", ich_label_names[l]);
        t.truth[l] = ich_csv_column(&t.in, ich_label_names[l]);
        t.label[l] = ich_csv_column(&t.out, ich_label_names[l]);
        t.evidence[l] = ich_csv_column(&t.out, name);
        assert_true(t.label[l] >= 0 && t.evidence[l] >= 0);
    }
    return t;
}

static void free_labelled(labelled *t) {
    ich_csv_free(&t->in);
    ich_csv_free(&t->out);
}

static const char *label_of(const labelled *t, size_t row, int l) {
    return ich_csv_cell(&t->out, row, t->label[l]);
}

/* One report, labelled: "1????0" as any, epidural … subdural. */
static const char *labels_of(const char *report) {
    static char text[ICH_LABELS + 1];
    FILE *file = fopen(scratch_path("one.csv"), "wb");
    assert_non_null(file);
    fputs("study_id,report\none,", file);
    ich_csv_put(file, report, '\n');
    assert_int_equal(fclose(file), 0);
    labelled t = label_file(scratch_path("one.csv"), NULL);
    for (int l = 0; l < ICH_LABELS; l++) text[l] = *label_of(&t, 0, l) ? *label_of(&t, 0, l) : '?';
    free_labelled(&t);
    return text;
}

static void expect(const char *report, const char *labels) {
    const char *got = labels_of(report);
    if (strcmp(got, labels) != 0) fail_msg("'%s' is labelled %s, not %s", report, got, labels);
}

/* -- the sets ------------------------------------------------------------------------------------------ */

typedef struct floors {
    double any, f1, open; /* right; per type; left open of those that are */
} floors;

static double f1_of(const labelled *t, int l) {
    size_t hits = 0, wrong = 0, missed = 0;
    for (size_t i = 0; i < t->in.n_rows; i++) {
        const bool truth = !strcmp(ich_csv_cell(&t->in, i, t->truth[l]), "1"),
                   got = !strcmp(label_of(t, i, l), "1");
        hits += truth && got;
        wrong += !truth && got;
        missed += truth && !got;
    }
    return 2.0 * (double)hits / (double)(2 * hits + wrong + missed);
}

static void check_set(const char *name, floors floor) {
    labelled t = label_file(fixture_path(name), NULL);
    size_t known = 0, right = 0, doubtful = 0, open = 0;
    for (size_t i = 0; i < t.in.n_rows; i++) {
        const char *truth = ich_csv_cell(&t.in, i, t.truth[ICH_ANY]), *got = label_of(&t, i, ICH_ANY);
        known += *truth != '\0';
        right += *truth && !strcmp(truth, got);
        doubtful += !*truth;
        open += !*truth && !*got;
    }
    printf("%s: any right on %zu of %zu, open %zu of %zu\n", name, right, known, open, doubtful);
    assert_true((double)right >= floor.any * (double)known);
    assert_true((double)open >= floor.open * (double)doubtful);
    for (int l = 1; l < ICH_LABELS; l++)
        if (f1_of(&t, l) < floor.f1) fail_msg("%s: F1 of %s is %.3f", name, ich_label_names[l], f1_of(&t, l));
    free_labelled(&t);
}

static void labels_of_the_first_set_are_right(void **state) {
    (void)state;
    check_set("reports.csv", (floors){.any = 0.99, .f1 = 0.98, .open = 0.99});
}

static void labels_of_the_second_set_are_right(void **state) {
    (void)state;
    check_set("reports_second.csv", (floors){.any = 0.98, .f1 = 0.97, .open = 0.95});
}

static void labels_of_further_sets_are_right(void **state) {
    (void)state;
    check_set("reports_more.csv", (floors){.any = 0.98, .f1 = 0.97, .open = 0.95});
}

static void labels_of_the_third_set_are_right(void **state) {
    (void)state;
    check_set("reports_third.csv", (floors){.any = 0.98, .f1 = 0.97, .open = 0.98});
}

/* Places in a list are each bled into; a vague one beside a plain one is not another. */
static void every_place_of_a_list_counts(void **state) {
    (void)state;
    expect("Hemorrhage in the left thalamus and third ventricle.", "101100");
    expect("Hemorrhage in the basal ganglia, lateral ventricles and sylvian cistern.", "101110");
    expect("Blood in the left Sylvian fissure, basal cisterns, and fourth ventricle.", "100110");
    expect("Blood in the sulci of the frontal and temporal lobes.", "100010");
    expect("Blood in the right temporal lobe and overlying sulci.", "101010");
    expect("Blood along the falx and in the sulci.", "100011");
    expect("Blood along the tentorium and the interhemispheric fissure.", "100001");
    expect("Hemorrhage in the left thalamus, ventricles compressed.", "101000");
    expect("Hemorrhage in the left thalamus, right frontal scalp swelling.", "101000");
    expect("No hemorrhage in the thalami or ventricles.", "000000");
}

/* -- evidence ------------------------------------------------------------------------------------------ */

/* `text` with every run of white space as one space. */
static char *on_one_line(const char *text) {
    char *line = malloc(strlen(text) + 1), *to = line;
    assert_non_null(line);
    for (; *text; text++)
        if (!isspace((unsigned char)*text))
            *to++ = *text;
        else if (to > line && to[-1] != ' ')
            *to++ = ' ';
    *to = '\0';
    return line;
}

static void evidence_is_quoted_from_the_report(void **state) {
    (void)state;
    labelled t = label_file(fixture_path("reports_second.csv"), NULL);
    for (size_t i = 0; i < t.in.n_rows; i++) {
        char *report = on_one_line(ich_csv_cell(&t.in, i, t.report));
        for (int l = 0; l < ICH_LABELS; l++) {
            const char *words = ich_csv_cell(&t.out, i, t.evidence[l]);
            const size_t n =
                strlen(words) > 230 ? strlen(words) - 3 : strlen(words); /* a long one ends in "..." */
            char *quoted = strndup(words, n);
            if (!strstr(report, quoted)) fail_msg("'%s' is not in '%s'", quoted, report);
            if (strcmp(label_of(&t, i, l), "0") != 0 && n == 0)
                fail_msg("no evidence for %s of '%s'", ich_label_names[l], report);
            free(quoted);
        }
        free(report);
    }
    free_labelled(&t);
}

static void the_parse_is_explained(void **state) {
    (void)state;
    static const char table[] =
        "study_id,report\nx7,\"HISTORY: SDH.\nFINDINGS: No epidural hematoma. Possible SAH. "
        "Stable SDH. Scalp hematoma.\nIMPRESSION: SDH.\"\n";
    static const char *const told[] = {"study x7",
                                       "silent     | SDH.",
                                       "subdural: not counted (its section tells no findings)",
                                       "findings   | No epidural hematoma.",
                                       "epidural: denied (denied by 'No'): No epidural hematoma",
                                       "subarachnoid: doubtful (in doubt by 'Possible'): Possible SAH",
                                       "subdural: present (still there by 'Stable'): Stable SDH",
                                       "not counted (a look-alike",
                                       "impression | SDH.",
                                       "= subdural         1  SDH",
                                       "= subarachnoid     ?  Possible SAH (in doubt)",
                                       "= intraventricular 0  (nothing is said of it)"};
    const char *in = scratch_write("explained.csv", table, sizeof table - 1);
    ich_report_counts counts;
    ich_error err = {""};
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    assert_true(ich_label_reports(in, scratch_path("out.csv"), NULL, stream, &counts, &err));
    fclose(stream);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (!strstr(text, told[i])) fail_msg("'%s' is not in:\n%s", told[i], text);
    free(text);
}

/* -- frames -------------------------------------------------------------------------------------------- */

static const struct finding {
    const char *name;
    int label;
} findings[] = {{"subdural hematoma", ICH_SUBDURAL},
                {"acute subdural haemorrhage", ICH_SUBDURAL},
                {"SDH", ICH_SUBDURAL},
                {"parafalcine hemorrhage", ICH_SUBDURAL},
                {"epidural hematoma", ICH_EPIDURAL},
                {"extradural haematoma", ICH_EPIDURAL},
                {"subarachnoid hemorrhage", ICH_SUBARACHNOID},
                {"blood in the basal cisterns", ICH_SUBARACHNOID},
                {"intraparenchymal hemorrhage", ICH_INTRAPARENCHYMAL},
                {"hemorrhage in the right basal ganglia", ICH_INTRAPARENCHYMAL},
                {"hemorrhagic contusion", ICH_INTRAPARENCHYMAL},
                {"IVH", ICH_INTRAVENTRICULAR},
                {"blood layering in the occipital horns", ICH_INTRAVENTRICULAR}};

enum { FINDINGS = sizeof findings / sizeof *findings };

/* A row of the table in report_frames.csv about a finding, which stands for each "%s" of the frame. */
static void put_framed(FILE *file, const char *frame, const char *name) {
    char report[512] = "";
    for (const char *hole; (hole = strstr(frame, "%s")); frame = hole + 2)
        snprintf(report + strlen(report), sizeof report - strlen(report), "%.*s%s", (int)(hole - frame),
                 frame, name);
    snprintf(report + strlen(report), sizeof report - strlen(report), "%s", frame);
    ich_csv_put(file, report, '\n');
}

static void a_frame_means_the_same_of_every_finding(void **state) {
    (void)state;
    ich_csv frames;
    ich_error err = {""};
    if (!ich_csv_read(&frames, fixture_path("report_frames.csv"), &err)) fail_msg("%s", err.text);
    const int label = ich_csv_column(&frames, "label"), text = ich_csv_column(&frames, "frame");
    FILE *file = fopen(scratch_path("framed.csv"), "wb");
    assert_non_null(file);
    fputs("study_id,report\n", file);
    for (size_t f = 0; f < frames.n_rows; f++)
        for (int n = 0; n < FINDINGS; n++) {
            fprintf(file, "%zu-%d,", f, n);
            put_framed(file, ich_csv_cell(&frames, f, text), findings[n].name);
        }
    assert_int_equal(fclose(file), 0);
    labelled t = label_file(scratch_path("framed.csv"), NULL);
    for (size_t i = 0; i < t.in.n_rows; i++)
        for (int l = 0; l < ICH_LABELS; l++) {
            const bool named = l == ICH_ANY || l == findings[i % FINDINGS].label;
            const char wanted = named ? *ich_csv_cell(&frames, i / FINDINGS, label) : '0';
            const char got = *label_of(&t, i, l) ? *label_of(&t, i, l) : '?';
            if (got != wanted)
                fail_msg("%s of '%s' is %c, not %c", ich_label_names[l], ich_csv_cell(&t.in, i, t.report),
                         got, wanted);
        }
    free_labelled(&t);
    ich_csv_free(&frames);
}

static void mistyped_words_are_recognised_and_others_left_alone(void **state) {
    (void)state;
    static const char *const right[] = {
        "Subdral hematoma.",   "Subdural hematma.",   "Subdural haemotoma.",    "Subdurral hemorrage.",
        "subdural hemmorhage", "SUBDURAL HAEMORHAGE", "Left subdural hematoam."};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) expect(right[i], "100001");
    expect("Frontal confusion.", "000000");
    expect("Left temporal hemangioma.", "000000");
    expect("Intradural lipoma.", "000000");
    expect("Hepatoma.", "000000");
}

/* -- the lexicon --------------------------------------------------------------------------------------- */

static const char one_report[] = "study_id,report\na,Left frontal zorp. Nix wibble.\n";

static void a_lexicon_of_the_users_replaces_the_built_in_one(void **state) {
    (void)state;
    static const char lexicon[] = "# mine\n[define]\nnone = nix|nada\n[finding: subdural]\nzorp(|s)\n"
                                  "[finding: epidural]\nwibble\n[deny before]\n<none>\n";
    const char *in = scratch_write("in.csv", one_report, sizeof one_report - 1);
    labelled t = label_file(in, scratch_write("mine.txt", lexicon, sizeof lexicon - 1));
    assert_string_equal(label_of(&t, 0, ICH_ANY), "1");
    assert_string_equal(label_of(&t, 0, ICH_SUBDURAL), "1");
    assert_string_equal(ich_csv_cell(&t.out, 0, t.evidence[ICH_EPIDURAL]), "Nix wibble");
    free_labelled(&t);
}

static void mistakes_in_a_lexicon_are_named(void **state) {
    (void)state;
    static const struct mistake {
        const char *lexicon, *told;
    } mistakes[] = {
        {"", "holds no phrases"},
        {"[blood: any]\n", "holds no phrases"},
        {"hemorrhage\n", "line 1: a heading"},
        {"[bloot: any]\nhemorrhage\n", "line 1: there is no class 'bloot'"},
        {"[blood: venous]\nhemorrhage\n", "line 1: there is no type 'venous'"},
        {"[blood]\nhemorrhage\n", "line 1: types must follow"},
        {"[stop: any]\nwith\n", "line 1: no types may follow"},
        {"[blood: any\nhemorrhage\n", "line 1: this heading is not closed"},
        {"[blood: any]\n\nhemorrhag(e|es\n", "line 3: a bracket is not closed"},
        {"[blood: any]\n<see>\n", "line 2: nothing is defined"},
        {"[blood: any]\n%%%\n", "line 2: a phrase has no words"},
        {"[spelling]\nab = abc\n[blood: any]\nx\n", "line 2: a spelling may not grow longer"},
        {"[define]\nsee seen\n[blood: any]\nx\n", "line 2: this is not of the form"},
        {"[blood: any]\nred ink\n[deny before]\nred ink\n",
         "'red ink' stands under [blood] and under [deny before]"},
        {"[blood: "
         "any]\n(a|b|c|d)(a|b|c|d)(a|b|c|d)(a|b|c|d)(a|b|c|d)(a|b|c|d)(a|b|c|d)(a|b|c|d)(a|b|c|d)(a|b|c|d)\n",
         "line 2: too many phrases"},
        {"[define]\na = <a>\n[blood: any]\n<a>\n", "line 4: too long with its definitions"},
        {"[blood: any]\na b c d e f g h i j k l m n o p q\n", "line 2: a phrase has too many words"}};
    const char *in = scratch_write("in.csv", one_report, sizeof one_report - 1);
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        ich_report_counts counts;
        ich_error err = {""};
        const char *path = scratch_write("bad.txt", mistakes[i].lexicon, strlen(mistakes[i].lexicon));
        const char *out = scratch_path("never.csv");
        assert_false(ich_label_reports(in, out, path, NULL, &counts, &err));
        if (!strstr(err.text, mistakes[i].told))
            fail_msg("'%s' does not tell '%s'", err.text, mistakes[i].told);
        assert_non_null(strstr(err.text, "bad.txt"));
        assert_null(fopen(out, "rb"));
    }
}

/* -- hostile tables and texts -------------------------------------------------------------------------- */

static void bad_tables_are_refused_by_name(void **state) {
    (void)state;
    static const struct bad {
        const char *table;
        size_t size; /* 0: up to the NUL */
        const char *told;
    } tables[] = {{"study_id,text\na,SDH\n", 0, "no column 'report'"},
                  {"id,report\na,SDH\n", 0, "no column 'study_id'"},
                  {"study_id,report\na,SDH\n,SAH\n", 0, "line 3: study_id is empty"},
                  {"study_id,report\na,SDH\nb,SAH\na,EDH\n", 0, "line 4: study 'a' comes twice"},
                  {"study_id,report\na,\"SDH\n", 0, "quote"},
                  {"study_id,report\na,SD\0H\n", 23, "NUL"},
                  {"", 0, "is empty"}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        ich_report_counts counts;
        ich_error err = {""};
        const size_t size = tables[i].size ? tables[i].size : strlen(tables[i].table);
        const char *in = scratch_write("bad.csv", tables[i].table, size), *out = scratch_path("never.csv");
        assert_false(ich_label_reports(in, out, NULL, NULL, &counts, &err));
        if (!strstr(err.text, tables[i].told)) fail_msg("'%s' does not tell '%s'", err.text, tables[i].told);
        assert_non_null(strstr(err.text, "bad.csv"));
        assert_null(fopen(out, "rb"));
    }
}

static void an_empty_report_and_one_that_was_not_read_are_unknown(void **state) {
    (void)state;
    expect("", "??????");
    expect(" \n\t ", "??????");
    expect("Nondiagnostic study.", "??????");
    expect("Nondiagnostic study. SDH is seen nonetheless.", "100001");
    expect("The ventricles are normal.", "000000");
}

static void text_that_is_no_utf8_harms_nothing(void **state) {
    (void)state;
    expect("\xff\xfe Left subdural h\xc3\xa6matoma \xe2\x80\x93 6\xc2\xa0mm \xc3", "100001");
    expect("No\xc2\xa0hemorrhage", "000000");
    expect("\xe2\x80\xa2 No infarct\n\xe2\x80\xa2 Left SDH", "100001");
    expect("SDH\x01\x02\x1b[31m seen", "100001");
    labelled t = label_file(scratch_path("one.csv"), NULL); /* the last of these */
    for (const char *c = ich_csv_cell(&t.out, 0, t.evidence[ICH_SUBDURAL]); *c; c++)
        assert_true((unsigned char)*c >= ' ');
    free_labelled(&t);
}

/* A report of a million bytes made of `piece`; its labels do not matter, but that they come. */
static void label_repeated(const char *piece) {
    enum { BYTES = 1 << 20 };
    const size_t n = strlen(piece);
    char *report = malloc(BYTES + n + 1), *to = report;
    assert_non_null(report);
    while (to - report < BYTES) to = stpcpy(to, piece);
    labels_of(report);
    free(report);
}

static void reports_of_a_million_bytes_are_read(void **state) {
    (void)state;
    label_repeated("no subdural, hemorrage of ");
    label_repeated("SDH:\n");
    label_repeated("\xe2\x80\xa2\t-\n");
}

static void the_same_table_gives_the_same_bytes(void **state) {
    (void)state;
    size_t first_size, second_size;
    ich_report_counts counts;
    ich_error err = {""};
    const char *in = fixture_path("reports_second.csv"), *first = scratch_path("first.csv"),
               *second = scratch_path("second.csv");
    assert_true(ich_label_reports(in, first, NULL, NULL, &counts, &err));
    assert_true(ich_label_reports(in, second, NULL, NULL, &counts, &err));
    unsigned char *a = read_bytes(first, &first_size), *b = read_bytes(second, &second_size);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(a, b, first_size);
    free(a);
    free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_of_the_first_set_are_right),
        cmocka_unit_test(labels_of_the_second_set_are_right),
        cmocka_unit_test(labels_of_further_sets_are_right),
        cmocka_unit_test(labels_of_the_third_set_are_right),
        cmocka_unit_test(every_place_of_a_list_counts),
        cmocka_unit_test(evidence_is_quoted_from_the_report),
        cmocka_unit_test(the_parse_is_explained),
        cmocka_unit_test(a_frame_means_the_same_of_every_finding),
        cmocka_unit_test(mistyped_words_are_recognised_and_others_left_alone),
        cmocka_unit_test(a_lexicon_of_the_users_replaces_the_built_in_one),
        cmocka_unit_test(mistakes_in_a_lexicon_are_named),
        cmocka_unit_test(bad_tables_are_refused_by_name),
        cmocka_unit_test(an_empty_report_and_one_that_was_not_read_are_unknown),
        cmocka_unit_test(text_that_is_no_utf8_harms_nothing),
        cmocka_unit_test(reports_of_a_million_bytes_are_read),
        cmocka_unit_test(the_same_table_gives_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

/* A dataset folder is read as the contract has it, and whatever breaks the contract is named by file and
 * line. */
#include "data/dataset.h"
#include "data/file.h"
#include "scratch.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LABELS  "any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural"
#define STUDIES "study_id,patient_id,path," LABELS
#define SLICES  "study_id,slice_index,image_id," LABELS

/* -- folders --------------------------------------------------------------------------------------------- */

static void put(const char *folder, const char *name, const char *text) {
    ich_error err = {""};
    char *path = ich_path_join(scratch_path(folder), name);
    if (!ich_folder_make(scratch_path(folder), &err) || !ich_file_write(path, text, strlen(text), &err))
        fail_msg("%s", err.text);
    free(path);
}

/* A folder with these tables; `slices` may be NULL. */
static const char *folder_of(const char *studies, const char *slices) {
    put("d", "studies.csv", studies);
    unlink(scratch_path("d/slices.csv"));
    if (slices) put("d", "slices.csv", slices);
    return scratch_path("d");
}

static ich_dataset dataset_at(const char *folder, bool slices) {
    ich_dataset d;
    ich_skipped skipped = {0};
    ich_error err = {""};
    if (!ich_dataset_read(&d, folder, slices, &skipped, &err)) fail_msg("%s", err.text);
    assert_int_equal(skipped.n_rows, 0);
    return d;
}

static ich_dataset dataset_of(const char *studies, const char *slices) {
    return dataset_at(folder_of(studies, slices), slices != NULL);
}

static void refuse(const char *folder, bool slices, const char *file, const char *word) {
    ich_dataset d;
    ich_skipped skipped = {0};
    ich_error err = {""};
    char *path = ich_path_join(folder, file);
    assert_false(ich_dataset_read(&d, folder, slices, &skipped, &err));
    assert_int_equal(skipped.n_rows, 0);
    if (strncmp(err.text, path, strlen(path)) || !strstr(err.text, word))
        fail_msg("'%s' does not begin with %s and say '%s'", err.text, file, word);
    static const ich_dataset nothing;
    assert_memory_equal(&d, &nothing, sizeof d);
    ich_dataset_free(&d); /* harmless */
    free(path);
}

/* Six labels as a string: 0, 1 or ?. */
static const char *shown(const float label[ICH_LABELS]) {
    static char text[ICH_LABELS + 1];
    for (int l = 0; l < ICH_LABELS; l++)
        text[l] = isnan(label[l]) ? '?' : label[l] == 1 ? '1' : label[l] == 0 ? '0' : 'x';
    return text;
}

/* -- what is read ---------------------------------------------------------------------------------------- */

static void studies_are_read_as_they_stand(void **state) {
    (void)state;
    ich_dataset d = dataset_of(STUDIES ",split\n"
                                       "s2,p1,volumes/s2.nii.gz,1,0,1,0,0,1,train\n"
                                       "s1,p1,\"volumes/a, b.nii\",0,0,0,0,0,0,val\n"
                                       "s 3,p2,x..y/..z.nii,,,,,,,test\n"
                                       "..s4,p3,./s4.img,,1,0,,,,\n",
                               NULL);
    assert_string_equal(d.folder, scratch_path("d"));
    assert_int_equal(d.n_studies, 4);
    assert_true(d.has_split && !d.has_slice_labels);
    static const char *const ids[] = {"s2", "s1", "s 3", "..s4"}, *const patients[] = {"p1", "p1", "p2",
                                                                                       "p3"};
    static const char *const paths[] = {"d/volumes/s2.nii.gz", "d/volumes/a, b.nii", "d/x..y/..z.nii",
                                        "d/./s4.img"};
    static const char *const labels[] = {"101001", "000000", "??????", "?10???"};
    static const ich_split splits[] = {ICH_SPLIT_TRAIN, ICH_SPLIT_VAL, ICH_SPLIT_TEST, ICH_SPLIT_NONE};
    for (size_t i = 0; i < 4; i++) {
        const ich_study *s = &d.studies[i];
        assert_string_equal(s->study_id, ids[i]);
        assert_string_equal(s->patient_id, patients[i]);
        assert_string_equal(s->path, scratch_path(paths[i]));
        assert_string_equal(shown(s->label), labels[i]);
        assert_int_equal(s->split, splits[i]);
        assert_int_equal(s->n_slice_labels, 0);
        assert_null(s->slice_label);
    }
    ich_dataset_free(&d);
    ich_dataset_free(&d); /* harmless */
}

static void columns_may_come_in_any_order_and_company(void **state) {
    (void)state;
    ich_dataset d =
        dataset_of("report,subdural,age,any,epidural,path,intraparenchymal,study_id,intraventricular,"
                   "subarachnoid,patient_id,,\n"
                   "\"no bleed,\nnone\",1,70,0,,v.nii,1,s,0,,p,,\n",
                   NULL);
    assert_int_equal(d.n_studies, 1);
    assert_false(d.has_split);
    assert_string_equal(d.studies[0].study_id, "s");
    assert_string_equal(d.studies[0].patient_id, "p");
    assert_string_equal(shown(d.studies[0].label), "0?10?1");
    assert_int_equal(d.studies[0].split, ICH_SPLIT_NONE);
    ich_dataset_free(&d);
}

static void slices_are_kept_by_their_index(void **state) {
    (void)state;
    ich_dataset d = dataset_of(STUDIES "\ns1,p,1.nii,1,,,,,\ns2,p,2.nii,0,,,,,\ns3,p,3.nii,0,,,,,\n",
                               SLICES ",extra\n"
                                      "s2,0,image 0,0,0,0,0,0,0,x\n"
                                      "s1,3,,1,1,0,0,0,0,x\n"
                                      "s1,1,image 1,1,,,,,1,x\n"
                                      "s2,1,image 1,,,,,,,x\n");
    assert_true(d.has_slice_labels);
    const ich_study *s = d.studies;
    assert_int_equal(s[0].n_slice_labels, 4);
    assert_int_equal(s[1].n_slice_labels, 2);
    assert_int_equal(s[2].n_slice_labels, 0);
    static const char *const first[] = {"??????", "1????1", "??????", "110000"};
    for (int z = 0; z < 4; z++) assert_string_equal(shown(s[0].slice_label[z]), first[z]);
    assert_string_equal(s[0].image_id[1], "image 1");
    for (int z = 0; z < 4; z++) assert_true(z == 1 || !s[0].image_id[z]);
    assert_string_equal(shown(s[1].slice_label[0]), "000000");
    assert_string_equal(shown(s[1].slice_label[1]), "??????");
    assert_string_equal(s[1].image_id[1], "image 1");
    ich_dataset_free(&d);
}

static void a_label_may_be_written_as_pandas_does(void **state) {
    (void)state;
    ich_dataset d = dataset_of(STUDIES "\ns,p,v.nii,1.0,0.0,,1,0,1.0\n", SLICES "\ns,0,x,0.0,1.0,,,,\n");
    assert_string_equal(shown(d.studies[0].label), "10?101");
    assert_string_equal(shown(d.studies[0].slice_label[0]), "01????");
    ich_dataset_free(&d);
}

static void slices_of_an_unknown_study_are_left_out_and_it_is_named_once(void **state) {
    (void)state;
    const char *folder = folder_of(STUDIES "\ns,p,v.nii,1,,,,,\nlast,q,w.nii,0,,,,,\n", SLICES
                                   "\nx,99999,,7,,,,,\ns,1,image 1,1,,,,,1\nno,0,,0,,,,,\nx,0,,0,,,,,\n"
                                   ",0,,0,,,,,\nlast,0,,0,,,,,\nx,0,,0,,,,,\n");
    ich_dataset d;
    ich_skipped skipped = {0};
    ich_error err = {""};
    if (!ich_dataset_read(&d, folder, true, &skipped, &err)) fail_msg("%s", err.text);
    assert_true(d.has_slice_labels);
    assert_int_equal(d.studies[0].n_slice_labels, 2);
    assert_string_equal(shown(d.studies[0].slice_label[1]), "1????1");
    assert_string_equal(shown(d.studies[1].slice_label[0]), "0?????");
    static const char *const ids[] = {"", "no", "x"};
    static const int lines[] = {6, 4, 2};
    assert_int_equal(skipped.n_rows, 3);
    for (int i = 0; i < 3; i++) {
        char reason[200];
        snprintf(reason, sizeof reason,
                 "line %d: study '%s' is not in studies.csv: add it there or remove its slices", lines[i],
                 ids[i]);
        assert_string_equal(skipped.rows[i].path, scratch_path("d/slices.csv"));
        assert_string_equal(skipped.rows[i].study_id, ids[i]);
        assert_non_null(strstr(skipped.rows[i].reason, reason));
        assert_memory_equal(skipped.rows[i].reason, skipped.rows[i].path, strlen(skipped.rows[i].path));
    }
    ich_skipped_free(&skipped);
    ich_dataset_free(&d);
    /* What nobody asks for is not judged. */
    d = dataset_at(folder, false);
    ich_dataset_free(&d);
}

static void fine_tuning_does_not_open_the_slices(void **state) {
    (void)state;
    const char *folder = folder_of(STUDIES "\ns1,p,1.nii,1,,,,,\n", "no table");
    ich_dataset d = dataset_at(folder, false);
    assert_false(d.has_slice_labels);
    ich_dataset_free(&d);
    refuse(folder, true, "slices.csv", "no column 'study_id'");
    /* Not even a look at it: a folder in its place would be noticed. */
    unlink(scratch_path("d/slices.csv"));
    assert_int_equal(mkdir(scratch_path("d/slices.csv"), 0700), 0);
    d = dataset_at(folder, false);
    ich_dataset_free(&d);
    refuse(folder, true, "slices.csv", "is a folder");
    assert_int_equal(rmdir(scratch_path("d/slices.csv")), 0);
    d = dataset_at(folder, true);
    assert_false(d.has_slice_labels);
    ich_dataset_free(&d);
}

static void a_table_without_rows_is_an_empty_dataset(void **state) {
    (void)state;
    ich_dataset d = dataset_of(STUDIES "\n", SLICES "\n");
    assert_int_equal(d.n_studies, 0);
    ich_dataset_free(&d);
}

/* -- what is refused ------------------------------------------------------------------------------------- */

static void a_missing_column_is_named(void **state) {
    (void)state;
    static const char *const columns[] = {
        "study_id",         "patient_id",       "path",         "any",     "epidural",
        "intraparenchymal", "intraventricular", "subarachnoid", "subdural"};
    static const char *const tables[] = {STUDIES, SLICES};
    static const char *const files[] = {"studies.csv", "slices.csv"};
    for (int t = 0; t < 2; t++)
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
            char header[200], word[64];
            snprintf(header, sizeof header, "%s", tables[t]);
            char *name = strstr(header, columns[i]);
            if (!name) continue;
            *name = '_';
            snprintf(word, sizeof word, "no column '%s'", columns[i]);
            refuse(folder_of(t ? STUDIES "\n" : header, t ? header : NULL), true, files[t], word);
        }
    refuse(folder_of(STUDIES "\n", "study_id,image_id," LABELS), true, "slices.csv",
           "no column 'slice_index'");
    refuse(folder_of(STUDIES "\n", "study_id,slice_index," LABELS), true, "slices.csv",
           "no column 'image_id'");
    refuse(scratch_path("nowhere"), true, "studies.csv", "No such file");
}

static void a_bad_study_is_named_by_line(void **state) {
    (void)state;
    static const struct {
        const char *row, *word;
    } cases[] = {
        {",p,v.nii,0,,,,,,", "study_id '' cannot"},
        {"a/b,p,v.nii,0,,,,,,", "study_id 'a/b' cannot"},
        {"/a,p,v.nii,0,,,,,,", "study_id '/a' cannot"},
        {"..,p,v.nii,0,,,,,,", "study_id '..' cannot"},
        {".,p,v.nii,0,,,,,,", "study_id '.' cannot"},
        {"../../etc,p,v.nii,0,,,,,,", "cannot name a file"},
        {"\"a\nb\",p,v.nii,0,,,,,,", "cannot name a file"},
        {"a\tb,p,v.nii,0,,,,,,", "cannot name a file"},
        {"a\x7f,p,v.nii,0,,,,,,", "cannot name a file"},
        {"a\x1b[2J,p,v.nii,0,,,,,,", "cannot name a file"},
        {"a,,v.nii,0,,,,,,", "patient_id is empty"},
        {"a,p,,0,,,,,,", "path ''"},
        {"a,p,/etc/passwd,0,,,,,,", "path '/etc/passwd'"},
        {"a,p,..,0,,,,,,", "path '..'"},
        {"a,p,../v.nii,0,,,,,,", "path '../v.nii'"},
        {"a,p,v/../../w.nii,0,,,,,,", "path 'v/../../w.nii'"},
        {"a,p,v/..,0,,,,,,", "path 'v/..'"},
        {"a,p,\"v\n.nii\",0,,,,,,", "inside the dataset's folder"},
        {"a,p,v.nii,2,,,,,,", "any is '2'"},
        {"a,p,v.nii,,yes,,,,,", "epidural is 'yes'"},
        {"a,p,v.nii,,,-1,,,,", "intraparenchymal is '-1'"},
        {"a,p,v.nii,,,,0.5,,,", "intraventricular is '0.5'"},
        {"a,p,v.nii,,,,,nan,,", "subarachnoid is 'nan'"},
        {"a,p,v.nii,,,,,, ,", "subdural is ' '"},
        {"a,p,v.nii,11,,,,,,", "any is '11'"},
        {"a,p,v.nii,0,,,,,,training", "split is 'training'"},
        {"a,p,v.nii,0,,,,,,Train", "split is 'Train'"},
        {"s,p,v.nii,0,,,,,,", "study 's' is on line 2 already"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, STUDIES ",split\ns,p,v.nii,0,,,,,,\n%s\nt,p,v.nii,0,,,,,,\n",
                 cases[i].row);
        const char *folder = folder_of(text, NULL);
        refuse(folder, false, "studies.csv", cases[i].word);
        refuse(folder, false, "studies.csv", "line 3: ");
    }
}

static void an_id_of_any_length_is_named(void **state) {
    (void)state;
    char id[1000], text[3000];
    memset(id, 'x', sizeof id);
    for (int n = 199; n < 1000; n += 1 + 100 * (n > 201)) {
        snprintf(text, sizeof text, STUDIES "\n%.*s,p,v.nii,0,,,,,\n", n, id);
        const char *folder = folder_of(text, NULL);
        if (n <= 200) {
            ich_dataset d = dataset_at(folder, false);
            ich_dataset_free(&d);
        } else {
            refuse(folder, false, "studies.csv", "use 1 to 200 characters");
        }
    }
}

static void a_bad_slice_is_named_by_line(void **state) {
    (void)state;
    static const struct {
        const char *row, *word;
    } cases[] = {
        {"s,-1,,0,,,,,", "slice_index is '-1'"},
        {"s,1.5,,0,,,,,", "slice_index is '1.5'"},
        {"s,,,0,,,,,", "slice_index is ''"},
        {"s,x,,0,,,,,", "slice_index is 'x'"},
        {"s,16384,,0,,,,,", "slice_index is '16384'"},
        {"s,1e300,,0,,,,,", "slice_index is '1e300'"},
        {"s,-1e300,,0,,,,,", "slice_index is '-1e300'"},
        {"s,3000000000,,0,,,,,", "slice_index is '3000000000'"},
        {"s,nan,,0,,,,,", "slice_index is 'nan'"},
        {"s,7,,0,,,,,", "slice 7 of study 's' is on line 2"},
        {"s,7.0,x,0,,,,,", "slice 7 of study 's'"},
        {"s,8,,0,,,,2,", "subarachnoid is '2'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, SLICES "\ns,7,first,0,,,,,\n%s\ns,16383,last,0,,,,,\n", cases[i].row);
        const char *folder = folder_of(STUDIES "\ns,p,v.nii,0,,,,,\n", text);
        refuse(folder, true, "slices.csv", cases[i].word);
        refuse(folder, true, "slices.csv", "line 3: ");
    }
}

/* 5000 rows, each of which asks for 16384 slices: 2.6 GB of labels for 100 kB of text. */
static void a_few_rows_cannot_ask_for_all_memory(void **state) {
    (void)state;
    enum { N = 5000 };
    char *studies = malloc(N * 40 + 200), *slices = malloc(N * 40 + 200), *a = studies, *b = slices;
    assert_true(a && b);
    a += sprintf(a, STUDIES "\n");
    b += sprintf(b, SLICES "\n");
    for (int i = 0; i < N; i++) {
        a += sprintf(a, "s%d,p%d,v.nii,,,,,,\n", i, i);
        b += sprintf(b, "s%d,16383,,,,,,,\n", i);
    }
    refuse(folder_of(studies, slices), true, "slices.csv", "limit 67108864");
    free(studies);
    free(slices);
}

/* Nobody waits for this: looking for a twin of each by comparing all would take hours. */
static void a_hundred_thousand_studies_are_read(void **state) {
    (void)state;
    enum { N = 100000, PER_STUDY = 3 };
    char *studies = malloc(N * 48 + 200), *slices = malloc((size_t)N * PER_STUDY * 32 + 200), *a = studies,
         *b = slices;
    assert_true(a && b);
    a += sprintf(a, STUDIES "\n");
    b += sprintf(b, SLICES "\n");
    for (int i = 0; i < N; i++) a += sprintf(a, "s%d,p%d,v%d.nii,%d,,,,,\n", i, i / 2, i, i % 2);
    for (int i = 0; i < N * PER_STUDY; i++) /* every study comes up before any comes up again */
        b += sprintf(b, "s%d,%d,,%d,,,,,\n", i * 7 % N, i / N, i % 2);
    ich_dataset d = dataset_of(studies, slices);
    assert_int_equal(d.n_studies, N);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(d.studies[i].n_slice_labels, PER_STUDY);
        assert_true(d.studies[i].label[ICH_ANY] == (float)(i % 2));
    }
    ich_dataset_free(&d);
    strcpy(a, "s4711,p,v.nii,0,,,,,\n");
    refuse(folder_of(studies, slices), true, "studies.csv",
           "line 100002: study 's4711' is on line 4713 already");
    free(studies);
    free(slices);
}

/* Whatever is changed in the tables: refused with a cause, or read. */
static void a_changed_byte_does_no_harm(void **state) {
    (void)state;
    static const char studies[] = STUDIES ",split\ns1,p1,a.nii,0,,1,,,,val\ns2,p2,b.nii,1,0,0,0,0,0,\n";
    static const char slices[] = SLICES "\ns1,0,x,0,,,,,\ns2,1,y,1,0,0,0,0,0\n";
    static const char instead[] = {',', '"', '\n', '/', '.', '9', '\x01'};
    int read = 0, refused = 0;
    for (size_t at = 0; at < sizeof studies + sizeof slices - 2; at++)
        for (size_t k = 0; k < sizeof instead; k++) {
            char a[sizeof studies], b[sizeof slices];
            memcpy(a, studies, sizeof a);
            memcpy(b, slices, sizeof b);
            *(at < sizeof a - 1 ? a + at : b + at - (sizeof a - 1)) = instead[k];
            scratch_write("d/studies.csv", a, sizeof a - 1);
            scratch_write("d/slices.csv", b, sizeof b - 1);
            ich_dataset d;
            ich_skipped skipped = {0};
            ich_error err = {""};
            if (ich_dataset_read(&d, scratch_path("d"), true, &skipped, &err)) {
                read++;
                ich_dataset_free(&d);
            } else {
                assert_memory_equal(err.text, scratch_path("d"), strlen(scratch_path("d")));
                refused++;
            }
            ich_skipped_free(&skipped);
        }
    assert_true(read > 50 && refused > 500);
}

/* -- fingerprint ----------------------------------------------------------------------------------------- */

typedef struct print {
    char hex[17];
} print;

static print fingerprint(const char *studies, const char *slices) {
    print p;
    ich_dataset d = dataset_of(studies, slices);
    assert_true(ich_dataset_fingerprint(&d, p.hex, NULL));
    ich_dataset_free(&d);
    assert_int_equal(strlen(p.hex), 16);
    assert_int_equal(strspn(p.hex, "0123456789abcdef"), 16);
    return p;
}

static void what_a_model_learns_from_has_a_fingerprint(void **state) {
    (void)state;
    const char *studies = STUDIES ",split\ns,p,v.nii,0,,,,,1,train\nt,p,w.nii,0,,,,,,\n",
               *slices = SLICES "\ns,0,x,0,,,,,\ns,1,x,1,,,,,\n";
    scratch_write("d/v.nii", "12345", 5);
    const print kept = fingerprint(studies, slices);
    assert_string_equal(kept.hex, fingerprint(studies, slices).hex);
    assert_string_equal(
        kept.hex,
        fingerprint(STUDIES ",split,age\ns,p,v.nii,0,,,,,1,train,3\nt,p,./w.nii,0,,,,,,,\n", slices).hex);
    static const char *const others[] = {
        STUDIES ",split\ns,p,v.nii,0,,,,,1,train\nu,p,w.nii,0,,,,,,\n",
        STUDIES ",split\ns,q,v.nii,0,,,,,1,train\nt,p,w.nii,0,,,,,,\n",
        STUDIES ",split\ns,p,v.nii,1,,,,,1,train\nt,p,w.nii,0,,,,,,\n",
        STUDIES ",split\ns,p,v.nii,0,,,,,0,train\nt,p,w.nii,0,,,,,,\n",
        STUDIES ",split\ns,p,v.nii,0,,,,,,train\nt,p,w.nii,0,,,,,,\n",
        STUDIES ",split\ns,p,v.nii,0,,,,,1,val\nt,p,w.nii,0,,,,,,\n",
        STUDIES ",split\ns,p,v.nii,0,,,,,1,train\n",
        STUDIES ",split\nt,p,w.nii,0,,,,,,\ns,p,v.nii,0,,,,,1,train\n",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_string_not_equal(kept.hex, fingerprint(others[i], slices).hex);
    assert_string_not_equal(kept.hex, fingerprint(studies, NULL).hex);
    assert_string_not_equal(kept.hex, fingerprint(studies, SLICES "\ns,0,x,1,,,,,\ns,1,x,1,,,,,\n").hex);
    assert_string_not_equal(kept.hex, fingerprint(studies, SLICES "\ns,0,x,0,,,,,\n").hex);
    scratch_write("d/v.nii", "123456", 6);
    assert_string_not_equal(kept.hex, fingerprint(studies, slices).hex);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(studies_are_read_as_they_stand),
        cmocka_unit_test(columns_may_come_in_any_order_and_company),
        cmocka_unit_test(slices_are_kept_by_their_index),
        cmocka_unit_test(a_label_may_be_written_as_pandas_does),
        cmocka_unit_test(slices_of_an_unknown_study_are_left_out_and_it_is_named_once),
        cmocka_unit_test(fine_tuning_does_not_open_the_slices),
        cmocka_unit_test(a_table_without_rows_is_an_empty_dataset),
        cmocka_unit_test(a_missing_column_is_named),
        cmocka_unit_test(a_bad_study_is_named_by_line),
        cmocka_unit_test(an_id_of_any_length_is_named),
        cmocka_unit_test(a_bad_slice_is_named_by_line),
        cmocka_unit_test(a_few_rows_cannot_ask_for_all_memory),
        cmocka_unit_test(a_hundred_thousand_studies_are_read),
        cmocka_unit_test(a_changed_byte_does_no_harm),
        cmocka_unit_test(what_a_model_learns_from_has_a_fingerprint),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

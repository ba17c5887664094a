/* A split draws patients: none in two parts, alike in bleeding, by the seed alone; the table stays as it was.
 */
#include "data/csv.h"
#include "data/dataset.h"
#include "data/file.h"
#include "scratch.h"
#include "tensor/rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LABELS "any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural"
#define HEADER "study_id,patient_id,path," LABELS
enum { PARTS = 3 };
static const double usual[PARTS] = {0.7, 0.15, 0.15};

static const char *put(const char *text) { return scratch_write("studies.csv", text, strlen(text)); }

static char *table(void) {
    size_t count;
    ich_error err = {""};
    char *text = ich_file_read(scratch_path("studies.csv"), 1 << 28, &count, &err);
    if (!text) fail_msg("%s", err.text);
    return text;
}

static void split(const double fractions[PARTS], uint64_t seed, size_t counts[PARTS]) {
    size_t ignored[PARTS];
    ich_error err = {""};
    if (!ich_dataset_split(scratch_path(""), fractions, seed, counts ? counts : ignored, &err))
        fail_msg("%s", err.text);
}

static ich_dataset dataset(void) {
    ich_dataset d;
    ich_error err = {""};
    if (!ich_dataset_read(&d, scratch_path(""), false, NULL, &err)) fail_msg("%s", err.text);
    return d;
}

/* Patient p0 … has 1 to 3 studies, somewhere in the table; about every third patient is positive, some only
 * on one of their studies, some only by a type. */
static void put_hospital(int patients) {
    char *text = malloc((size_t)patients * 3 * 64 + 200), *to = text;
    assert_non_null(text);
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, 0);
    to += sprintf(to, HEADER "\n");
    for (int visit = 0; visit < 3; visit++)
        for (int p = 0; p < patients; p++) {
            if (visit > p % 3) continue; /* has p % 3 + 1 visits */
            const bool positive = p % 3 == 0 || (p % 7 == 0 && visit == 1);
            to += sprintf(to, "s%d-%u,p%d,v/%d.nii,%s,,,,,%s\n", p, ich_rng_u32(&rng), p, p,
                          positive && p % 2 ? "1" : "0", positive && p % 2 == 0 ? "1" : "");
        }
    put(text);
    free(text);
}

typedef struct tally { /* patients, and positive ones, in each part */
    size_t patients[PARTS], positive[PARTS], studies[PARTS], split_patients;
} tally;

static int by_patient(const void *a, const void *b) {
    return strcmp((*(ich_study *const *)a)->patient_id, (*(ich_study *const *)b)->patient_id);
}

static bool is_positive(const ich_study *s) {
    for (int l = 0; l < ICH_LABELS; l++)
        if (s->label[l] > 0) return true;
    return false;
}

static tally count(void) {
    ich_dataset d = dataset();
    ich_study **sorted = malloc(d.n_studies * sizeof *sorted);
    assert_non_null(sorted);
    for (size_t i = 0; i < d.n_studies; i++) sorted[i] = &d.studies[i];
    qsort(sorted, d.n_studies, sizeof *sorted, by_patient);
    tally t = {0};
    for (size_t i = 0, end; i < d.n_studies; i = end) {
        bool positive = false;
        const int part = (int)sorted[i]->split - ICH_SPLIT_TRAIN;
        assert_in_range(part, 0, PARTS - 1);
        for (end = i; end < d.n_studies && !by_patient(&sorted[i], &sorted[end]); end++) {
            t.split_patients += sorted[end]->split != sorted[i]->split;
            positive = positive || is_positive(sorted[end]);
            t.studies[part]++;
        }
        t.patients[part]++;
        t.positive[part] += positive;
    }
    free(sorted);
    ich_dataset_free(&d);
    return t;
}

/* -- who goes where -------------------------------------------------------------------------------------- */

static void patients_stay_whole_and_parts_are_alike(void **state) {
    (void)state;
    static const int sizes[] = {3, 7, 20, 100, 1009};
    static const double fractions[][PARTS] = {{0.7, 0.15, 0.15}, {0.8, 0.1, 0.1},    {0.5, 0.5, 0}, {1, 0, 0},
                                              {0, 0, 1},         {0.34, 0.33, 0.33}, {0.9, 0, 0.1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof fractions / sizeof *fractions; k++) {
            size_t counts[PARTS];
            put_hospital(sizes[i]);
            split(fractions[k], i, counts);
            const tally t = count();
            assert_int_equal(t.split_patients, 0);
            assert_memory_equal(t.studies, counts, sizeof counts);
            const double n = sizes[i], rate = (double)(t.positive[0] + t.positive[1] + t.positive[2]) / n;
            for (int part = 0; part < PARTS; part++) {
                /* Within one of its share; two where a small part was given one of theirs. */
                const double slack = n < 20 ? 2 : 1;
                assert_true(fabs((double)t.patients[part] - n * fractions[k][part]) < slack);
                assert_true(fabs((double)t.positive[part] - (double)t.patients[part] * rate) < slack + 1e-9);
                assert_true((t.patients[part] > 0) == (fractions[k][part] > 0));
            }
        }
}

static void small_parts_get_a_patient_and_a_positive_one(void **state) {
    (void)state;
    put_hospital(100);
    split((double[PARTS]){0.998, 0.001, 0.001}, 1, NULL);
    const tally t = count();
    for (int part = 1; part < PARTS; part++) {
        assert_int_equal(t.patients[part], 1);
        assert_int_equal(t.positive[part], 1);
    }
    /* Two patients cannot be in three parts. */
    put(HEADER "\na,p,v.nii,1,,,,,\nb,q,v.nii,0,,,,,\nc,q,v.nii,0,,,,,\n");
    split(usual, 1, NULL);
    const tally two = count();
    assert_int_equal(two.split_patients, 0);
    assert_true(two.patients[0] == 1 && two.patients[1] + two.patients[2] == 1);
    put(HEADER "\na,p,v.nii,1,,,,,\n");
    split(usual, 1, NULL);
    assert_int_equal(count().patients[0], 1);
}

/* The parts of all studies, in the order of their ids. */
static char *parts_by_id(void) {
    ich_dataset d = dataset();
    char *parts = calloc(d.n_studies + 1, 1);
    assert_non_null(parts);
    for (size_t i = 0; i < d.n_studies; i++)
        parts[atoi(d.studies[i].study_id)] = (char)('0' + d.studies[i].split);
    ich_dataset_free(&d);
    return parts;
}

static void the_seed_alone_decides(void **state) {
    (void)state;
    enum { N = 200 };
    char text[2][N * 40 + 200], *to[2] = {text[0], text[1]}, *parts[4];
    for (int order = 0; order < 2; order++) {
        to[order] += sprintf(to[order], HEADER "\n");
        for (int i = 0; i < N; i++) {
            const int s = order ? N - 1 - i : i;
            to[order] += sprintf(to[order], "%d,p%d,v.nii,%d,,,,,\n", s, s / 2, s % 10 == 0);
        }
    }
    const uint64_t seeds[] = {5, 5, 5, 6};
    for (int i = 0; i < 4; i++) { /* twice the same, with the rows turned round, with another seed */
        put(text[i == 2]);
        split(usual, seeds[i], NULL);
        parts[i] = parts_by_id();
    }
    assert_string_equal(parts[0], parts[1]);
    assert_string_equal(parts[0], parts[2]);
    assert_string_not_equal(parts[0], parts[3]);
    for (int i = 0; i < 4; i++) free(parts[i]);
}

/* Every patient has the same chance: over many seeds, each is about as often in test. */
static void everybody_may_be_drawn(void **state) {
    (void)state;
    enum { N = 40, SEEDS = 100 };
    char text[N * 40 + 200], *to = text + sprintf(text, HEADER "\n");
    for (int i = 0; i < N; i++) to += sprintf(to, "%d,p%d,v.nii,%d,,,,,\n", i, i, i % 2);
    int in_test[N] = {0};
    put(text);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        split((double[PARTS]){0.5, 0.25, 0.25}, seed, NULL);
        char *parts = parts_by_id();
        for (int i = 0; i < N; i++) in_test[i] += parts[i] == '3';
        free(parts);
    }
    for (int i = 0; i < N; i++) assert_in_range(in_test[i], 8, 42); /* 25, standard deviation 4.3 */
}

/* -- the table ------------------------------------------------------------------------------------------- */

static void all_other_cells_stay(void **state) {
    (void)state;
    put("\xef\xbb\xbfreport,study_id,patient_id,path," LABELS ",age\r\n"
        "\"no \"\"bleed\"\",\r\nnone\",s1,p1,v.nii,0,,,,,, 70\r\n"
        "\r\n"
        ",s2,p1,../kept as it is,,,,1,,,\xff\r\n");
    split((double[PARTS]){0, 1, 0}, 0, NULL);
    char *text = table();
    assert_string_equal(text, "report,study_id,patient_id,path," LABELS ",age,split\n"
                              "\"no \"\"bleed\"\",\r\nnone\",s1,p1,v.nii,0,,,,,, 70,val\n"
                              ",s2,p1,../kept as it is,,,,1,,,\xff,val\n");
    free(text);
}

static void a_split_is_replaced_where_it_stands(void **state) {
    (void)state;
    static const struct {
        const char *before, *after;
    } cases[] = {
        {"split," HEADER "\n\"what,ever\",s,p,v.nii,1,,,,,\n", "split," HEADER "\ntest,s,p,v.nii,1,,,,,\n"},
        {HEADER ",split\ns,p,v.nii,1,,,,,,whatever\n", HEADER ",split\ns,p,v.nii,1,,,,,,test\n"},
    };
    for (int i = 0; i < 2; i++) {
        put(cases[i].before);
        for (int round = 0; round < 2; round++) {
            split((double[PARTS]){0, 0, 1}, 0, NULL);
            char *now = table();
            assert_string_equal(now, cases[i].after);
            free(now);
        }
    }
}

/* -- refusals -------------------------------------------------------------------------------------------- */

static void refuse(const double fractions[PARTS], const char *word) {
    ich_error err = {""};
    size_t counts[PARTS];
    char *before = table();
    assert_false(ich_dataset_split(scratch_path(""), fractions, 0, counts, &err));
    if (!strstr(err.text, word)) fail_msg("'%s' does not say '%s'", err.text, word);
    char *after = table();
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void what_cannot_be_split_is_refused_and_left(void **state) {
    (void)state;
    put_hospital(10);
    static const double fractions[][PARTS] = {{0.7, 0.2, 0.2}, {0.5, 0.25, 0.2}, {1.2, -0.1, -0.1},
                                              {NAN, 0.5, 0.5}, {INFINITY, 0, 0}, {0, 0, 0},
                                              {70, 15, 15}};
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++) refuse(fractions[i], "sum to 1");
    static const struct {
        const char *text, *word;
    } cases[] = {
        {HEADER "\n", "studies.csv: names no study"},
        {HEADER "\ns,p,v.nii,0,,,,,\nt,,v.nii,0,,,,,\n", "studies.csv: line 3: patient_id is empty"},
        {HEADER "\ns,p,v.nii,0,,2,,,\n", "studies.csv: line 2: intraparenchymal is '2'"},
        {"study_id,path," LABELS "\ns,v.nii,0,,,,,\n", "no column 'patient_id'"},
        {"study_id,patient_id,any\ns,p,1\n", "no column 'epidural'"},
        {HEADER "\ns,p,v.nii\n", "studies.csv: line 2: has 3 fields"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(cases[i].text);
        refuse(usual, cases[i].word);
    }
    size_t counts[PARTS];
    ich_error err = {""};
    assert_false(ich_dataset_split(scratch_path("nowhere"), usual, 0, counts, &err));
    assert_non_null(strstr(err.text, "nowhere/studies.csv: cannot be read"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patients_stay_whole_and_parts_are_alike),
        cmocka_unit_test(small_parts_get_a_patient_and_a_positive_one),
        cmocka_unit_test(the_seed_alone_decides),
        cmocka_unit_test(everybody_may_be_drawn),
        cmocka_unit_test(all_other_cells_stay),
        cmocka_unit_test(a_split_is_replaced_where_it_stands),
        cmocka_unit_test(what_cannot_be_split_is_refused_and_left),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

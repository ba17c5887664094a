/* fixtures.h: a table of cases and one of the figures that reference packages find for them (fixtures/), for
 * tests of statistics. For one test program each: it holds its own tables. */
#ifndef ICH_TESTS_INFER_FIXTURES_H
#define ICH_TESTS_INFER_FIXTURES_H

#include "data/csv.h"

typedef struct fixtures {
    ich_csv cases, figures;
} fixtures;

/* Reads both into *state, as a cmocka setup does; fails the test on a file that cannot be read. */
static int fixtures_read(void **state, const char *cases, const char *figures) {
    static fixtures f;
    ich_error err = {0};
    if (!ich_csv_read(&f.cases, cases, &err) || !ich_csv_read(&f.figures, figures, &err))
        fail_msg("%s", err.text);
    *state = &f;
    return 0;
}

static int fixtures_free(void **state) {
    fixtures *f = *state;
    ich_csv_free(&f->cases);
    ich_csv_free(&f->figures);
    return 0;
}

static double fixtures_number(const ich_csv *csv, size_t row, int column) {
    ich_error err = {0};
    double value;
    if (!ich_csv_number(csv, row, column, &value, &err)) fail_msg("%s", err.text);
    return value;
}

#endif

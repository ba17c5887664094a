/* Tables mean what RFC 4180 and Python's csv say they mean; what is no table is refused by file and line. */
#include "data/csv.h"
#include "data/file.h"
#include "data/skipped.h"
#include "scratch.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static ich_csv table_at(const char *path) {
    ich_csv csv;
    ich_error err = {""};
    if (!ich_csv_read(&csv, path, &err)) fail_msg("%s", err.text);
    return csv;
}

static ich_csv table_of(const char *text) { return table_at(scratch_write("t.csv", text, strlen(text))); }

/* -- what tables mean ------------------------------------------------------------------------------------ */

/* A table in one line: cells end in '|', rows in '/'. */
static const char *flat(const ich_csv *csv) {
    static char text[512];
    char *to = text;
    for (size_t c = 0; c < csv->n_columns; c++) to += sprintf(to, "%s|", csv->header[c]);
    for (size_t r = 0; r < csv->n_rows; r++) {
        to += sprintf(to, "/");
        for (int c = 0; c < (int)csv->n_columns; c++) to += sprintf(to, "%s|", ich_csv_cell(csv, r, c));
    }
    return text;
}

static void every_form_of_a_table_is_read(void **state) {
    (void)state;
    static const struct {
        const char *text, *flat;
    } cases[] = {
        {"a,b\n1,2\n", "a|b|/1|2|"},
        {"a,b\n1,2", "a|b|/1|2|"},
        {"a,b\r\n1,2\r\n", "a|b|/1|2|"},
        {"a,b\r\n1,2\r", "a|b|/1|2|"},
        {"\xef\xbb\xbf"
         "a,b\n1,2\n",
         "a|b|/1|2|"},
        {"\xef\xbb\xbf\"a\",b\n1,2\n", "a|b|/1|2|"},
        {"a\n", "a|"},
        {"a", "a|"},
        {"a,b\n,\n", "a|b|/||"},
        {"a,b\n1,", "a|b|/1||"},
        {"a,b\r\n1,\r\n,2\r\n", "a|b|/1||/|2|"},
        {"\n\na,b\n\n1,2\n\r\n\n3,4\n\n", "a|b|/1|2|/3|4|"},
        {"a\n\"\"\n", "a|/|"},
        {"\"a\",\"b\"\n\"1\",\"2\"", "a|b|/1|2|"},
        {"a,b\n\"1,1\",\"2\n2\"\n", "a|b|/1,1|2\n2|"},
        {"a,b\n\"1\r\n1\",\"2\"\r\n", "a|b|/1\r\n1|2|"},
        {"a,b\n\"say \"\"1\"\"\",\"\"\"\"\n", "a|b|/say \"1\"|\"|"},
        {"a,b\n1 \"one\",2\"\n", "a|b|/1 \"one\"|2\"|"},
        {"a,b\n1,\"2\"\r", "a|b|/1|2|"},
        {"a,b\n1\r1,2\n", "a|b|/1\r1|2|"},
        {"a,b\n 1 ,\t2\n", "a|b|/ 1 |\t2|"},
        {"a,b,,\n1,2,,\n", "a|b|||/1|2|||"},
        {"a,\xc3\xa4\n1,\xff\n", "a|\xc3\xa4|/1|\xff|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ich_csv csv = table_of(cases[i].text);
        assert_string_equal(flat(&csv), cases[i].flat);
        ich_csv_free(&csv);
    }
}

static void messages_know_the_line_of_a_row(void **state) {
    (void)state;
    ich_csv csv = table_of("\na,b\n1,\"\n\n\"\n\n\"\r\n\",2\r\n3,4\n");
    static const size_t lines[] = {3, 7, 9};
    assert_int_equal(csv.n_rows, 3);
    assert_memory_equal(csv.lines, lines, sizeof lines);
    ich_csv_free(&csv);
}

/* The next word of a text of hexadecimal pairs, unpacked in place; "-" is empty. */
static char *unpack(char **text) {
    char *word = strtok_r(NULL, " \n", text), *to = word;
    assert_non_null(word);
    if (!strcmp(word, "-")) return word + 1;
    unsigned byte;
    for (const char *from = word; sscanf(from, "%2x", &byte) == 1; from += 2) *to++ = (char)byte;
    *to = '\0';
    return word;
}

static void a_table_of_pythons_reads_the_same(void **state) {
    (void)state;
    ich_csv csv = table_at(fixture_path("table.csv"));
    size_t count;
    ich_error err;
    char *text = ich_file_read(fixture_path("table.txt"), 1 << 20, &count, &err), *next = text;
    assert_non_null(text);
    assert_int_equal(csv.n_columns, 5);
    assert_int_equal(csv.n_rows, 200);
    for (size_t c = 0; c < 5; c++) assert_string_equal(csv.header[c], unpack(&next));
    for (size_t i = 0; i < 1000; i++) assert_string_equal(csv.cells[i], unpack(&next));
    free(text);
    ich_csv_free(&csv);
}

static void what_is_put_is_read_back(void **state) {
    (void)state;
    ich_csv csv = table_at(fixture_path("table.csv"));
    const char *path = scratch_path("put.csv");
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t c = 0; c < 5; c++) ich_csv_put(file, csv.header[c], c < 4 ? ',' : '\n');
    for (size_t i = 0; i < 1000; i++) ich_csv_put(file, csv.cells[i], i % 5 < 4 ? ',' : '\n');
    assert_int_equal(fclose(file), 0);
    ich_csv again = table_at(path);
    assert_int_equal(again.n_rows, 200);
    for (size_t c = 0; c < 5; c++) assert_string_equal(csv.header[c], again.header[c]);
    for (size_t i = 0; i < 1000; i++) assert_string_equal(csv.cells[i], again.cells[i]);
    ich_csv_free(&again);
    ich_csv_free(&csv);
}

static void only_what_needs_quotes_gets_them(void **state) {
    (void)state;
    const char *path = scratch_path("quotes.csv");
    static const char *const fields[] = {"a", "a b", "", "a,b", "a\"b", "a\nb", "a\rb"};
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < 7; i++) ich_csv_put(file, fields[i], i < 6 ? ',' : '\n');
    assert_int_equal(fclose(file), 0);
    size_t count;
    unsigned char *bytes = read_bytes(path, &count);
    static const char wanted[] = "a,a b,,\"a,b\",\"a\"\"b\",\"a\nb\",\"a\rb\"\n";
    assert_int_equal(count, sizeof wanted - 1);
    assert_memory_equal(bytes, wanted, count);
    free(bytes);
}

/* -- what is no table ------------------------------------------------------------------------------------ */

static void refuse(const char *path, const char *word) {
    ich_csv csv;
    ich_error err = {""};
    assert_false(ich_csv_read(&csv, path, &err));
    if (strncmp(err.text, path, strlen(path)) || !strstr(err.text, word))
        fail_msg("'%s' does not say '%s'", err.text, word);
    static const ich_csv nothing;
    assert_memory_equal(&csv, &nothing, sizeof csv);
    ich_csv_free(&csv); /* harmless */
}

static void what_is_no_table_is_refused_by_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"", "is empty"},
        {"\xef\xbb\xbf", "is empty"},
        {"\n\r\n", "is empty"},
        {"a,b\n1,2\n\n1\n", "line 4: has 1 fields and the header 2"},
        {"a,b\n1,2,3\n", "line 2: has 3 fields"},
        {"a\n1,\n", "line 2: has 2 fields"},
        {"a,b\n\"1\n1\",2\n3\n", "line 4: has 1 fields"},
        {"a,b\n1,\"2\n", "line 2: a quote is opened"},
        {"a,b\n1,2\n\"3,4\n5,6\n", "line 3: a quote is opened"},
        {"a,b\n1,\"2\"\"\n", "line 2: a quote is opened"},
        {"\"", "line 1: a quote is opened"},
        {"a,b\n\"1\"1,2\n", "line 2: text follows"},
        {"a,b\n\"1\n1\" ,2\n", "line 3: text follows"},
        {"\na,b,a\n1,2,3\n", "line 2: two columns are named 'a'"},
        {"\"a\",a\n", "two columns are named 'a'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(scratch_write("bad.csv", cases[i].text, strlen(cases[i].text)), cases[i].word);
    static const char nul[] = "a,b\n1,\0\n", utf16[] = "\xff\xfe"
                                                       "a\0,\0b\0";
    refuse(scratch_write("nul.csv", nul, sizeof nul - 1), "line 2: holds a NUL byte");
    refuse(scratch_write("utf16.csv", utf16, sizeof utf16 - 1), "line 1: holds a NUL byte");
}

static void what_is_no_file_is_refused(void **state) {
    (void)state;
    refuse(scratch_path("missing.csv"), "No such file");
    refuse(scratch_path(""), "is a folder");
    refuse("/dev/null", "no regular file");
    const char *huge = scratch_write("huge.csv", "a\n", 2);
    assert_int_equal(truncate(huge, ((off_t)1 << 30) + 1), 0); /* a hole: takes no room */
    refuse(huge, "1073741825 bytes");
}

/* Whatever is changed in a table, it is either refused with a cause or a rectangle. */
static void a_changed_byte_does_no_harm(void **state) {
    (void)state;
    static const char text[] =
        "\xef\xbb\xbfid,\"a \"\"b\"\"\",c\r\n1,\"x,\ny\",\r\n\r\n2,,\"\"\n3,\"\"\"\",z";
    static const char instead[] = {'\0', ',', '"', '\n', '\r', 'x', '\xff'};
    char bytes[sizeof text];
    int read = 0, refused = 0;
    for (size_t at = 0; at < sizeof text; at++) {
        for (size_t k = 0; k <= sizeof instead; k++) {
            memcpy(bytes, text, sizeof text);
            if (k < sizeof instead) bytes[at] = instead[k];
            const size_t count = k < sizeof instead ? sizeof text - 1 : at; /* or cut there */
            const char *path = scratch_write("changed.csv", bytes, count);
            ich_csv csv;
            ich_error err = {""};
            if (ich_csv_read(&csv, path, &err)) {
                for (size_t r = 0; r < csv.n_rows; r++)
                    for (int c = 0; c < (int)csv.n_columns; c++)
                        assert_true(strlen(ich_csv_cell(&csv, r, c)) < sizeof text);
                ich_csv_free(&csv);
                read++;
            } else {
                assert_memory_equal(err.text, path, strlen(path));
                refused++;
            }
        }
    }
    assert_true(read > 100 && refused > 100);
}

/* -- columns and numbers --------------------------------------------------------------------------------- */

static void a_missing_column_is_named_with_the_header(void **state) {
    (void)state;
    ich_csv csv = table_of("id,any,\"x,y\"\n1,2,3\n");
    ich_error err = {""};
    int column;
    assert_true(ich_csv_require(&csv, "any", &column, &err));
    assert_int_equal(column, 1);
    assert_int_equal(ich_csv_column(&csv, "x,y"), 2);
    assert_int_equal(ich_csv_column(&csv, "Any"), -1);
    assert_false(ich_csv_require(&csv, "subdural", &column, &err));
    assert_non_null(strstr(err.text, csv.path));
    assert_non_null(strstr(err.text, "'subdural'"));
    assert_non_null(strstr(err.text, "id,any,x,y"));
    ich_csv_free(&csv);
}

static void a_header_of_any_width_fits_the_message(void **state) {
    (void)state;
    enum { COLUMNS = 1000 };
    char text[12 * COLUMNS], *to = text;
    for (int c = 0; c < COLUMNS; c++) to += sprintf(to, "column%d%s", c, c + 1 < COLUMNS ? "," : "\n");
    ich_csv csv = table_of(text);
    assert_int_equal(csv.n_columns, COLUMNS);
    ich_error err = {""};
    int column;
    assert_false(ich_csv_require(&csv, "any", &column, &err));
    assert_non_null(strstr(err.text, "column0,column1"));
    ich_csv_free(&csv);
}

static void only_decimal_numbers_are_numbers(void **state) {
    (void)state;
    static const char *const good[] = {"0", "1", "-1", "+0.5", ".25", "1e-3", "2.", "1E5", "1e-400"};
    static const double values[] = {0, 1, -1, 0.5, 0.25, 1e-3, 2, 1e5, 0};
    static const char *const bad[] = {"x",   "1x", " 1", "1 ",    "0x10", "nan", "inf", "1,5", "1e999",
                                      "--1", "e",  "+",  "1.2.3", "1e",   "-",   ".",   "\t",  "one"};
    ich_error err = {""};
    double value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[64];
        snprintf(text, sizeof text, "a,b\n\"%s\",\n", good[i]);
        ich_csv csv = table_of(text);
        assert_true(ich_csv_number(&csv, 0, 0, &value, &err));
        assert_true(value == values[i]);
        assert_true(ich_csv_number(&csv, 0, 1, &value, &err));
        assert_true(isnan(value));
        ich_csv_free(&csv);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64], word[64];
        snprintf(text, sizeof text, "a,b\n,\n,\"%s\"\n", bad[i]);
        snprintf(word, sizeof word, "line 3: b is '%s'", *bad[i] == '\t' ? "?" : bad[i]);
        ich_csv csv = table_of(text);
        assert_false(ich_csv_number(&csv, 1, 1, &value, &err));
        if (strncmp(err.text, csv.path, strlen(csv.path)) || !strstr(err.text, word))
            fail_msg("%s", err.text);
        ich_csv_free(&csv);
    }
}

/* -- skipped.csv ----------------------------------------------------------------------------------------- */

static void what_was_skipped_is_listed_and_an_old_list_removed(void **state) {
    (void)state;
    char *folder = strdup(scratch_path("out"));
    ich_skipped skipped = {0};
    ich_error err = {""};
    assert_true(ich_folder_make(folder, &err));
    for (int i = 0; i < 100; i++) {
        char id[16];
        snprintf(id, sizeof id, "s%d", i);
        assert_true(ich_skipped_add(&skipped, "volumes/a,b.nii", id, "no \"NIfTI\":\nconvert it"));
    }
    assert_true(ich_skipped_write(&skipped, folder, &err));
    ich_skipped_free(&skipped);
    assert_int_equal(skipped.n_rows, 0);
    ich_csv csv = table_at(scratch_path("out/skipped.csv"));
    assert_int_equal(csv.n_rows, 100);
    static const char *const header[] = {"path", "study_id", "reason"};
    for (size_t c = 0; c < 3; c++) assert_string_equal(csv.header[c], header[c]);
    assert_string_equal(ich_csv_cell(&csv, 99, 0), "volumes/a,b.nii");
    assert_string_equal(ich_csv_cell(&csv, 99, 1), "s99");
    assert_string_equal(ich_csv_cell(&csv, 99, 2), "no \"NIfTI\":\nconvert it");
    ich_csv_free(&csv);
    for (int round = 0; round < 2; round++) {
        assert_true(ich_skipped_write(&skipped, folder, &err));
        assert_false(ich_path_exists(scratch_path("out/skipped.csv")));
    }
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_table_is_read),
        cmocka_unit_test(messages_know_the_line_of_a_row),
        cmocka_unit_test(a_table_of_pythons_reads_the_same),
        cmocka_unit_test(what_is_put_is_read_back),
        cmocka_unit_test(only_what_needs_quotes_gets_them),
        cmocka_unit_test(what_is_no_table_is_refused_by_line),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(a_changed_byte_does_no_harm),
        cmocka_unit_test(a_missing_column_is_named_with_the_header),
        cmocka_unit_test(a_header_of_any_width_fits_the_message),
        cmocka_unit_test(only_decimal_numbers_are_numbers),
        cmocka_unit_test(what_was_skipped_is_listed_and_an_old_list_removed),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

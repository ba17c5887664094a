/* The page holds what the folder holds, whatever its texts are, within its budget, and reads nothing outside.
 * How it looks and behaves is tests/browser's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/file.h"
#include "data/volume.h"
#include "infer/report.h"
#include "infer/report_pictures.h"
#include "support.h"
#include "tensor/team.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SLICES = 5, BUDGET = 1 << 20 };

/* -- folders ------------------------------------------------------------------------------------------- */

/* A fresh folder for one test. */
static const char *fresh(void **state) {
    static int number;
    char name[20];
    ich_error err = {0};
    snprintf(name, sizeof name, "%d", number++);
    const char *folder = test_path(*state, name);
    if (!ich_folder_make(folder, &err)) fail_msg("%s", err.text);
    return folder;
}

static void put(const char *folder, const char *name, const char *text) {
    test_write_text(test_path(folder, name), text);
}

#define HEADER                                                                                               \
    "study_id,n_slices,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural,seconds\n"
#define SLICE_HEADER                                                                                         \
    "study_id,slice_index,image_id,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural,"    \
    "attention\n"

/* Two studies, the second more probable, five slices each; slice 3 has most attention. */
static void put_tables(const char *folder) {
    put(folder, "studies.csv", HEADER "calm,5,0.25,0,0,0,0,0.125,1.5\nurgent,5,0.75,0,0.5,0,0,0.125,2.5\n");
    char text[4000] = SLICE_HEADER;
    for (int study = 0; study < 2; study++)
        for (int s = 0; s < SLICES; s++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s,%d,,0.%d,0,0,0,0,0,0.%s\n",
                     study ? "urgent" : "calm", s, s + 1, s == 3 ? "6" : "1");
    put(folder, "slices.csv", text);
}

/* A dataset with the scans of both; `turned` stores them from head to foot. */
static void put_scans(const char *folder, int width, bool turned) {
    ich_error err = {0};
    const char *dataset = test_path(folder, "scans");
    if (!ich_folder_make(test_path(dataset, "volumes"), &err)) fail_msg("%s", err.text);
    put(dataset, "studies.csv",
        "study_id,patient_id,path,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural\n"
        "calm,a,volumes/calm.nii.gz,,,,,,\nurgent,b,volumes/urgent.nii.gz,,,,,,\n");
    const int size[3] = {width, width, SLICES}, direction[3] = {-1, -1, turned ? -1 : 1};
    const double spacing[3] = {200.0 / width, 200.0 / width, 5};
    test_scan(test_path(dataset, "volumes/calm.nii.gz"), size, spacing, direction, 1);
    test_scan(test_path(dataset, "volumes/urgent.nii.gz"), size, spacing, direction, 2);
}

/* Heat in the upper left quarter of stored slice 3 alone. */
static void put_heat(const char *folder, const char *study, const char *scan) {
    ich_error err = {0};
    ich_volume volume;
    if (!ich_volume_read(&volume, scan, &err)) fail_msg("%s", err.text);
    const size_t pixels = (size_t)volume.width * (size_t)volume.height;
    float *heat = calloc(pixels * SLICES, sizeof *heat);
    assert_non_null(heat);
    for (int z = 0; z < SLICES; z++)
        for (int y = 0; y < volume.height / 2; y++)
            for (int x = 0; x < volume.width / 2; x++)
                if (ich_volume_stored_slice(&volume, z) == 3)
                    heat[(size_t)z * pixels + (size_t)y * (size_t)volume.width + (size_t)x] = 0.5f;
    char name[100];
    snprintf(name, sizeof name, "%s.nii.gz", study);
    const char *heatmaps = test_path(folder, "heatmaps");
    if (!ich_folder_make(heatmaps, &err) ||
        !ich_volume_write_map(test_path(heatmaps, name), &volume, heat, &err))
        fail_msg("%s", err.text);
    free(heat);
    ich_volume_free(&volume);
}

/* -- the page ------------------------------------------------------------------------------------------ */

static ich_report_options options_of(const char *folder) {
    return (ich_report_options){.predictions = folder, .threshold = 0.5, .picture_budget = BUDGET};
}

static char *make_page(const ich_report_options *options) {
    ich_error err = {0};
    if (!ich_report_write(options, &err)) fail_msg("%s", err.text);
    return test_read(options->out ? test_path(options->out, "index.html")
                                  : test_path(options->predictions, "report/index.html"),
                     NULL);
}

/* The JSON in the script element of that id, as a browser finds it: up to the next "</script". */
static json_t *json_of(const char *page, const char *id) {
    char begin[80];
    snprintf(begin, sizeof begin, "<script type=\"application/json\" id=\"%s\">", id);
    const char *from = strstr(page, begin);
    if (from == NULL) fail_msg("no element '%s'", id);
    from += strlen(begin);
    json_error_t why;
    json_t *json = json_loadb(from, (size_t)(strstr(from, "</script") - from), JSON_REJECT_DUPLICATES, &why);
    if (json == NULL) fail_msg("%s: %s", id, why.text);
    return json;
}

static json_t *pictures_of(const char *page, int study) {
    char id[40];
    snprintf(id, sizeof id, "pictures-%d", study);
    return json_of(page, id);
}

static const json_t *field(const json_t *json, const char *name) {
    const json_t *value = json_object_get(json, name);
    if (value == NULL) fail_msg("no field '%s'", name);
    return value;
}

static const char *text_of(const json_t *json, const char *name) {
    return json_string_value(field(json, name));
}

static size_t count(const char *text, const char *word) {
    size_t n = 0;
    for (; (text = strstr(text, word)) != NULL; text++) n++;
    return n;
}

/* RFC 4648, the other way. */
static uint8_t *decode(const char *text, size_t *n) {
    size_t length = strlen(text);
    assert_int_equal(length % 4, 0);
    uint8_t *bytes = malloc(length + 1);
    assert_non_null(bytes);
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    *n = 0;
    for (size_t i = 0; i < length && text[i] != '='; i++) {
        const char *digit = strchr(digits, text[i]);
        assert_non_null(digit);
        bits = bits << 6 | (uint32_t)(digit - digits);
        if (i % 4 > 0) bytes[(*n)++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return bytes;
}

/* Bytes of all pictures; each must be a whole JPEG. */
static size_t jpeg_bytes(const json_t *pictures) {
    size_t sum = 0, i;
    json_t *image;
    json_array_foreach(field(pictures, "images"), i, image) {
        if (json_is_null(image)) continue;
        size_t n;
        uint8_t *bytes = decode(json_string_value(image), &n);
        assert_true(n > 100);
        assert_memory_equal(bytes, "\xff\xd8\xff", 3);
        assert_memory_equal(bytes + n - 2, "\xff\xd9", 2);
        free(bytes);
        sum += n;
    }
    return sum;
}

/* -- tables -------------------------------------------------------------------------------------------- */

static void the_most_probable_study_comes_first_with_its_verdict(void **state) {
    const char *folder = fresh(state);
    put(folder, "studies.csv",
        HEADER "a,1,0.2,0,0,0,0,0,1\nunknown,1,,,,,,,\nb,1,0.5,0,0,0,0,0,1\nc,1,0.49999999,0,0,0,0,0,1\n");
    put(folder, "slices.csv", SLICE_HEADER "b,7,,0.5,0,0,0,0,0,0.75\nb,4,,0.25,0,0,0,0,0,0.25\n");
    const ich_report_options options = options_of(folder);
    char *page = make_page(&options);
    json_t *data = json_of(page, "data");
    const json_t *studies = field(data, "studies");
    static const char *const ids[] = {"b", "c", "a", "unknown"};
    assert_int_equal(json_array_size(studies), 4);
    for (size_t i = 0; i < 4; i++) {
        const json_t *study = json_array_get(studies, i);
        assert_string_equal(text_of(study, "id"), ids[i]);
        assert_int_equal(json_is_true(field(study, "positive")), i == 0); /* c's 0.49999999 prints as 0.5 */
    }
    const json_t *b = json_array_get(studies, 0);
    assert_int_equal(json_integer_value(json_array_get(field(b, "index"), 0)), 4);
    assert_int_equal(json_integer_value(json_array_get(field(b, "index"), 1)), 7);
    assert_true(json_real_value(json_array_get(field(b, "attention"), 1)) == 0.75);
    assert_int_equal(json_array_size(field(json_array_get(studies, 1), "index")), 0);
    assert_true(json_is_null(json_array_get(field(json_array_get(studies, 3), "p"), 0)));
    json_decref(data);
    free(page);
}

static void hostile_names_stay_text(void **state) {
    const char *folder = fresh(state);
    static const char evil[] = "</script><script>alert(1)</script>";
    put(folder, "studies.csv",
        HEADER "</script><script>alert(1)</script>,1,0.9,0,0,0,0,0,1\n"
               "\"a \"\"quoted\"\", b\\u003c\",1,0.8,0,0,0,0,0,1\n"
               "<!--<script>,1,0.7,0,0,0,0,0,1\n"
               "line\nbroken\xff\xc3(,1,0.6,0,0,0,0,0,1\n");
    const ich_report_options options = options_of(folder);
    ich_error err = {0};
    assert_false(ich_report_write(&options, &err)); /* the bare line break makes a row of one field */
    put(folder, "studies.csv",
        HEADER "</script><script>alert(1)</script>,1,0.9,0,0,0,0,0,1\n"
               "\"a \"\"quoted\"\", b\\u003c\",1,0.8,0,0,0,0,0,1\n"
               "<!--<script>,1,0.7,0,0,0,0,0,1\n"
               "\"line\nbroken\xff\xc3(\",1,0.6,0,0,0,0,0,1\n");
    put(folder, "slices.csv", SLICE_HEADER "</script><script>alert(1)</script>,0,,0.5,0,0,0,0,0,1\n");
    put(folder, "about.csv", "key,value\n</script>,<img src=x onerror=alert(1)>\n");
    put(folder, "skipped.csv", "path,study_id,reason\n</script>,<b>,</script>\n");
    put(folder, "recipe.ini", "; </script>\n");
    char *page = make_page(&options);
    assert_int_equal(count(page, "</script"), 2 + 4); /* data, program, four studies' pictures */
    assert_int_equal(count(page, "alert(1)</script"), 0);
    assert_int_equal(count(page, "<img"), 0);
    assert_int_equal(count(page, "<!--"), 0);
    json_t *data = json_of(page, "data");
    const json_t *studies = field(data, "studies");
    assert_string_equal(text_of(json_array_get(studies, 0), "id"), evil);
    assert_int_equal(json_array_size(field(json_array_get(studies, 0), "index")), 1);
    assert_string_equal(text_of(json_array_get(studies, 1), "id"), "a \"quoted\", b\\u003c");
    assert_string_equal(text_of(json_array_get(studies, 3), "id"), "line\nbroken\xef\xbf\xbd\xef\xbf\xbd(");
    assert_string_equal(text_of(data, "recipe"), "; </script>\n");
    json_decref(data);
    free(page);
}

static void what_is_wrong_in_a_table_is_named(void **state) {
    static const struct {
        const char *studies, *slices, *word;
    } table[] = {
        {NULL, NULL, "studies.csv"},
        {"study_id,epidural\nx,0\n", NULL, "'any'"},
        {HEADER "x,1,high,0,0,0,0,0,1\n", NULL, "'high'"},
        {HEADER "x,1,0.5,0,0,0,0,0,soon\n", NULL, "'soon'"},
        {HEADER "x,1,0.5,0,0,0,0,0,1\n", "study_id,any,attention\nx,0.5,1\n", "'slice_index'"},
        {HEADER "x,1,0.5,0,0,0,0,0,1\n", "study_id,slice_index,any,attention\nx,-1,0.5,1\n", "'-1'"},
        {HEADER "x,1,0.5,0,0,0,0,0,1\n", "study_id,slice_index,any,attention\nx,1e18,0.5,1\n", "'1e18'"},
        {HEADER "x,1,0.5,0,0,0,0,0,1\n", "study_id,slice_index,any,attention\nx,0,0.5,much\n", "'much'"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *folder = fresh(state);
        if (table[i].studies) put(folder, "studies.csv", table[i].studies);
        if (table[i].slices) put(folder, "slices.csv", table[i].slices);
        ich_error err = {0};
        const ich_report_options options = options_of(folder);
        assert_false(ich_report_write(&options, &err));
        if (!strstr(err.text, table[i].word)) fail_msg("'%s' does not name %s", err.text, table[i].word);
        assert_false(ich_path_exists(test_path(folder, "report/index.html")));
    }
}

static void no_study_at_all_makes_an_empty_worklist(void **state) {
    const char *folder = fresh(state);
    put(folder, "studies.csv", HEADER);
    const ich_report_options options = options_of(folder);
    char *page = make_page(&options);
    json_t *data = json_of(page, "data");
    assert_int_equal(json_array_size(field(data, "studies")), 0);
    assert_int_equal(count(page, "@PICTURES@"), 0);
    json_decref(data);
    free(page);
}

static void the_evaluation_brings_its_threshold_and_curves(void **state) {
    const char *folder = fresh(state), *evaluation = test_path(folder, "evaluation");
    ich_error err = {0};
    put_tables(folder);
    assert_true(ich_folder_make(evaluation, &err));
    put(evaluation, "metrics.csv",
        "level,label,metric,value,ci_low,ci_high,method,n,n_positive\n"
        "slice,any,threshold,0.9,,,as given,9,1\nstudy,any,threshold,0.2,,,as given,2,1\n");
    put(evaluation, "roc.svg", "<svg/>");
    ich_report_options options = options_of(folder);
    options.evaluation = evaluation;
    options.threshold = NAN;
    char *page = make_page(&options);
    json_t *data = json_of(page, "data");
    assert_true(json_real_value(field(data, "threshold")) == 0.2);
    assert_true(json_is_true(field(json_array_get(field(data, "studies"), 1), "positive")));
    assert_string_equal(text_of(data, "roc"), "<svg/>");
    assert_true(json_is_null(field(data, "calibration")));
    assert_int_equal(json_array_size(field(data, "metrics")), 2);
    json_decref(data);
    free(page);
    options.threshold = 0.8; /* what the user says goes before */
    page = make_page(&options);
    data = json_of(page, "data");
    assert_true(json_real_value(field(data, "threshold")) == 0.8);
    json_decref(data);
    free(page);
    options.evaluation = test_path(folder, "nowhere");
    assert_false(ich_report_write(&options, &err));
    assert_non_null(strstr(err.text, "nowhere/metrics.csv"));
}

static void without_an_evaluation_the_models_own_threshold_serves(void **state) {
    const char *folder = fresh(state);
    static const struct {
        const char *about;
        double threshold;
    } table[] = {
        {"key,value\nthreshold,0.25\n", 0.25}, {"key,value\nthreshold,9\n", 0.5}, {"key,value\n", 0.5}};
    put_tables(folder);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ich_report_options options = options_of(folder);
        put(folder, "about.csv", table[i].about);
        options.threshold = NAN;
        char *page = make_page(&options);
        json_t *data = json_of(page, "data");
        assert_true(json_real_value(field(data, "threshold")) == table[i].threshold);
        json_decref(data);
        free(page);
    }
}

/* -- pictures ------------------------------------------------------------------------------------------ */

static void without_pictures_the_page_says_so(void **state) {
    const char *folder = fresh(state);
    put_tables(folder);
    put(folder, "about.csv", "key,value\ninput,/no/such/place\n");
    const ich_report_options options = options_of(folder);
    char *page = make_page(&options);
    json_t *pictures = pictures_of(page, 0);
    assert_string_equal(text_of(pictures, "kind"), "none");
    assert_int_equal(json_array_size(field(pictures, "images")), SLICES);
    assert_true(json_is_null(json_array_get(field(pictures, "images"), 3)));
    assert_true(json_is_null(field(pictures, "heat")));
    json_decref(pictures);
    free(page);
}

static void scans_are_shown_with_their_heat(void **state) {
    for (int turned = 0; turned < 2; turned++) {
        const char *folder = fresh(state);
        put_tables(folder);
        put_scans(folder, 48, turned);
        put_heat(folder, "urgent", test_path(folder, "scans/volumes/urgent.nii.gz"));
        ich_report_options options = options_of(folder);
        options.scans = test_path(folder, "scans");
        char *page = make_page(&options);
        json_t *urgent = pictures_of(page, 0), *calm = pictures_of(page, 1);
        assert_string_equal(text_of(urgent, "kind"), "scan");
        assert_string_equal(text_of(urgent, "why"), "");
        assert_int_equal(json_integer_value(field(urgent, "side")), 48); /* never larger than the scan */
        assert_true(json_number_value(field(urgent, "mm")) == 200);
        assert_int_equal(json_is_true(field(urgent, "turned")), turned);
        assert_true(jpeg_bytes(urgent) > 5 * 300);
        assert_true(json_is_null(field(calm, "heat")));
        const json_t *heat = field(urgent, "heat");
        for (size_t s = 0; s < SLICES; s++) {
            const char *cells = json_string_value(json_array_get(heat, s));
            const int side = ICH_REPORT_HEAT_SIDE;
            if (s != 3) {
                assert_string_equal(cells, "");
                continue;
            }
            assert_int_equal(strlen(cells), side * side);
            assert_int_equal(cells[5 * side + 5], 'g'); /* level 32 of 63: half */
            assert_int_equal(cells[5 * side + 25], 'A');
            assert_int_equal(cells[25 * side + 5], 'A');
        }
        json_decref(urgent);
        json_decref(calm);
        free(page);
    }
}

static void predict_says_where_the_scans_are_and_which_heatmaps_are_its_own(void **state) {
    const char *folder = fresh(state);
    char about[1200];
    put_tables(folder);
    put_scans(folder, 48, false);
    put_heat(folder, "urgent", test_path(folder, "scans/volumes/urgent.nii.gz"));
    static const char *const kinds[] = {"none", "any"};
    for (int i = 0; i < 2; i++) {
        snprintf(about, sizeof about, "key,value\ninput,%s\nheatmaps,%s\n", test_path(folder, "scans"),
                 kinds[i]);
        put(folder, "about.csv", about);
        const ich_report_options options = options_of(folder);
        char *page = make_page(&options);
        json_t *pictures = pictures_of(page, 0);
        assert_string_equal(text_of(pictures, "kind"), "scan");
        assert_int_equal(json_is_array(field(pictures, "heat")), i); /* 0: left by an earlier run */
        json_decref(pictures);
        free(page);
    }
}

static void a_scan_that_cannot_be_read_leaves_predicts_overlays(void **state) {
    const char *folder = fresh(state);
    ich_error err = {0};
    put_tables(folder);
    put_scans(folder, 48, false);
    put(folder, "scans/volumes/urgent.nii.gz", "no scan");
    assert_true(ich_folder_make(test_path(folder, "heatmaps/urgent"), &err));
    put(folder, "heatmaps/urgent/003.png", "png bytes?");
    ich_report_options options = options_of(folder);
    options.scans = test_path(folder, "scans");
    char *page = make_page(&options);
    json_t *pictures = pictures_of(page, 0), *calm = pictures_of(page, 1);
    assert_string_equal(text_of(pictures, "kind"), "overlay");
    assert_non_null(strstr(text_of(pictures, "why"), "urgent.nii.gz"));
    size_t n;
    uint8_t *bytes = decode(json_string_value(json_array_get(field(pictures, "images"), 3)), &n);
    assert_int_equal(n, 10);
    assert_memory_equal(bytes, "png bytes?", 10);
    assert_true(json_is_null(json_array_get(field(pictures, "images"), 2)));
    assert_string_equal(text_of(calm, "kind"), "scan");
    free(bytes);
    json_decref(pictures);
    json_decref(calm);
    free(page);
    options.scans = test_path(folder, "nowhere");
    assert_false(ich_report_write(&options, &err));
    assert_non_null(strstr(err.text, "nowhere"));
}

static void heat_on_another_grid_is_not_shown(void **state) {
    const char *folder = fresh(state), *other = fresh(state);
    put_tables(folder);
    put_scans(folder, 48, false);
    put_scans(other, 40, false);
    put_heat(folder, "urgent", test_path(other, "scans/volumes/urgent.nii.gz"));
    ich_report_options options = options_of(folder);
    options.scans = test_path(folder, "scans");
    char *page = make_page(&options);
    json_t *pictures = pictures_of(page, 0);
    assert_true(json_is_null(field(pictures, "heat")));
    assert_non_null(strstr(text_of(pictures, "why"), "is not on the grid"));
    json_decref(pictures);
    free(page);
}

static void the_budget_holds_and_the_telling_slices_stay(void **state) {
    const char *folder = fresh(state);
    put_tables(folder);
    put_scans(folder, 400, false);
    put_heat(folder, "urgent", test_path(folder, "scans/volumes/urgent.nii.gz"));
    ich_report_options options = options_of(folder);
    options.scans = test_path(folder, "scans");
    static const size_t budgets[] = {4 << 20, 200000, 100000, 40000, 0};
    int64_t side = 1000;
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
        options.picture_budget = budgets[i];
        char *page = make_page(&options);
        json_t *pictures = pictures_of(page, 0);
        const json_t *images = field(pictures, "images");
        const size_t bytes = jpeg_bytes(pictures);
        assert_true(bytes <= budgets[i] / 2);
        assert_true(json_integer_value(field(pictures, "side")) <= side);
        side = json_integer_value(field(pictures, "side"));
        if (i == 0) assert_int_equal(side, 400);
        if (i < 3) /* smaller pictures, but all of them */
            for (size_t s = 0; s < SLICES; s++) assert_true(json_is_string(json_array_get(images, s)));
        if (budgets[i] == 40000) { /* not all fit even at the smallest side */
            assert_int_equal(side, 128);
            assert_true(json_is_string(json_array_get(images, 3)));
            assert_true(json_is_null(json_array_get(images, 4)));
        }
        if (budgets[i] == 0) assert_int_equal(bytes, 0);
        json_decref(pictures);
        free(page);
    }
}

static void a_study_id_is_no_way_out_of_the_folder(void **state) {
    const char *folder = fresh(state);
    ich_error err = {0};
    assert_true(ich_folder_make(test_path(folder, "p/heatmaps"), &err));
    assert_true(ich_folder_make(test_path(folder, "secret"), &err));
    put(folder, "secret/000.png", "secret");
    put(folder, "p/studies.csv", HEADER "../../secret,1,0.9,0,0,0,0,0,1\n..,1,0.8,0,0,0,0,0,1\n");
    put(folder, "p/slices.csv", SLICE_HEADER "../../secret,0,,0.5,0,0,0,0,0,1\n..,0,,0.5,0,0,0,0,0,1\n");
    const ich_report_options options = options_of(test_path(folder, "p"));
    char *page = make_page(&options);
    for (int i = 0; i < 2; i++) {
        json_t *pictures = pictures_of(page, i);
        assert_string_equal(text_of(pictures, "kind"), "none");
        json_decref(pictures);
    }
    free(page);
}

static void the_page_is_the_same_for_any_number_of_threads(void **state) {
    const char *folder = fresh(state);
    put_tables(folder);
    put_scans(folder, 96, false);
    ich_report_options options = options_of(folder);
    options.scans = test_path(folder, "scans");
    static const char *const outs[] = {"one", "two", "three"};
    for (int threads = 1; threads <= 3; threads++) {
        ich_team_set(threads);
        options.out = test_path(folder, outs[threads - 1]);
        free(make_page(&options));
        test_assert_same_file(test_path(test_path(folder, "one"), "index.html"),
                              test_path(options.out, "index.html"));
    }
    ich_team_set(0);
}

static void slices_that_the_scan_lacks_have_no_picture(void **state) {
    const char *folder = fresh(state);
    put_tables(folder);
    put_scans(folder, 48, false);
    put(folder, "slices.csv", SLICE_HEADER "urgent,4,,0.5,0,0,0,0,0,0.5\nurgent,5,,0.5,0,0,0,0,0,0.5\n");
    ich_report_options options = options_of(folder);
    options.scans = test_path(folder, "scans");
    char *page = make_page(&options);
    json_t *pictures = pictures_of(page, 0);
    assert_true(json_is_string(json_array_get(field(pictures, "images"), 0)));
    assert_true(json_is_null(json_array_get(field(pictures, "images"), 1)));
    json_decref(pictures);
    free(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_probable_study_comes_first_with_its_verdict),
        cmocka_unit_test(hostile_names_stay_text),
        cmocka_unit_test(what_is_wrong_in_a_table_is_named),
        cmocka_unit_test(no_study_at_all_makes_an_empty_worklist),
        cmocka_unit_test(the_evaluation_brings_its_threshold_and_curves),
        cmocka_unit_test(without_an_evaluation_the_models_own_threshold_serves),
        cmocka_unit_test(without_pictures_the_page_says_so),
        cmocka_unit_test(scans_are_shown_with_their_heat),
        cmocka_unit_test(predict_says_where_the_scans_are_and_which_heatmaps_are_its_own),
        cmocka_unit_test(a_scan_that_cannot_be_read_leaves_predicts_overlays),
        cmocka_unit_test(heat_on_another_grid_is_not_shown),
        cmocka_unit_test(the_budget_holds_and_the_telling_slices_stay),
        cmocka_unit_test(a_study_id_is_no_way_out_of_the_folder),
        cmocka_unit_test(the_page_is_the_same_for_any_number_of_threads),
        cmocka_unit_test(slices_that_the_scan_lacks_have_no_picture),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}

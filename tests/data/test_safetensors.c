/* Arrays with names come back as they were written; what a file says about itself is checked before it is
 * used. */
#include "data/file.h"
#include "data/safetensors.h"
#include "scratch.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void read_well(ich_safetensors *st, const char *path) {
    ich_error err = {""};
    if (!ich_safetensors_read(st, path, &err)) fail_msg("%s", err.text);
}

/* A file with this header and these data behind it. */
static const char *file_of(const char *header, const void *data, size_t count) {
    const uint64_t length = strlen(header);
    unsigned char bytes[4096];
    assert_true(8 + length + count <= sizeof bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    if (count) memcpy(bytes + 8 + length, data, count);
    return scratch_write("made.safetensors", bytes, 8 + length + count);
}

/* -- writing and reading --------------------------------------------------------------------------------- */

static const float numbers[] = {1.5f, -0.0f, 3.4e38f, 1e-45f, INFINITY, 0.1f, 7, -7};
static ich_st_tensor some_tensors[] = {
    {.name = (char *)"layer1.0.conv1.weight", .rank = 4, .dims = {1, 3, 2, 1}, .count = 6, .data = numbers},
    {.name = (char *)"scalar", .rank = 0, .count = 1, .data = numbers + 6},
    {.name = (char *)"nothing", .rank = 2, .dims = {3, 0}, .count = 0, .data = numbers},
    {.name = (char *)"ä \"quoted\" \\ name", .rank = 1, .dims = {2}, .count = 2, .data = numbers + 6},
};
enum { TENSORS = sizeof some_tensors / sizeof *some_tensors };
static const char *const keys[] = {"zulu", "alpha"};
static const char *const values[] = {"[model]\nsize = 96\n", ""};

static const char *write_some(const char *name) {
    const char *path = scratch_path(name);
    ich_error err = {""};
    if (!ich_safetensors_write(path, some_tensors, TENSORS, keys, values, 2, &err)) fail_msg("%s", err.text);
    return path;
}

static void what_is_written_is_read(void **state) {
    (void)state;
    ich_safetensors st;
    read_well(&st, write_some("some.safetensors"));
    assert_int_equal(st.n_tensors, TENSORS);
    for (int i = 0; i < TENSORS; i++) {
        const ich_st_tensor *in = &some_tensors[i], *out = &st.tensors[i];
        assert_string_equal(in->name, out->name); /* in the order given */
        assert_int_equal(in->rank, out->rank);
        assert_int_equal(in->count, out->count);
        assert_memory_equal(in->dims, out->dims, sizeof in->dims);
        assert_memory_equal(in->data, out->data, in->count * sizeof(float));
        assert_ptr_equal(ich_safetensors_find(&st, in->name), out);
    }
    assert_null(ich_safetensors_find(&st, "layer1"));
    assert_int_equal(st.n_metadata, 2);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(st.keys[i], keys[i]);
        assert_string_equal(ich_safetensors_metadata(&st, keys[i]), values[i]);
    }
    assert_null(ich_safetensors_metadata(&st, "bravo"));
    ich_safetensors_free(&st);
    ich_safetensors_free(&st); /* harmless */
}

static void the_file_is_what_the_format_says(void **state) {
    (void)state;
    size_t count, again;
    unsigned char *bytes = read_bytes(write_some("one.safetensors"), &count);
    unsigned char *other = read_bytes(write_some("two.safetensors"), &again);
    assert_int_equal(count, again);
    assert_memory_equal(bytes, other, count); /* same input, same bytes */
    uint64_t length;
    memcpy(&length, bytes, 8);
    assert_int_equal(length % 8, 0);
    assert_int_equal(count, 8 + length + 9 * sizeof(float));
    const char expected[] =
        "{\"__metadata__\":{\"zulu\":\"[model]\\nsize = 96\\n\",\"alpha\":\"\"},"
        "\"layer1.0.conv1.weight\":{\"dtype\":\"F32\",\"shape\":[1,3,2,1],\"data_offsets\":[0,24]},"
        "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[24,28]},"
        "\"nothing\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[28,28]},"
        "\"ä \\\"quoted\\\" \\\\ name\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[28,36]}}";
    assert_memory_equal(bytes + 8, expected, sizeof expected - 1);
    for (size_t i = 8 + sizeof expected - 1; i < 8 + length; i++) assert_int_equal(bytes[i], ' ');
    assert_memory_equal(bytes + 8 + length, numbers, 7 * sizeof(float));
    free(bytes);
    free(other);
}

static void what_could_not_be_read_back_is_not_written(void **state) {
    (void)state;
    const struct {
        ich_st_tensor tensors[2];
        const char *keys[2], *values[2];
        const char *names;
    } wrong[] = {
        {.tensors = {{.name = (char *)"twin", .count = 1, .data = numbers},
                     {.name = (char *)"twin", .count = 1, .data = numbers}},
         .keys = {"a", "b"},
         .values = {"", ""},
         .names = "'twin'"},
        {.tensors = {{.name = (char *)"one", .count = 1, .data = numbers},
                     {.name = (char *)"\xff", .count = 1, .data = numbers}},
         .keys = {"a", "b"},
         .values = {"", ""},
         .names = "'\xff'"},
        {.tensors = {{.name = (char *)"one", .count = 1, .data = numbers},
                     {.name = (char *)"__metadata__", .count = 1, .data = numbers}},
         .keys = {"a", "b"},
         .values = {"", ""},
         .names = "'__metadata__'"},
        {.tensors = {{.name = (char *)"one", .count = 1, .data = numbers},
                     {.name = (char *)"bad", .rank = 1, .dims = {3}, .count = 2, .data = numbers}},
         .keys = {"a", "b"},
         .values = {"", ""},
         .names = "'bad'"},
        {.tensors = {{.name = (char *)"one", .count = 1, .data = numbers},
                     {.name = (char *)"two", .count = 1, .data = numbers}},
         .keys = {"a", "a"},
         .values = {"", ""},
         .names = "'a'"},
        {.tensors = {{.name = (char *)"one", .count = 1, .data = numbers},
                     {.name = (char *)"two", .count = 1, .data = numbers}},
         .keys = {"a", "text"},
         .values = {"", "\xc3"},
         .names = "'text'"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ich_error err = {""};
        const char *path = scratch_path("never.safetensors");
        assert_false(
            ich_safetensors_write(path, wrong[i].tensors, 2, wrong[i].keys, wrong[i].values, 2, &err));
        assert_non_null(strstr(err.text, "never.safetensors"));
        if (!strstr(err.text, wrong[i].names)) fail_msg("%s", err.text);
        assert_false(ich_path_exists(path));
    }
    ich_error err = {""};
    assert_false(
        ich_safetensors_write(scratch_path("no/folder.safetensors"), some_tensors, 1, NULL, NULL, 0, &err));
    assert_non_null(strstr(err.text, "no/folder.safetensors"));
}

/* -- other people's files -------------------------------------------------------------------------------- */

static void every_type_becomes_float(void **state) {
    (void)state;
    /* binary16: 1, -2, largest, smallest, largest of the small, smallest of the normal, -0, infinity,
     * -infinity */
    static const uint16_t half[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x0400, 0x8000, 0x7c00, 0xfc00};
    static const float half_is[] = {1, -2, 65504, 0x1p-24f, 0x3ffp-24f, 0x1p-14f, -0.0f, INFINITY, -INFINITY};
    static const uint16_t brain[] = {0x3f80, 0xc049};
    static const float brain_is[] = {1, -3.140625f};
    static const double twice[] = {0.1, -1e30};
    static const int64_t whole[] = {1234567890123};
    static const float single[] = {0.25f};
    unsigned char data[18 + 4 + 16 + 8 + 4];
    memcpy(data, half, 18);
    memcpy(data + 18, brain, 4); /* so that what follows is not aligned */
    memcpy(data + 22, twice, 16);
    memcpy(data + 38, whole, 8);
    memcpy(data + 46, single, 4);
    ich_safetensors st;
    read_well(&st, file_of("{\"f\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[46,50]},"
                           "\"d\":{\"dtype\":\"F64\",\"shape\":[2,1],\"data_offsets\":[22,38]},"
                           "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[38,46]},"
                           "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[18,22],\"more\":null},"
                           "\"h\":{\"dtype\":\"F16\",\"shape\":[3,3],\"data_offsets\":[0,18]}}  \n",
                           data, sizeof data));
    assert_int_equal(st.n_tensors, 4);
    assert_int_equal(st.n_metadata, 0);
    assert_memory_equal(ich_safetensors_find(&st, "h")->data, half_is, sizeof half_is);
    assert_memory_equal(ich_safetensors_find(&st, "b")->data, brain_is, sizeof brain_is);
    assert_true(ich_safetensors_find(&st, "d")->data[0] == 0.1f);
    assert_true(ich_safetensors_find(&st, "d")->data[1] == -1e30f);
    assert_true(ich_safetensors_find(&st, "f")->data[0] == 0.25f);
    assert_null(ich_safetensors_find(&st, "n"));
    ich_safetensors_free(&st);
    read_well(&st,
              file_of("{\"h\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]}}", "\x01\x7e", 2));
    assert_true(isnan(st.tensors[0].data[0]));
    ich_safetensors_free(&st);
    read_well(&st, file_of("{}", NULL, 0));
    assert_int_equal(st.n_tensors, 0);
    ich_safetensors_free(&st);
}

#define ONE(dtype, shape, offsets)                                                                           \
    "{\"one\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(from, to)                                                                                        \
    "{\"one\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"                                     \
    "\"two\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" from "," to "]}}"

static void a_lying_header_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *header;
        size_t data; /* bytes behind it */
        const char *says;
    } lies[] = {
        {"", 0, "JSON"},
        {"{", 8, "JSON"},
        {"[1]", 0, "object"},
        {"{} x", 0, "JSON"},
        {"{\"a\xff\":1}", 0, "JSON"},
        {"{\"one\":1}", 4, "'one'"},
        {"{\"one\":{}}", 4, "'one'"},
        {"{\"__metadata__\":[]}", 0, "__metadata__"},
        {"{\"__metadata__\":{\"key\":1}}", 0, "'key'"},
        {"{\"__metadata__\":{\"key\":\"\\u0000\"}}", 0, "JSON"},
        {"{\"one\":{},\"one\":{}}", 0, "uplicate"},
        {ONE("\"F32\"", "[1]", "[0,4]"), 5, "5 bytes"},
        {ONE("\"F32\"", "[1]", "[0,4]"), 3, "data_offsets"},
        {ONE("\"F31\"", "[1]", "[0,4]"), 4, "dtype"},
        {ONE("\"I32\"", "[1]", "[0,4]"), 4, "convert"},
        {ONE("32", "[1]", "[0,4]"), 4, "dtype"},
        {ONE("\"F32\"", "[-1]", "[0,4]"), 4, "shape"},
        {ONE("\"F32\"", "[1.0]", "[0,4]"), 4, "shape"},
        {ONE("\"F32\"", "[\"1\"]", "[0,4]"), 4, "shape"},
        {ONE("\"F32\"", "1", "[0,4]"), 4, "shape"},
        {ONE("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 4, "shape"}, /* 2^64 is 0 in 64 bits */
        {ONE("\"F32\"", "[4611686018427387905]", "[0,4]"), 4, "shape"},   /* 4 (2^62 + 1) is 4 */
        {ONE("\"F32\"", "[9223372036854775808]", "[0,4]"), 4, "JSON"},
        {ONE("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "shape"},
        {ONE("\"F32\"", "[1]", "[0]"), 4, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[0,4,4]"), 4, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[0,\"4\"]"), 4, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[4,0]"), 4, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[-4,0]"), 4, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[0,3]"), 4, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[4,8]"), 8, "hole"},
        {ONE("\"F32\"", "[0]", "[9,9]"), 8, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[9223372036854775804,9223372036854775807]"), 4, "data_offsets"},
        {TWO("0", "4"), 8, "overlap"},
        {TWO("2", "6"), 8, "overlap"},
        {TWO("6", "10"), 10, "hole"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        ich_safetensors st;
        ich_error err = {""};
        const char *path = file_of(lies[i].header, "abcdefghijkl", lies[i].data);
        if (ich_safetensors_read(&st, path, &err)) fail_msg("accepted: %s", lies[i].header);
        assert_non_null(strstr(err.text, "made.safetensors"));
        assert_null(strchr(err.text, '\n'));
        if (!strstr(err.text, lies[i].says)) fail_msg("%s: %s", lies[i].header, err.text);
        assert_int_equal(st.n_tensors, 0);
        ich_safetensors_free(&st); /* harmless */
    }
}

static void a_header_longer_than_the_file_is_refused(void **state) {
    (void)state;
    static const uint64_t lengths[] = {3, 4, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63, 100 << 20};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t size = 0; size <= 10; size++) {
            unsigned char bytes[10] = {0};
            memcpy(bytes, &lengths[i], 8);
            memcpy(bytes + 8, "{}", 2);
            ich_safetensors st;
            ich_error err = {""};
            const char *path = scratch_write("short.safetensors", bytes, size);
            assert_false(ich_safetensors_read(&st, path, &err));
            assert_non_null(strstr(err.text, "short.safetensors"));
        }
    ich_safetensors st;
    ich_error err = {""};
    assert_false(ich_safetensors_read(&st, scratch_path("nowhere.safetensors"), &err));
    assert_non_null(strstr(err.text, "nowhere.safetensors"));
}

/* JSON in memory takes many times its text. */
static void a_huge_header_is_refused(void **state) {
    (void)state;
    const uint64_t length = 33 << 20;
    char *bytes = malloc(8 + length);
    assert_non_null(bytes);
    memset(bytes, ' ', 8 + length);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, "{}", 2);
    ich_safetensors st;
    ich_error err = {""};
    assert_false(ich_safetensors_read(&st, scratch_write("huge.safetensors", bytes, 8 + length), &err));
    assert_non_null(strstr(err.text, "huge.safetensors"));
    free(bytes);
}

/* Each file is read whole or refused with a line; the sanitizers see to the rest. */
static void no_damage_does_harm(void **state) {
    (void)state;
    size_t count;
    unsigned char *bytes = read_bytes(write_some("whole.safetensors"), &count);
    int refused = 0;
    for (size_t i = 0; i < 2 * count; i++) {
        const bool cut = i >= count;
        const unsigned char kept = bytes[i % count];
        bytes[i % count] ^= (unsigned char)(1 << i % 7);
        const char *path = scratch_write("spoilt.safetensors", bytes, cut ? i - count : count);
        ich_safetensors st;
        ich_error err = {""};
        if (!ich_safetensors_read(&st, path, &err)) {
            assert_non_null(strstr(err.text, "spoilt.safetensors"));
            refused++;
        } else {
            assert_false(cut);
        }
        ich_safetensors_free(&st);
        bytes[i % count] = kept;
    }
    assert_true(refused > (int)count); /* every cut, and more */
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_file_is_what_the_format_says),
        cmocka_unit_test(what_could_not_be_read_back_is_not_written),
        cmocka_unit_test(every_type_becomes_float),
        cmocka_unit_test(a_lying_header_is_refused),
        cmocka_unit_test(a_header_longer_than_the_file_is_refused),
        cmocka_unit_test(a_huge_header_is_refused),
        cmocka_unit_test(no_damage_does_harm),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

/* safetensors: the header through jansson, the data into one array of floats. */
#include "safetensors.h"
#include "file.h"
#include "tensor/hash.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they stand in the file");

#define METADATA "__metadata__"
#define LIMIT    ((size_t)4 << 30) /* bytes of a file: ten times the checkpoint of the largest model */
enum {
    PREFIX = 8,            /* bytes of the header's length */
    MAX_HEADER = 32 << 20, /* JSON in memory takes up to 16 times its text */
    MAX_RANK = 8,          /* of ich_st_tensor.dims */
    PAD = 8                /* data start on a multiple of it */
};

/* What st->memory points to: names, keys and values are the document's strings. */
typedef struct memory {
    json_t *document;
    float *data;
} memory;

/* -- element types --------------------------------------------------------------------------------------- */

static void from_f32(const char *from, size_t count, float *to) { memcpy(to, from, count * sizeof *to); }

static void from_f64(const char *from, size_t count, float *to) {
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, from + i * sizeof value, sizeof value);
        to[i] = (float)value;
    }
}

/* The upper half of a float. */
static void from_bf16(const char *from, size_t count, float *to) {
    for (size_t i = 0; i < count; i++) {
        memset(&to[i], 0, 2);
        memcpy((char *)&to[i] + 2, from + 2 * i, 2);
    }
}

/* IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 of fraction. */
static void from_f16(const char *from, size_t count, float *to) {
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, from + i * sizeof bits, sizeof bits);
        const int exponent = bits >> 10 & 31, fraction = bits & 1023;
        const float size = exponent == 31  ? (fraction ? NAN : INFINITY)
                           : exponent == 0 ? ldexpf((float)fraction, -24)
                                           : ldexpf((float)(1024 + fraction), exponent - 25);
        to[i] = bits >> 15 ? -size : size;
    }
}

static const struct dtype {
    const char *name;
    size_t size;                                                 /* bytes of an element */
    void (*to_float)(const char *from, size_t count, float *to); /* NULL: left out */
} dtypes[] = {
    {"F32", 4, from_f32}, {"F16", 2, from_f16}, {"BF16", 2, from_bf16},
    {"F64", 8, from_f64}, {"I64", 8, NULL}, /* torchvision's num_batches_tracked */
};

static const struct dtype *find_dtype(const json_t *name) {
    for (size_t i = 0; json_is_string(name) && i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(json_string_value(name), dtypes[i].name)) return &dtypes[i];
    return NULL;
}

/* -- JSON ------------------------------------------------------------------------------------------------ */

/* jansson 2.14 goes on where a buffer of its cannot grow, without the bytes that had no room: a name or a
 * value that is another. So it is watched whether memory was refused to it; if so, its work counts for
 * nothing. */
static _Thread_local bool refused;

static void *take(size_t size) {
    void *taken = malloc(size);
    refused |= !taken;
    return taken;
}

static void watch(void) { json_set_alloc_funcs(take, free); }

static void begin_json(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
    refused = false;
}

/* -- header ---------------------------------------------------------------------------------------------- */

/* One entry of the header, checked. */
typedef struct entry {
    const char *name;
    const struct dtype *dtype;
    int rank;
    int64_t dims[MAX_RANK];
    size_t count, begin, end; /* elements; bytes of the data */
} entry;

/* A file at work. */
typedef struct reading {
    const char *path;
    char *bytes;
    const char *data;
    size_t data_size;
    json_t *document;
    entry *entries;
    size_t n_entries;
} reading;

static bool damaged(const reading *r, ich_error *err, const char *name, const char *what) {
    return ich_fail(err, "%s: '%.100s': %s: the file is damaged, use another copy", r->path, name, what);
}

static bool parse_header(reading *r, size_t size, ich_error *err) {
    uint64_t length = 0;
    if (size >= PREFIX) memcpy(&length, r->bytes, PREFIX);
    if (size < PREFIX || length > size - PREFIX || length > MAX_HEADER)
        return ich_fail(err,
                        "%s: no safetensors file, or cut short: its header would be %llu bytes, the file is "
                        "%zu: use another copy",
                        r->path, (unsigned long long)length, size);
    json_error_t why;
    begin_json();
    r->document = json_loadb(r->bytes + PREFIX, length, JSON_REJECT_DUPLICATES, &why);
    if (refused)
        return ich_fail(err, "%s: out of memory: its header of %llu bytes", r->path,
                        (unsigned long long)length);
    if (!r->document)
        return ich_fail(err, "%s: the header is no JSON: %s (byte %d): use another copy", r->path, why.text,
                        why.position);
    if (!json_is_object(r->document))
        return ich_fail(err, "%s: the header is no JSON object: use another copy", r->path);
    r->data = r->bytes + PREFIX + length;
    r->data_size = size - PREFIX - length;
    return true;
}

/* Dimensions, and their product, which the data have to hold. */
static bool parse_shape(const reading *r, const json_t *shape, entry *e) {
    if (!json_is_array(shape) || json_array_size(shape) > MAX_RANK) return false;
    e->rank = (int)json_array_size(shape);
    e->count = 1;
    for (int d = 0; d < e->rank; d++) {
        const json_t *dim = json_array_get(shape, (size_t)d);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0) return false;
        e->dims[d] = json_integer_value(dim);
        if (e->dims[d] > 0 && e->count > r->data_size / (size_t)e->dims[d]) return false;
        e->count *= (size_t)e->dims[d];
    }
    return true;
}

static bool parse_offset(const reading *r, const json_t *offset, size_t *out) {
    if (!json_is_integer(offset) || json_integer_value(offset) < 0) return false;
    *out = (size_t)json_integer_value(offset);
    return *out <= r->data_size;
}

static bool parse_entry(const reading *r, const char *name, const json_t *json, entry *e, ich_error *err) {
    const json_t *offsets = json_object_get(json, "data_offsets"); /* NULL if json is no object */
    e->name = name;
    e->dtype = find_dtype(json_object_get(json, "dtype"));
    if (!e->dtype)
        return ich_fail(err, "%s: '%.100s': its dtype is not F32, F16, BF16, F64 or I64: convert it to F32",
                        r->path, name);
    if (!parse_shape(r, json_object_get(json, "shape"), e))
        return damaged(r, err, name, "its shape is not up to 8 whole numbers that fit the file");
    if (json_array_size(offsets) != 2 || !parse_offset(r, json_array_get(offsets, 0), &e->begin) ||
        !parse_offset(r, json_array_get(offsets, 1), &e->end) || e->begin > e->end)
        return damaged(r, err, name, "its data_offsets are not two places in the file");
    if (e->end - e->begin != e->count * e->dtype->size)
        return damaged(r, err, name, "its data_offsets do not fit its shape");
    return true;
}

static int by_place(const void *a, const void *b) {
    const entry *x = *(entry *const *)a, *y = *(entry *const *)b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* In order of place, each entry has to begin where the one before ends: no overlaps, no holes. */
static bool check_places(const reading *r, ich_error *err) {
    entry **sorted = ich_new(r->n_entries, sizeof *sorted, "the places of tensors", err);
    if (!sorted) return false;
    for (size_t i = 0; i < r->n_entries; i++) sorted[i] = &r->entries[i];
    qsort(sorted, r->n_entries, sizeof *sorted, by_place);
    size_t at = 0;
    bool done = true;
    for (size_t i = 0; done && i < r->n_entries; i++) {
        if (sorted[i]->begin != at)
            done = damaged(r, err, sorted[i]->name,
                           sorted[i]->begin < at ? "its data overlap another's"
                                                 : "there is a hole before its data");
        at = sorted[i]->end;
    }
    free(sorted);
    if (done && at != r->data_size)
        return ich_fail(err, "%s: %zu bytes of data, where the header tells of %zu: use another copy",
                        r->path, r->data_size, at);
    return done;
}

static bool parse_entries(reading *r, ich_error *err) {
    r->entries = ich_new(json_object_size(r->document), sizeof *r->entries, "the list of tensors", err);
    if (!r->entries) return false;
    const char *name;
    json_t *json;
    json_object_foreach(r->document, name, json) {
        if (!strcmp(name, METADATA)) continue;
        if (!parse_entry(r, name, json, &r->entries[r->n_entries], err)) return false;
        r->n_entries++;
    }
    return check_places(r, err);
}

/* -- reading --------------------------------------------------------------------------------------------- */

static bool take_metadata(ich_safetensors *st, const reading *r, ich_error *err) {
    json_t *metadata = json_object_get(r->document, METADATA), *value;
    const char *key;
    if (!metadata) return true;
    if (!json_is_object(metadata)) return damaged(r, err, METADATA, "it is no JSON object");
    st->keys = ich_new(json_object_size(metadata), sizeof *st->keys, "metadata", err);
    st->values = ich_new(json_object_size(metadata), sizeof *st->values, "metadata", err);
    if (!st->keys || !st->values) return false;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value)) return damaged(r, err, key, "this entry of the metadata is no text");
        st->keys[st->n_metadata] = (char *)key;
        st->values[st->n_metadata++] = (char *)json_string_value(value);
    }
    return true;
}

static bool take_tensors(ich_safetensors *st, const reading *r, ich_error *err) {
    size_t total = 0;
    for (size_t i = 0; i < r->n_entries; i++)
        if (r->entries[i].dtype->to_float) total += r->entries[i].count;
    memory *m = st->memory;
    m->data = ich_new(total, sizeof *m->data, "tensors", err);
    st->tensors = ich_new(r->n_entries, sizeof *st->tensors, "the list of tensors", err);
    if (!m->data || !st->tensors) return false;
    float *to = m->data;
    for (size_t i = 0; i < r->n_entries; i++) {
        const entry *e = &r->entries[i];
        if (!e->dtype->to_float) continue;
        ich_st_tensor *tensor = &st->tensors[st->n_tensors++];
        *tensor = (ich_st_tensor){.name = (char *)e->name, .rank = e->rank, .count = e->count, .data = to};
        memcpy(tensor->dims, e->dims, sizeof e->dims);
        e->dtype->to_float(r->data + e->begin, e->count, to);
        to += e->count;
    }
    return true;
}

/* Nothing of a sealed file is looked at before its seal. */
static bool check_seal(const reading *r, size_t size, ich_error *err) {
    uint64_t seal;
    if (size >= PREFIX + sizeof seal) {
        const size_t before = size - sizeof seal;
        memcpy(&seal, r->bytes + before, sizeof seal);
        if (ich_fnv(ich_fnv_start, r->bytes, before) == seal) return true;
    }
    return ich_fail(err, "%s: damaged, or no sealed file: its checksum does not fit its %zu bytes", r->path,
                    size);
}

/* `damaged`: NULL where there is no seal. */
static bool read_file(ich_safetensors *st, const char *path, bool *damaged, ich_error *err) {
    *st = (ich_safetensors){0};
    reading r = {.path = path};
    size_t size;
    errno = 0;
    memory *m = ich_new(1, sizeof *m, "tensors", err);
    st->memory = m;
    r.bytes = m ? ich_file_read(path, LIMIT, &size, err) : NULL;
    if (damaged) *damaged = r.bytes ? !check_seal(&r, size, err) : errno != ENOMEM;
    bool done = r.bytes && !(damaged && *damaged) && parse_header(&r, size, err);
    if (m) m->document = r.document;
    done = done && parse_entries(&r, err) && take_metadata(st, &r, err) && take_tensors(st, &r, err);
    free(r.bytes);
    free(r.entries);
    if (!done) ich_safetensors_free(st);
    return done;
}

bool ich_safetensors_read(ich_safetensors *st, const char *path, ich_error *err) {
    return read_file(st, path, NULL, err);
}

bool ich_safetensors_read_sealed(ich_safetensors *st, const char *path, bool *damaged, ich_error *err) {
    return read_file(st, path, damaged, err);
}

void ich_safetensors_free(ich_safetensors *st) {
    memory *m = st->memory;
    if (m) {
        json_decref(m->document);
        free(m->data);
    }
    free(m);
    free(st->tensors);
    free(st->keys);
    free(st->values);
    *st = (ich_safetensors){0};
}

const ich_st_tensor *ich_safetensors_find(const ich_safetensors *st, const char *name) {
    for (size_t i = 0; i < st->n_tensors; i++)
        if (!strcmp(st->tensors[i].name, name)) return &st->tensors[i];
    return NULL;
}

const char *ich_safetensors_metadata(const ich_safetensors *st, const char *key) {
    for (size_t i = 0; i < st->n_metadata; i++)
        if (!strcmp(st->keys[i], key)) return st->values[i];
    return NULL;
}

/* -- writing --------------------------------------------------------------------------------------------- */

/* Adds `value`, which may be NULL for want of memory, and which it owns; a name given before is refused. */
static bool add(json_t *object, const char *name, json_t *value) {
    if (value && !json_object_get(object, name)) return json_object_set_new(object, name, value) == 0;
    json_decref(value);
    return false;
}

static bool add_tensor(json_t *document, const ich_st_tensor *tensor, size_t *offset) {
    json_t *shape = json_array();
    size_t count = 1;
    bool whole = shape != NULL;
    for (int d = 0; d < tensor->rank; d++) {
        whole = whole && json_array_append_new(shape, json_integer(tensor->dims[d])) == 0;
        count *= (size_t)tensor->dims[d];
    }
    const size_t begin = *offset;
    *offset += tensor->count * sizeof(float);
    json_t *place = json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets",
                              (json_int_t)begin, (json_int_t)*offset);
    return add(document, tensor->name, place) && whole && count == tensor->count;
}

/* The header in fresh memory, or NULL. jansson keeps the order of insertion, and refuses what is not UTF-8.
 */
static char *header_text(const char *path, const ich_st_tensor *tensors, size_t n_tensors,
                         const char *const *keys, const char *const *values, size_t n_metadata,
                         ich_error *err) {
    begin_json();
    json_t *document = json_object(), *metadata = json_object();
    const char *bad = add(document, METADATA, metadata) ? NULL : METADATA;
    size_t offset = 0;
    for (size_t i = 0; !bad && i < n_metadata; i++)
        if (!add(metadata, keys[i], json_string(values[i]))) bad = keys[i];
    for (size_t i = 0; !bad && i < n_tensors; i++)
        if (!add_tensor(document, &tensors[i], &offset)) bad = tensors[i].name;
    char *text = bad ? NULL : json_dumps(document, JSON_COMPACT);
    json_decref(document);
    if (text && !refused) return text;
    free(text);
    if (refused)
        ich_fail(err, "%s: out of memory: the header", path);
    else
        ich_fail(err, "%s: '%.100s' is given twice, is not UTF-8, or does not fit its shape", path,
                 bad ? bad : METADATA);
    return NULL;
}

/* Writes bytes and goes on with the hash, if there is one. */
static void put(FILE *stream, const void *bytes, size_t count, uint64_t *hash) {
    fwrite(bytes, 1, count, stream); /* commit looks at the stream's error */
    if (hash) *hash = ich_fnv(*hash, bytes, count);
}

static bool write_file(const char *path, const ich_st_tensor *tensors, size_t n_tensors,
                       const char *const *keys, const char *const *values, size_t n_metadata, uint64_t *hash,
                       ich_error *err) {
    char *header = header_text(path, tensors, n_tensors, keys, values, n_metadata, err);
    ich_output out;
    if (!header || !ich_output_open(&out, path, err)) {
        free(header);
        return false;
    }
    const size_t length = strlen(header);
    const uint64_t padded = (length + PAD - 1) / PAD * PAD;
    put(out.stream, &padded, PREFIX, hash);
    put(out.stream, header, length, hash);
    put(out.stream, "        ", padded - length, hash);
    for (size_t i = 0; i < n_tensors; i++)
        put(out.stream, tensors[i].data, tensors[i].count * sizeof(float), hash);
    free(header);
    return ich_output_commit(&out, err);
}

bool ich_safetensors_write(const char *path, const ich_st_tensor *tensors, size_t n_tensors,
                           const char *const *keys, const char *const *values, size_t n_metadata,
                           ich_error *err) {
    return write_file(path, tensors, n_tensors, keys, values, n_metadata, NULL, err);
}

bool ich_safetensors_write_sealed(const char *path, const ich_st_tensor *tensors, size_t n_tensors,
                                  const char *const *keys, const char *const *values, size_t n_metadata,
                                  ich_error *err) {
    ich_st_tensor *all = ich_new(n_tensors + 1, sizeof *all, "the list of tensors", err);
    if (!all) return false;
    union {
        uint64_t hash; /* when it is this tensor's turn to be written, of all bytes before it */
        float data[2];
    } seal = {.hash = ich_fnv_start};
    memcpy(all, tensors, n_tensors * sizeof *all);
    all[n_tensors] =
        (ich_st_tensor){.name = (char *)ICH_ST_SEAL, .rank = 1, .dims = {2}, .count = 2, .data = seal.data};
    const bool done = write_file(path, all, n_tensors + 1, keys, values, n_metadata, &seal.hash, err);
    free(all);
    return done;
}

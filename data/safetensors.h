/* safetensors.h: named arrays in a file (github.com/huggingface/safetensors): u64 header length, JSON header,
 * data.
 *
 * A file is hostile input: header length, JSON, dtype, shape, offsets, overlaps and holes are all checked
 * before a byte of data is used. Reads F32, F16, BF16, F64 (to float) and I64 (skipped unless asked); writes
 * F32.
 *
 * Calls: jansson, file, hash. Called by: infer/model, train/checkpoint.
 */
#ifndef ICH_DATA_SAFETENSORS_H
#define ICH_DATA_SAFETENSORS_H

#include "tensor/error.h"
#include <stddef.h>
#include <stdint.h>

typedef struct ich_st_tensor {
    char *name;
    int rank;
    int64_t dims[8];
    size_t count;
    const float *data; /* reading: owned by the ich_safetensors; writing: the caller's */
} ich_st_tensor;

typedef struct ich_safetensors {
    ich_st_tensor *tensors;
    size_t n_tensors;
    char **keys, **values; /* __metadata__ */
    size_t n_metadata;
    void *memory;
} ich_safetensors;

bool ich_safetensors_read(ich_safetensors *st, const char *path, ich_error *err);
void ich_safetensors_free(ich_safetensors *st);
const ich_st_tensor *ich_safetensors_find(const ich_safetensors *st, const char *name);
const char *ich_safetensors_metadata(const ich_safetensors *st, const char *key); /* NULL if absent */
/* Atomic; same input, same bytes (tensors and keys in the order given). */
bool ich_safetensors_write(const char *path, const ich_st_tensor *tensors, size_t n_tensors,
                           const char *const *keys, const char *const *values, size_t n_metadata,
                           ich_error *err);

/* The same with a seal: the last tensor, ICH_ST_SEAL, holds the FNV-1a (tensor/hash.h) of every byte before
 * it. Any one changed byte changes it, whatever else it happens to leave readable. Reading refuses a file
 * whose seal is broken or missing, or that the disk does not give: it is *damaged then, and another copy may
 * serve; not so where memory is out. */
#define ICH_ST_SEAL "fnv1a"
bool ich_safetensors_write_sealed(const char *path, const ich_st_tensor *tensors, size_t n_tensors,
                                  const char *const *keys, const char *const *values, size_t n_metadata,
                                  ich_error *err);
bool ich_safetensors_read_sealed(ich_safetensors *st, const char *path, bool *damaged, ich_error *err);

#endif

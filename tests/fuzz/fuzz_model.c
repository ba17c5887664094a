/* A model file: safetensors, then its metadata and the network they describe. */
#include "data/safetensors.h"
#include "fuzz.h"
#include "infer/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    const char *path = fuzz_write("model.safetensors", bytes, count);
    ich_safetensors st;
    ich_model model;
    ich_error err = {""};
    if (!ich_safetensors_read(&st, path, &err)) {
        fuzz_refused(&err, path);
        return 0;
    }
    volatile float number; /* all are there to be read */
    for (size_t i = 0; i < st.n_tensors; i++) {
        const ich_st_tensor *t = &st.tensors[i];
        size_t count_by_shape = 1;
        for (int d = 0; d < t->rank; d++) count_by_shape *= (size_t)t->dims[d];
        fuzz_hold(t->count == count_by_shape, "a tensor has as many numbers as its shape");
        fuzz_hold(ich_safetensors_find(&st, t->name) != NULL, "a tensor is found by its name");
        for (size_t k = 0; t->data && k < t->count; k++) number = t->data[k];
    }
    (void)number;
    for (size_t i = 0; i < st.n_metadata; i++)
        fuzz_hold(ich_safetensors_metadata(&st, st.keys[i]) != NULL, "metadata are found by their key");
    ich_safetensors_free(&st);
    if (!ich_model_load(&model, path, &err)) {
        fuzz_refused(&err, path);
        return 0;
    }
    ich_model_free(&model);
    return 0;
}

/* A dataset's two tables: studies.csv, then a line "== slices.csv", then slices.csv. */
#include "data/dataset.h"
#include "fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    const uint8_t *slices;
    size_t slices_count, counts[3];
    const size_t studies_count = fuzz_cut(bytes, count, "== slices.csv\n", &slices, &slices_count);
    const char *studies = fuzz_write("studies.csv", bytes, studies_count);
    fuzz_write("slices.csv", slices, slices_count);
    const char *folder = fuzz_path("");
    ich_dataset dataset;
    ich_skipped skipped = {0};
    ich_error err = {""};
    if (ich_dataset_read(&dataset, folder, slices_count > 0, &skipped, &err)) {
        char hex[17];
        ich_dataset_fingerprint(&dataset, hex, NULL);
        for (size_t i = 0; i < dataset.n_studies; i++)
            fuzz_hold(!strncmp(dataset.studies[i].path, folder, strlen(folder)),
                      "a path stays in the folder");
        ich_dataset_free(&dataset);
    } else {
        fuzz_refused(&err, folder);
    }
    ich_skipped_free(&skipped);
    if (!ich_dataset_split(folder, (const double[]){0.5, 0.25, 0.25}, 1, counts, &err))
        fuzz_refused(&err, studies);
    return 0;
}

/* A lexicon of one's own, then a line "== reports", then a table of reports that are labelled by it. */
#include "data/csv.h"
#include "data/report_labels.h"
#include "fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    const uint8_t *reports;
    size_t reports_count;
    const size_t before = fuzz_cut(bytes, count, "== reports\n", &reports, &reports_count);
    const char *lexicon = fuzz_write("lexicon.txt", bytes, before);
    const char *table = fuzz_write("reports.csv", reports, reports_count);
    const char *out = fuzz_path("labels.csv"), *folder = fuzz_path("");
    FILE *explained = fopen("/dev/null", "wb");
    fuzz_hold(explained != NULL, "what is explained can be written");
    ich_report_counts counts;
    ich_csv labels;
    ich_error err = {""};
    if (ich_label_reports(table, out, lexicon, explained, &counts, &err)) {
        if (!ich_csv_read(&labels, out, &err)) fuzz_hold(false, err.text);
        fuzz_hold(labels.n_rows == counts.reports && labels.n_columns == 13, "each report has its row");
        ich_csv_free(&labels);
    } else {
        fuzz_refused(&err, folder);
    }
    fclose(explained);
    return 0;
}

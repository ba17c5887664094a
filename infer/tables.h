/* tables.h: answers and truth as tables of six numbers a row, by study or by slice, and their join.
 *
 * Calls: data (csv, labels, skipped). Called by: evaluate, compare, calibrate.
 */
#ifndef ICH_INFER_TABLES_H
#define ICH_INFER_TABLES_H

#include "data/csv.h"
#include "data/labels.h"
#include "data/skipped.h"

typedef enum ich_level { ICH_LEVEL_STUDY, ICH_LEVEL_SLICE, ICH_LEVELS } ich_level;
extern const char *const ich_level_names[ICH_LEVELS];   /* "study", "slice" */
extern const char *const ich_level_plurals[ICH_LEVELS]; /* "studies", "slices" */
extern const char *const ich_level_files[ICH_LEVELS];   /* "studies.csv", "slices.csv" */

typedef struct ich_entry {               /* one row: what it is about, and its numbers */
    const char *study, *patient, *split; /* patient, split: NULL where there is no such column */
    int slice;
    size_t row;
    double value[ICH_LABELS]; /* NaN: empty, or no such column */
    double seconds;           /* NaN likewise; of answers only */
} ich_entry;

typedef struct ich_table {
    ich_csv csv;
    ich_entry *entries; /* [csv.n_rows] sorted by study, slice; NULL: not read */
} ich_table;

/* Columns study_id and any (and slice_index) must be there. Truth is 0, 1 or empty, an answer 0 to 1 or
 * empty; nothing twice. */
bool ich_table_read(ich_table *table, const char *path, ich_level level, bool truth, ich_error *err);
/* The level's file in a folder; slices may be absent: table->entries is then NULL. */
bool ich_table_read_folder(ich_table *table, const char *folder, ich_level level, bool truth, ich_error *err);
void ich_table_free(ich_table *table);
/* The entry of the same study and slice, or NULL. */
const ich_entry *ich_table_find(const ich_table *table, const ich_entry *key);

/* Scores and labels that belong together, a column per label. */
typedef struct ich_joined {
    double *score[ICH_LABELS], *label[ICH_LABELS];
    size_t *owner[ICH_LABELS];                   /* patient of each: 0 … patients - 1 */
    size_t *row[ICH_LABELS];                     /* joined row of each: 0 … rows - 1 */
    size_t n[ICH_LABELS], positives[ICH_LABELS]; /* with a score and a known label */
    size_t rows;                                 /* joined at all */
    size_t patients;
} ich_joined;

/* Which studies take part: all but those of a split, or only those of one. Either may be NULL. */
typedef struct ich_part {
    const char *only, *except;
} ich_part;

/* Whether a study takes part, by the truth's table of studies; one that it does not know does. */
bool ich_takes_part(const ich_table *studies, const char *study, ich_part part);

/* Answers with the truth of the same study and slice. Splits and patients are those of `studies`, the truth's
 * table of studies; a study of which it names no patient is one of its own. Studies that the truth does not
 * know go to `skipped`; may be NULL: without a word. */
bool ich_join(const ich_table *answers, const ich_table *truth, const ich_table *studies, ich_level level,
              ich_part part, ich_joined *joined, ich_skipped *skipped, ich_error *err);
void ich_joined_free(ich_joined *joined);

/* A number with as many digits as it takes to read the same one back; empty for NaN. */
void ich_put_exact(FILE *stream, double value, char end);
/* … with ten digits. */
void ich_put_number(FILE *stream, double value, char end);

#endif

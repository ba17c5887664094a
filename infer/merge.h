/* merge.h: what several ranks (tensor/ranks.h) answered, put together in their order.
 *
 * Each rank answers a part of the studies and writes its rows to memory; rank 0 writes those of all. With one
 * rank everything stays where it is.
 *
 * Calls: tensor (ranks), data (skipped, text). Called by: predict.
 */
#ifndef ICH_INFER_MERGE_H
#define ICH_INFER_MERGE_H

#include "data/skipped.h"
#include "data/text.h"
#include <stdio.h>

/* Rows on their way to a table: the table's own stream, or memory of this rank. */
typedef struct ich_rows {
    FILE *stream;
    FILE *table;   /* NULL on ranks that do not write */
    ich_text text; /* what was written, if it goes to memory */
} ich_rows;

bool ich_rows_open(ich_rows *rows, FILE *table, ich_error *err);
/* All ranks' rows to rank 0's table. */
bool ich_rows_merge(ich_rows *rows, ich_error *err);
void ich_rows_close(ich_rows *rows);

/* Every rank then has the rows of all. */
bool ich_skipped_merge(ich_skipped *skipped, ich_error *err);

#endif

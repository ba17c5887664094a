/* import_world.h: what the tests of imports share: running one, and looking at what it left. */
#ifndef ICH_TEST_IMPORT_WORLD_H
#define ICH_TEST_IMPORT_WORLD_H

#include "data/csv.h"
#include "data/dataset.h"
#include "data/import.h"
#include "data/volume.h"

/* Two processes, spacing 5; change what the test is about. */
ich_import import_of(const char *kind, const char *source, const char *out);
void run_import(const ich_import *options);
void refuse_import(const ich_import *options, const char *word);

ich_dataset dataset_of(const char *out); /* with its slices */
ich_volume volume_of(const ich_study *study);
/* The cell of the column `value` in the row of OUT/table whose column `key` is `is`; "" if there is no such
 * row or table. Valid until the fourth call after this one. */
const char *cell_of(const char *out, const char *table, const char *key, const char *is, const char *value);
size_t rows_of(const char *out, const char *table); /* 0 if there is no such table */

/* All files below a folder: do two folders have the same, does any hold this text (unpacked, where packed)?
 */
bool same_files(const char *a, const char *b);
bool any_file_holds(const char *folder, const char *text);
void put_text(const char *path, const char *text);

#endif

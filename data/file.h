/* file.h: files that are whole or not there.
 *
 * Everything Ichor writes goes to a temporary name in the same folder, is flushed, synced and renamed, so
 * that a reader never sees half of it and a crash leaves what was there before.
 *
 * Calls: libc. Called by: data, infer, train.
 */
#ifndef ICH_DATA_FILE_H
#define ICH_DATA_FILE_H

#include "tensor/error.h"
#include <stdint.h>
#include <stdio.h>

typedef struct ich_output {
    FILE *stream; /* write here */
    char *path, *temporary;
} ich_output;

bool ich_output_open(ich_output *out, const char *path, ich_error *err);
/* Checks the stream, syncs, renames; on any failure removes the temporary file and says so. */
bool ich_output_commit(ich_output *out, ich_error *err);
void ich_output_abandon(ich_output *out); /* removes the temporary; harmless after commit */

bool ich_file_write(const char *path, const void *bytes, size_t count,
                    ich_error *err);                                  /* the three above in one */
bool ich_file_move(const char *from, const char *to, ich_error *err); /* renames over `to`, and syncs that */
/* Whole file into fresh memory (NUL appended, not counted); refuses files above `limit` bytes before reading.
 */
char *ich_file_read(const char *path, size_t limit, size_t *count, ich_error *err);
bool ich_folder_make(const char *path, ich_error *err); /* with parents; fine if it exists */
/* Removes the temporary files that killed writers left in a folder; only where nobody else is at work in it.
 */
void ich_folder_sweep(const char *path);
bool ich_path_exists(const char *path);
bool ich_path_is_folder(const char *path);
bool ich_path_same(const char *a, const char *b);          /* two names of one file or folder that is there */
char *ich_path_join(const char *folder, const char *name); /* fresh memory; `name` alone if absolute */

#endif

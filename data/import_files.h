/* import_files.h: the files below a folder, in an order that does not depend on the file system.
 *
 * Calls: hash. Called by: import.
 */
#ifndef ICH_DATA_IMPORT_FILES_H
#define ICH_DATA_IMPORT_FILES_H

#include "tensor/error.h"
#include <stddef.h>
#include <stdint.h>

typedef struct ich_files {
    char *folder;
    char *text; /* owns the names, one after another */
    size_t text_bytes, text_room;
    struct ich_file {
        size_t name;    /* offset of its path below `folder` in text */
        uint64_t stamp; /* of path, size and time: another one, and it is another file */
    } * files;          /* sorted by path */
    size_t n;
} ich_files;

/* All of them (of its subfolder `inside`, if that is not ""), but those whose name begins with a dot, and
 * what `except` names (NULL: nothing): the folder that an import writes to, and a file that it reads
 * otherwise. Links are followed, but not round in a circle. What cannot be looked into is listed as if it
 * were a file, so that whoever opens it finds out why. `folder` may also be one file. */
bool ich_files_list(ich_files *files, const char *folder, const char *inside, const char *const except[2],
                    ich_error *err);
void ich_files_free(ich_files *files);

const char *ich_files_name(const ich_files *files, size_t i); /* below the folder */
char *ich_files_path(const ich_files *files, size_t i);       /* fresh memory, NULL if it is out */

#endif

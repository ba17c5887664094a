/* import_ledger.h: what an import has done so far, so that one that was killed goes on where it was.
 *
 * Kept in OUT/.import, for its owner only, and removed when the dataset is whole: a file of records, one an
 * input file, mapped so that worker processes fill it in and it outlives them; and a journal of lines that
 * are only ever appended: inputs that cannot be used, and studies that are finished. A torn last line counts
 * as not written. Both are thrown away when they belong to another import than this one.
 *
 * Calls: file, libc. Called by: import.
 */
#ifndef ICH_DATA_IMPORT_LEDGER_H
#define ICH_DATA_IMPORT_LEDGER_H

#include "lock.h"
#include <stddef.h>
#include <stdint.h>

typedef struct ich_entry { /* of a study that is finished */
    uint64_t key;          /* of all that it depends on */
    int slices;            /* 0: it failed */
    char *text;            /* why it failed; or remarks, a line each, "" for none */
} ich_entry;

typedef struct ich_ledger {
    char *folder;   /* OUT/.import */
    ich_lock owner; /* of OUT */
    int lock, journal;
    void *records; /* [n] shared with worker processes, zero where new */
    size_t n, record_bytes;
    char **bad; /* [n] why an input cannot be used, or NULL */
    ich_entry *entries;
    size_t n_entries;
} ich_ledger;

/* `identity`: a hash of the options and of the list of inputs. Fails if another process is importing into the
 * same folder. */
bool ich_ledger_open(ich_ledger *ledger, const char *out, uint64_t identity, size_t n, size_t record_bytes,
                     ich_error *err);
bool ich_ledger_put_bad(ich_ledger *ledger, size_t i, const char *why, ich_error *err);
bool ich_ledger_put_entry(ich_ledger *ledger, const ich_entry *entry, ich_error *err);
const ich_entry *ich_ledger_find(const ich_ledger *ledger, uint64_t key);
/* Frees; `whole`: also removes the folder. */
void ich_ledger_close(ich_ledger *ledger, bool whole);

#endif

/* lock.h: one process at a time writes a folder.
 *
 * The file .ichor.lock in it is locked (fcntl(2), POSIX record locks) and says who holds it. The kernel lets
 * go of the lock when its process ends, however it ends, so a kill leaves nothing stuck; the file that it
 * leaves means nothing by itself. Workers that were forked do not hold it. Between machines it holds where
 * the file system passes locks on, as NFS does by default (not with the mount option nolock).
 *
 * Calls: libc. Called by: train (run), cli.
 */
#ifndef ICH_DATA_LOCK_H
#define ICH_DATA_LOCK_H

#include "tensor/error.h"

#define ICH_LOCK_NAME ".ichor.lock"

typedef struct ich_lock {
    char *path; /* NULL: nothing is locked */
    int file;
} ich_lock;

/* Fails, naming who has it, if another process holds the folder, which must exist. `what` is told to the next
 * who asks: "ichor pretrain". */
bool ich_lock_take(ich_lock *lock, const char *folder, const char *what, ich_error *err);
void ich_lock_release(ich_lock *lock); /* and removes the file; harmless without a lock */

#endif

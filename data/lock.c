/* The file is removed while it is locked. Who opened it just before gets a lock on a file without a name,
 * sees that (still_named), and begins again. */
#include "lock.h"

#include "file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NOTE = 256, MODE = 0666 };

static struct flock whole_file(void) { return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET}; }

static bool still_named(int file, const char *path) {
    struct stat ours, named;
    return fstat(file, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

/* "ichor pretrain, process 123 on host, since 2026-01-31 23:59:59 UTC" */
static void sign(int file, const char *what) {
    char text[NOTE], host[65] = "", when[32] = "";
    const time_t now = time(NULL);
    struct tm utc;
    gethostname(host, sizeof host - 1);
    if (gmtime_r(&now, &utc)) strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &utc);
    const int n = snprintf(text, sizeof text, "%s, process %ld on %s, since %s UTC\n", what, (long)getpid(),
                           host, when);
    /* a courtesy to who comes second: the lock holds without it */
    if (ftruncate(file, 0) != 0 || write(file, text, (size_t)n) != n) return;
}

static bool refuse(int file, const char *folder, ich_error *err) {
    char who[NOTE];
    const ssize_t n = pread(file, who, sizeof who - 1, 0);
    who[n > 0 ? n : 0] = '\0';
    who[strcspn(who, "\n")] = '\0';
    return ich_fail(err, "%s: in use by %s: wait for it to end, or choose another folder", folder,
                    *who ? who : "another process");
}

/* Opens and locks; *again: the file went away in between. */
static bool try_take(ich_lock *lock, const char *folder, bool *again, ich_error *err) {
    *again = false;
    lock->file = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, MODE);
    if (lock->file < 0)
        return ich_fail(err, "%s: cannot be written (%s): check its folder, permissions and room", lock->path,
                        strerror(errno));
    struct flock range = whole_file();
    const int why = fcntl(lock->file, F_SETLK, &range) == 0 ? 0 : errno;
    *again = why == 0 && !still_named(lock->file, lock->path);
    if (!*again && why != EACCES && why != EAGAIN) return true; /* or a file system that knows no locks */
    if (!*again) refuse(lock->file, folder, err);
    close(lock->file);
    return false;
}

bool ich_lock_take(ich_lock *lock, const char *folder, const char *what, ich_error *err) {
    *lock = (ich_lock){.path = ich_path_join(folder, ICH_LOCK_NAME)};
    if (!lock->path) return ich_fail(err, "%s: no memory for a path", folder);
    bool again, done;
    do done = try_take(lock, folder, &again, err);
    while (again);
    if (done) {
        sign(lock->file, what);
        return true;
    }
    free(lock->path);
    lock->path = NULL;
    return false;
}

void ich_lock_release(ich_lock *lock) {
    if (!lock->path) return;
    unlink(lock->path);
    close(lock->file);
    free(lock->path);
    *lock = (ich_lock){0};
}

/* Write to a temporary name, flush, sync, rename: what of this a crash can undo where a step is left out is
 * told by Pillai et al., "All file systems are not created equal", OSDI 2014.
 */
#include "file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALL_MODES = 0666, KEPT_MODES = 0777 };

static const char no_memory[] = "%s: out of memory: its name";

/* -- writing --------------------------------------------------------------------------------------------- */

/* Where the bytes go in the end: through symbolic links, as a shell's `>` and git's lock files do. Fresh
 * memory, NULL if memory is out. */
static char *follow_links(const char *path) {
    struct stat info;
    char *real = lstat(path, &info) == 0 && S_ISLNK(info.st_mode) ? realpath(path, NULL) : NULL;
    return real ? real : strdup(path);
}

/* The folder of `path`, with the slash; "" for a bare name. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
}

/* Creates a file that nobody else has, in the folder of `path`. open() rather than mkstemp(), which would
 * deny it to all but its owner, whatever the umask says. */
static int create_temporary(const char *path, mode_t mode, char **name) {
    static atomic_uint serial;
    char *folder = folder_of(path);
    int file = -1;
    do {
        free(*name);
        if (!folder || asprintf(name, "%s.ichor-%ld-%u.tmp", folder, (long)getpid(), serial++) < 0) {
            *name = NULL;
            errno = ENOMEM;
            break;
        }
        file = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    } while (file < 0 && errno == EEXIST); /* left by a process that crashed */
    free(folder);
    return file;
}

static bool open_temporary(ich_output *out, ich_error *err) {
    struct stat old;
    const bool replaces = stat(out->path, &old) == 0;
    if (replaces && !S_ISREG(old.st_mode)) /* renaming over /dev/null would break the machine */
        return ich_fail(err, "%s: %s is in the way: choose another name", out->path,
                        S_ISDIR(old.st_mode) ? "a folder" : "what is no regular file");
    const int file =
        create_temporary(out->path, replaces ? old.st_mode & ALL_MODES : ALL_MODES, &out->temporary);
    if (file < 0)
        return ich_fail(err, "%s: cannot be written (%s): check its folder, permissions and room", out->path,
                        strerror(errno));
    /* Rewriting a table must not open it to more readers. Where modes cannot be set, the umask's will do. */
    if (replaces) (void)fchmod(file, old.st_mode & KEPT_MODES);
    out->stream = fdopen(file, "wb");
    if (out->stream) return true;
    close(file);
    return ich_fail(err, no_memory, out->path);
}

bool ich_output_open(ich_output *out, const char *path, ich_error *err) {
    *out = (ich_output){.path = follow_links(path)};
    if (!out->path) return ich_fail(err, no_memory, path);
    if (open_temporary(out, err)) return true;
    ich_output_abandon(out);
    return false;
}

/* A rename is lost in a power cut until its folder is synced. Some file systems cannot, and by now the file
 * is whole either way: nothing to report. */
static void sync_folder(const char *path) {
    char *folder = folder_of(path);
    const int file = folder ? open(*folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (file >= 0) {
        fsync(file);
        close(file);
    }
    free(folder);
}

/* Everything on the disk? If a write failed some time ago its errno is gone; the next one fails alike. */
static bool flush_and_sync(FILE *stream) {
    if (fflush(stream) != 0) return false;
    if (!ferror(stream)) return fsync(fileno(stream)) == 0;
    if (write(fileno(stream), "", 1) == 1) errno = EIO;
    return false;
}

bool ich_output_commit(ich_output *out, ich_error *err) {
    bool done = flush_and_sync(out->stream);
    if (fclose(out->stream) != 0) done = false;
    out->stream = NULL;
    done = done && rename(out->temporary, out->path) == 0;
    if (done) {
        sync_folder(out->path);
        free(out->temporary);
        out->temporary = NULL;
    } else {
        ich_fail(err, "%s: cannot be written (%s): check that the disk has room", out->path, strerror(errno));
    }
    ich_output_abandon(out);
    return done;
}

void ich_output_abandon(ich_output *out) {
    if (out->stream) fclose(out->stream);
    if (out->temporary) unlink(out->temporary);
    free(out->temporary);
    free(out->path);
    *out = (ich_output){0};
}

bool ich_file_write(const char *path, const void *bytes, size_t count, ich_error *err) {
    ich_output out;
    if (!ich_output_open(&out, path, err)) return false;
    if (count) fwrite(bytes, 1, count, out.stream); /* commit looks at the stream's state */
    return ich_output_commit(&out, err);
}

bool ich_file_move(const char *from, const char *to, ich_error *err) {
    if (rename(from, to) != 0)
        return ich_fail(err, "%s: cannot be renamed to %s (%s): check the folder's permissions", from, to,
                        strerror(errno));
    sync_folder(to);
    return true;
}

/* -- reading --------------------------------------------------------------------------------------------- */

static bool read_all(int file, char *to, size_t wanted, size_t *got) {
    for (*got = 0; *got < wanted;) {
        const ssize_t n = read(file, to + *got, wanted - *got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        if (n == 0) break;
        *got += (size_t)n;
    }
    return true;
}

/* The size of an open file, if it is one that can be read whole. */
static bool check_file(int file, const char *path, size_t limit, size_t *size, ich_error *err) {
    struct stat info;
    if (fstat(file, &info) != 0)
        return ich_fail(err, "%s: cannot be read (%s): check the disk", path, strerror(errno));
    if (S_ISDIR(info.st_mode)) return ich_fail(err, "%s: is a folder: name a file", path);
    if (!S_ISREG(info.st_mode)) return ich_fail(err, "%s: is no regular file: copy it to one first", path);
    *size = (size_t)info.st_size;
    return *size <= limit ||
           ich_fail(err, "%s: holds %zu bytes, more than the %zu such a file may have: is it the right one?",
                    path, *size, limit);
}

char *ich_file_read(const char *path, size_t limit, size_t *count, ich_error *err) {
    const int file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a FIFO must not block us */
    if (file < 0) {
        ich_fail(err, "%s: cannot be read (%s): check the path and its permissions", path, strerror(errno));
        return NULL;
    }
    size_t size = 0, got = 0;
    char *bytes = check_file(file, path, limit, &size, err) ? ich_new(size + 1, 1, path, err) : NULL;
    bool done = bytes != NULL;
    if (done && !read_all(file, bytes, size + 1, &got))
        done = ich_fail(err, "%s: cannot be read (%s): check the disk", path, strerror(errno));
    if (done && got != size) /* the byte for the NUL shows whether the file grew */
        done = ich_fail(err, "%s: was changed while it was read: try again", path);
    close(file);
    if (!done) {
        free(bytes);
        return NULL;
    }
    bytes[size] = '\0';
    *count = size;
    return bytes;
}

/* -- paths ----------------------------------------------------------------------------------------------- */

/* What cannot be looked at is taken to be there: then its reader says why, and nobody writes over it. */
bool ich_path_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool ich_path_is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool ich_path_same(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

char *ich_path_join(const char *folder, const char *name) {
    if (*name == '/' || !*folder) return strdup(name);
    char *path;
    const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
    return asprintf(&path, "%s%s%s", folder, slash, name) < 0 ? NULL : path;
}

bool ich_folder_make(const char *path, ich_error *err) {
    char *part = strdup(path);
    if (!part) return ich_fail(err, no_memory, path);
    bool done = true;
    for (char *end = part; done && *end;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        const char kept = *end;
        *end = '\0';
        const int why = mkdir(part, KEPT_MODES) == 0 ? 0 : errno;
        if (why && !ich_path_is_folder(part))
            done = ich_fail(err, "%s: cannot be made a folder (%s): check permissions and room", part,
                            why == EEXIST ? "a file is in the way" : strerror(why));
        *end = kept;
    }
    free(part);
    return done;
}

void ich_folder_sweep(const char *path) {
    DIR *stream = opendir(path);
    for (const struct dirent *entry; stream && (entry = readdir(stream));) {
        const size_t n = strlen(entry->d_name);
        if (n > 11 && !strncmp(entry->d_name, ".ichor-", 7) && !strcmp(entry->d_name + n - 4, ".tmp"))
            unlinkat(dirfd(stream), entry->d_name, 0);
    }
    if (stream) closedir(stream);
}

#include "import_files.h"
#include "file.h"
#include "tensor/hash.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEEPEST = 64 };

typedef struct walk {
    ich_files *files;
    const struct stat *except; /* left out */
    int n_except;
    ich_error *err;
} walk;

/* A folder on the way down, so that a link back up is noticed. */
typedef struct level {
    const struct level *above;
    struct stat info;
    const char *name; /* below the folder that is listed; "" for itself */
    int depth;
} level;

static bool same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool add_file(walk *w, const char *name, const struct stat *info) {
    ich_files *f = w->files;
    const size_t bytes = strlen(name) + 1;
    if (f->text_bytes + bytes > f->text_room) {
        const size_t room = 2 * f->text_room + bytes + 4096;
        char *text = realloc(f->text, room);
        if (!text) return ich_fail(w->err, "out of memory: %zu file names", f->n);
        f->text = text, f->text_room = room;
    }
    if ((f->n & (f->n - 1)) == 0) { /* 0 or a power of two: the room is used up */
        struct ich_file *files = realloc(f->files, (f->n ? 2 * f->n : 1) * sizeof *files);
        if (!files) return ich_fail(w->err, "out of memory: %zu file names", f->n);
        f->files = files;
    }
    const int64_t stamp[3] = {info->st_size, info->st_mtim.tv_sec, info->st_mtim.tv_nsec};
    f->files[f->n++] =
        (struct ich_file){f->text_bytes, ich_fnv(ich_fnv(ich_fnv_start, name, bytes), stamp, sizeof stamp)};
    memcpy(f->text + f->text_bytes, name, bytes);
    f->text_bytes += bytes;
    return true;
}

static bool list_folder(walk *w, int folder, const level *here);

/* One entry of a folder: a file, a folder to go into, or neither. */
static bool list_entry(walk *w, int folder, const level *here, const char *entry) {
    level below = {.above = here, .depth = here->depth + 1};
    char *name = NULL;
    if (asprintf(&name, "%s%s%s", here->name, *here->name ? "/" : "", entry) < 0)
        return ich_fail(w->err, "%s: out of memory: a path", w->files->folder);
    below.name = name;
    bool done = true;
    const bool known = fstatat(folder, entry, &below.info, 0) == 0;
    bool seen = false;
    for (int i = 0; i < w->n_except; i++) seen = seen || (known && same(&below.info, &w->except[i]));
    if (known && S_ISDIR(below.info.st_mode)) {
        for (const level *l = here; l; l = l->above) seen = seen || same(&below.info, &l->info);
        const int inside =
            seen || below.depth > DEEPEST ? -1 : openat(folder, entry, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (inside >= 0)
            done = list_folder(w, inside, &below);
        else if (!seen)
            done = add_file(w, name, &below.info);
    } else if (!seen) {
        done = add_file(w, name, &below.info);
    }
    free(name);
    return done;
}

static bool list_folder(walk *w, int folder, const level *here) {
    DIR *stream = fdopendir(folder);
    if (!stream) {
        close(folder);
        return ich_fail(w->err, "%s/%s: cannot be listed (%s)", w->files->folder, here->name,
                        strerror(errno));
    }
    bool done = true;
    for (const struct dirent *entry; done && (entry = readdir(stream));)
        if (entry->d_name[0] != '.') done = list_entry(w, folder, here, entry->d_name);
    closedir(stream);
    return done;
}

static int by_name(const void *a, const void *b, void *text) {
    const struct ich_file *x = a, *y = b;
    return strcmp((const char *)text + x->name, (const char *)text + y->name);
}

/* A single file is a folder's only one. */
static bool list_file(walk *w, const char *path, const struct stat *info) {
    const char *slash = strrchr(path, '/');
    w->files->folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup("");
    if (!w->files->folder) return ich_fail(w->err, "%s: out of memory: its name", path);
    return add_file(w, slash ? slash + 1 : path, info);
}

bool ich_files_list(ich_files *files, const char *folder, const char *inside, const char *const except[2],
                    ich_error *err) {
    struct stat left_out[2];
    walk w = {.files = files, .except = left_out, .err = err};
    level top = {.name = inside};
    *files = (ich_files){0};
    char *path = *inside ? ich_path_join(folder, inside) : strdup(folder);
    if (!path) return ich_fail(err, "%s: out of memory: a path", folder);
    for (int i = 0; i < 2; i++)
        if (except[i] && stat(except[i], &left_out[w.n_except]) == 0) w.n_except++;
    bool done = true;
    if (stat(path, &top.info) != 0) {
        done = ich_fail(err, "%s: cannot be read (%s): check the path", path, strerror(errno));
    } else if (!S_ISDIR(top.info.st_mode)) {
        done = list_file(&w, folder, &top.info);
    } else {
        files->folder = strdup(folder);
        const int opened = files->folder ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        done = opened >= 0
                   ? list_folder(&w, opened, &top)
                   : ich_fail(err, "%s: cannot be read (%s): check its permissions", path, strerror(errno));
    }
    free(path);
    if (done && files->n > 1) qsort_r(files->files, files->n, sizeof *files->files, by_name, files->text);
    if (!done) ich_files_free(files);
    return done;
}

void ich_files_free(ich_files *files) {
    free(files->folder);
    free(files->text);
    free(files->files);
    *files = (ich_files){0};
}

const char *ich_files_name(const ich_files *files, size_t i) { return files->text + files->files[i].name; }

char *ich_files_path(const ich_files *files, size_t i) {
    return ich_path_join(files->folder, ich_files_name(files, i));
}

#include "infer/watch.h"

#include "data/file.h"
#include "data/lock.h"
#include "infer/worklist_merge.h"
#include "tensor/team.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* -- what has arrived ---------------------------------------------------------------------------------- */

enum { MOST_DEPTH = 16 }; /* of folders in an arrival */

/* Tells one state of an arrival from the next. */
typedef struct print {
    uint64_t files, bytes;
    int64_t modified; /* nanoseconds: the newest of its files and folders */
} print;

typedef struct arrival {
    char *name;
    print print;
    bool settled; /* as it was at the last look */
} arrival;

typedef struct look { /* the folder at one moment, sorted by name */
    arrival *arrivals;
    size_t n;
} look;

static void free_look(look *l) {
    for (size_t i = 0; i < l->n; i++) free(l->arrivals[i].name);
    free(l->arrivals);
    *l = (look){0};
}

/* Of a file, or of a folder and all that is in it; links to folders inside it are not followed, which may
 * lead in circles. Files that vanish meanwhile don't count. */
static bool take_print(const char *path, int depth, print *p, ich_error *err) {
    struct stat info;
    if ((depth == 0 ? stat : lstat)(path, &info) != 0) return true;
    const int64_t modified = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    if (modified > p->modified) p->modified = modified;
    if (!S_ISDIR(info.st_mode)) {
        p->files++;
        p->bytes += (uint64_t)info.st_size;
        return true;
    }
    DIR *folder = depth < MOST_DEPTH ? opendir(path) : NULL;
    if (!folder) return true; /* what cannot be read is predict's to tell */
    bool done = true;
    for (struct dirent *e; done && (e = readdir(folder)) != NULL;) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        char *inner = ich_path_join(path, e->d_name);
        done = inner ? take_print(inner, depth + 1, p, err) : ich_fail(err, "%s: no memory for a path", path);
        free(inner);
    }
    closedir(folder);
    return done;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const arrival *)a)->name, ((const arrival *)b)->name);
}

static bool add_arrival(look *l, const char *folder, const char *name, ich_error *err) {
    if ((l->n & (l->n - 1)) == 0) {
        arrival *bigger = realloc(l->arrivals, (l->n ? 2 * l->n : 1) * sizeof *bigger);
        if (!bigger) return ich_fail(err, "%s: no memory for the list of arrivals", folder);
        l->arrivals = bigger;
    }
    char *path = ich_path_join(folder, name);
    arrival a = {.name = strdup(name)};
    const bool done = path && a.name ? take_print(path, 0, &a.print, err)
                                     : ich_fail(err, "%s: no memory for a path", folder);
    free(path);
    if (done && a.print.files > 0)
        l->arrivals[l->n++] = a; /* an empty folder has not arrived yet */
    else
        free(a.name);
    return done;
}

/* Names that begin with a dot are those of copies under way. */
static bool look_at(const char *path, const look *before, look *now, ich_error *err) {
    DIR *folder = opendir(path);
    *now = (look){0};
    if (!folder)
        return ich_fail(err, "%s: cannot be opened (%s): give a folder to watch", path, strerror(errno));
    bool done = true;
    for (struct dirent *e; done && (e = readdir(folder)) != NULL;)
        if (e->d_name[0] != '.') done = add_arrival(now, path, e->d_name, err);
    closedir(folder);
    if (now->n) qsort(now->arrivals, now->n, sizeof *now->arrivals, by_name);
    for (size_t i = 0; i < now->n; i++) {
        arrival *a = &now->arrivals[i];
        const arrival *was = before->n ? bsearch(a, before->arrivals, before->n, sizeof *a, by_name) : NULL;
        a->settled = was && !memcmp(&was->print, &a->print, sizeof a->print);
    }
    return done;
}

/* -- what is done -------------------------------------------------------------------------------------- */

typedef struct watching {
    const ich_watch *watch;
    const ich_model *model;
    char *arrivals; /* out/arrivals */
    look last;
} watching;

/* arrival.csv says which state of the arrival the folder is about. */
static void print_text(const print *p, bool left_out, char text[120]) {
    snprintf(text, 120, "key,value\nfiles,%llu\nbytes,%llu\nmodified,%lld\n%s", (unsigned long long)p->files,
             (unsigned long long)p->bytes, (long long)p->modified, left_out ? "left_out,1\n" : "");
}

static bool says(const char *folder, const arrival *a, bool left_out) {
    enum { MOST = 1 << 12 };
    char text[120];
    size_t count;
    char *path = ich_path_join(folder, "arrival.csv");
    char *have = path && ich_path_exists(path) ? ich_file_read(path, MOST, &count, NULL) : NULL;
    print_text(&a->print, left_out, text);
    const bool same = have && !strcmp(have, text);
    free(have);
    free(path);
    return same;
}

/* predict writes studies.csv last, so what it is there for is whole. */
static bool is_done(const char *folder, const arrival *a) {
    char *studies = ich_path_join(folder, "studies.csv");
    const bool answered = studies && ich_path_exists(studies);
    free(studies);
    return (answered && says(folder, a, false)) || says(folder, a, true);
}

static bool say(const char *folder, const arrival *a, bool left_out, ich_error *err) {
    char text[120];
    char *path = ich_path_join(folder, "arrival.csv");
    print_text(&a->print, left_out, text);
    const bool done = path ? ich_file_write(path, text, strlen(text), err)
                           : ich_fail(err, "%s: no memory for a path", folder);
    free(path);
    return done;
}

/* Away with what was answered of an earlier state. */
static bool begin(const char *folder, const arrival *a, ich_error *err) {
    char *studies = ich_path_join(folder, "studies.csv");
    bool done = studies ? ich_folder_make(folder, err) : ich_fail(err, "%s: no memory for a path", folder);
    if (done && ich_path_exists(studies) && remove(studies) != 0)
        done = ich_fail(err, "%s: cannot be removed (%s)", studies, strerror(errno));
    free(studies);
    return done && say(folder, a, false, err);
}

/* What predict could not answer, with the reason; only if that cannot be written either is it the end. */
static bool leave_out(const char *folder, const char *path, const arrival *a, const char *reason,
                      ich_error *err) {
    ich_skipped skipped = {0};
    const bool done = (ich_skipped_add(&skipped, path, a->name, reason) ||
                       ich_fail(err, "%s: no memory for the list of inputs left out", path)) &&
                      ich_skipped_write(&skipped, folder, err) && say(folder, a, true, err);
    ich_skipped_free(&skipped);
    return done;
}

/* A loose file that is no NIfTI may be one of a DICOM study's many: which are its others, nobody says. */
static bool can_be_answered(const char *path, ich_error *why) {
    const size_t length = strlen(path);
    const bool nifti = (length > 4 && !strcmp(path + length - 4, ".nii")) ||
                       (length > 7 && !strcmp(path + length - 7, ".nii.gz"));
    return nifti || ich_path_is_folder(path) ||
           ich_fail(why, "%s: neither .nii nor .nii.gz: a DICOM study arrives as a folder of its own", path);
}

static bool answer_new(watching *w, const arrival *a, const char *path, const char *folder, ich_error *err) {
    const ich_watch *watch = w->watch;
    ich_skipped skipped = {0};
    ich_error why = {0};
    if (!begin(folder, a, err)) return false;
    const bool answered = can_be_answered(path, &why) && ich_predict(w->model, path, folder, &watch->predict,
                                                                     NULL, watch->stop, &skipped, &why);
    ich_skipped_free(&skipped);
    if (!answered && *watch->stop != 0) return true; /* the next start answers it */
    if (!answered && !leave_out(folder, path, a, why.text, err)) return false;
    if (!ich_worklist_merge(w->arrivals, watch->out, NULL, err)) return false;
    if (watch->arrived) watch->arrived(watch->self, folder);
    return true;
}

static bool answer(watching *w, const arrival *a, ich_error *err) {
    char *path = ich_path_join(w->watch->folder, a->name), *folder = ich_path_join(w->arrivals, a->name);
    bool done = (path && folder) || ich_fail(err, "%s: no memory for a path", w->watch->folder);
    if (done && !is_done(folder, a)) done = answer_new(w, a, path, folder, err);
    free(path);
    free(folder);
    return done;
}

/* -- watching ------------------------------------------------------------------------------------------ */

static void sleep_for(double seconds, const volatile int *stop) {
    const double until = ich_seconds() + seconds;
    while (*stop == 0 && ich_seconds() < until)
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL); /* a signal is heard this soon */
}

static bool look_once(watching *w, ich_error *err) {
    look now;
    bool done = look_at(w->watch->folder, &w->last, &now, err);
    for (size_t i = 0; done && i < now.n && *w->watch->stop == 0; i++)
        if (now.arrivals[i].settled) done = answer(w, &now.arrivals[i], err);
    free_look(&w->last);
    w->last = now;
    return done;
}

/* Answers inside the folder that is watched would arrive there themselves. */
static bool check_folders(const ich_watch *watch, ich_error *err) {
    char *folder = realpath(watch->folder, NULL), *out = realpath(watch->out, NULL);
    const size_t length = folder ? strlen(folder) : 0;
    const bool inside =
        folder && out && !strncmp(out, folder, length) && (out[length] == '/' || !out[length]);
    free(folder);
    free(out);
    if (!ich_path_is_folder(watch->folder))
        return ich_fail(err, "%s: no such folder: make it, or watch another", watch->folder);
    return !inside ||
           ich_fail(err, "%s: lies in the folder that is watched: choose another output folder", watch->out);
}

bool ich_watch_run(const ich_watch *watch, const ich_model *model, size_t *skipped, ich_error *err) {
    watching w = {.watch = watch, .model = model};
    *skipped = 0;
    w.arrivals = ich_path_join(watch->out, "arrivals");
    bool done = w.arrivals || ich_fail(err, "%s: no memory for a path", watch->out);
    ich_lock lock = {0};
    done = done && ich_folder_make(w.arrivals, err) && check_folders(watch, err) &&
           ich_lock_take(&lock, watch->out, "ichor predict --watch", err) &&
           ich_worklist_merge(w.arrivals, watch->out, skipped, err); /* a killed one may have missed it */
    while (done && *watch->stop == 0) {
        done = look_once(&w, err);
        if (done) sleep_for(watch->pause, watch->stop);
    }
    done = done && ich_worklist_merge(w.arrivals, watch->out, skipped, err);
    free_look(&w.last);
    free(w.arrivals);
    ich_lock_release(&lock);
    return done;
}

#include "import_ledger.h"
#include "file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char journal_name[] = "journal", records_name[] = "records";
static const size_t most_bytes = (size_t)1 << 30;

/* -- files ----------------------------------------------------------------------------------------------- */

static int open_inside(const ich_ledger *ledger, const char *name, int flags, ich_error *err) {
    char *path = ich_path_join(ledger->folder, name);
    const int file = path ? open(path, flags | O_CLOEXEC, 0600) : -1;
    if (file < 0)
        ich_fail(err, "%s/%s: cannot be written (%s): check permissions and room", ledger->folder, name,
                 path ? strerror(errno) : "out of memory");
    free(path);
    return file;
}

static bool map_records(ich_ledger *ledger, ich_error *err) {
    const size_t bytes = ledger->n * ledger->record_bytes;
    if (bytes == 0) return true;
    const int file = open_inside(ledger, records_name, O_RDWR | O_CREAT, err);
    if (file < 0) return false;
    /* Blocks are reserved now: a full disk found out when a mapped page is touched would be a crash. */
    const int code = ftruncate(file, (off_t)bytes) == 0 ? posix_fallocate(file, 0, (off_t)bytes) : errno;
    if (code == 0) ledger->records = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (code == 0 && ledger->records != MAP_FAILED) return true;
    ledger->records = NULL;
    return ich_fail(err, "%s: %zu bytes cannot be had (%s): make room", ledger->folder, bytes,
                    strerror(code ? code : errno));
}

static void clear_folder(const ich_ledger *ledger) {
    static const char *const names[] = {journal_name, records_name};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlinkat(ledger->lock, names[i], 0);
}

/* One import a folder: its process holds OUT (lock.h), its workers .import. Both locks go with the processes,
 * however they end. */
static bool lock_folder(ich_ledger *ledger, const char *out, ich_error *err) {
    ledger->folder = ich_path_join(out, ".import");
    if (!ledger->folder) return ich_fail(err, "%s: out of memory: a path", out);
    if (!ich_folder_make(out, err) || !ich_lock_take(&ledger->owner, out, "ichor import", err)) return false;
    if (mkdir(ledger->folder, 0700) != 0 && errno != EEXIST)
        return ich_fail(err, "%s: cannot be made (%s): check permissions and room", ledger->folder,
                        strerror(errno));
    ledger->lock = open(ledger->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ledger->lock < 0)
        return ich_fail(err, "%s: cannot be opened (%s): check permissions", ledger->folder, strerror(errno));
    /* The workers of an import that was killed hold it for a moment longer. */
    for (int tries = 0; tries < 20; tries++) {
        if (flock(ledger->lock, LOCK_EX | LOCK_NB) == 0) return true;
        usleep(100000);
    }
    return ich_fail(
        err, "%s: workers of an import that was killed are still writing to it: wait for them to end", out);
}

/* -- the journal ----------------------------------------------------------------------------------------- */

/* Lines are fields with tabs between them. Texts come from ich_fail, which lets no tab or line break through,
 * but for the remarks of an entry, which are apart by '\n' in memory and by '\v' here. */
static void exchange(char *text, char from, char to) {
    for (; *text; text++)
        if (*text == from) *text = to;
}

static bool keep_entry(ich_ledger *ledger, const ich_entry *entry) {
    const size_t n = ledger->n_entries;
    if ((n & (n - 1)) == 0) {
        ich_entry *entries = realloc(ledger->entries, (n ? 2 * n : 1) * sizeof *entries);
        if (!entries) return false;
        ledger->entries = entries;
    }
    char *text = strdup(entry->text);
    if (!text) return false;
    ich_entry *kept = &ledger->entries[ledger->n_entries++];
    *kept = *entry;
    kept->text = text;
    return true;
}

static bool keep_bad(ich_ledger *ledger, size_t i, const char *why) {
    char *text = strdup(why);
    if (!text) return false;
    free(ledger->bad[i]);
    ledger->bad[i] = text;
    return true;
}

/* One line without its end. False if it is not one of ours. */
static bool read_line(ich_ledger *ledger, char *line) {
    size_t item;
    unsigned long long key;
    int slices, at = 0;
    if (sscanf(line, "bad\t%zu\t%n", &item, &at) == 1 && at > 0 && item < ledger->n)
        return keep_bad(ledger, item, line + at);
    if (sscanf(line, "end\t%llx\t%d\t%n", &key, &slices, &at) == 2 && at > 0 && slices >= 0) {
        exchange(line + at, '\v', '\n');
        return keep_entry(ledger, &(ich_entry){key, slices, line + at});
    }
    return false;
}

/* Takes over what an earlier run of the same import wrote. Returns how many bytes of it count. */
static size_t read_journal(ich_ledger *ledger, const char *first, char *text) {
    const size_t n = strlen(first);
    if (strncmp(text, first, n) != 0) return 0;
    size_t at = n;
    for (char *end; (end = strchr(text + at, '\n')); at = (size_t)(end - text) + 1) {
        *end = '\0';
        if (!read_line(ledger, text + at)) break;
    }
    return at;
}

static bool append(ich_ledger *ledger, const char *line, size_t bytes, ich_error *err) {
    return write(ledger->journal, line, bytes) == (ssize_t)bytes ||
           ich_fail(err, "%s/%s: cannot be written (%s): make room", ledger->folder, journal_name,
                    strerror(errno));
}

static bool open_journal(ich_ledger *ledger, uint64_t identity, ich_error *err) {
    char first[64];
    size_t count = 0, known = 0;
    snprintf(first, sizeof first, "ichor import 1 %016llx\n", (unsigned long long)identity);
    char *path = ich_path_join(ledger->folder, journal_name);
    char *text = path && ich_path_exists(path) ? ich_file_read(path, most_bytes, &count, NULL) : NULL;
    if (text && strlen(text) == count) known = read_journal(ledger, first, text);
    free(text);
    free(path);
    if (known == 0) clear_folder(ledger);
    ledger->journal = open_inside(ledger, journal_name, O_WRONLY | O_CREAT | O_APPEND, err);
    if (ledger->journal < 0) return false;
    if (known == 0) return append(ledger, first, strlen(first), err);
    return ftruncate(ledger->journal, (off_t)known) == 0 ||
           ich_fail(err, "%s: cannot be written (%s): check permissions", ledger->folder, strerror(errno));
}

static int by_key(const void *a, const void *b) {
    const ich_entry *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

/* -- all of it ------------------------------------------------------------------------------------------- */

bool ich_ledger_open(ich_ledger *ledger, const char *out, uint64_t identity, size_t n, size_t record_bytes,
                     ich_error *err) {
    *ledger = (ich_ledger){.lock = -1, .journal = -1, .n = n, .record_bytes = record_bytes};
    ledger->bad = ich_new(n, sizeof *ledger->bad, "the list of inputs", err);
    const bool done = ledger->bad && lock_folder(ledger, out, err) && open_journal(ledger, identity, err) &&
                      map_records(ledger, err);
    if (done && ledger->n_entries > 1)
        qsort(ledger->entries, ledger->n_entries, sizeof *ledger->entries, by_key);
    if (!done) ich_ledger_close(ledger, false);
    return done;
}

bool ich_ledger_put_bad(ich_ledger *ledger, size_t i, const char *why, ich_error *err) {
    char line[1024];
    const int bytes = snprintf(line, sizeof line, "bad\t%zu\t%s\n", i, why);
    if (bytes >= (int)sizeof line || !keep_bad(ledger, i, why))
        return ich_fail(err, "out of memory: a reason");
    return append(ledger, line, (size_t)bytes, err);
}

/* Entries of this run are not sorted in: nobody asks for them before the next. */
bool ich_ledger_put_entry(ich_ledger *ledger, const ich_entry *entry, ich_error *err) {
    char *line = NULL;
    const int bytes =
        asprintf(&line, "end\t%llx\t%d\t%s\n", (unsigned long long)entry->key, entry->slices, entry->text);
    if (bytes < 0) return ich_fail(err, "out of memory: a line of the journal");
    line[bytes - 1] = '\0';
    exchange(line, '\n', '\v');
    line[bytes - 1] = '\n';
    const bool done = append(ledger, line, (size_t)bytes, err);
    free(line);
    return done;
}

const ich_entry *ich_ledger_find(const ich_ledger *ledger, uint64_t key) {
    const ich_entry wanted = {.key = key};
    if (ledger->n_entries == 0) return NULL;
    return bsearch(&wanted, ledger->entries, ledger->n_entries, sizeof *ledger->entries, by_key);
}

void ich_ledger_close(ich_ledger *ledger, bool whole) {
    if (ledger->records) munmap(ledger->records, ledger->n * ledger->record_bytes);
    if (ledger->journal >= 0) close(ledger->journal);
    if (whole) {
        clear_folder(ledger);
        rmdir(ledger->folder);
    }
    if (ledger->lock >= 0) close(ledger->lock);
    ich_lock_release(&ledger->owner);
    for (size_t i = 0; ledger->bad && i < ledger->n; i++) free(ledger->bad[i]);
    for (size_t i = 0; i < ledger->n_entries; i++) free(ledger->entries[i].text);
    free(ledger->bad);
    free(ledger->entries);
    free(ledger->folder);
    *ledger = (ich_ledger){.lock = -1, .journal = -1};
}

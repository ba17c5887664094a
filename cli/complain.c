/* complain.c: the one line on stderr that a failure or a mistake ends in, and the word that was meant. */
#include "verb.h"

#include "tensor/ranks.h"
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* What all ranks find wrong rank 0 says for all, and ends them with a signal; who is left alone for seconds
 * has trouble of its own. */
static void complain_elsewhere(const char *text) {
    if (sleep(10) > 0) return;
    fprintf(stderr, "ichor: rank %d: %s\n", ich_rank(), text);
}

int ich_complain(ich_command *command, int status, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) *c = '?'; /* one line, whatever a file was called */
    if (command) ich_ui_clear(&command->ui);
    fflush(stdout);
    if (ich_rank() == 0)
        fprintf(stderr, "ichor: %s\n", text);
    else if (status == ICH_FAILED || status == ICH_USAGE)
        complain_elsewhere(text);
    return status;
}

int ich_misuse(ich_command *command, const char *format, ...) {
    char what[700];
    const char *verb = command->verb->name;
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return ich_complain(command, ICH_USAGE, "%s: %s ('ichor %s --help' tells more)", verb, what, verb);
}

/* Insertions, deletions and replacements that lead from a to b (Levenshtein 1966); words up to 63 bytes. */
static size_t edit_distance(const char *a, const char *b) {
    size_t row[64], n = strlen(b);
    if (n > 63) return SIZE_MAX;
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t replace = diagonal + (a[i - 1] != b[j - 1]);
            const size_t insert = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            diagonal = row[j];
            row[j] = replace < insert ? replace : insert;
        }
    }
    return row[n];
}

const char *ich_nearest(const char *word, const char *(*next)(const void *, int), const void *list) {
    const char *best = NULL;
    size_t distance = 1 + (strlen(word) + 1) / 3; /* farther is no typing mistake */
    for (int i = 0; next(list, i); i++) {
        const size_t d = edit_distance(word, next(list, i));
        if (d < distance) distance = d, best = next(list, i);
    }
    return best;
}

/* operations.c: prints docs/operations.md, each layer with its formula, derivation, sources, tests and bound,
 * out of the registry and the source files; so it cannot say what is not there. A test compares it with the
 * file.
 *
 *     operations SOURCE > docs/operations.md      (cmake --build build --target operations_md)
 */
#include "audit/layer_cases.h"
#include "audit/sum_length.h"
#include "data/file.h"
#include <ctype.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FILES = 64, LIMIT = 1 << 20 };

typedef struct source {
    char *path, *text; /* path within the project */
} source;

typedef struct sources {
    source file[MOST_FILES];
    int count;
} sources;

static void die(const char *what) {
    fprintf(stderr, "operations: %s\n", what);
    exit(1);
}

/* -- source files -------------------------------------------------------------------------------------- */

static void add_sources(sources *all, const char *project, const char *pattern) {
    char *where = ich_path_join(project, pattern);
    glob_t found;
    ich_error err = {0};
    size_t count;
    if (!where || glob(where, 0, NULL, &found) != 0) die(pattern);
    for (size_t i = 0; i < found.gl_pathc && all->count < MOST_FILES; i++) {
        source *s = &all->file[all->count++];
        s->text = ich_file_read(found.gl_pathv[i], LIMIT, &count, &err);
        s->path = strdup(found.gl_pathv[i] + strlen(project) + 1);
        if (!s->text || !s->path) die(err.text);
    }
    globfree(&found);
    free(where);
}

static void free_sources(sources *all) {
    for (int i = 0; i < all->count; i++) {
        free(all->file[i].path);
        free(all->file[i].text);
    }
}

static int line_of(const source *s, const char *at) {
    int line = 1;
    for (const char *c = s->text; c < at; c++) line += *c == '\n';
    return line;
}

/* The definition of a function: at the start of a line, "… name(" or "… ICH_NAME(name)(". */
static const char *definition(const source *s, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = s->text; (at = strstr(at, name)); at += length) {
        const char *start = at, *end = at + length + (at[length] == ')');
        while (start > s->text && start[-1] != '\n') start--;
        if (isalnum((unsigned char)at[-1]) || at[-1] == '_' || *end != '(' || isspace((unsigned char)*start))
            continue;
        if (start != at && strncmp(start, "#define", 7) != 0 && *start != '/') return at;
    }
    return NULL;
}

/* `[name](../path#Lline)` of the file among `all` that defines the function. */
static bool put_definition(const sources *all, const char *name, const char *shown) {
    for (int i = 0; i < all->count; i++) {
        const char *at = definition(&all->file[i], name);
        if (!at) continue;
        const int line = line_of(&all->file[i], at);
        printf("[`%s`, %s:%d](../%s#L%d)", shown, all->file[i].path, line, all->file[i].path, line);
        return true;
    }
    return false;
}

/* -- one layer ----------------------------------------------------------------------------------------- */

static const source *file_of(const sources *layers, const char *op) {
    char row[80];
    snprintf(row, sizeof row, "ICH_NAME(ich_layer_%s)", op);
    for (int i = 0; i < layers->count; i++)
        if (strstr(layers->file[i].text, row)) return &layers->file[i];
    die(op);
    return NULL;
}

/* The file's first comment, which holds formula and derivation, without its stars. */
static void put_derivation(const source *s) {
    const char *end = strstr(s->text, "*/"), *at = s->text + 2;
    if (strncmp(s->text, "/*", 2) != 0 || !end) die(s->path);
    puts("```text");
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        at += strspn(at, " ");
        if (at < stop && *at == '*') at += 1 + (at[1] == ' ');
        if (at < stop || stop != end) printf("%.*s\n", (int)(stop - at), at);
        at = stop + 1;
    }
    puts("```\n");
}

/* The value of ".field = value," in the layer's row. */
static bool field_of(const source *s, const char *op, const char *field, char value[80]) {
    char row[80], key[40];
    snprintf(row, sizeof row, "ICH_NAME(ich_layer_%s) = {", op);
    snprintf(key, sizeof key, "    .%s = ", field);
    const char *at = strstr(s->text, row);
    at = at ? strstr(at, key) : NULL;
    return at && sscanf(at + strlen(key), "%79[^,]", value) == 1;
}

static void put_functions(const source *s, const char *op) {
    const sources own = {.file = {*s}, .count = 1};
    char name[80];
    fputs("- Forward and backward: ", stdout);
    if (!field_of(s, op, "forward", name) || !put_definition(&own, name, name)) die(op);
    fputs(", ", stdout);
    if (!field_of(s, op, "backward", name) || !put_definition(&own, name, name)) die(op);
    puts(".");
}

/* -- kernels ------------------------------------------------------------------------------------------- */

/* Does the layer call the kernel: "k->name(", "(k->name)(" or "->name("? */
static bool calls(const char *text, const char *kernel) {
    char call[80], bracket[80];
    snprintf(call, sizeof call, "->%s(", kernel);
    snprintf(bracket, sizeof bracket, "->%s)(", kernel);
    return strstr(text, call) || strstr(text, bracket);
}

/* Where the reference table's row says that the kernel is. */
static bool put_reference(const sources *reference, const char *kernel) {
    char key[80], name[80];
    snprintf(key, sizeof key, "    .%s = ", kernel);
    for (int i = 0; i < reference->count; i++) {
        const char *at = strstr(reference->file[i].text, key);
        if (!at || sscanf(at + strlen(key), "%79[^,]", name) != 1) continue;
        char *inner = strstr(name, "ICH_NAME(");
        if (inner) inner[strcspn(inner, ")")] = '\0';
        return put_definition(reference, inner ? inner + 9 : name, kernel);
    }
    return false;
}

/* The file whose vector version it is: it defines ICH_ISA(ich_<kernel>…) or, for convolutions, a variant. */
static void put_vector(const sources *vector, const char *kernel) {
    const char *conv = !strncmp(kernel, "conv2d", 6) ? "tensor/conv_vector.c" : NULL;
    char name[80];
    snprintf(name, sizeof name, "ich_%s)(", kernel);
    for (int i = 0; i < vector->count; i++)
        if (conv ? !strcmp(vector->file[i].path, conv) : strstr(vector->file[i].text, name) != NULL) {
            printf("; fast: [%s](../%s)", vector->file[i].path, vector->file[i].path);
            return;
        }
}

/* Every kernel of the table that the layer's file calls, by itself or through affine.h. */
static void put_kernels(const source *s, const source *table, const source *affine, const sources *reference,
                        const sources *vector) {
    bool any = false;
    const bool shares = strstr(s->text, "#include \"affine.h\"");
    for (const char *at = table->text; (at = strstr(at, "(*")); at++) {
        char kernel[60];
        if (sscanf(at + 2, "%59[a-z0-9_]", kernel) != 1 || strstr(kernel, "_scratch")) continue;
        if (!calls(s->text, kernel) && !(shares && calls(affine->text, kernel))) continue;
        printf("- Kernel: ");
        if (!put_reference(reference, kernel)) die(kernel);
        put_vector(vector, kernel);
        puts(".");
        any = true;
    }
    if (!any) puts("- Kernels: none; the loops are in the layer itself, the same for every table.");
}

/* -- tests and bound ----------------------------------------------------------------------------------- */

static void put_checks(const ich_layer *layer) {
    int cases = 0;
    const ich_layer_case *first = NULL;
    for (const ich_layer_case *c = ich_small_cases; c->op; c++) {
        if (strcmp(c->op, layer->op) != 0) continue;
        cases++;
        if (!first) first = c;
    }
    ich_layer_run run;
    ich_error err = {0};
    if (!first || !ich_layer_run_init(&run, first, ICH_F64, ich_kernels_f64_active(), 1, &err)) die(err.text);
    printf("- Tested by `tests/layers/test_gradients.c` and `ichor audit --op %s`: %d cases.\n", layer->op,
           cases);
    printf(
        "- Bound: γ(n) κ ([audit/layer_check.h](../audit/layer_check.h)); for an input of %d×%d×%d, n = %.0f "
        "forward and %.0f backward.\n",
        first->in[0].h, first->in[0].w, first->in[0].c, ich_forward_roundings(&run),
        ich_backward_roundings(&run));
    ich_layer_run_free(&run);
}

int main(int argc, char **argv) {
    if (argc != 2) die("usage: operations SOURCE");
    static sources layers, table, affine, reference, vector;
    add_sources(&layers, argv[1], "layers/*.c");
    add_sources(&table, argv[1], "tensor/kernel_table.h");
    add_sources(&affine, argv[1], "layers/affine.h");
    add_sources(&reference, argv[1], "tensor/reference*.c");
    add_sources(&vector, argv[1], "tensor/*vector*.c");
    puts("# Operations\n\nEvery layer of the registry. Generated from the registry and the sources by "
         "`cmake --build build --target operations_md`; a test sees that it has not drifted. δ is the "
         "gradient of the "
         "loss with respect to the layer's output.\n");
    for (const ich_layer *const *layer = ich_layers(ICH_F32); *layer; layer++) {
        const source *s = file_of(&layers, (*layer)->op);
        printf("## %s\n\n`%s`\n\n", (*layer)->op, (*layer)->formula);
        put_derivation(s);
        put_functions(s, (*layer)->op);
        put_kernels(s, &table.file[0], &affine.file[0], &reference, &vector);
        put_checks(*layer);
        printf("- Source: %s.\n\n", (*layer)->source);
    }
    free_sources(&layers);
    free_sources(&table);
    free_sources(&affine);
    free_sources(&reference);
    free_sources(&vector);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}

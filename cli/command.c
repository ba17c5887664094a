/* What a command line means: values of a verb's own options, settings of the recipe, and the file that both
 * come from (--config) and go to (recipe.ini). In that file the verb's own options are a section named after
 * it; all other sections are the recipe's (data/recipe.h). */
#include "verb.h"

#include "data/csv.h"
#include "data/file.h"
#include "tensor/kernels.h"
#include "tensor/team.h"
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONFIG = 1 << 20 };

void ich_command_reset(ich_command *command) {
    memcpy(command->values, command->verb->defaults, command->verb->size);
    ich_recipe_default(&command->machine, ICH_FOR_FINETUNE);
    command->n_words = command->n_set = 0;
    command->given = 0;
}

void ich_command_free(ich_command *command) {
    for (int i = 0; i < command->n_texts; i++) free(command->texts[i]);
    free(command->config_text);
    free(command->values);
    *command = (ich_command){0};
}

/* -- values -------------------------------------------------------------------------------------------- */

static bool set_flag(bool *flag, const ich_arg *arg, const char *text, ich_error *err) {
    *flag = !text || !strcmp(text, "true");
    return *flag || !strcmp(text, "false") ||
           ich_fail(err, "%s is '%.100s': give true or false", arg->name, text);
}

static bool set_number(char *at, const ich_arg *arg, const char *text, ich_error *err) {
    char *end;
    errno = 0;
    const double number = strtod(text, &end);
    const bool whole = arg->kind == ICH_ARG_INT;
    if (end == text || *end || errno || !(number >= arg->lo && number <= arg->hi) ||
        (whole && number != floor(number)))
        return ich_fail(err, "--%s is '%.100s': give a %snumber from %.10g to %.10g", arg->name, text,
                        whole ? "whole " : "", arg->lo, arg->hi);
    if (whole)
        *(int *)at = (int)number;
    else
        *(double *)at = number;
    return true;
}

bool ich_command_set_arg(ich_command *command, const ich_arg *arg, const char *text, ich_error *err) {
    char *at = (char *)command->values + arg->offset;
    for (const ich_arg *other = command->verb->args; other->name && arg->rivals; other++)
        if (other->rivals == arg->rivals) /* they are all numbers */
            memcpy((char *)command->values + other->offset,
                   (const char *)command->verb->defaults + other->offset, sizeof(double));
    if (arg->kind == ICH_ARG_FLAG) return set_flag((bool *)at, arg, text, err);
    if (arg->kind != ICH_ARG_TEXT) return set_number(at, arg, text, err);
    *(const char **)at = text;
    return true;
}

bool ich_setting_is_common(const char *name) {
    return !strcmp(name, "threads") || !strcmp(name, "seed") || !strcmp(name, "kernels") ||
           !strcmp(name, "precision");
}

bool ich_command_set_setting(ich_command *command, const ich_setting *setting, const char *text,
                             ich_error *err) {
    char where[80];
    snprintf(where, sizeof where, "--%s", setting->name);
    ich_recipe scratch = command->machine;
    ich_recipe *recipe = ich_setting_is_common(setting->name) ? &command->machine : &scratch;
    if (!ich_recipe_set(recipe, setting->name, text, where, err)) return false;
    if (command->n_set == ICH_MAX_SET) return ich_fail(err, "more than %d settings", ICH_MAX_SET);
    command->set[command->n_set++] = (struct ich_set){setting->name, text};
    return true;
}

bool ich_command_apply(const ich_command *command, ich_recipe *recipe, ich_error *err) {
    if (command->config_text && !ich_recipe_parse(recipe, command->config_text, command->config, err))
        return false;
    for (int i = 0; i < command->n_set; i++) {
        char where[80];
        snprintf(where, sizeof where, "--%s", command->set[i].name);
        if (!ich_recipe_set(recipe, command->set[i].name, command->set[i].text, where, err)) return false;
    }
    return true;
}

bool ich_command_use(const ich_recipe *recipe, ich_error *err) {
    ich_team_set(recipe->threads);
    return ich_kernels_select(recipe->kernels, !strcmp(recipe->precision, "bf16"), err);
}

int ich_command_printed(ich_command *command, int status) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    return ich_complain(command, ICH_FAILED, "the output cannot be written: is the disk full?");
}

int ich_command_partly(ich_command *command, const char *folder) {
    ich_csv csv = {0};
    int reason = -1;
    char *path = ich_path_join(folder, "skipped.csv");
    if (path && ich_csv_read(&csv, path, NULL)) reason = ich_csv_column(&csv, "reason");
    const char *first = reason >= 0 && csv.n_rows > 0 ? ich_csv_cell(&csv, 0, reason) : "unknown";
    ich_complain(command, ICH_PARTLY, "inputs left out: %zu, named in %s/skipped.csv; the first: %s",
                 csv.n_rows, folder, first);
    ich_csv_free(&csv);
    free(path);
    return ICH_PARTLY;
}

/* -- --config ------------------------------------------------------------------------------------------ */

typedef struct reading {
    ich_command *command;
    ich_error *err;
} reading;

static const ich_arg *find_kept(const ich_verb *verb, const char *name) {
    for (const ich_arg *arg = verb->args; arg->name; arg++)
        if (arg->kept && !strcmp(arg->name, name)) return arg;
    return NULL;
}

/* inih calls it for each "name = value" of the verb's own section. */
static int take(void *user, const char *section, const char *name, const char *value) {
    reading *r = user;
    ich_command *command = r->command;
    const ich_arg *arg = find_kept(command->verb, name);
    ich_error why = {0};
    if (r->err->text[0]) return 0; /* the first mistake is the one to tell */
    if (!arg) return ich_fail(r->err, "%s: [%s] has no setting '%.40s'", command->config, section, name);
    char *text = command->n_texts < ICH_MAX_TEXTS ? strdup(value) : NULL;
    if (!text) return ich_fail(r->err, "%s: no memory for '%.40s', or too many", command->config, name);
    command->texts[command->n_texts++] = text;
    return ich_command_set_arg(command, arg, text, &why) ||
           ich_fail(r->err, "%s: %s", command->config, why.text);
}

/* Blanks the verb's own section in `text` and all others in `own`; lines keep their numbers. */
static void split_sections(const char *verb, char *text, char *own) {
    const size_t length = strlen(verb);
    bool inside = false;
    for (size_t at = 0; text[at];) {
        const char *line = text + at + strspn(text + at, " \t");
        if (*line == '[') inside = !strncmp(line + 1, verb, length) && line[1 + length] == ']';
        const size_t n = strcspn(text + at, "\n");
        memset((inside ? text : own) + at, ' ', n);
        at += n + (text[at + n] == '\n');
    }
}

static bool read_own(ich_command *command, const char *own, ich_error *err) {
    reading r = {command, err};
    const int line = ini_parse_string(own, take, &r);
    if (line == 0) return true;
    return err->text[0]
               ? false
               : ich_fail(err, "%s: line %d is not of the form 'name = value'", command->config, line);
}

bool ich_command_read_config(ich_command *command, ich_error *err) {
    size_t count;
    char *text = ich_file_read(command->config, MAX_CONFIG, &count, err);
    if (!text) return false;
    char *own = strdup(text);
    bool done = own || ich_fail(err, "%s: out of memory", command->config);
    if (done && strlen(text) != count)
        done = ich_fail(err, "%s: no text file: it holds a zero byte", command->config);
    if (done) {
        split_sections(command->verb->name, text, own);
        done = ich_recipe_parse(&command->machine, text, command->config, err) && read_own(command, own, err);
    }
    free(own);
    command->config_text = text;
    return done;
}

/* -- recipe.ini ---------------------------------------------------------------------------------------- */

static void put_real(FILE *stream, double value) {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) { /* the fewest that read back as the same number */
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fputs(text, stream);
}

/* NaN and NULL stand for options that were not given and have no default that could be named. */
static void put_arg(FILE *stream, const ich_arg *arg, const char *at) {
    if (arg->kind == ICH_ARG_REAL && isnan(*(const double *)at)) return;
    if (arg->kind == ICH_ARG_TEXT && !*(const char *const *)at) return;
    fprintf(stream, "%s = ", arg->name);
    if (arg->kind == ICH_ARG_FLAG) fputs(*(const bool *)at ? "true" : "false", stream);
    if (arg->kind == ICH_ARG_INT) fprintf(stream, "%d", *(const int *)at);
    if (arg->kind == ICH_ARG_REAL) put_real(stream, *(const double *)at);
    if (arg->kind == ICH_ARG_TEXT) fputs(*(const char *const *)at, stream);
    fputc('\n', stream);
}

static void put_recipe(const ich_command *command, const ich_recipe *recipe, FILE *stream) {
    const ich_recipe *machine = &command->machine;
    fprintf(stream, "[%s]\n", command->verb->name);
    for (const ich_arg *arg = command->verb->args; arg->name; arg++)
        if (arg->kept) put_arg(stream, arg, (const char *)command->values + arg->offset);
    fputc('\n', stream);
    if (recipe)
        ich_recipe_print(recipe, stream);
    else
        fprintf(stream, "[run]\nseed = %" PRIu64 "\nthreads = %d\nkernels = %s\nprecision = %s\n",
                machine->seed, machine->threads, machine->kernels, machine->precision);
}

/* Another verb's recipe.ini is left alone: predictions may be evaluated into their own folder. False where it
 * is there and cannot be read: whose it is, is not known then. */
static bool is_free(const char *path, const char *verb, bool *free_to_use, ich_error *err) {
    char section[64];
    size_t count;
    snprintf(section, sizeof section, "[%s]\n", verb);
    *free_to_use = !ich_path_exists(path);
    if (*free_to_use) return true;
    char *text = ich_file_read(path, MAX_CONFIG, &count, err);
    *free_to_use = text && strstr(text, section);
    free(text);
    return text != NULL;
}

/* Where the recipe of this run goes, in fresh memory. */
static char *recipe_path(const char *verb, const char *folder, ich_error *err) {
    char name[64];
    bool free_to_use = false;
    snprintf(name, sizeof name, "%s.ini", verb);
    char *path = ich_path_join(folder, "recipe.ini");
    const bool known = path && is_free(path, verb, &free_to_use, err);
    if (path && !known) {
        free(path);
        return NULL;
    }
    if (path && !free_to_use) {
        free(path);
        path = ich_path_join(folder, name);
    }
    if (!path) ich_fail(err, "%s: out of memory: a path", folder);
    return path;
}

bool ich_command_record(const ich_command *command, const ich_recipe *recipe, const char *folder,
                        ich_error *err) {
    char *path = recipe_path(command->verb->name, folder, err);
    ich_output out;
    bool done = path && ich_output_open(&out, path, err);
    if (done) {
        put_recipe(command, recipe, out.stream);
        done = ich_output_commit(&out, err);
    }
    free(path);
    return done;
}

/* verb.h: a verb of the command line, and what the user typed after it.
 *
 * Each verb is one ich_verb, in the file verb_*.c of its kind, and one row of the table in main.c. Its
 * options are a table too; those of a recipe (data/recipe.h) are generated. Help, parsing, bounds, --config
 * and the recipe.ini that is left beside the results all come from the tables.
 *
 * args.c: what is typed (argp)   command.c: what it means: values, settings, files
 * complain.c: what was wrong with it
 *
 * Calls: argp, inih, data (recipe, file), tensor (team, kernels). Called by: main.c, verb_*.c.
 */
#ifndef ICH_CLI_VERB_H
#define ICH_CLI_VERB_H

#include "data/recipe.h"
#include "progress.h"

/* Exit statuses of the contract. A run that a signal ended returns 128 + its number, as a shell would. */
enum { ICH_DONE = 0, ICH_FAILED = 1, ICH_USAGE = 2, ICH_PARTLY = 3, ICH_SIGNALLED = 128 };

typedef enum ich_arg_kind { ICH_ARG_FLAG, ICH_ARG_INT, ICH_ARG_REAL, ICH_ARG_TEXT } ich_arg_kind;

/* An option of one verb, stored at `offset` of the verb's own struct: bool, int, double or const char *. */
typedef struct ich_arg {
    const char *name;  /* "studies" for --studies */
    const char *value; /* "N"; NULL for a flag */
    ich_arg_kind kind;
    size_t offset;
    double lo, hi;    /* of numbers */
    const char *help; /* with unit, and the default in brackets */
    bool kept;        /* part of the recipe: written to recipe.ini, read from --config */
    int rivals;       /* options with the same number above 0 exclude each other */
} ich_arg;

struct ich_command;

typedef struct ich_verb {
    const char *name, *group;
    const char *form;    /* "DATASET --out RUN" */
    const char *summary; /* one line */
    const char *more;    /* after the options; may be NULL */
    int min_words, max_words;
    const ich_arg *args;  /* ended by a row without a name */
    const void *defaults; /* the verb's struct, filled with defaults */
    size_t size;          /* of it */
    unsigned settings;    /* ICH_FOR_*: which settings of the recipe are options too; 0: none */
    bool ranks;           /* several processes may run it together (mpirun) */
    int (*run)(struct ich_command *command);
} ich_verb;

enum { ICH_MAX_WORDS = 4, ICH_MAX_SET = 128, ICH_MAX_TEXTS = 16 };

typedef struct ich_command {
    const ich_verb *verb;
    const char *words[ICH_MAX_WORDS]; /* what is no option */
    int n_words;
    void *values;        /* the verb's struct */
    unsigned long given; /* bit i: args[i] was typed */
    ich_recipe machine; /* only threads, seed, kernels and precision count: the options that every verb has */
    struct ich_set {
        const char *name, *text;
    } set[ICH_MAX_SET]; /* settings of the recipe that were typed, in that order */
    int n_set;
    const char *config;         /* --config, or NULL */
    char *config_text;          /* its settings of the recipe */
    char *texts[ICH_MAX_TEXTS]; /* texts of `values` that came from it */
    int n_texts;
    bool quiet;
    ich_ui ui;
} ich_command;

/* Fills `command` from the words after the verb. False: the caller returns *status at once (a mistake has
 * been reported, or help printed). Free with ich_command_free either way. */
bool ich_command_parse(ich_command *command, const ich_verb *verb, int argc, char **argv, int *status);
void ich_command_free(ich_command *command);

/* -- complain.c ---------------------------------------------------------------------------------------- */

/* One line on stderr that begins with "ichor: "; returns `status`. */
__attribute__((format(printf, 3, 4))) int ich_complain(ich_command *command, int status, const char *format,
                                                       ...);
/* The same for what the user should have typed: with the verb's name and where its help is; returns
 * ICH_USAGE. */
__attribute__((format(printf, 2, 3))) int ich_misuse(ich_command *command, const char *format, ...);

/* The known word nearest to a mistyped one, or NULL if none is near. `next` returns the i-th, NULL at the
 * end. */
const char *ich_nearest(const char *word, const char *(*next)(const void *list, int i), const void *list);

/* -- command.c ----------------------------------------------------------------------------------------- */

/* Everything back to defaults, but for --config. */
void ich_command_reset(ich_command *command);
/* One option's value; `text` NULL: a flag that was typed. It must live as long as the command. */
bool ich_command_set_arg(ich_command *command, const ich_arg *arg, const char *text, ich_error *err);
/* A setting of the recipe, typed as --name. Kept as text, since what it overrides is not known yet. */
bool ich_command_set_setting(ich_command *command, const ich_setting *setting, const char *text,
                             ich_error *err);
bool ich_setting_is_common(const char *name); /* threads, seed, kernels or precision: what every verb has */
/* Values from the file command->config, over the defaults. */
bool ich_command_read_config(ich_command *command, ich_error *err);

/* The settings of --config and of the command line, over what `recipe` holds. */
bool ich_command_apply(const ich_command *command, ich_recipe *recipe, ich_error *err);
/* Threads and kernels as `recipe` says. main.c does it for the options of the command line. */
bool ich_command_use(const ich_recipe *recipe, ich_error *err);
/* Leaves what `ichor VERB --config` repeats in folder/recipe.ini; in folder/VERB.ini where another verb's
 * recipe.ini lies. `recipe` NULL: the verb has none, only its own options. */
bool ich_command_record(const ich_command *command, const ich_recipe *recipe, const char *folder,
                        ich_error *err);
/* Tells of what folder/skipped.csv names; returns ICH_PARTLY. */
int ich_command_partly(ich_command *command, const char *folder);
/* `status`, unless what was printed to stdout did not get there. */
int ich_command_printed(ich_command *command, int status);

extern const ich_verb ich_verb_synth, ich_verb_import, ich_verb_label_reports, ich_verb_split,
    ich_verb_preview, ich_verb_pretrain, ich_verb_finetune, ich_verb_predict, ich_verb_evaluate,
    ich_verb_report, ich_verb_inspect, ich_verb_bench, ich_verb_audit, ich_verb_export, ich_verb_compare,
    ich_verb_calibrate;

#endif

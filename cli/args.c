/* args.c: the tables of a verb, as argp's; what argp finds, into an ich_command. */
#include "verb.h"

#include <argp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { /* keys: one block of numbers for each table */
       KEY_HELP = 'h',
       KEY_QUIET = 'q',
       KEY_CONFIG = 500,
       KEY_ARG = 1000,
       KEY_SETTING = 2000,
       KEY_NO_SETTING = 3000
};
enum { MAX_OPTIONS = 160, GROUP_SETTINGS = 10, GROUP_COMMON = 100 };

typedef struct parsing {
    ich_command *command;
    struct argp_option options[MAX_OPTIONS];
    int n_options;
    char *texts[MAX_OPTIONS]; /* generated help, to be freed */
    int n_texts;
    int status; /* of the mistake or help that ends the parsing */
    bool ended;
} parsing;

/* -- mistakes ------------------------------------------------------------------------------------------ */

static error_t mistake(parsing *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static error_t mistake(parsing *p, const char *format, ...) {
    char what[700];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    p->ended = true;
    p->status = ich_misuse(p->command, "%s", what);
    return EINVAL;
}

static const char *option_name(const void *list, int i) {
    const parsing *p = list;
    for (int o = 0; o < p->n_options; o++) /* titles have no name */
        if (p->options[o].name && i-- == 0) return p->options[o].name;
    return NULL;
}

static bool is_setting(const char *name) {
    size_t count;
    const ich_setting *settings = ich_settings(&count);
    while (count-- > 0)
        if (!strcmp(settings[count].name, name)) return true;
    return false;
}

/* argp has met an option that it cannot take: unknown, without its value, or with one that it has no use for.
 */
static error_t explain_option(parsing *p, const char *typed) {
    char name[64];
    snprintf(name, sizeof name, "%s", typed + strspn(typed, "-"));
    name[strcspn(name, "=")] = '\0';
    for (int i = 0; option_name(p, i); i++)
        if (!strcmp(option_name(p, i), name))
            return mistake(p, strchr(typed, '=') ? "--%s takes no value" : "--%s needs a value", name);
    if (is_setting(name)) return mistake(p, "--%s is for another verb", name);
    const char *near = ich_nearest(name, option_name, p);
    if (near) return mistake(p, "no option %s: did you mean --%s?", typed, near);
    return mistake(p, "no option %s", typed);
}

/* -- options ------------------------------------------------------------------------------------------- */

static void add_option(parsing *p, struct argp_option option) {
    if (p->n_options < MAX_OPTIONS - 1) p->options[p->n_options++] = option;
}

static bool is_choice(const ich_setting *setting) { return setting->unit && strchr(setting->unit, '|'); }

/* "side of the network's input (pixels) [224]" */
static const char *setting_help(parsing *p, const ich_setting *setting) {
    const char *value = p->command->verb->settings & ICH_FOR_PRETRAIN ? setting->pretrain : setting->finetune;
    const char *unit = setting->unit && !is_choice(setting) ? setting->unit : "";
    char *text = NULL;
    if (p->n_texts == MAX_OPTIONS ||
        asprintf(&text, "%s%s%s%s [%s]", setting->help, *unit ? " (" : "", unit, *unit ? ")" : "", value) < 0)
        return setting->help;
    return p->texts[p->n_texts++] = text;
}

static const char *value_name(const ich_setting *setting) {
    if (is_choice(setting)) return setting->unit;
    return setting->kind == ICH_SETTING_REAL ? "X" : setting->kind == ICH_SETTING_TEXT ? "TEXT" : "N";
}

static void add_setting(parsing *p, const ich_setting *setting, int index, int group) {
    const bool is_bool = setting->kind == ICH_SETTING_BOOL;
    add_option(p, (struct argp_option){.name = setting->name,
                                       .key = KEY_SETTING + index,
                                       .arg = is_bool ? NULL : value_name(setting),
                                       .doc = setting_help(p, setting),
                                       .group = group});
    char *name = NULL;
    if (!is_bool || p->n_texts == MAX_OPTIONS || asprintf(&name, "no-%s", setting->name) < 0) return;
    p->texts[p->n_texts++] = name;
    add_option(p, (struct argp_option){
                      .name = name, .key = KEY_NO_SETTING + index, .flags = OPTION_ALIAS, .group = group});
}

/* The settings of the recipe that the verb takes, under the titles of recipe.ini's sections. */
static void add_settings(parsing *p) {
    size_t count;
    const ich_setting *settings = ich_settings(&count);
    const char *section = "";
    int group = GROUP_SETTINGS;
    for (size_t i = 0; i < count; i++) {
        if (!(settings[i].verbs & p->command->verb->settings) || ich_setting_is_common(settings[i].name))
            continue;
        if (strcmp(section, settings[i].section) != 0) {
            section = settings[i].section;
            group++;
            add_option(p, (struct argp_option){.doc = section, .group = group});
        }
        add_setting(p, &settings[i], (int)i, group);
    }
}

static void add_common(parsing *p) {
    size_t count;
    const ich_setting *settings = ich_settings(&count);
    add_option(p, (struct argp_option){.doc = "every verb", .group = GROUP_COMMON});
    for (size_t i = 0; i < count; i++)
        if (ich_setting_is_common(settings[i].name)) add_setting(p, &settings[i], (int)i, GROUP_COMMON);
    add_option(p, (struct argp_option){.name = "config",
                                       .key = KEY_CONFIG,
                                       .arg = "FILE",
                                       .doc = "settings from a recipe.ini; options override them",
                                       .group = GROUP_COMMON});
    add_option(p, (struct argp_option){.name = "quiet",
                                       .key = KEY_QUIET,
                                       .doc = "no progress, no summary: only warnings and errors",
                                       .group = GROUP_COMMON});
    add_option(
        p, (struct argp_option){.name = "help", .key = KEY_HELP, .doc = "this text", .group = GROUP_COMMON});
}

static void add_options(parsing *p) {
    const ich_arg *args = p->command->verb->args;
    for (int i = 0; args[i].name; i++)
        add_option(p, (struct argp_option){.name = args[i].name,
                                           .key = KEY_ARG + i,
                                           .arg = args[i].value,
                                           .doc = args[i].help,
                                           .group = 1});
    if (p->command->verb->settings) add_settings(p);
    add_common(p);
}

/* -- values -------------------------------------------------------------------------------------------- */

static error_t set_arg(parsing *p, int index, const char *text) {
    ich_command *command = p->command;
    const ich_arg *args = command->verb->args;
    ich_error err = {0};
    for (int i = 0; args[i].name && args[index].rivals; i++) {
        if (i == index || args[i].rivals != args[index].rivals) continue;
        if (command->given >> i & 1)
            return mistake(p, "--%s and --%s exclude each other: choose one", args[i].name, args[index].name);
    }
    if (!ich_command_set_arg(command, &args[index], text, &err)) return mistake(p, "%s", err.text);
    command->given |= 1ul << index;
    return 0;
}

static error_t set_setting(parsing *p, int index, const char *text) {
    size_t count;
    ich_error err = {0};
    if (ich_command_set_setting(p->command, &ich_settings(&count)[index], text, &err)) return 0;
    return mistake(p, "%s", err.text);
}

static error_t add_word(parsing *p, const char *word) {
    ich_command *command = p->command;
    if (command->n_words == command->verb->max_words)
        return mistake(p, "one word too many: '%s'; its form is 'ichor %s %s'", word, command->verb->name,
                       command->verb->form);
    command->words[command->n_words++] = word;
    return 0;
}

static error_t parse_option(int key, char *text, struct argp_state *state) {
    parsing *p = state->input;
    if (key == KEY_HELP) {
        argp_help(state->root_argp, stdout, ARGP_HELP_LONG | ARGP_HELP_SHORT_USAGE | ARGP_HELP_DOC,
                  state->name);
        putchar('\n');
        p->ended = true;
        p->status = ich_command_printed(p->command, ICH_DONE);
        return ECANCELED;
    }
    if (key == KEY_QUIET) p->command->quiet = true;
    if (key == KEY_CONFIG) p->command->config = text;
    if (key == ARGP_KEY_ARG) return add_word(p, text);
    if (key == ARGP_KEY_ERROR && !p->ended) {
        const int last =
            state->next > 1 && state->argv[state->next - 1][0] == '-' ? state->next - 1 : state->next;
        return explain_option(p, last < state->argc ? state->argv[last] : "");
    }
    if (key >= KEY_NO_SETTING && key < KEY_NO_SETTING + 1000)
        return set_setting(p, key - KEY_NO_SETTING, "false");
    if (key >= KEY_SETTING && key < KEY_NO_SETTING)
        return set_setting(p, key - KEY_SETTING, text ? text : "true");
    if (key >= KEY_ARG && key < KEY_SETTING) return set_arg(p, key - KEY_ARG, text);
    return key == KEY_QUIET || key == KEY_CONFIG ? 0 : ARGP_ERR_UNKNOWN;
}

static void run_argp(parsing *p, int argc, char **argv) {
    const ich_verb *verb = p->command->verb;
    char *doc = NULL;
    if (asprintf(&doc, "%s%s%s", verb->summary, verb->more ? "\v" : "", verb->more ? verb->more : "") < 0)
        doc = NULL;
    const struct argp argp = {.options = p->options,
                              .parser = parse_option,
                              .args_doc = verb->form,
                              .doc = doc ? doc : verb->summary};
    const error_t code = argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_NO_EXIT, NULL, p);
    if (code && !p->ended) {
        p->ended = true;
        p->status = ich_complain(p->command, ICH_FAILED, "out of memory: the command line");
    }
    if (!p->ended && p->command->n_words < verb->min_words)
        mistake(p, "something is missing; its form is 'ichor %s %s'", verb->name, verb->form);
    free(doc);
}

/* Twice where there is a --config: once to find it, and once more to override what it holds. */
static void parse(parsing *p, int argc, char **argv) {
    ich_command *command = p->command;
    ich_error err = {0};
    run_argp(p, argc, argv);
    if (p->ended || !command->config) return;
    ich_command_reset(command);
    if (ich_command_read_config(command, &err)) {
        run_argp(p, argc, argv);
    } else {
        p->ended = true;
        p->status = ich_complain(command, ICH_FAILED, "%s", err.text);
    }
}

bool ich_command_parse(ich_command *command, const ich_verb *verb, int argc, char **argv, int *status) {
    *command = (ich_command){.verb = verb, .values = malloc(verb->size)};
    parsing *p = calloc(1, sizeof *p);
    *status = ICH_FAILED;
    bool done = false;
    if (!command->values || !p) {
        ich_complain(NULL, ICH_FAILED, "out of memory: the command line");
    } else {
        ich_command_reset(command);
        p->command = command;
        add_options(p);
        parse(p, argc, argv);
        for (int i = 0; i < p->n_texts; i++) free(p->texts[i]);
        *status = p->status;
        done = !p->ended;
    }
    free(p);
    ich_ui_init(&command->ui, command->quiet);
    return done;
}

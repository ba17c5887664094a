/* main.c: the table of verbs. `ichor VERB …` runs one, `ichor --help` lists them. */
#include "verb.h"

#include "tensor/blas.h"
#include "tensor/kernels.h"
#include "tensor/ranks.h"
#include "tensor/team.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const ich_verb *const verbs[] = {
    &ich_verb_synth,    &ich_verb_import,   &ich_verb_label_reports, &ich_verb_split,
    &ich_verb_preview,  &ich_verb_pretrain, &ich_verb_finetune,      &ich_verb_predict,
    &ich_verb_evaluate, &ich_verb_compare,  &ich_verb_calibrate,     &ich_verb_report,
    &ich_verb_inspect,  &ich_verb_export,   &ich_verb_bench,         &ich_verb_audit,
};
enum { VERBS = sizeof verbs / sizeof *verbs };

static const char *verb_name(const void *list, int i) {
    (void)list;
    return i < VERBS ? verbs[i]->name : NULL;
}

static const ich_verb *find(const char *name) {
    for (int i = 0; i < VERBS; i++)
        if (!strcmp(verbs[i]->name, name)) return verbs[i];
    return NULL;
}

static void print_overview(FILE *stream) {
    const char *group = "";
    fputs("Usage: ichor VERB ...\n"
          "Learns from head CTs where blood is, and finds it in new ones. For research and teaching.\n",
          stream);
    for (int i = 0; i < VERBS; i++) {
        if (strcmp(group, verbs[i]->group) != 0) fprintf(stream, "\n%s\n", group = verbs[i]->group);
        fprintf(stream, "  %-14s %s\n", verbs[i]->name, verbs[i]->summary);
    }
    fputs("\n'ichor VERB --help' shows a verb's options with units and defaults; 'ichor --version' the "
          "version.\n",
          stream);
}

static void print_version(void) {
    printf("ichor %s\nkernels:", ICHOR_VERSION);
    for (const char *const *name = ich_kernels_available(); *name; name++) printf(" %s", *name);
    printf("\nthreads: %d\nblas: %s\nmpi: %s\n", ich_team_cores(), ich_blas_description(),
           ich_ranks_description());
}

static int run(const ich_verb *verb, int argc, char **argv) {
    char name[64];
    snprintf(name, sizeof name, "ichor %s", verb->name);
    argv[0] = name; /* what the help calls the program */
    ich_command command;
    ich_error err = {0};
    int status;
    if (ich_ranks() > 1 && !verb->ranks)
        return ich_complain(NULL, ICH_USAGE, "%s: runs in one process: start it without mpirun", verb->name);
    if (ich_command_parse(&command, verb, argc, argv, &status))
        status = ich_command_use(&command.machine, &err) ? verb->run(&command)
                                                         : ich_misuse(&command, "%s", err.text);
    ich_ui_clear(&command.ui);
    ich_command_free(&command);
    return status;
}

static int help(int argc, char **argv) {
    const ich_verb *verb = argc > 2 ? find(argv[2]) : NULL;
    if (verb) return run(verb, 2, (char *[]){argv[2], "--help", NULL});
    print_overview(stdout);
    return ich_command_printed(NULL, ICH_DONE);
}

/* A file opened while one of these is closed would get its number, and with it our messages. */
static void hold_standard_streams(void) {
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        if (fcntl(i, F_GETFD) < 0 && open("/dev/null", i == STDIN_FILENO ? O_RDONLY : O_WRONLY) != i)
            _exit(ICH_FAILED);
}

/* Rank 0 speaks for all; of the others only errors are heard. */
static void leave_talking_to_the_first(void) {
    if (ich_rank() > 0 && !freopen("/dev/null", "w", stdout)) _exit(ICH_FAILED);
}

static int run_words(int argc, char **argv) {
    if (argc < 2) {
        print_overview(stderr);
        return ICH_USAGE;
    }
    const char *word = argv[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) return help(argc, argv);
    if (!strcmp(word, "--version")) {
        print_version();
        return ich_command_printed(NULL, ICH_DONE);
    }
    const ich_verb *verb = find(word);
    if (verb) return run(verb, argc - 1, argv + 1);
    if (*word == '-')
        return ich_complain(NULL, ICH_USAGE, "%s: options follow the verb ('ichor --help' lists the verbs)",
                            word);
    const char *near = ich_nearest(word, verb_name, NULL);
    if (near)
        return ich_complain(NULL, ICH_USAGE,
                            "there is no verb '%s': did you mean '%s'? ('ichor --help' lists them)", word,
                            near);
    return ich_complain(NULL, ICH_USAGE, "there is no verb '%s' ('ichor --help' lists them)", word);
}

/* What ends a rank alone ends the others too: they would wait for it for ever. */
static bool ends_all(int status) { return status == ICH_FAILED || status == ICH_USAGE; }

int main(int argc, char **argv) {
    hold_standard_streams();
    ich_ranks_open();
    leave_talking_to_the_first();
    const int status = run_words(argc, argv);
    fflush(stdout);
    ich_ranks_close(ends_all(status) ? status : 0);
    return status;
}

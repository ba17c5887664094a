/* verb_bench.c: bench: how fast this machine is. */
#include "verb.h"

#include "layers/zoo.h"
#include "stop.h"
#include "tensor/ranks.h"
#include "train/bench.h"
#include "train/bench_ops.h"
#include "train/bench_ranks.h"
#include <math.h>
#include <string.h>

typedef struct bench_options {
    const char *arch, *mode, *filter;
    int batch, size;
    double seconds;
} bench_options;

static const bench_options bench_defaults = {.batch = 16, .size = 224, .seconds = NAN};

static const ich_arg bench_args[] = {
    {.name = "arch",
     .value = "A",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(bench_options, arch),
     .help =
         "of bench model: resnet18, resnet34, resnet50, resnext50_32x4d, densenet121, or bilstm_attention "
         "(the study head: one study of --batch slices with --size features each)"},
    {.name = "mode",
     .value = "train|infer",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(bench_options, mode),
     .help = "of bench model; train: forward, backward and an optimizer step; infer: forward alone"},
    {.name = "batch",
     .value = "N",
     .kind = ICH_ARG_INT,
     .offset = offsetof(bench_options, batch),
     .lo = 1,
     .hi = 4096,
     .help = "images a step [16]"},
    {.name = "size",
     .value = "PX",
     .kind = ICH_ARG_INT,
     .offset = offsetof(bench_options, size),
     .lo = 16,
     .hi = 2048,
     .help = "pixels a side [224]"},
    {.name = "seconds",
     .value = "X",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(bench_options, seconds),
     .hi = 86400,
     .help = "time to measure for, at least [model: 10; ops: 0.2 each; ranks: 1 each]"},
    {.name = "filter",
     .value = "S",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(bench_options, filter),
     .help = "of bench ops: rows whose op, shape, direction or kernels contain S, for example 'k3 s1'"},
    {0}};

static int bench_model(ich_command *command) {
    const bench_options *o = command->values;
    ich_error err = {0};
    if (!o->arch) return ich_misuse(command, "--arch A is missing");
    if (!o->mode) return ich_misuse(command, "--mode train|infer is missing");
    if (strcmp(o->mode, "train") != 0 && strcmp(o->mode, "infer") != 0)
        return ich_misuse(command, "--mode is '%s': choose train or infer", o->mode);
    if (strcmp(o->arch, ICH_BENCH_HEAD) != 0 && !ich_zoo_knows(o->arch, &err))
        return ich_misuse(command, "%s", err.text);
    const ich_bench bench = {.arch = o->arch,
                             .train = !strcmp(o->mode, "train"),
                             .batch = o->batch,
                             .size = o->size,
                             .seconds = isnan(o->seconds) ? 10 : o->seconds};
    if (!ich_bench_model(&bench, stdout, &err)) return ich_complain(command, ICH_FAILED, "%s", err.text);
    return ich_command_printed(command, ICH_DONE);
}

static int bench_ops(ich_command *command) {
    const bench_options *o = command->values;
    ich_error err = {0};
    const ich_bench_ops bench = {.batch = o->batch,
                                 .size = o->size,
                                 .slices = 35,
                                 .seconds = isnan(o->seconds) ? 0.2 : o->seconds,
                                 .filter = o->filter,
                                 .stop = ich_stop_flag()};
    if (!ich_bench_ops_run(&bench, stdout, &err)) return ich_complain(command, ICH_FAILED, "%s", err.text);
    return ich_command_printed(command, ICH_DONE);
}

static int bench_ranks(ich_command *command) {
    const bench_options *o = command->values;
    ich_error err = {0};
    if (ich_ranks() == 1)
        return ich_misuse(command,
                          "ranks: start it with 'mpirun -np N', N at least 2 ('ichor --version' tells "
                          "whether this program knows MPI)");
    if (!ich_bench_ranks(isnan(o->seconds) ? 1 : o->seconds, stdout, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    return ich_command_printed(command, ICH_DONE);
}

/* What there is to measure. */
static const struct subject {
    const char *name;
    int (*run)(ich_command *command);
} subjects[] = {{"model", bench_model}, {"ops", bench_ops}, {"ranks", bench_ranks}};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

static const char *subject_name(const void *list, int i) {
    (void)list;
    return i < SUBJECTS ? subjects[i].name : NULL;
}

static int bench(ich_command *command) {
    const char *word = command->words[0];
    for (int i = 0; i < SUBJECTS; i++) {
        if (strcmp(subjects[i].name, word) != 0) continue;
        if (ich_ranks() > 1 && subjects[i].run != bench_ranks)
            return ich_misuse(command, "%s: runs in one process: start it without mpirun", word);
        return subjects[i].run(command);
    }
    const char *near = ich_nearest(word, subject_name, NULL);
    if (near) return ich_misuse(command, "cannot measure '%s': did you mean '%s'?", word, near);
    return ich_misuse(command, "cannot measure '%s'", word);
}

const ich_verb ich_verb_bench = {
    .name = "bench",
    .group = "Measuring",
    .form = "model --arch A --mode train|infer",
    .summary = "measure images a second and memory on this machine",
    .more =
        "Prints a CSV header and a row: arch,mode,batch,size,threads,images_per_second,rss_mib; rss is "
        "the peak "
        "less what the process held before the model was built. 'bench ops' measures every kernel, 'mpirun "
        "-np N ichor bench ranks' the sums over processes.",
    .min_words = 1,
    .max_words = 1,
    .args = bench_args,
    .defaults = &bench_defaults,
    .size = sizeof bench_defaults,
    .ranks = true,
    .run = bench,
};

/* verb_audit.c: audit: every number of the program, open to be checked. */
#include "verb.h"

#include "audit/ops.h"
#include "audit/trace.h"
#include "stop.h"
#include "train/repeat.h"
#include <string.h>

typedef struct audit_options {
    const char *study, *dump, *against, *op, *shape, *init;
    bool backward, repeat;
} audit_options;

static const audit_options audit_defaults = {0};

static const ich_arg audit_args[] = {
    {.name = "study",
     .value = "ID",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(audit_options, study),
     .help = "which study of INPUT is traced [its first]",
     .kept = true},
    {.name = "backward",
     .kind = ICH_ARG_FLAG,
     .offset = offsetof(audit_options, backward),
     .help = "also the loss against the study's label, and each parameter's gradient",
     .kept = true},
    {.name = "dump",
     .value = "DIR",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(audit_options, dump),
     .help = "write nodes.csv, input.npy and each node's output as <index>_<node>.npy; with --backward also "
             "gradients.csv, loss.npy and grad/<parameter>.npy"},
    {.name = "against",
     .value = "DIR",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(audit_options, against),
     .help = "compare with an earlier dump: two more columns, 'identical' or the first node that differs"},
    {.name = "repeat",
     .kind = ICH_ARG_FLAG,
     .offset = offsetof(audit_options, repeat),
     .help =
         "train MODEL again on the dataset INPUT from what its file says of its training, and compare the "
         "bytes; takes as long as the training took"},
    {.name = "init",
     .value = "MODEL",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(audit_options, init),
     .help = "with --repeat: the model that it was started from [what the RUN folder remembers]"},
    {.name = "op",
     .value = "OP",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(audit_options, op),
     .help = "without MODEL: this op or kernel alone, for example conv2d, with a row for each of its cases"},
    {.name = "shape",
     .value = "S",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(audit_options, shape),
     .help = "without MODEL: cases whose shape contains S, for example '5 x 7 x 3'; or, with --op, a case of "
             "your "
             "own, for example n=1,h=14,w=14,c=64,k=64,r=3,pad=1 of conv2d"},
    {0}};

/* -- every op ------------------------------------------------------------------------------------------ */

static int audit_ops(ich_command *command) {
    const audit_options *o = command->values;
    const ich_ops_options options = {.op = o->op, .shape = o->shape, .stop = ich_stop_flag()};
    ich_ops_result result;
    ich_error err = {0};
    if (o->study || o->dump || o->against || o->backward)
        return ich_misuse(command, "MODEL and INPUT are missing, which --study, --backward, --dump and "
                                   "--against are about");
    if (!ich_ops_audit(&options, stdout, &result, &err))
        return ich_complain(command, *options.stop ? ICH_SIGNALLED + *options.stop : ICH_FAILED, "%s",
                            err.text);
    if (result.left_out.text[0] && !command->quiet)
        ich_complain(command, ICH_DONE, "%s", result.left_out.text);
    if (result.broken)
        return ich_complain(command, ICH_FAILED, "%zu of %zu rows break their bound; the first: %s",
                            result.broken, result.rows, result.first);
    return ich_command_printed(command, ICH_DONE);
}

/* -- one study ----------------------------------------------------------------------------------------- */

/* 'identical', or the first difference and status 1, as from diff. */
static int give_verdict(ich_command *command, const ich_trace *trace) {
    const audit_options *o = command->values;
    const ich_trace_row *first = ich_trace_first_difference(trace);
    if (!first) {
        printf("identical: %d nodes", trace->n_nodes);
        if (trace->n_gradients) printf(" and %d gradients", trace->n_gradients - 1);
        printf(", bit for bit\n");
        return ich_command_printed(command, ICH_DONE);
    }
    char far[60] = "";
    if (first->array.compared)
        snprintf(far, sizeof far, ", by up to %.3g of its largest value", first->array.difference);
    return ich_complain(command, ICH_FAILED, "%s: first to differ: %s (%s)%s", o->against, first->name,
                        first->op, far);
}

static int print_trace(ich_command *command, const ich_trace *trace) {
    const audit_options *o = command->values;
    const unsigned columns = o->against ? ICH_TRACE_DIFFERENCE : 0;
    ich_trace_print_nodes(trace, columns, stdout);
    if (o->backward && (!o->dump || o->against)) {
        putchar('\n');
        ich_trace_print_gradients(trace, columns, stdout);
    }
    const int status = ich_command_printed(command, ICH_DONE);
    return status == ICH_DONE && o->against ? give_verdict(command, trace) : status;
}

static int trace_study(ich_command *command) {
    const audit_options *o = command->values;
    const ich_trace_options options = {
        .study = o->study, .backward = o->backward, .dump = o->dump, .against = o->against};
    ich_model model;
    ich_trace trace;
    ich_error err = {0};
    if (!ich_model_load(&model, command->words[0], &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    const bool done = ich_trace_run(&trace, &model, command->words[1], &options, &err) &&
                      (!o->dump || ich_command_record(command, NULL, o->dump, &err));
    const int status =
        done ? print_trace(command, &trace) : ich_complain(command, ICH_FAILED, "%s", err.text);
    ich_trace_free(&trace);
    ich_model_free(&model);
    return status;
}

/* -- the training, again ------------------------------------------------------------------------------- */

static int repeat_training(ich_command *command) {
    const audit_options *o = command->values;
    const char *model = command->words[0];
    const ich_repeat what = {.model = model,
                             .dataset = command->words[1],
                             .init = o->init,
                             .progress = &command->ui.progress,
                             .stop = ich_stop_flag()};
    char differs[160];
    bool same;
    ich_error err = {0};
    if (o->study || o->dump || o->against || o->backward)
        return ich_misuse(command, "--repeat trains: it goes with --init alone");
    if (!ich_repeat_training(&what, &same, differs, &err))
        return ich_complain(command, *what.stop ? ICH_SIGNALLED + *what.stop : ICH_FAILED, "%s", err.text);
    if (!same)
        return ich_complain(command, ICH_FAILED,
                            "%s: trained again, it is another model: the first that differs is %s", model,
                            differs);
    printf("%s: identical: trained again from its record, it has the same bytes\n", model);
    return ich_command_printed(command, ICH_DONE);
}

static int audit(ich_command *command) {
    const audit_options *o = command->values;
    if (o->repeat && command->n_words == 2) return repeat_training(command);
    if (o->repeat) return ich_misuse(command, "--repeat takes MODEL and the dataset it was trained on");
    if (o->init) return ich_misuse(command, "--init is for --repeat");
    if (command->n_words == 0) return audit_ops(command);
    if (o->op || o->shape) return ich_misuse(command, "--op and --shape are for an audit without MODEL");
    if (command->n_words == 1) return ich_misuse(command, "INPUT is missing: a dataset or a volume");
    return trace_study(command);
}

const ich_verb ich_verb_audit = {
    .name = "audit",
    .group = "Measuring",
    .form = "[MODEL INPUT]",
    .summary = "check every number: each op by itself, or each node of a model on one study",
    .more =
        "Without MODEL: every op, loss and kernel table that this processor runs, against the plain loops "
        "and "
        "the numerical gradient in double precision, over odd shapes; a row an op, check and table with the "
        "worst error and the bound that follows from the length of its sums. Status 1 if one is broken.\n"
        "With MODEL and INPUT: a row a node: index,name,op,shape,min,max,mean,l2,fnv1a,milliseconds; the "
        "checksum is that of the float32 values in C order, images as N,H,W,C. Names are those of the model "
        "file, batch norm is not folded: load model.safetensors elsewhere, feed it input.npy, and compare. "
        "How "
        "far the fast kernels are from the plain loops: 'ichor audit MODEL INPUT --kernels reference --dump "
        "PLAIN', then 'ichor audit MODEL INPUT --against PLAIN'.",
    .min_words = 0,
    .max_words = 2,
    .args = audit_args,
    .defaults = &audit_defaults,
    .size = sizeof audit_defaults,
    .run = audit,
};

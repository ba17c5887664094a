#include "infer/provenance.h"

#include "data/text.h"
#include "infer/inspect.h"
#include "tensor/hash.h"
#include "tensor/kernels.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void ich_provenance_hash(const ich_model *model, char hex[17]) {
    uint64_t hash = ich_fnv_start;
    for (int p = 0; p < model->graph.n_params; p++) {
        const ich_param *param = &model->graph.params[p];
        hash = ich_fnv(hash, model->values + param->offset, param->count * sizeof(float));
    }
    snprintf(hex, 17, "%016" PRIx64, hash);
}

bool ich_provenance_stamp(ich_model *model, ich_error *err) {
    return ich_model_set_meta(model, "program", "Ichor " ICHOR_VERSION ", compiler " __VERSION__, err) &&
           ich_model_set_meta(model, "kernels", ich_kernels_f32_active()->name, err);
}

/* -- the record of one model --------------------------------------------------------------------------- */

/* In the order of a reader's questions. */
static const char *const told[] = {"verb", "dataset", "seed", "log", "program", "kernels"};

static void put_record(const ich_model *model, FILE *out) {
    char hex[17];
    const char *parent = ich_model_meta(model, "parent"), *seed = ich_model_meta(model, "seed");
    ich_provenance_hash(model, hex);
    fprintf(out, "model: %s\n", hex);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (ich_model_meta(model, told[i])) fprintf(out, "%s: %s\n", told[i], ich_model_meta(model, told[i]));
    if (parent)
        fprintf(out, "started from: model %s\n", parent);
    else
        fprintf(out, "started from: random numbers of seed %s\n", seed ? seed : "unknown");
    ich_recipe_print(&model->recipe, out);
    fputc('\n', out);
}

static void put_chain(const ich_model *model, FILE *out) {
    const char *ancestry = ich_model_meta(model, ICH_META_ANCESTRY);
    put_record(model, out);
    if (ancestry) fputs(ancestry, out);
}

/* The chain as text in fresh memory. */
static char *chain_text(const ich_model *model, ich_error *err) {
    ich_text text;
    if (!ich_text_open(&text, "a model's provenance", err)) return NULL;
    put_chain(model, text.stream);
    return ich_text_close(&text, err);
}

bool ich_provenance_inherit(ich_model *model, const ich_model *parent, ich_error *err) {
    char hex[17];
    char *text = chain_text(parent, err);
    ich_provenance_hash(parent, hex);
    const bool done = text && ich_model_set_meta(model, "parent", hex, err) &&
                      ich_model_set_meta(model, ICH_META_ANCESTRY, text, err);
    free(text);
    return done;
}

/* -- printing ------------------------------------------------------------------------------------------ */

/* Text from a file that anybody may have made: nothing in it may steer a terminal. */
static void put_plain(const char *text, FILE *out) {
    for (; *text; text++) fputc(*text != '\n' && iscntrl((unsigned char)*text) ? ' ' : *text, out);
}

static bool check_stream(FILE *out, ich_error *err) {
    return (fflush(out) == 0 && !ferror(out)) ||
           ich_fail(err, "inspect: the output cannot be written: is the disk full, or the reader gone?");
}

bool ich_provenance_print(const ich_model *model, FILE *out, ich_error *err) {
    char *text = chain_text(model, err);
    if (!text) return false;
    put_plain(text, out);
    free(text);
    return check_stream(out, err);
}

static const char *meta_or(const ich_model *model, const char *key, const char *other) {
    const char *value = ich_model_meta(model, key);
    return value ? value : other;
}

static void put_card_row(FILE *out, const char *what, const char *value) {
    fprintf(out, "| %s | ", what);
    for (; *value; value++)
        fputc(iscntrl((unsigned char)*value) || *value == '|' ? ' ' : *value, out); /* stays in its cell */
    fputs(" |\n", out);
}

static void put_card_head(const ich_model *model, FILE *out) {
    const ich_totals sum = ich_inspect_totals(&model->graph);
    char hex[17], size[80], head[100] = "its most positive slice";
    if (model->classifier >= 0)
        snprintf(head, sizeof head, "a study's slices; context: %s, pool: %s, classifier: %s",
                 model->recipe.context, model->recipe.pool, model->recipe.classifier);
    ich_provenance_hash(model, hex);
    snprintf(size, sizeof size, "%" PRId64 " parameters, %.2f G multiply-adds a slice", sum.parameters,
             (double)sum.macs / 1e9);
    fprintf(out, "# Model card: hemorrhage on head CT, %s\n\n", hex);
    fputs("Estimates for a head CT how likely it shows an intracranial hemorrhage, of which of five types, "
          "and on "
          "which slices.\n\n| | |\n|---|---|\n",
          out);
    put_card_row(out, "CNN", model->recipe.arch);
    put_card_row(out, "answers from", head);
    put_card_row(out, "size", size);
    put_card_row(out, "windows (centre/width, HU)", model->recipe.windows);
    put_card_row(out, "trained by", meta_or(model, "verb", "unknown"));
    put_card_row(out, "dataset's fingerprint", meta_or(model, "dataset", "unknown"));
    put_card_row(out, "last line of its log", meta_or(model, "log", "unknown"));
    put_card_row(out, "started from model", meta_or(model, "parent", "none: random numbers"));
    put_card_row(out, "seed", meta_or(model, "seed", "unknown"));
    put_card_row(out, "program", meta_or(model, "program", "unknown"));
    put_card_row(out, "kernels", meta_or(model, "kernels", "unknown"));
}

bool ich_provenance_card(const ich_model *model, FILE *out, ich_error *err) {
    char *text = chain_text(model, err);
    if (!text) return false;
    put_card_head(model, out);
    fputs(
        "\n## Intended use\n\n"
        "Research and teaching. It is no medical device, has not been validated for diagnosis, and must not "
        "guide "
        "the care of anyone.\n\n"
        "## What this file does not know\n\n"
        "Who the patients were, which scanners made the images, and how well the model does on others: "
        "`ichor evaluate` on data of the place where it is to be used, with its intervals, belongs here. The "
        "loss and AUC above are those of the run itself.\n\n"
        "## How it came about\n\n"
        "Each record names its recipe; `ichor VERB --config` repeats it.\n\n```\n",
        out);
    put_plain(text, out);
    fputs("```\n", out);
    free(text);
    return check_stream(out, err);
}

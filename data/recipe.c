/* The table of settings, and what the five kinds of value have in common: parse, print, say what is allowed.
 */
#include "recipe.h"
#include "file.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

enum { MAX_FILE = 1 << 20, ROOM = 120 };

/* -- the table ------------------------------------------------------------------------------------------- */

#define FIELD(field) offsetof(ich_recipe, field), sizeof(((ich_recipe *)NULL)->field)
enum { PRETRAIN = ICH_FOR_PRETRAIN, FINETUNE = ICH_FOR_FINETUNE, PREDICT = ICH_FOR_PREDICT };
enum { TRAIN = PRETRAIN | FINETUNE, ALL = TRAIN | PREDICT };
#define INT  ICH_SETTING_INT
#define REAL ICH_SETTING_REAL
#define BOOL ICH_SETTING_BOOL
#define TEXT ICH_SETTING_TEXT

/* name, section, kind, field, lo, hi, default in pretrain and in finetune, verbs, unit, help. The unit of a
 * text that is a choice is that choice, with | between.
 *
 * Windows, head, learning rates and augmentation are those of benchmarks/torch_recipe.py, so that the two
 * programs can be set side by side. */
static const ich_setting settings[] = {
    {"arch", "model", TEXT, FIELD(arch), 0, 0, "resnet18", "resnet18", TRAIN, NULL,
     "torchvision's name of the CNN that looks at each slice: resnet18, resnet34, resnet50, "
     "resnext50_32x4d or densenet121"},
    {"size", "model", INT, FIELD(size), 16, 2048, "224", "224", TRAIN, "pixels",
     "side of the square that every slice is resampled to: smaller is faster, sees less"},
    {"windows", "model", TEXT, FIELD(windows), 0, 0, "40/80,80/200,40/380", "40/80,80/200,40/380", TRAIN,
     "HU", "centre/width of the window that makes each channel: brain, blood and bone by default"},
    {"context", "model", TEXT, FIELD(context), 0, 0, "lstm", "lstm", FINETUNE, "lstm|self-attention|none",
     "how a slice learns of the others before the study is judged"},
    {"pool", "model", TEXT, FIELD(pool), 0, 0, "attention", "attention", FINETUNE,
     "attention|mean|max|top-k|noisy-or",
     "how slices become the study's answer: by learned attention, or by a rule on each slice's own answer"},
    {"top", "model", INT, FIELD(top), 1, 4096, "4", "4", FINETUNE, "slices",
     "with pool = top-k: how many of the most positive slices the study's answer is the mean of"},
    {"classifier", "model", TEXT, FIELD(classifier), 0, 0, "linear", "linear", FINETUNE, "linear|gp",
     "what judges the pooled study: a linear layer, or a Gaussian process that says how sure it is; gp needs "
     "pool = attention"},
    {"hidden", "model", INT, FIELD(hidden), 1, 4096, "128", "128", FINETUNE, "units",
     "width of the LSTM over slices, in each of its two directions; self-attention is twice as wide"},
    {"attention", "model", INT, FIELD(attention), 1, 4096, "128", "128", FINETUNE, "units",
     "width of the layer that scores each slice's share in the study's answer"},
    {"heads", "model", INT, FIELD(heads), 1, 64, "1", "1", FINETUNE, NULL,
     "independent attentions over the slices"},
    {"gated", "model", BOOL, FIELD(gated), 0, 0, "true", "true", FINETUNE, NULL,
     "gate the attention's tanh by a sigmoid (Ilse et al. 2018, equation 9)"},

    {"epochs", "training", INT, FIELD(epochs), 1, 100000, "10", "10", TRAIN, NULL,
     "times that every slice or study of the train split is learned from"},
    {"batch", "training", INT, FIELD(batch), 2, 4096, "32", "32", PRETRAIN, "slices",
     "size of an optimizer step"},
    {"studies", "training", INT, FIELD(studies), 1, 4096, "4", "4", FINETUNE, "studies",
     "size of an optimizer step"},
    {"chunk", "training", INT, FIELD(chunk), 0, 4096, "0", "0", FINETUNE | PREDICT, "slices",
     "how many slices are in the CNN at a time: fewer take less memory, but a step of more slices than that "
     "computes most of them twice; 0: as many as take the memory of 32 slices of 224 pixels"},
    {"lr", "training", REAL, FIELD(lr), 0, 10, "0.0009", "0.001", TRAIN, NULL,
     "peak learning rate of everything (pretrain) or of the study head (finetune)"},
    {"lr-cnn", "training", REAL, FIELD(lr_cnn), 0, 10, "3e-05", "3e-05", FINETUNE, NULL,
     "peak learning rate of the CNN, low so that it keeps what it knows; 3e-4 suits one that starts from "
     "nothing"},
    {"optimizer", "training", TEXT, FIELD(optimizer), 0, 0, "adamw", "adamw", TRAIN, "adamw|sgd",
     "rule of a step"},
    {"momentum", "training", REAL, FIELD(momentum), 0, 0.9999, "0.9", "0.9", TRAIN, NULL,
     "share of the last step that sgd repeats; adamw has its own (0.9, 0.999)"},
    {"weight-decay", "training", REAL, FIELD(weight_decay), 0, 10, "0.01", "0.01", TRAIN, NULL,
     "pull of the weights towards 0, in units of the learning rate; biases and norms are spared"},
    {"clip", "training", REAL, FIELD(clip), 0, 1e9, "0", "0", TRAIN, NULL,
     "greatest norm of a step's whole gradient; 0: no limit, since adamw's steps are bounded by themselves; "
     "try 1 with sgd"},
    {"ema", "training", REAL, FIELD(ema), 0, 0.999999, "0", "0", TRAIN, NULL,
     "decay of averaged weights that are judged and saved in place of the last; 0: none, as a schedule that "
     "ends near 0 averages too; else about 0.99"},
    {"schedule", "training", TEXT, FIELD(schedule), 0, 0, "onecycle", "onecycle", TRAIN,
     "onecycle|cosine|constant", "how learning rates move over the run"},
    {"warmup", "training", REAL, FIELD(warmup), 0, 1, "0.3", "0.3", TRAIN, "fraction of the steps",
     "time that learning rates take to rise to their peak; torch's pct_start"},
    {"bad-steps", "training", INT, FIELD(bad_steps), 0, 1000000, "3", "3", TRAIN, NULL,
     "steps of an epoch that may be left out because their loss or gradient is not finite or explodes; one "
     "more "
     "ends the run"},
    {"explode", "training", REAL, FIELD(explode), 0, 1e9, "100", "100", TRAIN, NULL,
     "a step explodes if its loss is so many times the epoch's mean before it, or ln 2 if that is more; 0: "
     "never"},
    {"freeze-cnn", "training", BOOL, FIELD(freeze_cnn), 0, 0, "false", "false", FINETUNE, NULL,
     "keep the CNN as it is and train the study head alone, on features computed once"},
    {"smooth", "training", REAL, FIELD(smooth), 0, 1000, "0", "0", FINETUNE, NULL,
     "weight in the loss of jumps of the attention from slice to slice (Wu et al. 2023, SA-DMIL); try 0.01; "
     "needs pool = attention"},
    {"smooth-order", "training", INT, FIELD(smooth_order), 1, 2, "1", "1", FINETUNE, NULL,
     "with smooth: 1 counts differences of neighbouring slices, 2 differences of differences"},
    {"prevalence", "training", REAL, FIELD(prevalence), 0, 0.999, "0", "0", FINETUNE,
     "fraction of the studies",
     "weigh positive and negative studies as if so many were positive (King and Zeng 2001); 0.5 balances, 0 "
     "takes them as they come"},
    {"label-false-positives", "training", REAL, FIELD(label_false_positives), 0, 0.49, "0", "0", FINETUNE,
     "fraction of the negatives",
     "how many studies without a hemorrhage the labels call positive, as reports may; the loss allows for it "
     "(Patrini et al. 2017)"},
    {"label-false-negatives", "training", REAL, FIELD(label_false_negatives), 0, 0.49, "0", "0", FINETUNE,
     "fraction of the positives", "how many hemorrhages the labels miss; likewise"},

    {"parts", "training", INT, FIELD(parts), 0, 4096, "2", "2", TRAIN, NULL,
     "a step's sums are made in so many parts, then added, so that one process and two write the same bytes; "
     "more processes, and 0: one part in each"},
    {"sync-batch-norm", "training", BOOL, FIELD(sync_batch_norm), 0, 0, "true", "true", PRETRAIN, NULL,
     "several processes: batch norm over the whole batch, as one process would; false: each over its own "
     "part"},

    {"augment", "augmentation", BOOL, FIELD(augment), 0, 0, "true", "true", TRAIN, NULL,
     "vary each slice (pretrain) or study (finetune) at random each time it is learned from"},
    {"flip", "augmentation", BOOL, FIELD(flip), 0, 0, "true", "true", TRAIN, NULL,
     "exchange left and right half of the time"},
    {"rotate", "augmentation", REAL, FIELD(rotate), 0, 180, "10", "10", TRAIN, "degrees",
     "greatest turn either way"},
    {"scale", "augmentation", REAL, FIELD(scale), 0, 0.9, "0.1", "0.1", TRAIN, "fraction",
     "greatest enlargement or reduction"},
    {"shift", "augmentation", REAL, FIELD(shift), 0, 1, "0.05", "0.05", TRAIN, "fraction of the side",
     "greatest shift along each axis"},
    {"hu", "augmentation", REAL, FIELD(hu), 0, 1000, "4", "4", TRAIN, "HU",
     "greatest offset of all densities, as between scanners"},
    {"contrast", "augmentation", REAL, FIELD(contrast), 0, 1, "0.05", "0.05", TRAIN, "fraction",
     "greatest change of a window's slope"},

    {"seed", "run", ICH_SETTING_U64, FIELD(seed), 0, 0, "0", "0", ALL, NULL,
     "where all random numbers come from: same seed, same result"},
    {"threads", "run", INT, FIELD(threads), 0, 1024, "0", "0", ALL, NULL,
     "cores to use; 0: all that the process may; results do not depend on it"},
    {"kernels", "run", TEXT, FIELD(kernels), 0, 0, "auto", "auto", ALL, NULL,
     "version of the compute kernels: auto, reference, baseline, or an instruction set such as avx2"},
    {"precision", "run", TEXT, FIELD(precision), 0, 0, "float32", "float32", ALL, "float32|bf16",
     "of the convolutions' factors; bf16 rounds them to bfloat16 and sums in float32, all else stays "
     "float32"},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

const ich_setting *ich_settings(size_t *count) {
    *count = SETTINGS;
    return settings;
}

static const ich_setting *find(const char *name) {
    for (int i = 0; i < SETTINGS; i++)
        if (!strcmp(settings[i].name, name)) return &settings[i];
    return NULL;
}

/* -- windows --------------------------------------------------------------------------------------------- */

/* Steps over a number within bounds. */
static bool take_number(const char **text, float lo, float hi, float *value) {
    char *end;
    if (isspace((unsigned char)**text)) return false;
    *value = strtof(*text, &end);
    if (end == *text || !(*value >= lo && *value <= hi)) return false;
    *text = end;
    return true;
}

static bool parse_windows(const char *text, ich_preprocess *out) {
    for (out->channels = 0; out->channels < ICH_MAX_CHANNELS; text++) {
        const int c = out->channels++;
        if (!take_number(&text, -32768, 32767, &out->center[c]) || *text++ != '/' ||
            !take_number(&text, 1, 65536, &out->width[c]))
            return false;
        if (*text != ',') return *text == '\0';
    }
    return false;
}

static bool is_windows(const ich_setting *setting) {
    return setting->offset == offsetof(ich_recipe, windows);
}

/* -- kinds ----------------------------------------------------------------------------------------------- */

/* What strtol and its like leave of a text that is a number and nothing else. */
static bool all_read(const char *text, const char *end) {
    return end != text && *end == '\0' && errno == 0 && !isspace((unsigned char)*text);
}

static bool parse_int(const ich_setting *setting, const char *text, void *to) {
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (!all_read(text, end) || !((double)value >= setting->lo && (double)value <= setting->hi)) return false;
    *(int *)to = (int)value;
    return true;
}

static bool parse_u64(const ich_setting *setting, const char *text, void *to) {
    (void)setting;
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (!all_read(text, end) || *text == '-') return false;
    *(uint64_t *)to = value;
    return true;
}

static bool parse_real(const ich_setting *setting, const char *text, void *to) {
    char *end;
    errno = 0;
    const double value = strtod(text, &end);
    if (!all_read(text, end) || !(value >= setting->lo && value <= setting->hi)) return false;
    *(double *)to = value;
    return true;
}

static bool parse_bool(const ich_setting *setting, const char *text, void *to) {
    (void)setting;
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (int i = 0; i < 8; i++)
        if (!strcmp(text, words[i])) {
            *(bool *)to = i % 2;
            return true;
        }
    return false;
}

static bool is_choice(const ich_setting *setting) { return setting->unit && strchr(setting->unit, '|'); }

static bool is_one_of(const char *choice, const char *text) {
    const size_t length = strlen(text);
    for (const char *word = choice; *word; word += strcspn(word, "|"), word += *word == '|')
        if (strcspn(word, "|") == length && !strncmp(word, text, length)) return true;
    return false;
}

/* Lower-case letters, digits, - and _: nothing that an ini file or a path could take for something else. */
static bool is_plain(const char *text) {
    return *text && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_")] == '\0';
}

static bool parse_text(const ich_setting *setting, const char *text, void *to) {
    ich_preprocess scratch;
    const bool good = is_choice(setting)    ? is_one_of(setting->unit, text)
                      : is_windows(setting) ? parse_windows(text, &scratch)
                                            : is_plain(text);
    if (!good || strlen(text) >= setting->size) return false;
    memset(to, 0, setting->size); /* so that equal recipes are equal bytes */
    memcpy(to, text, strlen(text));
    return true;
}

static void print_int(const void *value, FILE *stream) { fprintf(stream, "%d", *(const int *)value); }
static void print_u64(const void *value, FILE *stream) {
    fprintf(stream, "%" PRIu64, *(const uint64_t *)value);
}
static void print_bool(const void *value, FILE *stream) {
    fputs(*(const bool *)value ? "true" : "false", stream);
}
static void print_text(const void *value, FILE *stream) { fputs(value, stream); }

/* The fewest digits that read back as the same number; 17 always do (C17 5.2.4.2.2). */
static void print_real(const void *value, FILE *stream) {
    const double number = *(const double *)value;
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number) break;
    }
    fputs(text, stream);
}

static void allow_int(const ich_setting *setting, char text[ROOM]) {
    snprintf(text, ROOM, "a whole number from %.10g to %.10g", setting->lo, setting->hi);
}
static void allow_u64(const ich_setting *setting, char text[ROOM]) {
    (void)setting;
    snprintf(text, ROOM, "a whole number from 0 to %" PRIu64, UINT64_MAX);
}
static void allow_real(const ich_setting *setting, char text[ROOM]) {
    snprintf(text, ROOM, "a number from %.10g to %.10g", setting->lo, setting->hi);
}
static void allow_bool(const ich_setting *setting, char text[ROOM]) {
    (void)setting;
    snprintf(text, ROOM, "true or false");
}
static void allow_windows(char text[ROOM]) {
    snprintf(text, ROOM, "centre/width in HU, 1 to %d of them, as in 40/80,80/200", ICH_MAX_CHANNELS);
}
static void allow_text(const ich_setting *setting, char text[ROOM]) {
    if (is_choice(setting))
        snprintf(text, ROOM, "one of %s", setting->unit);
    else if (is_windows(setting))
        allow_windows(text);
    else
        snprintf(text, ROOM, "1 to %zu of a-z, 0-9, - and _", setting->size - 1);
}

static const struct kind {
    bool (*parse)(const ich_setting *setting, const char *text, void *to); /* leaves *to alone if it fails */
    void (*print)(const void *value, FILE *stream);
    void (*allow)(const ich_setting *setting, char text[ROOM]); /* "a number from 0 to 1" */
} kinds[] = {
    [ICH_SETTING_INT] = {parse_int, print_int, allow_int},
    [ICH_SETTING_REAL] = {parse_real, print_real, allow_real},
    [ICH_SETTING_BOOL] = {parse_bool, print_bool, allow_bool},
    [ICH_SETTING_TEXT] = {parse_text, print_text, allow_text},
    [ICH_SETTING_U64] = {parse_u64, print_u64, allow_u64},
};

/* -- one setting ----------------------------------------------------------------------------------------- */

void ich_recipe_default(ich_recipe *recipe, unsigned verb) {
    memset(recipe, 0, sizeof *recipe);
    for (int i = 0; i < SETTINGS; i++) {
        const ich_setting *setting = &settings[i];
        kinds[setting->kind].parse(setting, verb == ICH_FOR_PRETRAIN ? setting->pretrain : setting->finetune,
                                   (char *)recipe + setting->offset);
    }
}

static bool fail_unknown(const char *name, const char *where, ich_error *err) {
    char names[520] = ""; /* the message has no room for more */
    for (int i = 0; i < SETTINGS; i++) {
        strncat(names, i ? ", " : "", sizeof names - strlen(names) - 1);
        strncat(names, settings[i].name, sizeof names - strlen(names) - 1);
    }
    return ich_fail(err, "%s: there is no setting '%.40s'; there are %s", where, name, names);
}

bool ich_recipe_set(ich_recipe *recipe, const char *name, const char *text, const char *where,
                    ich_error *err) {
    const ich_setting *setting = find(name);
    if (!setting) return fail_unknown(name, where, err);
    if (kinds[setting->kind].parse(setting, text, (char *)recipe + setting->offset)) return true;
    char allowed[ROOM];
    kinds[setting->kind].allow(setting, allowed);
    if (!strncmp(where, "--", 2)) return ich_fail(err, "%s is '%.100s': give %s", where, text, allowed);
    return ich_fail(err, "%s: %s is '%.100s': give %s", where, name, text, allowed);
}

/* -- recipe.ini ------------------------------------------------------------------------------------------ */

typedef struct parsing {
    ich_recipe recipe;
    const char *where;
    bool given[SETTINGS], failed;
    ich_error error;
} parsing;

/* inih calls it for each "name = value". Names are unique: sections are for the reader. */
static int take(void *user, const char *section, const char *name, const char *value) {
    (void)section;
    parsing *p = user;
    if (p->failed) return 0; /* the first mistake is the one to tell */
    const ich_setting *setting = find(name);
    if (setting && p->given[setting - settings])
        p->failed = !ich_fail(&p->error, "%s: %s is given twice, the second time as '%.100s': remove one",
                              p->where, name, value);
    else
        p->failed = !ich_recipe_set(&p->recipe, name, value, p->where, &p->error);
    if (setting) p->given[setting - settings] = true;
    return !p->failed;
}

/* inih would take the rest of a line that is too long for its buffer for a line of its own. */
static bool check_lines(const char *text, const char *where, ich_error *err) {
    const size_t most = (size_t)ini_max_line - 2; /* newline and NUL */
    int number = 1;
    for (const char *line = text; *line; number++) {
        const size_t length = strcspn(line, "\n");
        if (length > most)
            return ich_fail(err, "%s: line %d has %zu characters: at most %zu can be read", where, number,
                            length, most);
        line += length + (line[length] == '\n');
    }
    return true;
}

bool ich_recipe_parse(ich_recipe *recipe, const char *text, const char *where, ich_error *err) {
    if (!check_lines(text, where, err)) return false;
    parsing p = {.recipe = *recipe, .where = where};
    ini_allow_multiline = false; /* an indented line is a line, not the rest of the one above */
    const int line = ini_parse_string(text, take, &p);
    if (p.failed) return ich_fail(err, "%s", p.error.text);
    if (line != 0) return ich_fail(err, "%s: line %d is not of the form 'name = value'", where, line);
    *recipe = p.recipe;
    return true;
}

bool ich_recipe_read(ich_recipe *recipe, const char *path, ich_error *err) {
    size_t count;
    char *text = ich_file_read(path, MAX_FILE, &count, err);
    if (!text) return false;
    const bool done = strlen(text) == count ? ich_recipe_parse(recipe, text, path, err)
                                            : ich_fail(err, "%s: no text file: it holds a zero byte", path);
    free(text);
    return done;
}

void ich_recipe_print(const ich_recipe *recipe, FILE *stream) {
    const char *section = "";
    for (int i = 0; i < SETTINGS; i++) {
        const ich_setting *setting = &settings[i];
        if (strcmp(section, setting->section) != 0) {
            fprintf(stream, "%s[%s]\n", *section ? "\n" : "", setting->section);
            section = setting->section;
        }
        fprintf(stream, "%s = ", setting->name);
        kinds[setting->kind].print((const char *)recipe + setting->offset, stream);
        fputc('\n', stream);
    }
}

bool ich_recipe_write(const ich_recipe *recipe, const char *path, ich_error *err) {
    ich_output out;
    if (!ich_output_open(&out, path, err)) return false;
    ich_recipe_print(recipe, out.stream);
    return ich_output_commit(&out, err);
}

/* -- what others make of it ------------------------------------------------------------------------------ */

bool ich_recipe_preprocess(const ich_recipe *recipe, ich_preprocess *out, ich_error *err) {
    *out = (ich_preprocess){.size = recipe->size};
    if (parse_windows(recipe->windows, out)) return true;
    char allowed[ROOM];
    allow_windows(allowed);
    return ich_fail(err, "windows is '%s': give %s", recipe->windows, allowed);
}

int ich_recipe_chunk(const ich_recipe *recipe) {
    enum { SLICES = 32, SIZE = 224, LEAST = 4, MOST = 256 };
    if (recipe->chunk > 0) return recipe->chunk;
    const int64_t pixels = (int64_t)recipe->size * recipe->size, room = (int64_t)SLICES * SIZE * SIZE;
    const int64_t slices = room / (pixels > 0 ? pixels : 1);
    return (int)(slices < LEAST ? LEAST : slices > MOST ? MOST : slices);
}

ich_augment ich_recipe_augment(const ich_recipe *recipe) {
    return (ich_augment){.flip = recipe->flip,
                         .rotate = (float)recipe->rotate,
                         .scale = (float)recipe->scale,
                         .shift = (float)recipe->shift,
                         .hu = (float)recipe->hu,
                         .contrast = (float)recipe->contrast};
}

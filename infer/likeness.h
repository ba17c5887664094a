/* likeness.h: is a study like those that the model learned from?
 *
 * A network answers whatever it is shown. So training leaves a few plain statistics of its studies in the
 * model file (metadata `inputs`), and prediction names each study that lies outside of them: too few slices,
 * another part of the body, contrast medium, wrong units. The statistics are of what the network sees: for
 * each channel, the share of pixels below its window, above it, and the mean of the rest; and how many slices
 * there are.
 *
 * Calls: data (preprocess). Called by: study, predict, train/loop, tests.
 */
#ifndef ICH_INFER_LIKENESS_H
#define ICH_INFER_LIKENESS_H

#include "data/preprocess.h"

#define ICH_INPUTS "inputs" /* key of the metadata */
enum { ICH_TRAITS = 2 + 3 * ICH_MAX_CHANNELS, ICH_LIKENESS_STUDIES = 256 };

/* One study, slice by slice. Begin with {0}. */
typedef struct ich_look {
    uint64_t slices, pixels;
    uint64_t below[ICH_MAX_CHANNELS], above[ICH_MAX_CHANNELS],
        inside[ICH_MAX_CHANNELS]; /* inside: sum of bytes */
} ich_look;
void ich_look_add(ich_look *look, const ich_preprocess *preprocess, const uint8_t *bytes);

/* What training studies spanned. Begin with {0}. */
typedef struct ich_likeness {
    int studies, traits;
    double low[ICH_TRAITS], high[ICH_TRAITS], sum[ICH_TRAITS], squares[ICH_TRAITS];
} ich_likeness;
void ich_likeness_learn(ich_likeness *likeness, const ich_preprocess *preprocess, const ich_look *look);

/* As text and back; fails on a text that this preprocessing did not make. Free with free(). */
char *ich_likeness_text(const ich_likeness *likeness, ich_error *err);
bool ich_likeness_parse(ich_likeness *likeness, const ich_preprocess *preprocess, const char *text,
                        ich_error *err);

/* False, with what is unusual about it in `reason`, if a trait lies outside of what training spanned by more
 * than half of that span + 2 standard deviations + a least distance (likeness.c). */
bool ich_likeness_judge(const ich_likeness *likeness, const ich_preprocess *preprocess, const ich_look *look,
                        char *reason, size_t room);

#endif

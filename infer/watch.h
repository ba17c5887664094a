/* watch.h: a folder whose every arrival is answered once and sorted into one worklist.
 *
 * An arrival is what appears in the folder: a .nii or .nii.gz file, or a folder of DICOM or with a dataset.
 * It is taken when size and time of all its files have stayed the same for a moment, so that a copy under way
 * is left to grow. Each is answered into out/arrivals/<its name>/, whose arrival.csv (`key,value`: files,
 * bytes, modified) says which state of it that was, and whose studies.csv is written last; after every
 * arrival out/studies.csv (most probable first), slices.csv, flagged.csv, skipped.csv and about.csv are put
 * together from all of them. So whatever is killed at whatever moment, the next start finds what is done,
 * does the rest, and has each study once. A file that is replaced by another is answered anew.
 *
 * Calls: predict, data (csv, file, skipped). Called by: cli.
 */
#ifndef ICH_INFER_WATCH_H
#define ICH_INFER_WATCH_H

#include "infer/predict.h"

typedef struct ich_watch {
    const char *folder, *out;
    ich_predict_options predict;
    double pause;             /* seconds between looks; an arrival must stay the same from one to the next */
    const volatile int *stop; /* nonzero: end after the study at hand is given up */
    /* Each arrival, when it is done: the predictions folder of its own. NULL: nobody wants to know. */
    void (*arrived)(void *self, const char *predictions);
    void *self;
} ich_watch;

/* Returns true when *stop is raised; the number of inputs left out goes to *skipped. */
bool ich_watch_run(const ich_watch *watch, const ich_model *model, size_t *skipped, ich_error *err);

#endif

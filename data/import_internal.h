/* import_internal.h: what the files of the importer share; nobody outside data/import*.c includes it.
 *
 *   import.c         the table of kinds; the files of a dataset
 *   import_files.c   what is in the source
 *   import_ledger.c  what has been done already
 *   import_dicom.c   rsna, cq500, dicom (see import_dicom.h)
 *   import_nifti.c   nifti, and the volumes of ct-ich
 *   import_ct_ich.c  ct-ich
 *   import_labels.c  tables of labels, each in its own form
 */
#ifndef ICH_DATA_IMPORT_INTERNAL_H
#define ICH_DATA_IMPORT_INTERNAL_H

#include "dataset.h"
#include "import.h"
#include "import_files.h"
#include "import_ledger.h"

/* An import under way. */
typedef struct ich_job {
    const ich_import *options;
    const struct ich_kind *kind;
    const ich_progress *progress;
    const volatile int *stop;
    ich_error *err; /* the run's; set once something fails that ends it */
    bool failed;

    char *table; /* path of the CSV with the labels, or NULL */
    ich_files files;
    ich_ledger ledger;
    char *volumes; /* OUT/volumes */

    /* What it makes. */
    ich_dataset dataset; /* studies by study_id; slice labels where there are any */
    size_t n_slices;     /* of all volumes */
    ich_skipped skipped;
    struct ich_note {
        char *study_id, *text;
    } * notes;
    size_t n_notes;
} ich_job;

typedef struct ich_kind {
    const char *name;
    const char *table;      /* usual name of its table of labels; NULL: only if --labels names one */
    const char *folders[2]; /* of the source: the first that there is is where its files are */
    bool split;             /* divided into train, val and test */
    bool (*run)(ich_job *job, ich_error *err);
} ich_kind;

bool ich_import_rsna(ich_job *job, ich_error *err);
bool ich_import_cq500(ich_job *job, ich_error *err);
bool ich_import_dicom(ich_job *job, ich_error *err);
bool ich_import_ct_ich(ich_job *job, ich_error *err);
bool ich_import_nifti(ich_job *job, ich_error *err);

/* Lists the source's files and opens the ledger. */
bool ich_job_open(ich_job *job, size_t record_bytes, ich_error *err);
bool ich_job_note(ich_job *job, const char *study_id, const char *text);
/* Room for a study at the end of the dataset; its labels unknown. NULL if memory is out. */
ich_study *ich_job_add_study(ich_job *job, const char *study_id, const char *patient_id, ich_error *err);
/* Room for the labels of a study's slices, all unknown. */
bool ich_job_add_slices(ich_study *study, int n, ich_error *err);
char *ich_job_volume_path(const ich_job *job, const char *study_id); /* fresh memory */

/* Converts every volume of the source, then asks `label` for the labels of each study that was added, in
 * order. */
typedef bool ich_label_function(void *self, ich_study *to, int slices, ich_error *err);
bool ich_import_volumes(ich_job *job, ich_label_function *label, void *self, ich_error *err);

/* -- import_labels.c ---------------------------------------------------------------------------------------
 */

/* A table of study labels: `study_id`, any of the six labels, perhaps `patient_id`; sorted for search. */
typedef struct ich_label_table {
    struct ich_label_row {
        uint64_t key; /* SHA-256 of study_id, so that no id need be kept to be compared */
        float label[ICH_LABELS];
        char *patient_id; /* NULL where not given */
        size_t line;
        bool used;
    } * rows;
    size_t n;
} ich_label_table;
bool ich_label_table_read(ich_label_table *table, const char *path, ich_error *err);
bool ich_label_table_read_cq500(ich_label_table *table, const char *path, ich_error *err);
void ich_label_table_free(ich_label_table *table);
struct ich_label_row *ich_label_table_find(const ich_label_table *table, uint64_t key);
/* Tells how many rows are about no study. */
void ich_job_tell_unused(const ich_job *job, const ich_label_table *table);
uint64_t ich_cq500_key(const char *name, size_t length); /* of a name in reads.csv, or something like it */

/* Labels of images by the hash of the image's id. */
typedef struct ich_image_labels {
    struct ich_image_row {
        uint64_t key;
        int8_t label[ICH_LABELS]; /* 0, 1; -1 unknown */
        bool used;
    } * rows;
    size_t n;
    size_t n_conflicts; /* given twice, differently: unknown */
} ich_image_labels;
bool ich_image_labels_read_rsna(ich_image_labels *labels, const char *path, ich_error *err);
void ich_image_labels_free(ich_image_labels *labels);
struct ich_image_row *ich_image_labels_find(const ich_image_labels *labels, const char *id, size_t length);

/* A study's labels from those of its slices: 1 where any slice has 1, 0 where all have 0, else unknown. */
void ich_labels_of_slices(ich_study *study);

#endif

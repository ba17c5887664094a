/* import_dicom.h: what the files of a DICOM import share; nobody outside data/import_*.c includes it.
 *
 *   import_scan.c     every header is read once and kept as a record of fixed size
 *   import_choose.c   studies and series are put together from the records, a series is chosen for each study
 *   import_convert.c  the chosen series are decoded straight into volumes
 *   import_dicom.c    identities, labels, what was left out
 *
 * Scanning and converting run in worker processes. What is chosen depends on the headers alone, never on
 * which pixels could be decoded, so that an import that was interrupted chooses the same.
 */
#ifndef ICH_DATA_IMPORT_DICOM_H
#define ICH_DATA_IMPORT_DICOM_H

#include "dicom_series.h"
#include "import_internal.h"

enum {                         /* of processor time */
       ICH_HEADER_SECONDS = 1, /* a header takes a millisecond, one of 16,000 frames a third of a second */
       ICH_SLICE_SECONDS = 2,  /* a slice takes 2 ms, in JPEG 2000 some 50 */
};
static const size_t ich_item_memory = (size_t)256 << 20; /* for a worker, besides the volume that it makes */
static const size_t ich_most_voxels = (size_t)1 << 29;   /* of a volume: 2,048 slices of 512 × 512 */

typedef enum ich_record_state {
    ICH_NEW,
    ICH_READ,
    ICH_REFUSED,  /* by its header */
    ICH_LEFT_OUT, /* by what was found while its series was converted */
} ich_record_state;

/* What is kept of a file. Plain bytes: it lies in a mapped file that outlives a killed import. */
typedef struct ich_record {
    uint64_t check;                             /* FNV-1a of all that follows, but for the state */
    uint64_t study, series, patient, accession; /* SHA-256 of the identifiers; 0 where there is none */
    ich_dicom_plane plane;                      /* of the first frame */
    double thickness;
    int32_t series_number, acquisition, instance, frames, rows, columns;
    bool contrast, sharp;
    char study_id[ICH_DICOM_TEXT];   /* as it is written */
    char patient_id[ICH_DICOM_TEXT]; /* …; "": named after the patient's first study */
    uint8_t state;
} ich_record;

typedef struct ich_scan_study {
    size_t first, count;     /* its records, in `order` */
    size_t chosen, n_chosen; /* those of the series that is converted */
    size_t first_of_patient; /* the patient's first study */
    bool is_only;            /* … is this one, and there is no other */
    uint64_t key;            /* in the ledger */
    int slices;              /* 0: it failed, for the reason in `text` */
    char *text;              /* or remarks, a line each */
} ich_scan_study;

typedef struct ich_dicom_job {
    ich_job *job;
    ich_record *records; /* [files] */
    size_t *order; /* indices of the records that are ICH_READ or ICH_LEFT_OUT, by study, series, file */
    size_t n_order;
    ich_scan_study *studies;
    size_t n_studies, n_done;
    size_t *todo; /* studies that are not in the ledger */
    size_t n_todo;
    size_t most; /* voxels of the largest volume */
    ich_label_table table;
    bool is_cq500;
} ich_dicom_job;

bool ich_import_scan(ich_dicom_job *dj, ich_error *err);
bool ich_import_choose(ich_dicom_job *dj, ich_error *err);
bool ich_import_convert(ich_dicom_job *dj, ich_error *err);

/* The record at a place in `order`, and one of its frames for dicom_series. */
const ich_record *ich_record_at(const ich_dicom_job *dj, size_t place);
ich_frame ich_record_frame(const ich_dicom_job *dj, size_t place, int frame, const ich_dicom_plane *plane);

/* A file's reason without the path that it begins with: skipped.csv has a column for that. */
struct ich_worker;
void ich_tell_reason(struct ich_worker *worker, const ich_job *job, size_t file, const char *reason);
/* The import as a whole has failed if `done` is false; job->err says why. */
void ich_job_hold(ich_job *job, bool done);

#endif

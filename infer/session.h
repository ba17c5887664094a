/* session.h: a model and volumes in memory, for programs that hold their own pixels and for other languages:
 * only pointers, numbers and plain arrays cross (python/ichor.py is the example).
 *
 * The answers are those that `ichor predict` writes for the same volume, bit by bit. One session answers one
 * volume at a time. Threads: ich_team_set (tensor/team.h), once before the first answer; kernels:
 * ich_kernels_select.
 *
 * Calls: model, study, likeness, data (volume). Called by: programs that link libichor.
 */
#ifndef ICH_INFER_SESSION_H
#define ICH_INFER_SESSION_H

#include "data/labels.h"
#include "tensor/error.h"
#include <stdint.h>

typedef struct ich_session ich_session;

enum { ICH_UNLIKE = 200 };

/* One study's answer, in the caller's memory. Slices are in the order of slice_index (the contract's): along
 * the stored axis that runs closest to foot-head, nearly always the third. */
typedef struct ich_reading {
    int room;                    /* slices that `slice` and `attention` have room for */
    int slices;                  /* how many the volume has */
    double study[ICH_LABELS];    /* probabilities 0 to 1, in the order of ich_label_names */
    double (*slice)[ICH_LABELS]; /* [room] probabilities */
    double *attention;           /* [room], sums to 1 */
    char unlike[ICH_UNLIKE]; /* how the study is unlike those that the model learned from; "" if it is not */
} ich_reading;

/* `model`: a model file, or a run folder that holds model.safetensors. NULL with a reason. */
ich_session *ich_session_open(const char *model, ich_error *err);
void ich_session_close(ich_session *session);

/* hu [size[2]][size[1]][size[0]], affine: as ich_volume_make (data/volume.h) takes them. Fails as it does, on
 * too little room (size[2], and the greatest size always suffices), when memory is out, and when the answer
 * is not finite. */
bool ich_session_read(ich_session *session, const int size[3], const double affine[4][4], const int16_t *hu,
                      ich_reading *reading, ich_error *err);

#endif

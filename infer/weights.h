/* weights.h: a CNN's weights as other programs save them: a safetensors file with torchvision's names (timm's
 * are the same for these networks) and without Ichor's metadata.
 *
 * Every array of the CNN must be there in its shape, so 3 channels in are checked; the classifier of 1000
 * classes (fc, classifier) is left behind, and so is what Ichor has no use for (num_batches_tracked). Pixels
 * reach the network as (x - 0.5) / 0.25, near torchvision's (x - 0.45) / 0.225.
 *
 * Calls: model, data (safetensors). Called by: train.
 */
#ifndef ICH_INFER_WEIGHTS_H
#define ICH_INFER_WEIGHTS_H

#include "infer/model.h"

/* Whether `path` is such a file: false for a model of Ichor's, a folder, and what cannot be read. */
bool ich_weights_are_foreign(const char *path);

/* Copies the CNN's weights and records where they are from; `copied`: arrays. Fails, with the array's name,
 * if one is missing or has another shape. */
bool ich_weights_adopt(ich_model *model, const char *path, int *copied, ich_error *err);

#endif

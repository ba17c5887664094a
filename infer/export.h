/* export.h: a model as an ONNX file (onnx.h) that ONNX Runtime runs to the answers of `predict`.
 *
 * Input:   images [slices, channels, size, size], float32: the slices of one study from foot to head, each
 *          preprocessed as the file's metadata says (it is what `audit --dump` writes to input.npy, there as
 *          N,H,W,C).
 * Outputs: study_probability [1, 6], slice_probability [slices, 6]: of the labels in the metadata's order;
 *          slice_attention [slices], which sums to 1.
 * Values and weights keep the names of the model file.
 *
 * Calls: onnx, model, layers (graph, registry), data (file, labels). Called by: cli.
 */
#ifndef ICH_INFER_EXPORT_H
#define ICH_INFER_EXPORT_H

#include "infer/model.h"

bool ich_export_onnx(const ich_model *model, const char *path, ich_error *err);

/* Whether a layer can be exported (tests). */
bool ich_export_knows(const char *op);

#endif

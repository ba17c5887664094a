/* provenance.h: where a model comes from, as its file tells: program and compiler, kernels, data, seed,
 * recipe, the training log's last line; then the same of the model it was trained from, back to random
 * numbers.
 *
 * Metadata of the file: verb, dataset (ich_dataset_fingerprint), seed, program, kernels, parent (the hash of
 * the model it started from), ancestry (the parent's record and its own ancestry, as text), log.
 *
 * Calls: model. Called by: inspect, train/loop, cli.
 */
#ifndef ICH_INFER_PROVENANCE_H
#define ICH_INFER_PROVENANCE_H

#include "infer/model.h"

#define ICH_META_ANCESTRY "ancestry"

/* Identity of a model: FNV-1a over its numbers. */
void ich_provenance_hash(const ich_model *model, char hex[17]);

/* Program, compiler and active kernels, which a model records when it is made. */
bool ich_provenance_stamp(ich_model *model, ich_error *err);
/* `parent` and `ancestry` of a model that starts from another one's weights. */
bool ich_provenance_inherit(ich_model *model, const ich_model *parent, ich_error *err);

/* The whole chain, oldest last. */
bool ich_provenance_print(const ich_model *model, FILE *out, ich_error *err);
/* A model card in Markdown (Mitchell et al. 2019, arXiv 1810.03993) of what the file knows. */
bool ich_provenance_card(const ich_model *model, FILE *out, ich_error *err);

#endif

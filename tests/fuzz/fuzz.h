/* fuzz.h: what the fuzz targets share. A target is a file fuzz_<what>.c with the one function that libFuzzer
 * calls; the same file with replay.c instead of libFuzzer is a test that any compiler can build.
 */
#ifndef ICH_TESTS_FUZZ_H
#define ICH_TESTS_FUZZ_H

#include "tensor/error.h"
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count); /* libFuzzer's name for it; always 0 */

/* The path of `name` in a folder of this process, which goes when the process ends; $TMPDIR, or /tmp, holds
 * it. Valid until the eighth call after this one. */
const char *fuzz_path(const char *name);
const char *fuzz_write(const char *name, const void *bytes, size_t count);

/* Where `mark` stands, a file of several parts is cut. The part before it; *rest and *rest_count are what is
 * behind, empty where there is no mark. */
size_t fuzz_cut(const uint8_t *bytes, size_t count, const char *mark, const uint8_t **rest,
                size_t *rest_count);

/* Aborts, which both libFuzzer and a test notice. */
void fuzz_hold(bool holds, const char *what);
/* A refusal must be one line, and name the file (or whatever it begins with) and a reason. */
void fuzz_refused(const ich_error *err, const char *begins);

#endif

/* NIfTI and Analyze volumes. The first byte says how the rest is stored: '0' as .nii (zlib unpacks it if it
 * is gzip's), '1' packed here and read as .nii.gz, '2' a pair, whose header of 348 bytes comes first. */
#include "data/volume.h"
#include "fuzz.h"
#include <string.h>
#include <zlib.h>

enum { MOST_COPIED = 1 << 16 }; /* voxels */

static const char *pack(const uint8_t *bytes, size_t count) {
    const char *path = fuzz_path("v.nii.gz");
    gzFile file = gzopen(path, "wb1");
    fuzz_hold(file && (count == 0 || gzwrite(file, bytes, (unsigned)count) == (int)count), "gzip works");
    fuzz_hold(gzclose(file) == Z_OK, "gzip works");
    return path;
}

static const char *put_pair(const uint8_t *bytes, size_t count) {
    const size_t header = count < 348 ? count : 348;
    fuzz_write("v.img", bytes + header, count - header);
    return fuzz_write("v.hdr", bytes, header);
}

/* What was read can be written, and is read again as it was. */
static void check_copy(const ich_volume *volume) {
    const char *copy = fuzz_path("copy.nii");
    const size_t voxels = (size_t)volume->width * (size_t)volume->height * (size_t)volume->slices;
    ich_volume again;
    ich_error err = {""};
    if (voxels > MOST_COPIED) return;
    if (!ich_volume_write(copy, volume, &err) || !ich_volume_read(&again, copy, &err))
        fuzz_hold(false, err.text);
    fuzz_hold(!memcmp(again.hu, volume->hu, voxels * sizeof *again.hu), "a copy has the same voxels");
    ich_volume_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    if (count == 0) return 0;
    const uint8_t *rest = bytes + 1;
    const char *path = *bytes == '1'   ? pack(rest, count - 1)
                       : *bytes == '2' ? put_pair(rest, count - 1)
                                       : fuzz_write("v.nii", rest, count - 1);
    ich_volume volume;
    ich_error err = {""};
    if (!ich_volume_read(&volume, path, &err)) {
        fuzz_refused(&err, *bytes == '2' ? fuzz_path("v.") : path);
        return 0;
    }
    fuzz_hold(volume.width > 0 && volume.height > 0 && volume.slices > 0, "a volume has voxels");
    for (int z = 0; z < volume.slices; z++) {
        const int stored = ich_volume_stored_slice(&volume, z);
        fuzz_hold(stored >= 0 && stored < volume.slices, "a slice is one of the stored");
    }
    check_copy(&volume);
    ich_volume_free(&volume);
    return 0;
}

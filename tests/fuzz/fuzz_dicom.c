/* One DICOM file: header, geometry, and the pixels of its first frames, in this process. What crashes inside
 * DCMTK's or OpenJPEG's own functions is not Ichor's to mend: the program reads such files in worker
 * processes (data/dicom_worker.h). What crashes in data/dicom*, or is handed to them unchecked, is. */
#include "data/dicom.h"
#include "fuzz.h"
#include <stdlib.h>

enum { FRAMES = 3 };

static void read_frame(const ich_dicom *dicom, int frame) {
    ich_dicom_plane plane;
    ich_error err = {""};
    if (!ich_dicom_plane_of(dicom, frame, &plane, &err)) {
        fuzz_refused(&err, dicom->path);
        return;
    }
    int16_t *hu = malloc((size_t)dicom->rows * (size_t)dicom->columns * sizeof *hu);
    fuzz_hold(hu != NULL, "a slice fits into memory");
    if (!ich_dicom_hu(dicom, &plane, frame, hu, &err)) fuzz_refused(&err, dicom->path);
    free(hu);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    const char *path = fuzz_write("s.dcm", bytes, count);
    ich_error err = {""};
    fuzz_hold(ich_dicom_prepare(&err), "DCMTK works");
    for (int pixels = 0; pixels < 2; pixels++) {
        ich_dicom dicom;
        if (!ich_dicom_open(&dicom, path, pixels, &err)) {
            fuzz_refused(&err, path);
            continue;
        }
        for (int i = 0; pixels && i < dicom.frames && i < FRAMES; i++) read_frame(&dicom, i);
        ich_dicom_close(&dicom);
    }
    return 0;
}

#include "dicom_maker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char ct_class[] = "1.2.840.10008.5.1.4.1.1.2";

/* -- elements (PS3.5 7.1.2) ------------------------------------------------------------------------------ */

static void put(FILE *f, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) fputc((int)(value >> 8 * i & 0xff), f);
}

static void put_tag(FILE *f, uint32_t tag, const char *vr) {
    put(f, tag >> 16, 2);
    put(f, tag & 0xffff, 2);
    fwrite(vr, 1, 2, f);
}

static void put_text(FILE *f, uint32_t tag, const char *vr, const char *text) {
    if (!text) return;
    const size_t n = strlen(text);
    put_tag(f, tag, vr);
    put(f, (uint32_t)(n + n % 2), 2);
    fwrite(text, 1, n, f);
    if (n % 2) fputc(strcmp(vr, "UI") ? ' ' : '\0', f);
}

static void put_short(FILE *f, uint32_t tag, int value) {
    put_tag(f, tag, "US");
    put(f, 2, 2);
    put(f, (uint32_t)value, 2);
}

static void put_int(FILE *f, uint32_t tag, int value) {
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    put_text(f, tag, "IS", text);
}

static void open_sequence(FILE *f, uint32_t tag) {
    put_tag(f, tag, "SQ");
    put(f, 0, 2);
    put(f, UINT32_MAX, 4);
}
static void put_delimiter(FILE *f, uint32_t tag, uint32_t length) {
    put(f, tag >> 16, 2);
    put(f, tag & 0xffff, 2);
    put(f, length, 4);
}
static void open_item(FILE *f) { put_delimiter(f, 0xfffee000, UINT32_MAX); }
static void close_item(FILE *f) { put_delimiter(f, 0xfffee00d, 0); }
static void close_sequence(FILE *f) { put_delimiter(f, 0xfffee0dd, 0); }

/* -- a file ---------------------------------------------------------------------------------------------- */

static void put_meta(FILE *f, const made_slice *s) {
    const char zeros[128] = {0};
    fwrite(zeros, 1, sizeof zeros, f);
    fputs("DICM", f);
    put_text(f, 0x00020002, "UI", s->sop_class ? s->sop_class : ct_class);
    put_text(f, 0x00020003, "UI", s->image);
    put_text(f, 0x00020010, "UI", s->syntax);
}

static void put_group(FILE *f, uint32_t sequence, uint32_t tag, const char *text, uint32_t tag2,
                      const char *text2) {
    if (!text && !text2) return;
    open_sequence(f, sequence);
    open_item(f);
    put_text(f, tag, "DS", text);
    if (text2) put_text(f, tag2, "DS", text2);
    close_item(f);
    close_sequence(f);
}

/* PS3.3 C.7.6.16: what all frames share, then what each has of its own. */
static void put_groups(FILE *f, const made_slice *s) {
    open_sequence(f, 0x52009229);
    open_item(f);
    put_group(f, 0x00209116, 0x00200037, s->orientation, 0, NULL);
    put_group(f, 0x00289110, 0x00180050, s->thickness, 0x00280030, s->spacing);
    put_group(f, 0x00289145, 0x00281052, s->intercept, 0x00281053, s->slope);
    close_item(f);
    close_sequence(f);
    open_sequence(f, 0x52009230);
    for (int i = 0; i < s->frames; i++) {
        open_item(f);
        put_group(f, 0x00209113, 0x00200032, s->frame_position[i], 0, NULL);
        put_group(f, 0x00289145, 0x00281052, s->frame_intercept[i], 0x00281053, s->frame_slope[i]);
        close_item(f);
    }
    close_sequence(f);
}

static void put_pixels(FILE *f, const made_slice *s) {
    if (!s->pixels) return;
    put_tag(f, 0x7fe00010, s->pixel_vr ? s->pixel_vr : s->bits_allocated > 8 ? "OW" : "OB");
    put(f, 0, 2);
    put(f, (uint32_t)(s->pixel_bytes + s->pixel_bytes % 2), 4);
    fwrite(s->pixels, 1, s->pixel_bytes, f);
    if (s->pixel_bytes % 2) fputc(0, f);
}

static void put_identity(FILE *f, const made_slice *s) {
    put_text(f, 0x00080008, "CS", s->image_type);
    put_text(f, 0x00080016, "UI", s->sop_class);
    put_text(f, 0x00080018, "UI", s->image);
    put_text(f, 0x00080050, "SH", s->accession);
    put_text(f, 0x00080060, "CS", s->modality);
    put_text(f, 0x0008103e, "LO", s->description);
    put_text(f, 0x00100010, "PN", "Secret^Name");
    put_text(f, 0x00100020, "LO", s->patient);
    put_text(f, 0x00100030, "DA", "19510203");
    put_text(f, 0x00180010, "LO", s->agent);
    if (!s->frames) put_text(f, 0x00180050, "DS", s->thickness);
    put_text(f, 0x00181210, "SH", s->kernel);
    put_text(f, 0x0020000d, "UI", s->study);
    put_text(f, 0x0020000e, "UI", s->series);
    put_int(f, 0x00200011, s->series_number);
    if (s->acquisition) put_int(f, 0x00200012, s->acquisition);
    put_int(f, 0x00200013, s->instance);
}

static void put_shape(FILE *f, const made_slice *s) {
    put_short(f, 0x00280002, s->samples);
    put_text(f, 0x00280004, "CS", s->photometric);
    if (s->frames) put_int(f, 0x00280008, s->frames);
    put_short(f, 0x00280010, s->rows);
    put_short(f, 0x00280011, s->columns);
    if (!s->frames) put_text(f, 0x00280030, "DS", s->spacing);
    put_short(f, 0x00280100, s->bits_allocated);
    put_short(f, 0x00280101, s->bits_stored);
    put_short(f, 0x00280102, s->high_bit);
    put_short(f, 0x00280103, s->is_signed);
    if (s->has_padding) put_short(f, 0x00280120, s->padding);
    if (s->has_padding && s->padding_limit != s->padding) put_short(f, 0x00280121, s->padding_limit);
}

void made_write(const char *path, const made_slice *s) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    put_meta(f, s);
    put_identity(f, s);
    if (!s->frames) {
        put_text(f, 0x00200032, "DS", s->position);
        put_text(f, 0x00200037, "DS", s->orientation);
    }
    put_shape(f, s);
    if (!s->frames) {
        put_text(f, 0x00281052, "DS", s->intercept);
        put_text(f, 0x00281053, "DS", s->slope);
    }
    for (int i = 0; i < s->nested; i++) {
        open_sequence(f, 0x0040a730);
        open_item(f);
    }
    if (s->frames) put_groups(f, s);
    put_pixels(f, s);
    assert_int_equal(fclose(f), 0);
}

made_slice made_default(void) {
    static int16_t pixels[12];
    for (int i = 0; i < 12; i++) pixels[i] = (int16_t)i;
    return (made_slice){.syntax = "1.2.840.10008.1.2.1",
                        .sop_class = ct_class,
                        .image_type = "ORIGINAL\\PRIMARY\\AXIAL",
                        .modality = "CT",
                        .study = "1.2.3",
                        .series = "1.2.3.1",
                        .image = "1.2.3.1.1",
                        .patient = "MRN-4711",
                        .photometric = "MONOCHROME2",
                        .slope = "1",
                        .intercept = "0",
                        .series_number = 1,
                        .instance = 1,
                        .samples = 1,
                        .rows = 3,
                        .columns = 4,
                        .bits_allocated = 16,
                        .bits_stored = 16,
                        .high_bit = 15,
                        .is_signed = 1,
                        .position = "0\\0\\0",
                        .orientation = "1\\0\\0\\0\\1\\0",
                        .spacing = "0.5\\0.25",
                        .thickness = "5",
                        .pixels = pixels,
                        .pixel_bytes = sizeof pixels};
}

const char *made_position(double x, double y, double z) {
    static char texts[8][80];
    static unsigned next;
    char *text = texts[next++ % 8];
    snprintf(text, sizeof texts[0], "%.10g\\%.10g\\%.10g", x, y, z);
    return text;
}

void made_series(const char *folder, const made_slice *like, int n) {
    mkdir(folder, 0777);
    for (int i = 0; i < n; i++) {
        const int k = i % 2 ? i / 2 : n - 1 - i / 2;
        int16_t pixels[64];
        made_slice s = *like;
        char path[600], image[80];
        assert_true(s.rows * s.columns <= 64);
        for (int p = 0; p < s.rows * s.columns; p++) pixels[p] = (int16_t)(100 * k + p);
        snprintf(path, sizeof path, "%s/%s-%d.dcm", folder, s.series, i);
        snprintf(image, sizeof image, "%s.%d", s.series, k + 1);
        s.image = image;
        s.instance = k + 1;
        s.position = made_position(0, 0, 5 * k);
        s.pixels = pixels;
        s.pixel_bytes = (size_t)(s.rows * s.columns) * 2;
        made_write(path, &s);
    }
}

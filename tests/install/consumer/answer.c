/* answer.c: the least program that uses Ichor: it answers one volume, slice by slice, in the numbers of
 * `ichor predict`.
 *
 *     answer MODEL VOLUME.nii.gz
 */
#include <ichor/data/volume.h>
#include <ichor/infer/session.h>
#include <ichor/tensor/team.h>

#include <stdio.h>
#include <stdlib.h>

static int fail(const char *what) {
    fprintf(stderr, "answer: %s\n", what);
    return 1;
}

static void print(const double probability[ICH_LABELS]) {
    for (int l = 0; l < ICH_LABELS; l++) printf("%s%.9g", l == 0 ? "" : ",", probability[l]);
    putchar('\n');
}

/* session.h takes pixels from anywhere; here they come from a file, turned the network's way up. */
static int answer(ich_session *session, const ich_volume *volume) {
    const float *mm = volume->spacing; /* columns run to the patient's left, rows to the back, slices up */
    const double affine[4][4] = {{-mm[0], 0, 0, 0}, {0, -mm[1], 0, 0}, {0, 0, mm[2], 0}, {0, 0, 0, 1}};
    ich_reading reading = {.room = volume->slices,
                           .slice = calloc((size_t)volume->slices, sizeof *reading.slice),
                           .attention = calloc((size_t)volume->slices, sizeof *reading.attention)};
    ich_error err = {0};
    const int size[3] = {volume->width, volume->height, volume->slices};
    const bool done = reading.slice && reading.attention &&
                      ich_session_read(session, size, affine, volume->hu, &reading, &err);
    if (done) {
        print(reading.study);
        for (int z = 0; z < reading.slices; z++) print(reading.slice[z]);
    }
    free(reading.slice);
    free(reading.attention);
    return done ? 0 : fail(err.text);
}

int main(int argc, char **argv) {
    ich_error err = {0};
    ich_volume volume;
    if (argc != 3) return fail("usage: answer MODEL VOLUME.nii.gz");
    ich_team_set(0); /* all cores */
    if (!ich_volume_read(&volume, argv[2], &err)) return fail(err.text);
    ich_session *session = ich_session_open(argv[1], &err);
    const int status = session ? answer(session, &volume) : fail(err.text);
    ich_session_close(session);
    ich_volume_free(&volume);
    return status;
}

#include "infer/session.h"

#include "infer/study.h"
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(ich_error) == 600 && ICH_UNLIKE == 200 && ICH_LABELS == 6,
               "python/ichor.py says so, too");

struct ich_session {
    ich_model model;
    ich_reader reader;
    ich_likeness likeness;
    bool knows_inputs; /* the model says what it learned from */
};

static bool open_reader(ich_session *session, ich_error *err) {
    const char *inputs = ich_model_meta(&session->model, ICH_INPUTS);
    session->knows_inputs = inputs != NULL;
    return ich_reader_open(&session->reader, &session->model, NULL, err) &&
           (inputs == NULL ||
            ich_likeness_parse(&session->likeness, &session->reader.cnn.slices.preprocess, inputs, err));
}

ich_session *ich_session_open(const char *model, ich_error *err) {
    ich_session *session = ich_new(1, sizeof *session, "a session", err);
    if (session == NULL) return NULL;
    if (!ich_model_load(&session->model, model, err)) {
        free(session);
        return NULL;
    }
    if (open_reader(session, err)) return session;
    ich_session_close(session);
    return NULL;
}

void ich_session_close(ich_session *session) {
    if (session == NULL) return;
    ich_reader_close(&session->reader);
    ich_model_free(&session->model);
    free(session);
}

static bool tell(const ich_session *session, const ich_volume *volume, const ich_answer *answer,
                 ich_reading *reading, ich_error *err) {
    reading->slices = answer->slices;
    if (reading->room < answer->slices)
        return ich_fail(err, "the volume: has %d slices, and there is room for the answers of %d",
                        answer->slices, reading->room);
    memcpy(reading->study, answer->study, sizeof reading->study);
    for (int z = 0; z < answer->slices; z++) {
        const int stored = ich_volume_stored_slice(volume, z);
        memcpy(reading->slice[stored], answer->slice[z], sizeof answer->slice[z]);
        reading->attention[stored] = answer->attention[z];
    }
    if (!session->knows_inputs ||
        ich_likeness_judge(&session->likeness, &session->reader.cnn.slices.preprocess, &answer->look,
                           reading->unlike, sizeof reading->unlike))
        reading->unlike[0] = '\0';
    return true;
}

bool ich_session_read(ich_session *session, const int size[3], const double affine[4][4], const int16_t *hu,
                      ich_reading *reading, ich_error *err) {
    ich_volume volume;
    ich_answer answer = {0};
    const bool done = ich_volume_make(&volume, size, affine, hu, err) &&
                      ich_reader_answer(&session->reader, &volume, &answer, err) &&
                      tell(session, &volume, &answer, reading, err);
    ich_answer_free(&answer);
    ich_volume_free(&volume);
    return done;
}

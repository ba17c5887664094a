/* Phantoms: repeatable, truthfully labelled, of plausible density, and different between hospitals. */
#include "data/dataset.h"
#include "data/file.h"
#include "data/synth_internal.h"
#include "data/volume.h"
#include "tensor/team.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/ichor-synth-XXXXXX";

static int make_root(void **state) {
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

static ich_synth options_of(int studies, int size) {
    return (ich_synth){.studies = studies, .seed = 7, .size = size, .prevalence = NAN, .population = 'a'};
}

/* Writes a dataset under root; its folder is fresh memory. */
static char *written(const char *name, const ich_synth *options) {
    char *folder = ich_path_join(root, name);
    ich_error err = {""};
    if (!ich_synth_write(options, folder, NULL, NULL, &err)) fail_msg("%s", err.text);
    return folder;
}

static ich_dataset dataset_of(const char *folder) {
    ich_dataset dataset;
    ich_skipped skipped = {0};
    ich_error err = {""};
    if (!ich_dataset_read(&dataset, folder, true, &skipped, &err)) fail_msg("%s", err.text);
    assert_int_equal(skipped.n_rows, 0);
    return dataset;
}

static bool same_file(const char *a, const char *b) {
    size_t n = 0, m = 0;
    ich_error err;
    char *one = ich_file_read(a, 1 << 26, &n, &err), *two = ich_file_read(b, 1 << 26, &m, &err);
    bool same = one && two && n == m && memcmp(one, two, n) == 0;
    free(one);
    free(two);
    return same;
}

static bool same_in(const char *a, const char *b, const char *name) {
    char *one = ich_path_join(a, name), *two = ich_path_join(b, name);
    bool same = same_file(one, two);
    free(one);
    free(two);
    return same;
}

static void threads_do_not_change_a_byte(void **state) {
    (void)state;
    ich_synth o = options_of(6, 64), other = o;
    o.masks = true;
    ich_team_set(1);
    char *one = written("one", &o);
    ich_team_set(2);
    char *two = written("two", &o);
    other.seed = 8;
    char *third = written("other", &other);
    assert_true(same_in(one, two, "studies.csv"));
    assert_true(same_in(one, two, "slices.csv"));
    for (int i = 0; i < o.studies; i++) {
        char name[64];
        snprintf(name, sizeof name, "volumes/a7-%04d.nii.gz", i);
        assert_true(same_in(one, two, name));
        snprintf(name, sizeof name, "masks/a7-%04d.nii.gz", i);
        assert_true(same_in(one, two, name));
    }
    assert_false(same_in(one, third, "slices.csv"));
    free(one);
    free(two);
    free(third);
}

static void a_study_does_not_depend_on_how_many_follow(void **state) {
    (void)state;
    ich_synth few = options_of(3, 48), many = options_of(12, 48);
    char *one = written("few", &few), *two = written("many", &many);
    for (int i = 0; i < few.studies; i++) {
        char name[64];
        snprintf(name, sizeof name, "volumes/a7-%04d.nii.gz", i);
        assert_true(same_in(one, two, name));
    }
    free(one);
    free(two);
}

static void a_label_is_the_greatest_of_what_it_covers(void **state) {
    (void)state;
    ich_synth o = options_of(30, 64);
    char *folder = written("labels", &o);
    ich_dataset d = dataset_of(folder);
    int seen[ICH_LABELS] = {0};
    for (size_t i = 0; i < d.n_studies; i++) {
        const ich_study *s = &d.studies[i];
        float greatest[ICH_LABELS] = {0};
        for (int z = 0; z < s->n_slice_labels; z++) {
            float types = 0;
            for (int l = 0; l < ICH_LABELS; l++) {
                greatest[l] = fmaxf(greatest[l], s->slice_label[z][l]);
                if (l) types = fmaxf(types, s->slice_label[z][l]);
            }
            assert_true(types == s->slice_label[z][ICH_ANY]);
        }
        for (int l = 0; l < ICH_LABELS; l++) {
            assert_true(greatest[l] == s->label[l]);
            seen[l] += s->label[l] == 1;
        }
    }
    for (int l = 0; l < ICH_LABELS; l++) assert_true(seen[l] > 0);
    ich_dataset_free(&d);
    free(folder);
}

static int positives(const char *name, double prevalence, int studies) {
    ich_synth o = options_of(studies, 48);
    o.prevalence = prevalence;
    char *folder = written(name, &o);
    ich_dataset d = dataset_of(folder);
    int count = 0;
    for (size_t i = 0; i < d.n_studies; i++) count += d.studies[i].label[ICH_ANY] == 1;
    ich_dataset_free(&d);
    free(folder);
    return count;
}

static void prevalence_is_what_was_asked_for(void **state) {
    (void)state;
    assert_int_equal(positives("none", 0, 10), 0);
    assert_int_equal(positives("all", 1, 20), 20);
    assert_in_range(positives("third", 0.3, 40), 9, 15);
    assert_in_range(positives("own", (double)NAN, 40), 17, 23); /* population a: a half */
}

static void some_patients_come_twice(void **state) {
    (void)state;
    ich_synth o = options_of(80, 32);
    char *folder = written("patients", &o);
    ich_dataset d = dataset_of(folder);
    int again = 0;
    for (size_t i = 1; i < d.n_studies; i++)
        again += strcmp(d.studies[i].patient_id, d.studies[i - 1].patient_id) == 0;
    assert_in_range(again, 2, 20);
    ich_dataset_free(&d);
    free(folder);
}

/* -- densities ------------------------------------------------------------------------------------------- */
static ich_scan scan_of(char population, uint32_t study, bool positive, int size) {
    ich_scan scan;
    ich_error err = {""};
    ich_scan_key key = {3, population, study, study};
    if (!ich_scan_make(&scan, &key, size, positive, &err)) fail_msg("%s", err.text);
    return scan;
}

static size_t voxels(const ich_scan *s) { return (size_t)s->size * (size_t)s->size * (size_t)s->slices; }

static double share_between(const ich_scan *s, int lo, int hi) {
    size_t count = 0;
    for (size_t i = 0; i < voxels(s); i++) count += s->hu[i] >= lo && s->hu[i] < hi;
    return (double)count / (double)voxels(s);
}

static void tissues_have_their_density(void **state) {
    (void)state;
    for (uint32_t study = 0; study < 4; study++) {
        ich_scan s = scan_of('a', study, false, 128);
        assert_true(share_between(&s, -1024, -900) > 0.3); /* air around the head */
        assert_true(share_between(&s, 400, 2000) > 0.04);  /* bone */
        assert_true(share_between(&s, 400, 2000) < 0.2);
        assert_true(share_between(&s, -120, -30) > 0.003); /* fat */
        assert_true(share_between(&s, 20, 45) > 0.12);     /* brain */
        assert_true(share_between(&s, 20, 45) >
                    3 * share_between(&s, 45, 90));     /* nothing bright without a bleed */
        assert_true(share_between(&s, -5, 16) > 0.005); /* CSF */
        ich_scan_free(&s);
    }
}

/* Grey matter has 36 HU. Thin blood on bone is blurred into it, so some of what is masked is brighter still.
 */
static void blood_is_brighter_than_brain(void **state) {
    (void)state;
    for (uint32_t study = 0; study < 12; study++) {
        ich_scan s = scan_of('a', study, true, 128);
        size_t masked = 0, bright = 0, bony = 0;
        for (size_t i = 0; i < voxels(&s); i++) {
            masked += s.mask[i] > 0;
            bright += s.mask[i] && s.hu[i] > 42;
            bony += s.mask[i] && s.hu[i] > 120;
        }
        ich_scan_free(&s);
        if (masked == 0 || bright < 0.85 * (double)masked || bony > 0.4 * (double)masked)
            fail_msg("study %u: of %zu voxels %zu are bright, %zu like bone", study, masked, bright, bony);
    }
}

/* Deviation of the difference of voxels two apart, in brain of the middle slices: mostly noise. */
static double grain(const ich_scan *s) {
    double sum = 0;
    size_t count = 0, n = (size_t)s->size * (size_t)s->size;
    for (size_t i = n * (size_t)(s->slices / 3); i < n * (size_t)(2 * s->slices / 3); i++) {
        int a = s->hu[i], b = s->hu[i + 2];
        if (a < 20 || a > 50 || b < 20 || b > 50) continue;
        sum += (double)((a - b) * (a - b));
        count++;
    }
    return sqrt(sum / (double)count);
}

static void hospitals_differ(void **state) {
    (void)state;
    double noise[2] = {0}, pixel[2] = {0}, thickness[2] = {0};
    for (uint32_t study = 0; study < 6; study++)
        for (int b = 0; b < 2; b++) {
            ich_scan s = scan_of(b ? 'b' : 'a', study, false, 96);
            noise[b] += grain(&s) / 6;
            pixel[b] += fabs(s.affine[0][0]) / 6;
            thickness[b] += fabs(s.affine[2][2]) / 6;
            ich_scan_free(&s);
        }
    assert_true(noise[1] > 1.2 * noise[0]);
    assert_true(pixel[1] < 0.95 * pixel[0]);
    assert_true(thickness[1] < 0.9 * thickness[0]);
    ich_error err = {""};
    assert_true(ich_population_find('b', &err)->prevalence < ich_population_find('a', &err)->prevalence);
}

static void an_unknown_hospital_is_an_error(void **state) {
    (void)state;
    ich_error err = {""};
    ich_scan scan;
    assert_false(ich_scan_make(&scan, &(ich_scan_key){1, 'c', 0, 0}, 32, false, &err));
    assert_non_null(strstr(err.text, "population 'c'"));
}

/* -- files ------------------------------------------------------------------------------------------ */
static ich_volume volume_of(const char *folder, const char *room, const char *study_id) {
    char name[96];
    snprintf(name, sizeof name, "%s/%s.nii.gz", room, study_id);
    char *path = ich_path_join(folder, name);
    ich_volume volume;
    ich_error err = {""};
    if (!ich_volume_read(&volume, path, &err)) fail_msg("%s", err.text);
    free(path);
    return volume;
}

static void check_mask(const ich_study *s, const ich_volume *mask) {
    for (int z = 0; z < mask->slices; z++) {
        size_t count[ICH_LABELS] = {0}, n = (size_t)mask->width * (size_t)mask->height;
        for (size_t i = 0; i < n; i++) {
            int type = mask->hu[(size_t)z * n + i];
            assert_in_range(type, 0, ICH_LABELS - 1);
            count[type]++;
        }
        const float *label = s->slice_label[ich_volume_stored_slice(mask, z)];
        for (int l = 1; l < ICH_LABELS; l++) {
            assert_true((count[l] > 0) == (label[l] == 1));
            float area = (float)count[l] * mask->spacing[0] * mask->spacing[1];
            assert_true(count[l] == 0 || area > 25);
        }
    }
}

static void masks_agree_with_labels(void **state) {
    (void)state;
    ich_synth o = options_of(10, 96);
    o.masks = true;
    o.prevalence = 0.8;
    char *folder = written("masks", &o);
    ich_dataset d = dataset_of(folder);
    for (size_t i = 0; i < d.n_studies; i++) {
        ich_volume mask = volume_of(folder, "masks", d.studies[i].study_id);
        assert_int_equal(mask.slices, d.studies[i].n_slice_labels);
        check_mask(&d.studies[i], &mask);
        ich_volume_free(&mask);
    }
    ich_dataset_free(&d);
    free(folder);
}

/* Air voxels in the middle of the lowest slices, on one side of the head's centre (front: -1, back: 1). */
static int sinus_air(const ich_volume *v, int side) {
    int count = 0;
    for (int z = 0; z < 4; z++)
        for (int mm = 20; mm < 60; mm++)
            for (int across = -10; across <= 10; across++) {
                int x = v->width / 2 + (int)((float)across / v->spacing[0]);
                int y = v->height / 2 + side * (int)((float)mm / v->spacing[1]);
                count +=
                    v->hu[((size_t)z * (size_t)v->height + (size_t)y) * (size_t)v->width + (size_t)x] < -400;
            }
    return count;
}

static void every_storage_order_reads_upright(void **state) {
    (void)state;
    ich_synth o = options_of(12, 96);
    char *folder = written("upright", &o);
    ich_dataset d = dataset_of(folder);
    int flips[3] = {0};
    for (size_t i = 0; i < d.n_studies; i++) {
        ich_volume v = volume_of(folder, "volumes", d.studies[i].study_id);
        for (int a = 0; a < 3; a++) flips[a] += v.flipped[a];
        assert_int_equal(v.width, o.size);
        assert_true(v.spacing[0] > 2 && v.spacing[0] < 2.6f && fabsf(v.spacing[2] - 5) < 1e-3f);
        assert_true(sinus_air(&v, -1) > 4 * sinus_air(&v, 1) + 50); /* the nose is in front, and below */
        ich_volume_free(&v);
    }
    for (int a = 0; a < 3; a++) assert_in_range(flips[a], 1, 11);
    ich_dataset_free(&d);
    free(folder);
}

/* -- refusals --------------------------------------------------------------------------------------- */
static void refuse(ich_synth o, const char *folder, const volatile int *stop, const char *word) {
    ich_error err = {""};
    assert_false(ich_synth_write(&o, folder, NULL, stop, &err));
    if (!strstr(err.text, word)) fail_msg("'%s' does not say '%s'", err.text, word);
}

static void nonsense_is_refused_by_name(void **state) {
    (void)state;
    char *folder = ich_path_join(root, "refused");
    ich_synth o = options_of(2, 48), bad;
    bad = o, bad.studies = 0, refuse(bad, folder, NULL, "studies");
    bad = o, bad.size = 5, refuse(bad, folder, NULL, "pixels");
    bad = o, bad.population = 'c', refuse(bad, folder, NULL, "population");
    bad = o, bad.prevalence = 1.5, refuse(bad, folder, NULL, "prevalence");
    assert_false(ich_path_exists(folder));
    free(folder);
}

static void somebodys_own_dataset_is_left_alone(void **state) {
    (void)state;
    char *folder = ich_path_join(root, "mine");
    ich_error err;
    assert_true(ich_folder_make(folder, &err));
    char *path = ich_path_join(folder, "studies.csv");
    const char text[] = "study_id,patient_id,path,any\n050,050,volumes/050.nii.gz,1\n";
    assert_true(ich_file_write(path, text, sizeof text - 1, &err));
    refuse(options_of(1, 48), folder, NULL, "another folder");
    size_t count = 0;
    char *now = ich_file_read(path, 1000, &count, &err);
    assert_string_equal(now, text);
    free(now);
    free(path);
    free(folder);
}

static void a_stop_leaves_no_table(void **state) {
    (void)state;
    int stop = 1;
    char *folder = ich_path_join(root, "stopped"), *path = ich_path_join(folder, "studies.csv");
    refuse(options_of(4, 48), folder, &stop, "stopped");
    assert_false(ich_path_exists(path));
    free(path);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(a_study_does_not_depend_on_how_many_follow),
        cmocka_unit_test(a_label_is_the_greatest_of_what_it_covers),
        cmocka_unit_test(prevalence_is_what_was_asked_for),
        cmocka_unit_test(some_patients_come_twice),
        cmocka_unit_test(tissues_have_their_density),
        cmocka_unit_test(blood_is_brighter_than_brain),
        cmocka_unit_test(hospitals_differ),
        cmocka_unit_test(an_unknown_hospital_is_an_error),
        cmocka_unit_test(masks_agree_with_labels),
        cmocka_unit_test(every_storage_order_reads_upright),
        cmocka_unit_test(nonsense_is_refused_by_name),
        cmocka_unit_test(somebodys_own_dataset_is_left_alone),
        cmocka_unit_test(a_stop_leaves_no_table),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}

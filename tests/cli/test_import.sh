#!/usr/bin/env bash
# import as a user meets it: words, statuses, files, interruption, and predict on a folder of DICOM.
. "$(dirname "$0")/lib.sh"
fixtures=$(realpath "$(dirname "$0")/../data/fixtures/dicom")

study() { mkdir -p "$1" && cp "$fixtures/explicit_signed16.dcm" "$1/slice.dcm"; }

test_a_folder_becomes_a_dataset() {
    study scans
    run 0 import dicom scans data && silent && holds out "data: 1 studies, 1 slices" &&
        header data/studies.csv "study_id,patient_id,path,$labels" && rows data/studies.csv 1 &&
        gone data/skipped.csv data/.import && there data/recipe.ini && no_rests &&
        run 0 predict --help && holds out "folder of DICOM"
}

test_what_is_left_out_is_named() {
    study scans && echo hello >scans/readme.txt
    run 3 import dicom scans data --quiet && said "inputs left out: 1" "data/skipped.csv" &&
        holds data/skipped.csv "readme.txt" "no DICOM file" && rows data/studies.csv 1
}

test_nothing_to_import_is_a_failure() {
    mkdir scans && echo hello >scans/readme.txt
    run 1 import dicom scans data && said "no study could be imported" "readme.txt" && gone data/studies.csv data/.import &&
        run 1 import dicom nowhere other && said "nowhere" && gone other &&
        run 1 import rsna scans other && said "stage_2_train.csv" "--labels" && gone other
}

test_wrong_words_are_told() {
    run 2 import dicm scans data && said "did you mean dicom" && run 2 import dicom scans && said "KIND SRC OUT" &&
        run 2 import dicom scans data --spacing 0 && said "--spacing"
}

test_labels_and_ids_come_from_options() {
    study scans && printf 'study_id,any\n2.25.7,1\n' >labels.csv
    run 0 import dicom scans data --labels labels.csv --keep-ids && holds data/studies.csv "2.25.7,phantom," ",1,,,,," &&
        run 0 import dicom scans again --config data/recipe.ini && same data/studies.csv again/studies.csv
}

test_an_interrupted_import_goes_on() {
    local i status
    for i in $(seq 40); do study "scans/$i"; done # one study, forty times the same slice
    run 3 import dicom scans whole --quiet
    "$ichor" import dicom scans data --quiet >/dev/null 2>err &
    sleep 0.05
    kill -INT $! 2>/dev/null
    status=0
    wait $! || status=$?
    case $status in 130) said "start again" || return ;; 3) ;; *) fail "status $status: $(cat err)" || return ;; esac
    run 3 import dicom scans data --quiet && same whole/studies.csv data/studies.csv &&
        same whole/skipped.csv data/skipped.csv && rows data/skipped.csv 39 && gone data/.import && no_rests
}

test_a_folder_of_dicom_can_be_asked_about() {
    study scans && pretrained model || return
    run 0 predict model scans --out answers && rows answers/studies.csv 1 && there answers/scans/volumes &&
        mkdir empty && run 1 predict model empty --out other && said "studies.csv"
}

test_a_single_dicom_file_can_be_asked_about() {
    study scans && pretrained model || return
    run 0 predict model scans/slice.dcm --out answers && rows answers/studies.csv 1 && rows answers/slices.csv 1 &&
        cp scans/slice.dcm scans/IM0001 && run 0 predict model scans/IM0001 --out more && rows more/studies.csv 1 &&
        echo hello >notes.txt && run 1 predict model notes.txt --out other && said notes.txt "no DICOM file" &&
        run 1 predict model absent.dcm --out other && said absent.dcm "no such file"
}

run_tests

#!/usr/bin/env bash
# Radiology reports to study labels.
. "$(dirname "$0")/lib.sh"

three() { # FILE
    printf '%s\n' study_id,report 'a,"HISTORY: SAH. FINDINGS: Left SDH, 5 mm. IMPRESSION: Left SDH."' \
        'b,No acute intracranial hemorrhage.' 'c,"A tiny subarachnoid hemorrhage cannot be excluded."' >"$1"
}
evidence=$(printf %s "$labels" | sed 's/\([a-z]*\)/\1_evidence/g')

test_labels_and_evidence() {
    three in.csv
    run 0 label-reports in.csv out.csv && silent && header out.csv "study_id,$labels,$evidence" && rows out.csv 3 &&
        holds out.csv "a,1,0,0,0,0,1,Left SDH," "b,0,0,0,0,0,0," "c,,0,0,0,,0,tiny subarachnoid hemorrhage cannot be excluded," &&
        holds out "out.csv: 3 reports: 1 with hemorrhage, 1 without, 1 unknown" && no_rests
}

test_explain_tells_section_finding_and_rule() {
    three in.csv
    run 0 label-reports in.csv out.csv --explain --quiet && silent &&
        holds out "study a" "silent     | SAH." "impression | Left SDH." "doubtful (in doubt by 'cannot be excluded')"
}

test_a_lexicon_is_chosen_and_kept_in_the_recipe() {
    three in.csv
    printf '%s\n' '[finding: epidural]' sdh >mine.txt
    run 0 label-reports in.csv out.csv --lexicon mine.txt && holds out.csv "a,1,1,0,0,0,0," &&
        holds recipe.ini "[label-reports]" "lexicon = mine.txt" &&
        cp out.csv first.csv && run 0 label-reports in.csv out.csv --config recipe.ini && same first.csv out.csv
}

test_bad_input_is_one_line_and_leaves_nothing() {
    three in.csv
    printf 'study_id,words\na,b\n' >columns.csv
    printf '[blood]\nred\n' >bad.txt
    run 1 label-reports columns.csv out.csv && said columns.csv "'report'" && gone out.csv recipe.ini &&
        run 1 label-reports absent.csv out.csv && said absent.csv && gone out.csv &&
        run 1 label-reports in.csv out.csv --lexicon bad.txt && said bad.txt "line 1" && gone out.csv &&
        run 1 label-reports in.csv nowhere/out.csv && said nowhere &&
        run 2 label-reports in.csv && said label-reports && no_rests
}

test_help() {
    run 0 label-reports --help && silent && holds out "Usage: ichor label-reports" "REPORTS.csv OUT.csv" --explain --lexicon=FILE
}

run_tests

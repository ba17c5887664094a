#!/usr/bin/env bash
# Wrong usage: status 2, one line that says what to type instead, nothing written.
. "$(dirname "$0")/lib.sh"

wrong() { # WORD-OF-THE-MESSAGE WORDS...
    local word=$1
    shift
    run 2 "$@" && said "$word" && [ ! -s out ] && gone out-folder || fail "ichor $*"
}

test_unknown_verb_gets_the_nearest_one() {
    wrong "did you mean 'pretrain'?" pretrian && wrong "did you mean 'predict'?" predcit &&
        wrong "there is no verb 'xyzzy'" xyzzy && wrong "options follow the verb" --threads 2
}

test_mistyped_option_gets_the_nearest_one() {
    wrong "did you mean --epochs?" pretrain d --out out-folder --epoch-s 3 &&
        wrong "did you mean --heatmaps?" predict m i --heatmap-s &&
        wrong "there are scales, gradcam" predict m i --out out-folder --heatmap-method magic &&
        wrong "there are any, epidural" predict m i --out out-folder --heatmap-label fracture &&
        wrong "--batch is for another verb" finetune d --out out-folder --batch 4 &&
        wrong "no option --nothing-like-it" synth out-folder --nothing-like-it &&
        wrong "no option -x" synth out-folder -x
}

test_missing_words_and_options_are_named() {
    wrong "ichor synth OUT --studies N" synth && wrong "--studies N is missing" synth out-folder &&
        wrong "DATASET is missing" pretrain && wrong "--out RUN is missing" pretrain d &&
        wrong "DATASET is missing" finetune --out out-folder && wrong "MODEL INPUT --out DIR" predict m &&
        wrong "--out DIR is missing" predict m i && wrong "--out DIR is missing" evaluate p t &&
        wrong "ichor report PREDICTIONS" report && wrong "ichor inspect MODEL" inspect && wrong "ichor export MODEL OUT.onnx" export m &&
        wrong "ichor split DATASET" split && wrong "model --arch" bench && wrong "--arch A is missing" bench model &&
        wrong "--mode train|infer is missing" bench model --arch resnet18
}

test_a_word_too_many_is_named() {
    wrong "'b'" synth a b --studies 3 && wrong "'c'" predict a b c && wrong "'b'" pretrain a b --out out-folder
}

test_options_without_value_or_with_one_too_many() {
    wrong "--epochs needs a value" pretrain d --out out-folder --epochs &&
        wrong "--studies needs a value" synth out-folder --studies &&
        wrong "--heatmaps takes no value" predict m i --heatmaps=yes &&
        wrong "--augment takes no value" pretrain d --out out-folder --augment=no
}

test_values_out_of_bounds_are_refused_with_the_bounds() {
    wrong "from 1 to 1000000" synth out-folder --studies 0 && wrong "whole number" synth out-folder --studies 2.5 &&
        wrong "whole number" synth out-folder --studies many && wrong "whole number" synth out-folder --studies "" &&
        wrong "from 32 to 1024" synth out-folder --studies 1 --size 31 &&
        wrong "from 0 to 1" synth out-folder --studies 1 --prevalence 1.5 &&
        wrong "from 0 to 1" synth out-folder --studies 1 --prevalence nan &&
        wrong "choose a or b" synth out-folder --studies 1 --population c &&
        wrong "--epochs is '-1'" pretrain d --out out-folder --epochs -1 &&
        wrong "--lr is 'fast'" pretrain d --out out-folder --lr fast &&
        wrong "--threads is '-2'" inspect m --threads -2 && wrong "--seed is '1.5'" synth out-folder --seed 1.5 &&
        wrong "from 0 to 1" evaluate p t --out out-folder --threshold 2
}

test_choices_are_listed() {
    wrong "resnet18" pretrain d --out out-folder --arch resnet19 &&
        wrong "adamw|sgd" pretrain d --out out-folder --optimizer adam && wrong "reference" inspect m --kernels sse9 &&
        wrong "choose train or infer" bench model --arch resnet18 --mode both &&
        wrong "resnet18" bench model --arch resnet19 --mode train && wrong "did you mean 'model'?" bench models &&
        wrong "whose sum is 1" split d --fractions 0.5,0.5,0.5 && wrong "whose sum is 1" split d --fractions 0.5,0.5
}

test_thresholds_exclude_each_other() {
    wrong "exclude each other" evaluate p t --out out-folder --threshold 0.4 --target-ppv 0.9 &&
        wrong "exclude each other" evaluate p t --out out-folder --target-sensitivity 0.9 --target-ppv 0.9
}

test_a_strange_name_stays_one_line() {
    wrong "no verb" "$(printf 'a\nb\033[31m')"
}

test_a_contact_sheet_is_written() {
    phantoms d && run 0 preview d sheet.png --studies 3 --size 32 && silent && holds out "row 3: a1-0004: " "sheet.png" &&
        [ "$(head -c 4 sheet.png | tail -c 3)" = PNG ] && rm d/volumes/a1-0000.nii.gz &&
        run 3 preview d again.png --quiet && said a1-0000.nii.gz && there again.png &&
        run 2 preview d sheet.png --windows 40 && said --windows && run 1 preview nowhere x.png && said nowhere && gone x.png
}

run_tests

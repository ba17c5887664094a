#!/usr/bin/env bash
# What a newcomer reads.
. "$(dirname "$0")/lib.sh"

verbs="synth import split preview pretrain finetune predict evaluate compare calibrate report inspect export audit bench"

test_overview_lists_every_verb() {
    local words
    for words in --help -h help; do
        run 0 $words && silent && holds out "Usage: ichor VERB" $verbs || return
    done
}

test_without_a_verb_the_overview_is_shown_and_the_usage_is_wrong() {
    run 2 && holds err "Usage: ichor VERB" $verbs && [ ! -s out ]
}

test_each_verb_has_help_with_its_form_and_the_common_options() {
    local verb
    for verb in $verbs; do
        run 0 $verb --help && silent &&
            holds out "Usage: ichor $verb" --threads=N --seed=N --kernels=TEXT --config=FILE --quiet --help || return
        cp out first
        run 0 help $verb && same out first || return
    done
}

test_help_shows_units_and_defaults() {
    run 0 pretrain --help &&
        holds out "DATASET --out RUN" "--out=RUN" "--size=N" "(pixels) [224]" "--epochs=N" "--lr=X" "[resnet18]" &&
        run 0 finetune --help && holds out --freeze-cnn --no-augment "--lr-cnn=X" "--init=MODEL" &&
        run 0 synth --help && holds out "--studies=N" "[256]" "--population=a|b" "--prevalence=P" &&
        run 0 bench --help && holds out "--mode=train|infer" "--batch=N" "[16]" "--seconds=X"
}

test_help_wins_over_what_else_is_typed() {
    run 0 pretrain nowhere --epochs 3 --help && silent && holds out "Usage: ichor pretrain"
}

test_version_tells_kernels_and_blas() {
    run 0 --version && silent && holds out "ichor 0." "kernels:" reference "threads:" "blas:"
}

test_a_full_disk_is_noticed() {
    [ -e /dev/full ] || return 0
    "$ichor" --help >/dev/full 2>err
    [ $? -eq 1 ] && said "cannot be written" || fail "help to a full disk"
}

run_tests

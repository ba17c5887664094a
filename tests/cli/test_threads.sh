#!/usr/bin/env bash
# One, two and three threads: the same bytes.
. "$(dirname "$0")/lib.sh"

timeless() { cut -d, -f1-8 "$1"; } # studies.csv of predictions without `seconds`

test_synth() {
    local n
    for n in 1 2 3; do run 0 synth d$n --studies 4 --size 32 --masks --seed 3 --threads $n --quiet || return; done
    for n in 2 3; do
        rm d$n/recipe.ini && cp d1/recipe.ini d$n && diff -r d1 d$n >/dev/null || fail "d1 and d$n differ" || return
    done
}

test_training_and_answers() {
    local n
    phantoms d || return
    for n in 1 2 3; do
        run 0 pretrain d --out r$n $tiny --batch 20 --threads $n --quiet &&
            run 0 finetune d --out f$n --init r$n --epochs 1 --threads $n --quiet &&
            run 0 predict f$n d --out p$n --heatmaps --threads $n --quiet &&
            run 0 evaluate p$n d --out e$n --threads $n --quiet || return
    done
    for n in 2 3; do
        same r1/model.safetensors r$n/model.safetensors && same r1/last.safetensors r$n/last.safetensors &&
            same f1/model.safetensors f$n/model.safetensors && same p1/slices.csv p$n/slices.csv || return
        [ "$(timeless p1/studies.csv)" = "$(timeless p$n/studies.csv)" ] || fail "p1 and p$n differ" || return
        diff -r p1/heatmaps p$n/heatmaps >/dev/null || fail "heatmaps differ" || return
        same e1/metrics.csv e$n/metrics.csv || return
    done
}

test_frozen_cnn() {
    local n
    phantoms d && pretrained r || return
    for n in 1 2 3; do run 0 finetune d --out f$n --init r --epochs 2 --freeze-cnn --threads $n --quiet || return; done
    same f1/model.safetensors f2/model.safetensors && same f1/model.safetensors f3/model.safetensors
}

run_tests

#!/usr/bin/env bash
# kill -9 at random moments, resumed until done: the same bytes as never killed, and no half file at any time.
. "$(dirname "$0")/lib.sh"

seed=${ICHOR_TEST_SEED:-$(date +%N)}
RANDOM=$((10#$seed % 32768))
echo "ICHOR_TEST_SEED=$seed"

whole_files() { # RUN: what lies under its final name is whole
    [ ! -e "$1/model.safetensors" ] || "$ichor" inspect "$1" --csv >/dev/null 2>err || fail "torn: $(cat err)" || return
    [ ! -e "$1/log.csv" ] || [ -z "$(tail -c 1 "$1/log.csv")" ] || fail "log.csv is torn"
}

# killed VERB DATASET OPTIONS...: RUN r, killed again and again until it ends by itself
killed() {
    local verb=$1 kills=0 status pid
    shift
    mkdir -p r
    set -- $verb "$@" --out r
    while :; do
        "$ichor" "$@" >out 2>err </dev/null &
        pid=$!
        if [ $kills -lt 8 ]; then
            sleep "$((RANDOM % 2)).$((RANDOM % 10))$((RANDOM % 10))"
            kill -KILL $pid 2>/dev/null
        fi
        status=0
        wait $pid 2>/dev/null || status=$?
        whole_files r || return
        [ $status -eq 0 ] && break
        [ $status -eq 137 ] || fail "status $status: $(cat err)" || return
        kills=$((kills + 1))
        [ -e r/recipe.ini ] && [ -e r/checkpoint/request.csv ] && set -- $verb --resume r --quiet --checkpoint-minutes 0.00001
    done
    echo "        killed $kills times"
}

equal() {
    same whole/model.safetensors r/model.safetensors && same whole/last.safetensors r/last.safetensors &&
        [ "$(cut -d, -f1-5 whole/log.csv)" = "$(cut -d, -f1-5 r/log.csv)" ] || fail "logs differ (seed $seed)"
}

test_pretraining() {
    local options="--size 32 --epochs 5 --batch 20 --quiet --checkpoint-minutes 0.00001"
    phantoms d && run 0 pretrain d --out whole $options && killed pretrain d $options && equal
}

test_finetuning() {
    local options="--size 32 --epochs 4 --studies 1 --quiet --checkpoint-minutes 0.00001"
    phantoms d && pretrained p && run 0 finetune d --out whole --init p $options && killed finetune d --init p $options &&
        equal
}

test_finetuning_with_a_frozen_cnn() {
    local options="--size 32 --epochs 6 --studies 1 --freeze-cnn --quiet --checkpoint-minutes 0.00001"
    phantoms d && pretrained p && run 0 finetune d --out whole --init p $options && killed finetune d --init p $options &&
        equal
}

run_tests

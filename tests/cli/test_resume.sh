#!/usr/bin/env bash
# Stopped or killed at any moment and resumed: the same bytes as never stopped.
. "$(dirname "$0")/lib.sh"

long="--size 32 --epochs 2 --batch 20 --checkpoint-minutes 0.00001 --quiet"
timeless() { cut -d, -f1-5 "$1"; } # log.csv without what takes time

same_run() { # A B
    same "$1/model.safetensors" "$2/model.safetensors" && same "$1/last.safetensors" "$2/last.safetensors" || return
    [ "$(timeless "$1/log.csv")" = "$(timeless "$2/log.csv")" ] || fail "logs differ"
}

await() { # FILE: until it is there
    local i
    for i in $(seq 600); do [ -e "$1" ] && return || sleep 0.05; done
    fail "$1 does not appear"
}

# stop SIGNAL STATUS WORDS...: starts, signals as soon as there is a checkpoint in RUN r
stop() {
    local signal=$1 expected=$2 status=0 pid
    shift 2
    "$ichor" "$@" >out 2>err </dev/null &
    pid=$!
    await r/checkpoint/state.safetensors
    kill -"$signal" $pid
    wait $pid || status=$?
    [ $status -eq "$expected" ] || fail "ichor $* after SIG$signal: status $status, not $expected: $(cat err)"
}

test_sigint_and_sigterm_end_cleanly_with_a_checkpoint() {
    phantoms d && whole $long && stop INT 130 pretrain d --out r $long &&
        said SIGINT "ichor pretrain --resume r" && there r/checkpoint/state.safetensors r/recipe.ini && no_rests || return
    run 0 pretrain --resume r --quiet && silent && same_run whole r || return
    rm -r r && stop TERM 143 pretrain d --out r $long && said SIGTERM && run 0 pretrain --resume r && same_run whole r
}

test_finetuning_is_resumed() {
    local options="--size 32 --epochs 3 --studies 1 --checkpoint-minutes 0.00001 --quiet"
    phantoms d && pretrained p && run 0 finetune d --out whole --init p $options &&
        stop INT 130 finetune d --out r --init p $options && run 0 finetune --resume r --quiet && same_run whole r
}

test_the_first_command_with_resume_goes_on_too() {
    phantoms d && whole $long && stop KILL 137 pretrain d --out r $long &&
        run 0 pretrain d --out r $long --resume r --threads 1 && same_run whole r
}

test_a_finished_run_resumed_stays_as_it_is() {
    pretrained r && cp -rl r before && run 0 pretrain --resume r && silent &&
        same_run before r
}

test_a_moved_dataset_is_told_anew() {
    phantoms d && whole $long && stop KILL 137 pretrain d --out r $long && mv d moved &&
        run 1 pretrain --resume r && said d/studies.csv && run 0 pretrain moved --resume r --quiet && same_run whole r
}

test_resuming_does_not_change_what_the_run_is() {
    phantoms d && phantoms e 2 && pretrained r && run 2 finetune --resume r && said "ichor pretrain --resume" &&
        run 2 pretrain --resume r --epochs 3 && said "epochs cannot" && run 2 pretrain --resume r --lr 0.1 && said "lr cannot" &&
        run 2 pretrain --resume r --out other && said --out && run 2 pretrain --resume r --force && said --force &&
        run 2 pretrain --resume r --init r && said --init && run 1 pretrain --resume nowhere && said nowhere &&
        run 1 pretrain --resume d && said d && run 1 pretrain e --resume r && said r/checkpoint/state.safetensors
}

test_a_damaged_checkpoint_is_named() {
    pretrained r && head -c 100000 r/checkpoint/state.safetensors >t && mv t r/checkpoint/state.safetensors &&
        run 1 pretrain --resume r && said r/checkpoint/state.safetensors
}

run_tests

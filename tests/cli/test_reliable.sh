#!/usr/bin/env bash
# Damaged checkpoints, a full disk, two processes in one folder, steps whose numbers go wrong, caches and volumes that
# go away under a run: each costs what it must and no more.
. "$(dirname "$0")/lib.sh"

long="--size 32 --epochs 2 --batch 20 --checkpoint-minutes 0.00001"

await() { # FILE: until it is there
    local i
    for i in $(seq 1200); do [ -e "$1" ] && return || sleep 0.05; done
    fail "$1 does not appear"
}

same_run() { # A B
    same "$1/model.safetensors" "$2/model.safetensors" && same "$1/last.safetensors" "$2/last.safetensors" || return
    [ "$(cut -d, -f1-5,9 "$1/log.csv")" = "$(cut -d, -f1-5,9 "$2/log.csv")" ] || fail "logs differ"
}

# start WORDS...: in the background, until it keeps three checkpoints
start() {
    "$ichor" "$@" >out 2>first-err </dev/null &
    pid=$!
    await r/checkpoint/state.2.safetensors
}
stopped() { start "$@" && kill -TERM $pid && { wait $pid || [ $? -eq 143 ]; }; }
killed() { start "$@" && kill -KILL $pid && ! wait $pid 2>/dev/null; }

flip() { # FILE PLACE: another byte there
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\$(printf %03o $((byte ^ 8)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

test_a_damaged_checkpoint_costs_the_steps_since_the_one_before() {
    local state=r/checkpoint/state.safetensors size place
    phantoms d && whole $long && stopped pretrain d --out r $long && cp -r r kept || return
    size=$(stat -c %s $state)
    for place in 0 40 $((size / 2)) $((size - 1)); do # length, header, arrays, seal
        rm -r r && cp -r kept r && flip $state $place && run 0 pretrain --resume r --quiet &&
            said "$state: damaged" "going on from the checkpoint before" && same_run whole r || return
    done
    rm -r r && cp -r kept r && truncate -s 1000 $state && : >r/checkpoint/state.1.safetensors &&
        run 0 pretrain --resume r --quiet && same_run whole r || return
    rm -r r && cp -r kept r && for place in r/checkpoint/state*; do truncate -s -1 $place; done
    run 1 pretrain --resume r && said $state "no older checkpoint is whole" --force && there r/checkpoint/state.2.safetensors
}

test_so_many_checkpoints_stay_as_are_asked_for() {
    phantoms d && whole $long && there whole/checkpoint/state.2.safetensors && gone whole/checkpoint/state.3.safetensors &&
        run 0 pretrain d --out r $long --quiet --keep-checkpoints 1 && gone r/checkpoint/state.1.safetensors && same_run whole r &&
        run 0 pretrain d --out s $long --quiet --keep-checkpoints 4 && there s/checkpoint/state.3.safetensors &&
        gone s/checkpoint/state.4.safetensors s/checkpoint/next.safetensors && same_run whole s
}

# No room for another checkpoint: files may not grow beyond 60 MiB.
test_a_full_disk_ends_the_run_and_leaves_its_checkpoints() {
    local status=0
    phantoms d && whole $long && stopped pretrain d --out r $long && cp -r r kept || return
    (trap '' XFSZ && ulimit -f $((60 * 1024)) && exec "$ichor" pretrain --resume r --quiet >out 2>err) || status=$?
    [ $status -eq 1 ] && said r/checkpoint/ "room" && no_rests || fail "status $status: $(cat err)" || return
    for f in state state.1 state.2; do same kept/checkpoint/$f.safetensors r/checkpoint/$f.safetensors || return; done
    run 0 pretrain --resume r --quiet && same_run whole r
}

test_the_second_process_in_a_folder_is_refused() {
    phantoms d && start pretrain d --out r $long || return
    run 1 pretrain --resume r && said r "in use by ichor pretrain, process $pid on $(hostname)" &&
        run 1 pretrain d --out r --force $long && said "process $pid" || return
    kill -KILL $pid
    ! wait $pid 2>/dev/null && run 0 pretrain --resume r --quiet && gone r/.ichor.lock
}

# holding WORDS... : predicts into w in the background, and stops for a while as soon as w is its own
holding() {
    "$ichor" predict r "$@" --out w --heatmaps --heatmap-method integrated >out 2>first-err </dev/null &
    pid=$!
    until [ -s w/.ichor.lock ]; do kill -0 $pid 2>/dev/null || fail "it is gone: $(cat first-err)" || return; done
    kill -STOP $pid
}

refused_twice() { # NAME: as a prediction, and as a watch
    run 1 predict r d --out w && said w "in use by $1, process $pid on $(hostname)" &&
        run 1 predict r --watch in --out w && said w "in use by $1, process $pid on $(hostname)" && there w/.ichor.lock
}

test_the_second_prediction_into_a_folder_is_refused() {
    phantoms d && pretrained r && mkdir in && holding d || return
    refused_twice "ichor predict" || { kill -KILL $pid; return 1; }
    kill -CONT $pid
    wait $pid || fail "status $?: $(cat first-err)" || return
    rows w/studies.csv 6 && gone w/.ichor.lock && rm -r w && holding --watch in || return
    refused_twice "ichor predict --watch" || { kill -KILL $pid; return 1; }
    kill -TERM $pid && kill -CONT $pid
    wait $pid || fail "status $?: $(cat first-err)" || return
    gone w/.ichor.lock && run 0 predict r d --out w --quiet && rows w/studies.csv 6
}

# A learning rate at which some steps stand out, and a rule that calls those explosions.
test_left_out_steps_are_the_same_for_a_killed_run() {
    local rule="--epochs 4 --batch 8 --lr 0.05 --explode 1.5 --bad-steps 1000"
    phantoms d && run 0 pretrain d --out whole $long $rule --quiet && holds err "the loss explodes" "the step is left out" &&
        grep -q ',train,.*,[1-9][0-9]*$' whole/log.csv || fail "none left out: $(cat whole/log.csv)" || return
    killed pretrain d --out r $long $rule && run 0 pretrain --resume r --quiet && same_run whole r
}

# Weights that outgrow float32 in a few steps.
test_a_run_that_only_goes_wrong_ends_and_says_where() {
    local wild="--size 32 --epochs 8 --lr 10 --warmup 0 --schedule constant --weight-decay 10 --optimizer sgd --momentum 0.999"
    phantoms d && run 1 pretrain d --out r --batch 4 $wild --explode 0 --quiet || return
    [ "$(grep -c "the step is left out, . of at most 3" err)" -eq 3 ] || fail "not three warnings: $(cat err)" || return
    tail -n 1 err >last && mv last err # what it ends with
    said "first study" "the loss is not finite, first in node '" "at most 3 such steps" || return
    run 1 pretrain d --out e --batch 4 $wild --bad-steps 0 --quiet && said "first study" "the loss explodes" "at most 0"
}

test_a_cache_that_goes_away_is_made_again() {
    phantoms d && whole $long && start pretrain d --out r $long --quiet || return
    rm r/cache/*
    wait $pid || fail "status $?: $(cat first-err)" || return
    same_run whole r && gone r/skipped.csv
}

test_a_study_that_goes_away_costs_itself() {
    local id
    phantoms d && start pretrain d --out r --size 32 --epochs 4 --batch 20 --checkpoint-minutes 0.00001 || return
    id=$(awk -F, 'NR > 1 && /train/ {print $1; exit}' d/studies.csv)
    rm "d/volumes/$id.nii.gz" r/cache/"$id"-*
    wait $pid
    [ $? -eq 3 ] || fail "status not 3: $(cat first-err)" || return
    holds r/skipped.csv "$id" && rows r/skipped.csv 1 && holds first-err "the step is left out" && there r/model.safetensors
}

test_out_of_memory_is_a_refusal_with_a_number() {
    local status=0
    phantoms d || return
    (ulimit -v 700000 && exec "$ichor" pretrain d --out r --size 224 --batch 64 --threads 1 --quiet >out 2>err) || status=$?
    [ $status -eq 1 ] && said "out of memory" MiB batch || fail "status $status: $(cat err)"
}

# No machine has terabytes for a batch: nobody waits for the decoding to be told.
test_a_hopeless_size_is_refused_before_decoding() {
    "$ichor" synth d --studies 40 --size 32 --quiet &&
        run 1 pretrain d --out r --arch resnet50 --size 2048 --batch 4096 &&
        said "out of memory, foreseen" "--batch or --size" && [ -z "$(ls r/cache 2>/dev/null)" ] || fail "decoded: $(ls r/cache)" || return
    run 1 finetune d --out f --arch resnet50 --size 2048 --chunk 4096 &&
        said "out of memory, foreseen" "--chunk, --studies or --size" && [ -z "$(ls f/cache 2>/dev/null)" ] || fail "decoded: $(ls f/cache)"
}

run_tests

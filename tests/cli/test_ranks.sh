#!/usr/bin/env bash
# Several processes on one job, under mpirun.
. "$(dirname "$0")/lib.sh"

if ! command -v mpirun >/dev/null || "$ichor" --version | grep -q '^mpi: none'; then
    echo "skipped: built without MPI, or no mpirun here"
    exit 77
fi
# Root in a container, more ranks than cores, and no other machine to be reached.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_plm_rsh_agent=/bin/true OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1

# ranks N STATUS WORDS... : as `run`, on N processes. mpirun's own words on a status above 0 are left out of err.
ranks() {
    local n=$1 expected=$2 status=0
    shift 2
    timeout 300 mpirun --bind-to none -np "$n" "$ichor" "$@" >out 2>all </dev/null || status=$?
    grep '^ichor: ' all >err || true
    [ $status -eq "$expected" ] && return
    fail "mpirun -np $n ichor $*" "status $status, not $expected" "$(tail -n 20 all)"
}

# near BOUND A B: the losses of two logs agree within a relative BOUND, line by line.
near() {
    paste -d, "$2/log.csv" "$3/log.csv" | awk -F, -v bound="$1" '
        NR > 1 { d = $3 - $(NF / 2 + 3); if (d < 0) d = -d; if (d > bound * $3) { print "line " NR ": " $0; bad = 1 } }
        END { exit bad || NR < 2 }' >apart || fail "$2 and $3: $(cat apart)"
}

# One step: a last digit that differs grows from step to step.
test_one_step_on_three_is_as_on_one() {
    phantoms d && run 0 pretrain d --out r1 --size 32 --epochs 1 --batch 200 --quiet || return
    ranks 3 0 pretrain d --out r3 --size 32 --epochs 1 --batch 200 --quiet || return
    silent && near 1e-3 r1 r3 && there r3/model.safetensors r3/model_card.md && no_rests
}

# twin A B: two runs with the same losses, rates and weights to the last bit; only their seconds differ.
twin() {
    [ "$(cut -d, -f1-5 "$1/log.csv")" = "$(cut -d, -f1-5 "$2/log.csv")" ] || fail "the logs of $1 and $2 differ" || return
    same "$1/model.safetensors" "$2/model.safetensors"
}

test_two_pretrain_to_the_bytes_of_one() {
    phantoms d && run 0 pretrain d --out r1 --size 32 --epochs 2 --batch 9 --quiet || return
    ranks 2 0 pretrain d --out r2 --size 32 --epochs 2 --batch 9 --quiet && silent && twin r1 r2 || return
    ranks 4 0 pretrain d --out r4 --size 32 --epochs 1 --batch 5 --quiet # a last batch of less than 4
}

test_two_finetune_to_the_bytes_of_one() {
    local how
    phantoms d && pretrained r || return
    for how in "" "--freeze-cnn"; do
        run 0 finetune d --out "f1$how" --init r --epochs 2 --studies 3 $how --quiet || return
        ranks 2 0 finetune d --out "f2$how" --init r --epochs 2 --studies 3 $how --quiet && twin "f1$how" "f2$how" || return
        # one of four has no study in each step
        ranks 4 0 finetune d --out "f4$how" --init r --epochs 2 --studies 3 $how --quiet || return
        near 1e-4 "f1$how" "f4$how" || return
        ranks 2 0 finetune d --out "s2$how" --init r --epochs 2 --studies 3 --parts 4 $how --quiet || return # two parts each
        near 1e-4 "f1$how" "s2$how" || return
    done
}

test_ranks_come_and_go() {
    phantoms d || return
    ranks 2 0 pretrain d --out whole --size 32 --epochs 3 --batch 8 --quiet --timeline 3 || return
    header whole/timeline.csv rank,step,what,begin,end && holds whole/timeline.csv 1,3,backward 0,1,wait || return
    mpirun --bind-to none -np 2 "$ichor" pretrain d --out cut --size 32 --epochs 3 --batch 8 --quiet \
        --checkpoint-minutes 0.0001 >out 2>err &
    local job=$!
    while [ ! -e cut/checkpoint/state.safetensors ] && kill -0 $job 2>/dev/null; do sleep 0.05; done
    kill -USR1 $job && wait $job
    holds err "go on with" || return
    cp -r cut onto_three && run 0 pretrain --resume cut --quiet || return
    same whole/model.safetensors cut/model.safetensors && same whole/last.safetensors cut/last.safetensors || return
    ranks 3 0 pretrain --resume onto_three --quiet && rows onto_three/log.csv 6
}

test_answers_are_the_same_bytes() {
    local n
    phantoms d && pretrained r && run 0 finetune d --out f --init r --epochs 1 --quiet || return
    head -c 100 "$(find d/volumes -type f | sort | tail -n 1)" >torn && cp torn "$(find d/volumes -type f | sort | tail -n 1)"
    run 3 predict f d --out p1 --heatmaps --quiet || return
    for n in 2 4 7; do # 7: more than there are studies
        ranks $n 3 predict f d --out p$n --heatmaps --quiet || return
        said "inputs left out: 1" && same p1/slices.csv p$n/slices.csv && same p1/skipped.csv p$n/skipped.csv || return
        [ "$(cut -d, -f1-8 p1/studies.csv)" = "$(cut -d, -f1-8 p$n/studies.csv)" ] || fail "p1 and p$n differ" || return
        diff -r p1/heatmaps p$n/heatmaps >/dev/null || fail "heatmaps differ" || return
    done
}

test_batch_norm_of_each() {
    phantoms d && ranks 2 0 pretrain d --out r --size 32 --epochs 1 --batch 8 --no-sync-batch-norm --quiet || return
    there r/model.safetensors || return
    ranks 3 1 pretrain d --out s --size 32 --epochs 1 --batch 4 --no-sync-batch-norm --quiet
    said "choose another --batch" && gone s/model.safetensors
}

test_errors_are_told_once() {
    phantoms d || return
    ranks 3 2 split d && said "split: runs in one process" || return
    ranks 3 1 pretrain nowhere --out r && said "nowhere" || return
    run 0 pretrain d --out r $tiny --quiet || return
    ranks 2 1 pretrain d --out r $tiny --quiet && said "holds a run already" && there r/model.safetensors
}

run_tests

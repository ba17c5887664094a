#!/usr/bin/env bash
# One study traced node by node; and what tells two traces apart.
. "$(dirname "$0")/lib.sh"

columns=index,name,op,shape,min,max,mean,l2,fnv1a,milliseconds

finetuned() { # FOLDER: beside d
    if [ ! -e "$root/finetuned" ]; then
        phantoms "$root/to-finetune" && "$ichor" finetune "$root/to-finetune" --out "$root/finetuned" $tiny --quiet ||
            fail "no model" || return
    fi
    cp -rl "$root/finetuned" "$1"
}

test_a_row_for_each_node() {
    phantoms d && finetuned f && run 0 audit f d && silent && header out $columns && run 0 inspect f --csv && mv out nodes &&
        run 0 audit f d --study a1-0003 && silent && header out $columns || return
    rows out "$(($(wc -l <nodes) - 1))" && cmp <(tail -n +2 out | cut -d, -f2,3) <(tail -n +2 nodes | cut -d, -f1,2) ||
        fail "other nodes than inspect's"
}

test_a_dump_holds_each_node_and_gradient() {
    phantoms d && finetuned f && run 0 audit f d --backward --dump t && silent && header t/nodes.csv $columns,file &&
        header t/gradients.csv name,shape,min,max,mean,l2,fnv1a,file && there t/input.npy t/loss.npy t/recipe.ini || return
    local file
    for file in $(tail -n +2 t/nodes.csv | cut -d, -f11) $(tail -n +2 t/gradients.csv | cut -d, -f8); do
        there "t/$file" || return
    done
    there t/1_conv1.npy t/grad/conv1.weight.npy t/grad/lstm.weight_ih_l0.npy t/grad/classifier.bias.npy &&
        gone t/grad/bn1.running_mean.npy && [ "$(head -c 6 t/input.npy | tail -c 5)" = NUMPY ] || fail "no .npy" || return
    # header and numbers: 64 · 3 · 7 · 7 floats, 128 bytes before
    [ "$(wc -c <t/grad/conv1.weight.npy)" -eq $((128 + 4 * 64 * 3 * 7 * 7)) ] || fail "size of conv1.weight.npy"
    no_rests
}

test_threads_and_runs_make_no_difference() {
    phantoms d && finetuned f && run 0 audit f d --backward --dump t --threads 1 --quiet &&
        run 0 audit f d --backward --against t --threads 3 && silent && holds out "identical" difference,same &&
        run 0 audit f d --against t && holds out "identical"
}

test_the_first_node_of_another_model_is_named() {
    phantoms d && finetuned f && run 0 audit f d --dump t --quiet || return
    cp f/model.safetensors flipped.safetensors
    # one bit of the last number of the file, which belongs to classifier.bias
    printf '\x01' | dd of=flipped.safetensors bs=1 seek=$(($(wc -c <flipped.safetensors) - 2)) conv=notrunc 2>dd
    cmp -s f/model.safetensors flipped.safetensors && fail "not flipped" && return
    run 1 audit flipped.safetensors d --against t && said "first to differ: classifier (linear)"
}

test_plain_loops_tell_how_far_the_fast_path_is() {
    phantoms d && finetuned f && run 0 audit f d --kernels reference --dump plain --quiet || return
    "$ichor" audit f d --against plain >out 2>err
    header out $columns,difference,same || return
    awk -F, 'NR > 1 && NF == 12 && !($11 <= 1e-3) { exit 1 }' out || fail "far from the reference: $(cat out)"
}

test_an_image_head_is_traced_too() {
    phantoms d && pretrained r && run 0 audit r d --backward && silent && holds out ",fc,linear," "loss,1,"
}

test_one_file_is_traced() {
    phantoms d && finetuned f && run 0 audit f d/volumes/a1-0001.nii.gz && header out $columns &&
        run 1 audit f d/volumes/a1-0001.nii.gz --backward && said "needs a dataset"
}

test_every_case_of_an_op_keeps_its_bound() {
    local columns=op,check,kernels,cases,checked,worst_error,bound,share,shape,where
    run 0 audit --op lstm && silent && header out $columns && holds out lstm,gradient,double lstm,backward,reference \
        "slices 4 1 3" && run 0 audit --op loss && silent && holds out loss,gradient,double loss,backward,float &&
        run 0 audit --op noisy_loss && silent && holds out noisy_loss,gradient,double noisy_loss,backward,float &&
        run 0 audit --op max_pool && holds out "max_pool,kernel," "max_pool,gradient," || return
    run 0 audit --op conv2d --shape "5 x 7 x 3, slices 2: 3x3, padded" && silent || return
    [ "$(cut -d, -f2 out | sort -u | tr '\n' ' ')" = "backward check forward gradient " ] || fail "$(cat out)" || return
    awk -F, 'NR > 1 && !($8 > 0 && $8 <= 1) { exit 1 }' out || fail "a share above 1 or none: $(cat out)"
}

# OP, SHAPE, and the kinds of check that it must bring
keeps() {
    run 0 audit --op "$1" --shape "$2" && silent && [ "$(cut -d, -f2 out | tail -n +2 | sort -u | paste -sd ' ')" = "$3" ] ||
        fail "$1 $2: $(cut -d, -f2 out | sort -u | paste -sd ' ')" || return
    awk -F, 'NR > 1 && !($4 == 1 && $5 > 0 && $8 <= 1) { exit 1 }' out || fail "$1 $2: $(cat out)"
}

test_any_shape_of_any_op_may_be_typed() {
    local op layer="backward forward gradient"
    keeps conv2d n=2,h=6,w=5,c=4,k=6,r=3,stride=2,pad=1,groups=2,bias=1,added=1 "backward forward gradient kernel backward kernel forward" &&
        keeps conv2d h=6,w=5,c=3,k=4,r=3,s=2 "kernel backward kernel forward" && keeps batch_norm n=2,h=3,w=4,c=5,relu=1 "$layer kernel backward" &&
        keeps max_pool h=9,w=7,c=5,r=3,stride=2,pad=1 "$layer kernel" && keeps average_pool h=7,w=6,c=5,r=2,stride=2 "$layer" &&
        keeps global_average h=7,w=6,c=5 "$layer kernel" && keeps concat h=3,c=5,c2=1 "$layer" && keeps linear n=3,c=50,k=2 "$layer" &&
        keeps dropout h=3,c=5,percent=90 "$layer" && keeps lstm slices=4,slices2=1,c=5,hidden=3 "$layer" &&
        keeps attention slices=4,slices2=1,c=5,k=3,heads=2 "$layer" && keeps attention_pool slices=4,c=5,heads=2 "$layer" &&
        keeps loss n=9,labels=3 "backward gradient" && keeps gemm m=17,n=5,k=300,tb=1,padding=2 kernel && keeps channel rows=33,c=5 kernel &&
        keeps elementwise n=77 "kernel kernel in place" && keeps optimizer n=77 "kernel kernel squares" || return
    for op in relu sigmoid tanh silu add; do keeps $op n=2,w=4,c=5 "$layer" || return; done
    for op in mean_slices max_slices; do keeps $op slices=4,c=5 "$layer" || return; done
    # the layers that there are, and none beside, have such shapes
    run 0 audit --shape "slices 2" && tail -n +2 out | cut -d, -f1 | sort -u >ops && run 1 audit --shape n=1 && said "--op" || return
    for op in $(cat ops); do grep -qw "$op" err || fail "no shapes of $op: $(cat err)" || return; done
}

test_a_shape_too_large_for_its_gradient_still_tries_the_kernels() {
    local forward # a row for each table of kernels that this processor runs
    run 0 audit --op conv2d --shape h=15,w=14,c=64,k=64,r=3,pad=1 && said "no numerical gradient" && holds out ",baseline," ",baseline-direct," || return
    forward=$(grep -c "kernel forward" out)
    rows out $((2 * forward)) && [ "$(grep -c "kernel backward" out)" -eq "$forward" ] || fail "$(cat out)" || return
    run 1 audit --op lstm --shape slices=600,c=512,hidden=128 && said "no numerical gradient" && [ ! -s out ]
}

refused() { # OP SHAPE WORD
    run 1 audit --op "$1" --shape "$2" && said "$3" && [ ! -s out ] || fail "$1 $2: $(cat err)"
}

test_impossible_shapes_are_named() {
    refused conv2d h=6,w=5,c=3,k=4,q=7 "no field 'q=7': conv2d takes n[1] h w c r" && refused conv2d h=6,w=5,c=3,k=4 "missing: 'r'" &&
        refused conv2d h=6,w=5,c=3,k=4,r=x "no number: 'r=x'" && refused conv2d h=6,h=5 "given twice: 'h=5'" && refused conv2d h=6, "no field ''" &&
        refused conv2d h=99999 "from 1 to 4096" && refused conv2d h=99999999999999999999 "from 1 to 4096" && refused conv2d h=-1 "from 1 to 4096" &&
        refused conv2d h=6,w=5,c=3,k=4,r=7 "too small" && refused conv2d h=6,w=5,c=3,k=4,r=7,s=1 "larger than the padded input" &&
        refused conv2d h=6,w=5,c=3,k=4,r=1,groups=2 "groups" && refused gemm m=60000,n=60000,k=60000 "make it smaller" &&
        refused conv2d n=4096,h=4096,w=4096,c=65536,k=65536,r=31,pad=15 "make it smaller" && refused optimizer n=16777216 "make it smaller" &&
        refused linear n=4096,h=4096,w=4096,c=500,k=2 "too large" && refused max_pool h=9,w=7,c=5,r=3,pad=2 "half the kernel" &&
        refused batch_norm c=3 "one number" && refused nonsense n=1 "needs an --op of: conv2d"
}

test_mistakes_are_named() {
    run 1 audit --op nonsense && said nonsense && run 2 audit --backward && said "MODEL and INPUT are missing" &&
        run 2 audit m i --op conv2d && said "without MODEL" || return
    phantoms d && finetuned f && run 2 audit f && said "INPUT is missing" && run 1 audit f d --study nobody &&
        said "nobody" && run 1 audit f d --against nowhere && said nowhere/nodes.csv && run 1 audit f nowhere &&
        said nowhere && run 0 audit f d --dump t --quiet || return
    run 0 finetune d --out g --size 48 --epochs 1 --quiet && run 1 audit g d --against t && said "another model or study" || return
    printf 'no array' >t/1_conv1.npy && run 1 audit f d --against t && said 1_conv1.npy
    head -c 100 t/2_bn1.npy >t/1_conv1.npy && run 1 audit f d --against t && said 1_conv1.npy
}

# A model's record is enough to make it again; what does not fit the record is named.
test_training_is_repeated() {
    phantoms d && phantoms other 2 && pretrained r && run 0 finetune d --init r --out f --epochs 1 --quiet || return
    run 0 audit --repeat r d --quiet && holds out "same bytes" && run 0 audit --repeat f d --quiet && holds out "same bytes" &&
        run 0 audit --repeat f/model.safetensors d --init r --quiet || return
    run 1 audit --repeat f/model.safetensors d --quiet && said "--init" || return
    run 1 audit --repeat f d --init f --quiet && said "was started from" || return
    run 1 audit --repeat f other --quiet && said other "is not the dataset" || return
    run 2 audit --repeat f && said "the dataset it was trained on" || return
    python3 - f/model.safetensors bent.safetensors <<'PY' || return
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[-100] ^= 1
open(sys.argv[2], "wb").write(data)
PY
    run 1 audit --repeat bent.safetensors d --init r --quiet && said "the first that differs is"
}

run_tests

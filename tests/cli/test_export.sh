#!/usr/bin/env bash
# An exported model runs in ONNX Runtime to the answers of predict. Skipped where that is not installed; the file's
# structure is tested in tests/infer/test_export.c.
. "$(dirname "$0")/lib.sh"
check=$(dirname "$(realpath "$0")")/../infer/onnx_check.mjs
command -v node >/dev/null || { echo "skipped: node is not installed"; exit 77; }
node "$check" || exit $?

# Two slices in the chunk at work, so that chunks meet, too.
agrees() { # RUN
    run 0 export "$1" m.onnx --quiet && silent && run 0 predict "$1" d --out p --quiet && run 0 audit "$1" d --study a1-0002 --dump t --quiet &&
        node "$check" m.onnx t/input.npy p a1-0002 >said 2>&1 || fail "$(tail -n 3 said)" || return
    sed 's/^/        /' said
}

learned() { # ARCH
    phantoms d && run 0 pretrain d --arch "$1" --out r --size 32 --epochs 1 --batch 8 --quiet &&
        run 0 finetune d --init r --out f --epochs 1 --quiet && agrees f
}

test_resnet18() { learned resnet18; }
test_resnet34() { learned resnet34; }
test_resnet50() { learned resnet50; }
test_resnext50_32x4d() { learned resnext50_32x4d; }
test_densenet121() { learned densenet121; }
test_image_head() { phantoms d && pretrained r && agrees r; }
test_plain_attention_of_three_heads() {
    phantoms d && run 0 finetune d --out f --size 32 --epochs 1 --heads 3 --no-gated --hidden 7 --attention 5 --quiet &&
        agrees f
}

agrees_with() { # SETTINGS...
    phantoms d && pretrained r && run 0 finetune d --init r --out f --epochs 1 --quiet "$@" && agrees f
}
test_mean() { agrees_with --pool mean; }
test_max_without_context() { agrees_with --pool max --context none; }
test_self_attention() { agrees_with --context self-attention; }
test_gaussian_process() { agrees_with --classifier gp; }
test_top_k() { agrees_with --pool top-k --top 5; }
test_more_slices_in_top_k_than_there_are() { agrees_with --pool top-k --top 500; }
test_noisy_or() { agrees_with --pool noisy-or; }

run_tests

#!/usr/bin/env bash
# Every node's output and every gradient of a dump, against torch loading the same model file. Skipped where
# torch is not installed: tests/audit/torch_check.py says so.
. "$(dirname "$0")/../cli/lib.sh"
check=$(dirname "$(realpath "$0")")/torch_check.py
/usr/bin/python3 "$check" 2>&1 | grep -q '^usage' || { echo "skipped: torch is not installed"; exit 77; }

agrees() { # RUN
    run 0 audit "$1" d --study a1-0002 --backward --dump dump &&
        /usr/bin/python3 "$check" "$1/model.safetensors" dump d a1-0002 >torch 2>&1 || fail "$(cat torch)" || return
    sed 's/^/        /' torch
}

# Pretrained first, so that batch norm's running statistics are those of the activations.
learned() { # ARCH
    phantoms d && run 0 pretrain d --arch "$1" --out r --size 32 --epochs 1 --batch 8 --quiet &&
        run 0 finetune d --init r --out f --epochs 1 --quiet && agrees f
}

test_resnet18_agrees() { learned resnet18; }
test_resnet50_agrees() { learned resnet50; }
test_resnext50_agrees() { learned resnext50_32x4d; }
test_densenet121_agrees() { learned densenet121; }

# Other heads than the usual: the image head alone, plain attention of several heads.
test_an_image_head_agrees() { phantoms d && pretrained r && agrees r; }
test_plain_attention_of_three_heads_agrees() {
    phantoms d && run 0 finetune d --out f --size 32 --epochs 1 --heads 3 --no-gated --hidden 7 --attention 5 --quiet &&
        agrees f
}

run_tests

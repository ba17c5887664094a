#!/usr/bin/env bash
# As test_trace_torch.sh, for the study heads: every node's output and every gradient against torch. Skipped where torch is
# not installed.
. "$(dirname "$0")/../cli/lib.sh"
check=$(dirname "$(realpath "$0")")/torch_check.py
/usr/bin/python3 "$check" 2>&1 | grep -q '^usage' || { echo "skipped: torch is not installed"; exit 77; }

agrees_with() { # SETTINGS...
    phantoms d && pretrained r && run 0 finetune d --init r --out f --epochs 1 --quiet "$@" &&
        run 0 audit f d --study a1-0002 --backward --dump dump &&
        /usr/bin/python3 "$check" f/model.safetensors dump d a1-0002 >torch 2>&1 || fail "$(cat torch)" || return
    sed 's/^/        /' torch
}

test_mean_agrees() { agrees_with --pool mean; }
test_max_without_context_agrees() { agrees_with --pool max --context none; }
test_top_k_agrees() { agrees_with --pool top-k --top 5; }
test_noisy_or_agrees() { agrees_with --pool noisy-or; }
test_gaussian_process_agrees() { agrees_with --classifier gp; }
test_self_attention_agrees() { agrees_with --context self-attention; }
test_max_after_self_attention_agrees() { agrees_with --context self-attention --pool max; }
test_smooth_attention_agrees() { agrees_with --smooth 0.5 --heads 2; }
test_smooth_attention_of_second_order_agrees() { agrees_with --smooth 0.5 --smooth-order 2; }
test_attention_without_context_agrees() { agrees_with --context none; }

run_tests

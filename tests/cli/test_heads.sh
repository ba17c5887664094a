#!/usr/bin/env bash
# Every study head learns from study labels alone and then answers as the usual one does: a probability a study and a
# slice, an attention that sums to 1, heatmaps, a table of nodes, a trace with gradients, a page.
. "$(dirname "$0")/lib.sh"
recipes=$(dirname "$(realpath "$0")")/../../recipes

sums_to_one() { # SLICES.csv
    awk -F, 'NR > 1 { sum[$1] += $NF } END { for (s in sum) if (sum[s] < 0.999999 || sum[s] > 1.000001) exit 1 }' "$1" ||
        fail "attention does not sum to 1 in $1"
}

probabilities() { # FILE FIRST_COLUMN
    awk -F, -v c="$2" 'NR > 1 { for (i = c; i < c + 6; i++) if (!($i > 0 && $i < 1)) exit 1 }' "$1" ||
        fail "$1 holds what is no probability"
}

answers() { # SETTINGS...
    phantoms d && pretrained r && mv d/slices.csv away.csv &&
        run 0 finetune d --init r --out f --epochs 1 --quiet "$@" &&
        run 0 predict f d --out p --heatmaps --quiet &&
        header p/slices.csv "study_id,slice_index,image_id,$labels,attention" &&
        sums_to_one p/slices.csv && probabilities p/slices.csv 4 && probabilities p/studies.csv 3 &&
        there p/heatmaps/a1-0002.nii.gz && run 0 inspect f && run 0 inspect f --card &&
        run 0 audit f d --study a1-0002 --backward && run 0 report p --out page --quiet && there page/index.html
}

test_attention_without_context() { answers --context none; }
test_smooth_attention() { answers --smooth 0.02; }
test_weighted_and_noisy_labels() { answers --prevalence 0.3 --label-false-positives 0.1 --label-false-negatives 0.05; }
test_self_attention() { answers --context self-attention; }

# How sure it is stands in one more column.
test_gaussian_process() {
    answers --classifier gp && header p/studies.csv "study_id,n_slices,$labels,seconds,uncertainty" &&
        awk -F, 'NR > 1 && !($NF > 0 && $NF < 10) { exit 1 }' p/studies.csv || fail "no uncertainty in $(cat p/studies.csv)"
    local sure
    sure=$(awk -F, 'NR == 2 { print substr($NF, 1, 5) }' p/studies.csv)
    grep -q "\"uncertainty\":$sure" page/index.html || fail "the page does not say $sure" || return
    run 0 predict f d --out j --json --quiet && holds out "\"uncertainty\":$sure" || return
    run 0 evaluate p d --out e --quiet && run 1 calibrate f p d --out c && said "--method none"
}
test_mean() { answers --pool mean; }
test_max_without_context() { answers --pool max --context none; }
test_top_k() { answers --pool top-k --top 3; }
test_noisy_or() { answers --pool noisy-or; }

# A noisy-or is no line in its slices' logits: what calibrates the others would not do what it says.
test_noisy_or_refuses_a_line() {
    answers --pool noisy-or && run 1 calibrate f p d --out c && said "noisy_or" "--method none"
}

# What a head was trained as stands in its file, and a run that starts from it goes on with it.
test_a_run_takes_the_head_over() {
    phantoms d && pretrained r && run 0 finetune d --init r --out f --epochs 1 --pool top-k --top 3 --context none --quiet &&
        run 0 finetune d --init f --out g --epochs 1 --quiet &&
        run 0 inspect g && holds out "pool = top-k" "top = 3" "context = none"
}

test_unknown_heads_are_refused() {
    phantoms d && run 2 finetune d --out f --pool median && said "mean|max|top-k|noisy-or" &&
        run 2 finetune d --out f --context gru && said "lstm|" &&
        run 1 finetune d --out f --size 32 --pool max --smooth 1 && said "pool = attention" &&
        run 1 finetune d --out f --size 32 --context self-attention --hidden 7 && said "4 heads" "14 features" &&
        run 1 finetune d --out f --size 32 --pool max --classifier gp && said "pool = attention"
}

# The recipes that come with the program say what they are meant to, and nothing that it refuses.
test_recipes_are_read() {
    local file setting
    phantoms d && pretrained r || return
    for file in "$recipes"/*.ini; do
        run 0 finetune d --init r --out f --epochs 1 --quiet --force --config "$file" || return
        while read -r setting; do holds f/recipe.ini "$setting" || return; done < <(grep ' = ' "$file" | grep -v '^;')
    done
}

# Labels that are unknown take no part: of studies that say nothing but "any", the types learn nothing.
test_partly_labelled_studies() {
    phantoms d && awk -F, -v OFS=, 'NR > 1 { for (i = 5; i <= 9; i++) $i = "" } 1' d/studies.csv >some && mv some d/studies.csv &&
        run 0 finetune d --out f --size 32 --epochs 1 --quiet && run 0 predict f d --out p --quiet && probabilities p/studies.csv 3
}

run_tests

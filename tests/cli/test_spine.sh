#!/usr/bin/env bash
# From phantoms to a page: every file of the contract, with its header.
. "$(dirname "$0")/lib.sh"

test_synth_makes_a_dataset() {
    run 0 synth d --studies 4 --size 32 --prevalence 0.5 --masks && silent &&
        header d/studies.csv "study_id,patient_id,path,$labels" && rows d/studies.csv 4 &&
        header d/slices.csv "study_id,slice_index,image_id,$labels" && there d/recipe.ini && no_rests || return
    local path
    for path in $(tail -n +2 d/studies.csv | cut -d, -f3); do
        gzip -t "d/$path" && there "d/masks/${path#volumes/}" || fail "$path" || return
    done
    run 0 synth e --studies 4 --size 32 --prevalence 0.5 --seed 5 --quiet && silent && [ ! -s out ] || return
    ! cmp -s d/volumes/a0-0000.nii.gz e/volumes/a5-0000.nii.gz || fail "two seeds make the same head"
    run 0 synth f --studies 1 --size 32 --population b && there f/volumes/b0-0000.nii.gz
}

test_split_adds_its_column_and_keeps_patients_whole() {
    run 0 synth d --studies 12 --size 32 --quiet && run 0 split d && silent &&
        header d/studies.csv "study_id,patient_id,path,$labels,split" && rows d/studies.csv 12 || return
    local whole
    whole=$(tail -n +2 d/studies.csv | cut -d, -f2,10 | sort -u | cut -d, -f1 | uniq -d)
    [ -z "$whole" ] || fail "in two splits: $whole" || return
    for part in train val test; do grep -q ",$part\$" d/studies.csv || fail "no $part" || return; done
    cp d/studies.csv first && run 0 split d && same d/studies.csv first && run 0 split d --fractions 1,0,0 &&
        ! grep -qE ',(val|test)$' d/studies.csv || fail "fractions 1,0,0"
}

test_from_pretraining_to_the_page() {
    phantoms d && run 0 pretrain d --out r --size 32 --epochs 2 && silent && holds out "epoch 2/2" "images/s" r/model.safetensors &&
        there r/model.safetensors r/last.safetensors r/checkpoint r/log.csv r/recipe.ini && rows r/log.csv 4 &&
        grep -q '^epoch,split,loss,auc,lr,seconds,' r/log.csv && holds r/recipe.ini "size = 32" "epochs = 2" || return
    rm d/slices.csv
    run 0 finetune d --out f --init r --epochs 1 && silent && holds f/recipe.ini "size = 32" "epochs = 1" &&
        run 0 predict f d --out p --heatmaps && silent && header p/studies.csv "study_id,n_slices,$labels,seconds" &&
        rows p/studies.csv 6 && header p/slices.csv "study_id,slice_index,image_id,$labels,attention" &&
        there p/heatmaps/a1-0000.nii.gz p/heatmaps/a1-0000/000.png p/recipe.ini && gone p/skipped.csv p/flagged.csv || return
    run 0 evaluate p d --out e && silent && holds out "any hemorrhage, per study" AUC PPV &&
        header e/metrics.csv "level,label,metric,value,ci_low,ci_high,method,n,n_positive" &&
        there e/roc.csv e/calibration.csv e/recipe.ini && run 0 evaluate p d --out e --quiet && [ ! -s out ] || return
    run 0 report p --out page && silent && there page/index.html && holds page/index.html a1-0000 &&
        run 0 report p && there p/report/index.html && no_rests
}

test_a_pretrained_model_answers_too() {
    phantoms d && pretrained r && run 0 predict r/model.safetensors d --out p && rows p/studies.csv 6
}

test_one_file_is_answered() {
    phantoms d && pretrained r && run 0 predict r d/volumes/a1-0003.nii.gz --out p && rows p/studies.csv 1 &&
        holds p/studies.csv a1-0003,
}

test_attention_sums_to_one() {
    phantoms d && run 0 finetune d --out f --size 32 --epochs 1 --quiet && run 0 predict f d --out p --quiet || return
    [ ! -s out ] || fail "--quiet prints: $(cat out)" || return
    awk -F, 'NR > 1 { sum[$1] += $NF } END { for (s in sum) if (sum[s] < 0.99999 || sum[s] > 1.00001) exit 1 }' \
        p/slices.csv || fail "attention does not sum to 1"
}

test_inspect_shows_each_node() {
    pretrained r && run 0 inspect r && silent && holds out "arch: resnet18" layer4.1.conv2 "11179590 parameters" "inputs: 4 " &&
        run 0 inspect r/model.safetensors --csv && header out "name,op,one,input,output,parameters,macs,bytes" &&
        holds out "conv1,conv2d"
}

test_provenance_leads_back_to_random_numbers() {
    phantoms d && pretrained r && run 0 finetune d --out f --init r --epochs 1 --quiet && run 0 finetune d --out g --init f --epochs 1 --seed 5 --quiet || return
    run 0 inspect r --provenance && silent && holds out "verb: pretrain" "random numbers of seed 0" "epoch 1 of 1, val" &&
        cp out first && cp f/model.safetensors alone.safetensors && run 0 inspect alone.safetensors --provenance && mv out second || return
    # the parent's record stands behind the child's, word for word
    tail -n "$(wc -l <first)" second | cmp - first || fail "$(cat second)" || return
    run 0 inspect g --provenance && [ "$(grep -c '^model: ' out)" -eq 3 ] && holds out "seed: 5" "compiler" "arch = resnet18" ||
        fail "$(cat out)" || return
    [ "$(grep '^model: ' out | sed -n 2p)" = "$(head -n 1 second)" ] || fail "another parent" || return
    run 0 inspect g --card && silent && holds out "# Model card" "Intended use" "no medical device" "verb: pretrain" &&
        same out g/model_card.md && run 0 inspect r --card && same out r/model_card.md && run 2 inspect g --card --csv && said "exclude each other"
}

test_inspect_into_a_closed_pipe_is_quiet() {
    pretrained r && "$ichor" inspect r 2>err | head -n 1 >out && silent && holds out "arch:"
}

test_bench_model_prints_header_and_row() {
    local mode
    for mode in train infer; do
        run 0 bench model --arch resnet18 --mode $mode --batch 2 --size 32 --seconds 0 --threads 1 && silent &&
            header out "arch,mode,batch,size,threads,images_per_second,rss_mib" && rows out 1 &&
            grep -qE "^resnet18,$mode,2,32,1,[0-9.]+,[0-9.]+\$" out || fail "$(cat out)" || return
        run 0 bench model --arch bilstm_attention --mode $mode --batch 5 --size 16 --seconds 0 --threads 1 && silent &&
            grep -qE "^bilstm_attention,$mode,5,16,1,[0-9.]+,[0-9.]+\$" out || fail "$(cat out)" || return
    done
}

test_bf16_trains_and_predicts() {
    phantoms d && run 0 pretrain d --out r --size 32 --epochs 1 --precision bf16 --quiet && silent || return
    grep -q "^precision = bf16" r/recipe.ini || fail "recipe.ini" || return
    run 0 predict r d --out p --quiet && run 0 predict r d --out q --precision bf16 --quiet && silent || return
    cut -d, -f1-8 p/studies.csv >p.csv && cut -d, -f1-8 q/studies.csv >q.csv
    ! cmp -s p.csv q.csv || fail "bf16 changed nothing" || return
    run 2 predict r d --out s --precision half && said "float32|bf16"
}

test_finetune_never_needs_slices_csv() {
    phantoms d && run 0 finetune d --out f --size 32 --epochs 1 --quiet || return
    printf 'not a table\0\377"' >d/slices.csv
    run 0 finetune d --out g --size 32 --epochs 1 --quiet && silent && same f/model.safetensors g/model.safetensors
}

test_frozen_cnn_is_kept_as_it_was() {
    phantoms d && pretrained r && run 0 finetune d --out f --init r --epochs 1 --freeze-cnn --quiet && silent || return
    run 0 inspect f --csv && holds out conv1,conv2d
}

test_a_run_is_not_overwritten_unasked() {
    phantoms d && pretrained r && cp r/model.safetensors before && run 1 pretrain d --out r $tiny &&
        said r --resume --force && same r/model.safetensors before &&
        run 0 pretrain d --out r --size 32 --epochs 1 --seed 9 --force --quiet &&
        ! cmp -s r/model.safetensors before || fail "--force"
}

run_tests

#!/usr/bin/env bash
# Whatever a user hands over: one line that names file and cure, the right status, the rest still processed.
. "$(dirname "$0")/lib.sh"

# patch FILE OFFSET BYTES(printf)
patch() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }

# NIfTI-1: dim[0] at byte 40, dim[1] 42, dim[2] 44, dim[3] 46, dim[4] 48, datatype 70, bitpix 72; data from 352.
spoilt="missing truncated cut_raw text two_d four_d zero_size nan lying empty folder"
spoil() { # a dataset with good phantoms and one study for each kind of damage
    phantoms "$1" || return
    local good=$1/volumes/good.nii v=$1/volumes name
    gzip -dc "$1/volumes/a1-0000.nii.gz" >"$good"
    head -c 2000 "$1/volumes/a1-0000.nii.gz" >"$v/truncated.nii.gz"
    head -c 5000 "$good" >"$v/cut_raw.nii"
    echo "this is no scan" >"$v/text.nii"
    for name in two_d four_d zero_size nan lying; do cp "$good" "$v/$name.nii"; done
    patch "$v/two_d.nii" 40 '\002\000'
    patch "$v/four_d.nii" 40 '\004\000' && patch "$v/four_d.nii" 48 '\003\000'
    patch "$v/zero_size.nii" 46 '\000\000'
    patch "$v/nan.nii" 70 '\020\000\040\000' && head -c 352 "$v/nan.nii" >"$v/header" &&
        { cat "$v/header" && head -c $((32 * 32 * 60 * 4)) /dev/zero | tr '\0' '\377'; } >"$v/nan.nii"
    patch "$v/lying.nii" 42 '\377\177\377\177\377\177'
    : >"$v/empty.nii"
    mkdir "$v/folder.nii"
    for name in $spoilt; do
        local ending=nii
        [ $name = truncated ] && ending=nii.gz
        echo "$name,p-$name,volumes/$name.$ending,1,0,0,0,0,1,train" >>"$1/studies.csv"
        echo "$name,0,$name-0,1,0,0,0,0,1" >>"$1/slices.csv"
    done
}

names_each() { # FOLDER: its skipped.csv has one line for each spoilt study, with file and reason
    local name
    header "$1/skipped.csv" "path,study_id,reason" || return
    for name in $spoilt; do
        grep -qE "^[^,]*volumes/$name\.nii(\.gz)?,$name,.{20,}" "$1/skipped.csv" ||
            fail "$name is not in skipped.csv: $(cat "$1/skipped.csv")" || return
    done
    rows "$1/skipped.csv" "$(echo $spoilt | wc -w)"
}

test_predict_leaves_out_what_cannot_be_read() {
    spoil d && pretrained r && run 3 predict r d --out p && said p/skipped.csv volumes/missing.nii && names_each p &&
        rows p/studies.csv 6 && no_rests
}

test_training_leaves_out_what_cannot_be_read() {
    spoil d && run 3 pretrain d --out r $tiny --quiet && said r/skipped.csv && names_each r && there r/model.safetensors &&
        run 3 finetune d --out f --init r --epochs 1 --quiet && said f/skipped.csv && names_each f &&
        there f/model.safetensors || return
    phantoms good && run 0 pretrain good --out s $tiny --quiet && gone s/skipped.csv
}

test_one_bad_file_alone_fails_with_its_reason() {
    spoil d && pretrained r || return
    local name
    for name in missing.nii truncated.nii.gz cut_raw.nii text.nii two_d.nii four_d.nii zero_size.nii nan.nii lying.nii \
        empty.nii folder.nii; do
        run 1 predict r d/volumes/$name --out p && said $name && gone p/studies.csv || return
    done
}

test_nothing_readable_is_a_failure() {
    phantoms d && pretrained r && rm d/volumes/* && run 1 predict r d --out p && said a1-0000.nii.gz &&
        gone p/studies.csv p/recipe.ini && rows p/skipped.csv 6 && run 1 finetune d --out f --init r --quiet &&
        said a1-0000.nii.gz && gone f/model.safetensors && rows f/skipped.csv 6
}

test_a_cured_dataset_leaves_no_skipped_csv() {
    spoil d && pretrained r && run 3 predict r d --out p && there p/skipped.csv &&
        sed -i '/p-/!b; /^\(missing\|truncated\|cut_raw\|text\|two_d\|four_d\|zero_size\|nan\|lying\|empty\|folder\),/d' \
            d/studies.csv &&
        run 0 predict r d --out p && gone p/skipped.csv
}

drop_column() { cut -d, -f1-"$(($2 - 1))","$(($2 + 1))"- "$1" >t && mv t "$1"; } # FILE NUMBER

test_a_missing_column_is_named() {
    phantoms d && pretrained r && drop_column d/studies.csv 3 && run 1 predict r d --out p && said d/studies.csv path &&
        run 1 finetune d --out f --quiet && said d/studies.csv path && drop_column d/studies.csv 2 && run 1 split d &&
        said d/studies.csv patient_id || return
    phantoms e && drop_column e/slices.csv 9 && run 1 pretrain e --out s $tiny && said e/slices.csv subdural &&
        gone s/model.safetensors
}

test_slices_of_an_unknown_study_are_left_out() {
    phantoms d && echo "stranger,0,x,1,0,0,0,0,1" >>d/slices.csv && echo "stranger,1,y,1,0,0,0,0,1" >>d/slices.csv &&
        run 3 pretrain d --out r $tiny --quiet && said r/skipped.csv d/slices.csv stranger studies.csv &&
        rows r/skipped.csv 1 && holds r/skipped.csv d/slices.csv,stranger, && there r/model.safetensors || return
    run 0 finetune d --out f --init r --epochs 1 --quiet && gone f/skipped.csv # which never opens slices.csv
}

test_tables_that_are_none() {
    phantoms d && pretrained r && : >d/studies.csv && run 1 predict r d --out p && said d/studies.csv &&
        printf 'study_id,"path' >d/studies.csv && run 1 predict r d --out p && said d/studies.csv &&
        rm d/studies.csv && run 1 predict r d --out p && said d/studies.csv || return
}

test_evaluating_an_unknown_study_leaves_it_out() {
    phantoms d && pretrained r && run 0 predict r d --out p && sed -i '/^a1-0003,/d' d/studies.csv d/slices.csv &&
        run 3 evaluate p d --out e && said e/skipped.csv && holds e/skipped.csv a1-0003 && rows e/skipped.csv 1 &&
        there e/metrics.csv
}

test_evaluating_strangers_fails() {
    phantoms d && phantoms e 2 && pretrained r && run 0 predict r d --out p && run 1 evaluate p e --out m &&
        said p study_id && gone m/metrics.csv && run 1 evaluate nowhere d --out m && said nowhere/studies.csv
}

test_what_is_no_model_is_refused() {
    phantoms d && run 1 predict nowhere d --out p && said nowhere && run 1 inspect d && said model.safetensors &&
        echo text >m.safetensors && run 1 inspect m.safetensors && said m.safetensors && pretrained r &&
        head -c 1000000 r/model.safetensors >cut.safetensors && run 1 predict cut.safetensors d --out p &&
        said cut.safetensors && gone p/studies.csv && run 1 finetune d --out f --init cut.safetensors && said cut.safetensors
}

test_pretraining_without_slices_csv_tells_of_finetune() {
    phantoms d && rm d/slices.csv && run 1 pretrain d --out r && said slices.csv finetune && gone r/model.safetensors
}

test_folders_that_cannot_be_written() {
    phantoms d && pretrained r && echo file >wall || return
    run 1 synth wall --studies 1 --size 32 && said wall && run 1 synth wall/in --studies 1 --size 32 && said wall &&
        run 1 pretrain d --out wall $tiny && said wall && run 1 predict r d --out wall/p && said wall &&
        run 1 report d --out p && said d || return
    [ "$(id -u)" -ne 0 ] || return 0 # root may write anywhere
    mkdir locked && chmod a-w locked
    run 1 synth locked/d --studies 1 --size 32 && said locked && run 1 pretrain d --out locked/r $tiny && said locked &&
        run 1 predict r d --out locked/p && said locked
}

test_somebody_elses_dataset_is_not_replaced_by_phantoms() {
    mkdir d && printf 'study_id,patient_id,path,%s\nx,y,z.nii,1,0,0,0,0,1\n' $labels >d/studies.csv && cp d/studies.csv before &&
        run 1 synth d --studies 1 --size 32 && said d && same d/studies.csv before
}

test_predictions_never_replace_the_dataset() {
    phantoms d && pretrained r && cp d/studies.csv before && run 1 predict r d --out d && said d && same d/studies.csv before
}

run_tests

#!/usr/bin/env bash
# recipe.ini beside the results, through --config, repeats them.
. "$(dirname "$0")/lib.sh"

test_a_recipe_repeats_pretraining() {
    phantoms d && run 0 pretrain d --out r --size 32 --epochs 1 --batch 20 --lr 0.002 --no-flip --seed 7 --quiet &&
        run 0 pretrain d --out s --config r/recipe.ini --quiet && same r/model.safetensors s/model.safetensors &&
        same r/recipe.ini s/recipe.ini
}

test_a_recipe_in_its_run_also_says_what_the_run_was_about() {
    phantoms d && pretrained r && run 0 finetune d --out f --init r --epochs 1 --seed 3 --quiet &&
        run 0 finetune --out g --config f/recipe.ini --quiet && same f/model.safetensors g/model.safetensors
}

test_options_override_a_recipe() {
    phantoms d && pretrained r && run 0 pretrain d --out s --config r/recipe.ini --batch 24 --no-augment --quiet &&
        holds s/recipe.ini "batch = 24" "augment = false" "size = 32" &&
        run 0 pretrain d --batch 24 --out t --config r/recipe.ini --no-augment --quiet &&
        same s/model.safetensors t/model.safetensors
}

test_a_partial_recipe_leaves_the_rest_at_its_defaults() {
    phantoms d && printf '; mine\n[model]\nsize = 32\n\n[training]\nepochs=1\n' >mine.ini &&
        run 0 pretrain d --out r --config mine.ini --quiet && holds r/recipe.ini "size = 32" "epochs = 1" "batch = 32"
}

test_a_recipe_repeats_phantoms() {
    run 0 synth d --studies 3 --size 48 --prevalence 0.7 --population b --seed 12 --quiet &&
        run 0 synth e --config d/recipe.ini --quiet || return
    diff -r d e >/dev/null || fail "d and e differ" || return
    run 0 synth f --config d/recipe.ini --studies 1 --quiet && rows f/studies.csv 1 && holds f/recipe.ini "size = 48"
}

test_a_recipe_repeats_answers_and_figures() {
    phantoms d && pretrained r && run 0 predict r d --out p --heatmaps --chunk 5 --quiet &&
        run 0 predict r d --out q --config p/recipe.ini --quiet && same p/slices.csv q/slices.csv &&
        there q/heatmaps/a1-0000.nii.gz && holds q/recipe.ini "chunk = 5" || return
    run 0 evaluate p d --out e --target-sensitivity 0.6 --quiet &&
        run 0 evaluate p d --out f --config e/recipe.ini --quiet && same e/metrics.csv f/metrics.csv &&
        run 0 evaluate p d --out g --config e/recipe.ini --threshold 0.25 --quiet && holds g/metrics.csv ",threshold,0.25,"
}

test_a_training_recipe_serves_predict() {
    phantoms d && pretrained r && run 0 predict r d --out p --config r/recipe.ini --quiet && rows p/studies.csv 6
}

test_predict_refuses_a_recipe_of_another_network() {
    phantoms d && pretrained r && echo "size = 64" >other.ini && run 1 predict r d --out p --config other.ini &&
        said other.ini size && gone p/studies.csv
}

test_results_in_one_folder_keep_their_recipes() {
    phantoms d && pretrained r && run 0 predict r d --out p --quiet && cp p/recipe.ini before &&
        run 0 evaluate p d --out p --quiet && same p/recipe.ini before && there p/evaluate.ini &&
        run 0 evaluate p d --out q --config p/evaluate.ini --quiet && there d/recipe.ini d/split.ini
}

test_a_wrong_recipe_is_named() {
    phantoms d && run 1 pretrain d --out r --config nowhere.ini && said nowhere.ini &&
        echo "epoch = 3" >a.ini && run 1 pretrain d --out r --config a.ini && said a.ini "'epoch'" &&
        echo "epochs = many" >b.ini && run 1 pretrain d --out r --config b.ini && said b.ini "'many'" &&
        printf '[training]\nepochs\n' >c.ini && run 1 pretrain d --out r --config c.ini && said c.ini "line 2" &&
        printf '[synth]\nstudies = 0\n' >e.ini && run 1 synth s --config e.ini && said e.ini studies &&
        printf '[synth]\nmasks = maybe\n' >f.ini && run 1 synth s --config f.ini && said f.ini "true or false" &&
        printf '[synth]\n\nhead = 2\n' >g.ini && run 1 synth s --config g.ini && said g.ini "'head'" &&
        run 1 pretrain d --out r --config d && said d && printf 'epochs = 1\0' >h.ini &&
        run 1 pretrain d --out r --config h.ini && said h.ini && gone r s
}

run_tests

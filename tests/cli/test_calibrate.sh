#!/usr/bin/env bash
# calibrate: a model and its answers in, a model with honest probabilities and a threshold out.
. "$(dirname "$0")/lib.sh"

test_a_calibrated_model_answers_and_is_evaluated_at_its_own_threshold() {
    phantoms d && pretrained r && run 0 predict r d --out p --quiet &&
        run 0 calibrate r p d --out c --split all --max-missed 0.4 --confidence 0 && silent &&
        holds out "positive from" "at most 40 % of positive studies are missed, on average" &&
        there c/model.safetensors c/recipe.ini && no_rests &&
        header c/calibration.csv label,n,n_positive,slope,offset,log_loss_before,log_loss,brier_before,brier,ece_before,ece,note &&
        rows c/calibration.csv 6 && run 0 predict c d --out q --quiet && holds q/about.csv threshold, promise, calibration,platt &&
        run 0 evaluate q d --out e && grep -q "study,any,threshold,.*the model's own" e/metrics.csv ||
        fail "$(cat e/metrics.csv)" || return
    run 0 calibrate --config c/recipe.ini r p d --out again --quiet && same c/model.safetensors again/model.safetensors
}

test_answers_of_another_model_are_refused() {
    phantoms d && pretrained r && run 0 predict r d --out p --quiet &&
        run 0 calibrate r p d --out c --split all --max-missed 0.4 --confidence 0 --quiet &&
        run 1 calibrate c p d --out again --split all --max-missed 0.4 --confidence 0 && said p/about.csv calibration &&
        gone again/model.safetensors
}

test_too_few_studies_for_the_promise_are_told() {
    phantoms d && pretrained r && run 0 predict r d --out p --quiet && run 1 calibrate r p d --out c &&
        said "too few" "takes 45" && run 2 calibrate r p d --out c --method isotonic && said isotonic platt
}

run_tests

#!/usr/bin/env bash
# What predict shows: a table on a terminal, JSON for programs.
. "$(dirname "$0")/lib.sh"

on_a_terminal() { script -qec "$(printf '%q ' "$ichor" "$@")" /dev/null >typed 2>&1 </dev/null; }

# Checks with python3, where it is there, that FILE is JSON for which EXPRESSION (of d) is true.
json() { # FILE EXPRESSION
    command -v python3 >/dev/null || return 0
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' "$1" "$2" || fail "$2 of $(cat "$1")"
}

test_json_is_all_that_is_printed() {
    phantoms d && printf 'x' >d/volumes/a1-0004.nii.gz && pretrained r && run 3 predict r d --out p --json && said a1-0004 || return
    json out 'len(d["studies"]) == 5 and d["skipped"][0]["study_id"] == "a1-0004"' &&
        json out 'all(a["any"] >= b["any"] for a, b in zip(d["studies"], d["studies"][1:]))' &&
        json out 'all(s["verdict"] == ("positive" if s["any"] >= 0.5 else "negative") for s in d["studies"])' &&
        json out 'all(len(s["slices"]) == 3 and s["seconds"] > 0 and s["flag"] is None and s["uncertainty"] is None for s in d["studies"])' || return
    local a b # the same numbers as in the table
    a=$(grep -o '"study_id":"a1-0002","n_slices":[0-9]*,"any":[^,]*' out | sed 's/.*"any"://')
    b=$(grep '^a1-0002,' p/studies.csv | cut -d, -f3)
    [ -n "$a" ] && [ "$a" = "$b" ] || fail "any is $a, not $b"
}

test_json_survives_any_name() {
    phantoms d && pretrained r && mv d/volumes/a1-0001.nii.gz 'd/volumes/a "b\<c.nii.gz' &&
        run 0 predict r 'd/volumes/a "b\<c.nii.gz' --out p --json && json out 'd["studies"][0]["study_id"] == "a \"b\\<c"'
}

test_a_terminal_shows_the_table_and_what_it_took() {
    command -v script >/dev/null || return 0
    phantoms d && pretrained r && on_a_terminal predict r d --out p &&
        holds typed "study    probability  verdict   seconds  slices to look at" "positive from 0.5" "p: studies.csv, slices.csv in " &&
        [ "$(grep -aoE 'a1-000[0-9]  +0\.[0-9]{3}  (negative|positive) +[0-9.]+  [0-9]+ [0-9]+ [0-9]+' typed | sort -u | wc -l)" -eq 6 ] ||
        fail "$(cat typed)"
}

test_verdicts_are_those_of_the_models_own_thresholds() {
    phantoms d && pretrained r && run 0 predict r d --out p --quiet &&
        run 0 calibrate r p d --out c --split all --max-missed 0.4 --max-false 0.4 --confidence 0 --quiet &&
        run 0 predict c d --out q --json && json out 'd["promise"].startswith("at most 40 %") and d["threshold_sure"] >= d["threshold"]' &&
        json out 'all(s["verdict"] == ("negative" if s["any"] < d["threshold"] else "unsure" if s["any"] < d["threshold_sure"] else "positive") for s in d["studies"])'
}

run_tests

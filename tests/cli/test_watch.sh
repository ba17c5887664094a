#!/usr/bin/env bash
# predict --watch: whatever arrives is answered once, however often the watcher is killed.
. "$(dirname "$0")/lib.sh"

watcher=
start() { # OPTIONS... : watches `in`, answers into `w`
    "$ichor" predict r --watch in --out w "$@" >watched 2>err </dev/null &
    watcher=$!
}
stop() { # STATUS [SIGNAL]
    local status=0
    kill "-${2:-TERM}" $watcher && wait $watcher 2>/dev/null || status=$?
    watcher=
    [ $status -eq "$1" ] || fail "the watcher ended with $status, not $1: $(cat err)"
}

# Waits up to a minute until the worklist has N studies.
answered() {
    local i
    for i in $(seq 600); do
        [ -e w/studies.csv ] && [ "$(($(wc -l <w/studies.csv) - 1))" -ge "$1" ] && return
        kill -0 $watcher 2>/dev/null || { fail "the watcher is gone: $(cat err)"; return; }
        sleep 0.1
    done
    fail "$1 studies were not answered: $(ls w)"
}
once() { [ -z "$(tail -n +2 w/studies.csv | cut -d, -f1 | sort | uniq -d)" ] || fail "twice: $(cat w/studies.csv)"; }

test_arrivals_are_answered_and_sorted() {
    phantoms d && pretrained r && mkdir in && cp d/volumes/a1-0000.nii.gz in && start && answered 1 || return
    cp d/volumes/a1-000[12].nii.gz in
    cp -r d in/whole && answered 6 && stop 3 && said "inputs left out: 3" "a1-0000.nii.gz already" || return
    rows w/studies.csv 6 && once && header w/studies.csv "study_id,n_slices,$labels,seconds" || return
    tail -n +2 w/studies.csv | cut -d, -f3 | sort -gr -c || fail "not sorted: $(cat w/studies.csv)" || return
    [ "$(tail -n +2 w/slices.csv | cut -d, -f1 | uniq)" = "$(tail -n +2 w/studies.csv | cut -d, -f1)" ] || fail "slices.csv" || return
    holds watched a1-0001 negative && holds w/about.csv "input,$(realpath in)" && there w/recipe.ini && no_rests &&
        run 0 predict r d --out p --quiet && # the same answers as without a watch
        [ "$(cut -d, -f1-8 p/studies.csv | sort)" = "$(cut -d, -f1-8 w/studies.csv | sort)" ] || fail "other answers" || return
    run 0 evaluate w d --out e && silent
}

test_a_killed_watcher_goes_on_where_it_was() {
    phantoms d && pretrained r && mkdir in && cp d/volumes/*.nii.gz in && start --quiet && answered 2 && stop 137 KILL || return
    stat -c '%n %Y %s' w/arrivals/*/studies.csv | sort >before && start --quiet && answered 6 && stop 0 && silent || return
    stat -c '%n %Y %s' w/arrivals/*/studies.csv | sort >after
    [ -z "$(comm -23 before after)" ] || fail "answered again: $(comm -23 before after)" || return
    rows w/studies.csv 6 && once && cp w/studies.csv first && start --quiet && sleep 2.5 && stop 0 && same w/studies.csv first
}

test_what_cannot_be_answered_is_named_once_and_answered_when_mended() {
    phantoms d && pretrained r && mkdir in && printf 'no volume' >in/a1-0000.nii.gz && printf x >in/loose.dcm &&
        cp d/volumes/a1-0001.nii.gz in && mkdir in/empty && printf half >in/.a1-0003.nii.gz.tmp && start --json && answered 1 && sleep 2.5 || return
    rows w/skipped.csv 2 && holds w/skipped.csv a1-0000 "loose.dcm: neither .nii nor .nii.gz" || return
    cp d/volumes/a1-0000.nii.gz in && answered 2 && stop 3 || return
    rows w/skipped.csv 1 && rows w/studies.csv 2 && once && [ "$(wc -l <watched)" -eq 4 ] || fail "$(cat watched)" || return
    grep -q '^{"study_id":"a1-0001",.*"flag":null}$' watched && grep -q '^{"path":"in/loose.dcm",.*"skipped":"' watched || fail "$(cat watched)"
}

test_a_copy_under_way_is_left_to_grow() {
    phantoms d && pretrained r && mkdir in && start --quiet && sleep 1 || return
    local size step i
    size=$(stat -c %s d/volumes/a1-0002.nii.gz) && step=$((size / 6 + 1))
    for i in $(seq 0 5); do
        dd if=d/volumes/a1-0002.nii.gz bs=$step skip=$i count=1 status=none >>in/a1-0002.nii.gz
        sleep 0.6
    done
    answered 1 && stop 0 && silent && gone w/skipped.csv && rows w/studies.csv 1
}

test_heatmaps_are_found_in_one_place() {
    phantoms d && pretrained r && mkdir in && cp d/volumes/a1-0004.nii.gz in && start --quiet --heatmaps && answered 1 && stop 0 &&
        there w/heatmaps/a1-0004.nii.gz w/heatmaps/a1-0004/000.png && run 0 report w && there w/report/index.html
}

test_wrong_folders_are_refused() {
    phantoms d && pretrained r && mkdir in && run 1 predict r --watch nowhere --out w && said nowhere "no such folder" &&
        run 1 predict r --watch in --out in/w && said "in/w" "another output folder" &&
        run 2 predict r d --watch in --out w && said "exclude each other"
}

run_tests

#!/usr/bin/env bash
# The whole way under valgrind: no wrong read or write, no value used before it was set, nothing lost, every file closed.
# valgrind knows no AVX-512, so the AVX2 kernels run. Import is not here: its workers' limits (data/sandbox.c) leave no
# room for valgrind's own memory and system calls; the sanitizers have it.
# By hand: bash tests/cli/test_memcheck.sh build/ichor. Training takes its time there, so ctest does not run it.
command -v valgrind >/dev/null || { echo "without valgrind: skipped" && exit 77; }
. "$(dirname "$0")/lib.sh"
real=$ichor ichor=$root/under
cat >"$ichor" <<END
#!/bin/sh
exec valgrind --quiet --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=99 \
    --track-fds=yes --log-file="$root/log" "$real" "\$@" --threads 1
END
chmod +x "$ichor"
export OPENBLAS_CORETYPE=Haswell

# clean WORDS...: the program succeeds and valgrind has nothing to say. It lists what is open at the end; files of
# ours are those that were not open at the start, but for its own log.
clean() {
    run 0 "$@" || { sed -n 1,30p "$root/log"; return 1; }
    silent || return
    awk -v own="$root/log" '
        /Open (file descriptor|AF_)/ { held = $0; next }
        held { if (!/inherited from parent/ && index(held, own) == 0) print held; held = "" }' "$root/log" >left
    [ ! -s left ] || fail "ichor $*" "$(cat left)"
}

test_from_phantoms_to_the_page() {
    clean synth d --studies 2 --size 32 --prevalence 0.5 --seed 1 --quiet && clean split d --fractions 0.5,0.5,0 &&
        clean pretrain d --out r --size 32 --epochs 1 --quiet &&
        clean finetune d --out f --init r --epochs 1 --quiet &&
        clean predict f d --out p --heatmaps --quiet && clean evaluate p d --out e --quiet &&
        clean report p --quiet && clean inspect f
}

test_from_wrong_input_to_a_message() {
    run 1 predict nowhere nothing --out p && run 2 predict && run 1 evaluate nothing nothing --out e
}

run_tests

#!/usr/bin/env bash
# No kernel may fall behind its own reference, nor Winograd's algorithm behind the direct one. Only ratios on
# this machine count, never times; a row must lose in each of three tries, for other work may disturb one.
. "$(dirname "$0")/lib.sh"

# Layers that call no kernel are the same code whatever the kernels: what differs there is the disturbance.
one_code=$(cd "$(dirname "$0")/../../layers" && grep -L -- '->kernels' ./*.c | sed 's,^\./,,; s,\.c$,,' | paste -sd '|')

# ops KERNELS OUT : every layer of the models on small pictures, one thread
ops() {
    run 0 bench ops --batch 1 --size 48 --seconds 0 --threads 1 --kernels "$1" && mv out "$2"
}

# slower A KERNELS_A B KERNELS_B LIMIT : rows of A that take more than LIMIT times what they take in B
slower() {
    awk -F, -v a="$2" -v b="$4" -v limit="$5" -v one_code="^($one_code)\$" '
        FNR == 1 { file++ }
        $1 ~ one_code { next }
        { row = $1 "," $2 "," $3 }
        file == 1 && $NF == b { other[row] = $4 }
        file == 2 && $NF == a && row in other && $4 + other[row] > 0.02 { # ms; below that calls cost, not work
            compared++
            if ($4 > limit * other[row]) print row
        }
        END { if (!compared) print "nothing to compare" }' "$3" "$1" | sort
}

# lost ROWS... : the rows that every try found slower
lost() { sort "$@" | uniq -c | awk '$1 == 3 { sub(/^ *3 /, ""); print }'; }

test_vector_kernels_are_not_slower_than_the_reference() {
    local try best
    for try in 1 2 3; do
        ops auto auto.csv && ops reference reference.csv || return
        best=$(awk -F, 'END { print $NF }' auto.csv)
        # Copies are as fast as memory in both: a fourth of their time is what a disturbance may take.
        slower auto.csv "${best%-direct}" reference.csv reference 1.25 >lost$try
        [ -s lost$try ] || return 0
    done
    [ -z "$(lost lost1 lost2 lost3)" ] || fail "slower than the reference:" "$(lost lost1 lost2 lost3)"
}

test_winograd_is_faster_than_direct_where_it_is_chosen() {
    local try best
    for try in 1 2 3; do
        ops auto auto.csv || return
        best=$(awk -F, '$NF ~ /-direct$/ { sub(/-direct$/, "", $NF); print $NF; exit }' auto.csv)
        slower auto.csv "$best" auto.csv "$best-direct" 1 >lost$try
        [ -s lost$try ] || return 0
    done
    [ -z "$(lost lost1 lost2 lost3)" ] || fail "slower than direct:" "$(lost lost1 lost2 lost3)"
}

run_tests

#!/usr/bin/env bash
# compare: three tables in, a table of tests out.
. "$(dirname "$0")/lib.sh"

# 20 studies; a and b as probabilities, with seconds.
tables() {
    awk 'BEGIN { OFS = ","; print "study_id,any,subdural,seconds" >"a.csv"; print "study_id,any,subdural,seconds" >"b.csv"
        print "study_id,any,subdural" >"truth.csv"
        for (i = 0; i < 20; i++) { y = i % 2
            print "s" i, y ? 0.55 + 0.02 * i : 0.5 - 0.01 * i, 0.3, 5 + i % 3 >"a.csv"
            print "s" (19 - i), (19 - i) % 3 ? 0.8 : 0.2, 0.4, 20 + i % 7 >"b.csv"
            print "s" i, y, i < 4 ? 1 : "" >"truth.csv" } }'
}

test_compare_prints_a_row_a_test() {
    tables && run 0 compare a.csv b.csv truth.csv && silent &&
        header out "label,metric,a,b,estimate,ci_low,ci_high,method,statistic,p_value,n,n_positive" &&
        holds out 'any,accuracy,' '"McNemar 1947, exact"' '"McNemar, mid-p (Fagerland 2013)"' 'any,auc,' \
            '"DeLong 1988, paired"' any,kappa, all,mean_seconds, all,median_seconds,6, || return
    rows out 18 && [ "$(grep -c '^subdural,.*,4,4$' out)" -eq 8 ] || fail "$(cat out)"
    ! grep -qi nan out || fail "$(grep -i nan out)"
}

test_at_moves_the_cut() {
    tables && run 0 compare a.csv b.csv truth.csv --at 0.9 && holds out "any,sensitivity,0.1,0,0.1" &&
        run 0 compare a.csv b.csv truth.csv --at 0.1 && holds out "any,sensitivity,1,1,0,"
}

test_a_reader_and_folders_are_taken_too() {
    tables && mkdir p d && cp a.csv p/studies.csv && cp truth.csv d/studies.csv &&
        awk -F, -v OFS=, 'NR > 1 { $2 = $2 > 0.5 ? 1 : 0 } { print $1, $2 }' b.csv >reader.csv &&
        run 0 compare p reader.csv d && silent && rows out 8 && holds out any,kappa
}

test_studies_without_a_partner_are_counted() {
    tables && sed -i '/^s7,/d' b.csv && echo "x,0.5,0.5,1" >>a.csv && run 3 compare a.csv b.csv truth.csv &&
        said "studies left out: 2" s7 a.csv "second reader" && holds out ,19,9
}

test_what_cannot_be_compared_is_refused() {
    tables && run 2 compare a.csv b.csv && run 1 compare a.csv b.csv nothing.csv && said nothing.csv || return
    printf 'study_id,any\nz,1\n' >other.csv
    run 1 compare a.csv b.csv other.csv && said a.csv other.csv "study_ids are the same" || return
    printf 'study_id,any\ns1,2\n' >wrong.csv
    run 1 compare a.csv wrong.csv truth.csv && said "wrong.csv: line 2" || return
    printf 'study_id,any\ns1,1\ns1,0\n' >twice.csv
    run 1 compare twice.csv b.csv truth.csv && said twice.csv s1
}

run_tests

#!/usr/bin/env bash
# python/ichor.py of an installed package gives the numbers of `ichor predict`. Skipped without numpy.
python=$(for p in python3 /usr/bin/python3; do "$p" -c 'import numpy' 2>/dev/null && echo "$p" && break; done)
[ -n "$python" ] || { echo "skipped: python3 has no numpy (python3-numpy)"; exit 77; }
. "$(dirname "$0")/prefix.sh"
check=$(dirname "$(realpath "$0")")/check_python.py
export PYTHONPATH=$prefix/share/ichor/python
unset LD_LIBRARY_PATH # it finds its library itself

test_answers_are_those_of_predict() {
    answered && "$python" "$check" answers "$root/m" "$root/d/volumes/$study.nii.gz" "$root/answers" $study >said 2>&1 || fail "$(tail -n 3 said)"
}
test_answers_follow_the_affine_not_the_array() {
    answered && "$python" "$check" turned "$root/m" "$root/d/volumes/$study.nii.gz" >said 2>&1 || fail "$(tail -n 3 said)"
}
test_mistakes_are_errors_with_one_line() {
    answered && "$python" "$check" mistakes "$root/m" >said 2>&1 || fail "$(tail -n 3 said)"
}

run_tests

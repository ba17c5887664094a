#!/usr/bin/env bash
# A stranger's programs build against the installed package alone and answer as `ichor predict` does.
. "$(dirname "$0")/prefix.sh"
cc=$4
consumer=$(dirname "$(realpath "$0")")/consumer

test_each_header_stands_alone() {
    local header
    (cd "$prefix/include" && find ichor -name '*.h') | sort >headers
    [ "$(wc -l <headers)" -gt 50 ] || fail "$(wc -l <headers) headers" || return
    while read -r header; do
        case $header in */kernel_table.h) continue ;; esac # a part of kernels.h
        echo "#include <$header>" | "$cc" -std=c17 -Wall -Wextra -Werror -I "$prefix/include" -fsyntax-only -x c - 2>said ||
            fail "$header: $(grep -m 1 error said)" || return
    done <headers
}

test_no_header_is_found_by_a_name_that_others_may_use() {
    ! grep -rnE '#include "(tensor|layers|optim|data|infer|audit|train)/' "$prefix/include" || fail "an include leaves the tree"
}

test_the_library_leaves_nothing_but_ich_and_its_version() {
    nm -D --defined-only --with-symbol-versions "$lib/libichor.so" | awk '{print $3}' >symbols
    [ "$(grep -c '^ich_.*@@ICHOR_0\.1$' symbols)" -gt 300 ] || fail "$(wc -l <symbols) symbols" || return
    ! grep -vE '^ich_|^ICHOR_0\.1(@|$)' symbols || fail "$(grep -vE '^ich_|^ICHOR_0' symbols | head -n 3)" || return
    # of the archive, C's names; C++ and OpenMP keep their own spaces
    nm -g --defined-only "$lib/libichor.a" 2>/dev/null | awk 'NF == 3 {print $3}' | grep -vE '^(ich_|_Z|DW\.ref\.|\.gomp_critical_user_ich_)' >others
    [ ! -s others ] || fail "in libichor.a: $(head -n 3 others)" || return
    readelf -d "$lib/libichor.so" >dynamic && holds dynamic "soname: [libichor.so.0.1]"
}

# What answer printed is the study's row and its slices' rows, number by number.
agrees() { # FILE
    { grep "^$study," "$root/answers/studies.csv" | cut -d, -f3-8 && grep "^$study," "$root/answers/slices.csv" | cut -d, -f4-9; } >wanted
    same "$1" wanted && [ "$(wc -l <wanted)" -gt 3 ] || fail "$(diff "$1" wanted | head -n 4)"
}

test_programs_of_find_package_answer_as_predict() {
    answered && "$cmake" -S "$consumer" -B b -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" >said 2>&1 &&
        "$cmake" --build b >said 2>&1 || fail "$(grep -iE -m 3 'error|not found' said)" || return
    b/answer "$root/m" "$root/d/volumes/$study.nii.gz" >shared && agrees shared &&
        env -u LD_LIBRARY_PATH b/answer_static "$root/m" "$root/d/volumes/$study.nii.gz" >static && agrees static &&
        ! ldd b/answer_static | grep libichor || fail "static is not"
}

test_programs_of_pkg_config_answer_as_predict() {
    command -v pkg-config >/dev/null || return 0
    answered && [ "$(pkg-config --modversion ichor)" = "$("$ichor" --version | sed -n '1s/ichor //p')" ] || fail version || return
    "$cc" -std=c17 "$consumer/answer.c" -o answer $(pkg-config --cflags --libs ichor) &&
        ./answer "$root/m" "$root/d/volumes/$study.nii.gz" >shared && agrees shared || fail shared || return
    "$cc" -std=c17 "$consumer/answer.c" -o answer_static $(pkg-config --cflags ichor) "$lib/libichor.a" \
        $(pkg-config --static --libs ichor | sed 's/-lichor//') &&
        env -u LD_LIBRARY_PATH ./answer_static "$root/m" "$root/d/volumes/$study.nii.gz" >static && agrees static || fail static
}

# Where ONNX Runtime is not installed, cli.export says that it is skipped.
test_what_it_exports_answers_as_predict() {
    local check=$(dirname "$consumer")/../infer/onnx_check.mjs
    command -v node >/dev/null && node "$check" || return 0
    answered && run 0 export "$root/m" m.onnx --quiet && run 0 audit "$root/m" "$root/d" --study "$study" --dump t --quiet &&
        node "$check" m.onnx t/input.npy "$root/answers" "$study" >said 2>&1 || fail "$(tail -n 3 said)"
}

test_a_program_is_told_what_is_wrong() {
    answered && "$cc" -std=c17 "$consumer/answer.c" -o answer $(pkg-config --cflags --libs ichor) || return
    ! ./answer nowhere "$root/d/volumes/$study.nii.gz" 2>err && holds err "answer: nowhere" &&
        ! ./answer "$root/m" "$root/d/studies.csv" 2>err && holds err "studies.csv" || fail "$(cat err)"
}

test_each_verb_has_a_manual_page_with_every_option() {
    local verb page option
    for verb in $("$ichor" --help | sed -n 's/^  \([a-z-]*\) .*/\1/p'); do
        page=$prefix/share/man/man1/ichor-$verb.1
        there "$page" && "$ichor" "$verb" --help >help || return
        sed 's/\\-/-/g' "$prefix/share/man/man1/ichor.1" >overview && holds overview ".BR ichor-$verb (1)" || return
        sed 's/\\-/-/g' "$page" >plain
        for option in $(grep -oE '^ +(-[a-z], )?--[a-z0-9-]+' help | grep -oE -- '--.*'); do
            grep -qE "^\.B (-[a-z], )?$option(=|,|$)" plain || fail "ichor-$verb.1 has no $option" || return
        done
        if command -v groff >/dev/null; then
            groff -man -ww -Tutf8 "$page" >shown 2>said && [ ! -s said ] || fail "$page: $(head -n 2 said)" || return
        fi
    done
}

completes() { # WANTED WORD...: the last word is completed to a list that holds WANTED
    local wanted=$1
    shift
    (
        PATH=$prefix/bin:$PATH
        . "$prefix/share/bash-completion/completions/ichor"
        COMP_WORDS=(ichor "$@") COMP_CWORD=$#
        _ichor
        printf '%s\n' "${COMPREPLY[@]}"
    ) >completed 2>said
    grep -qxF -- "$wanted" completed || fail "ichor $*: $(head -n 5 completed said)"
}

test_completion_knows_what_the_help_knows() {
    touch some.nii
    completes predict pre && completes --heatmaps predict m d --heat && completes --no-augment pretrain d --no-a &&
        completes train bench model --mode = t && completes infer bench model --mode = && completes sgd pretrain d --optimizer s &&
        completes some.nii predict m so && completes --threads evaluate --th || return
    completes --help pretrain --he && ! grep heatmaps completed || fail "another verb's option"
}

run_tests

# What the tests of the command line share. A test file sources this, defines functions test_*, and ends with
# `run_tests`; each function starts in a fresh folder. Called as: test_x.sh <path of ichor>
set -u
ichor=$(realpath "$1")
export OMP_WAIT_POLICY=passive # more threads than cores must not spin
root=$(mktemp -d "${TMPDIR:-/tmp}/ichor-cli-XXXXXX")
trap 'chmod -R u+w "$root"; rm -rf "$root"' EXIT

fail() {
    printf '        %s\n' "$@"
    failed=1
    return 1
}

# run STATUS WORDS... : the program ends with STATUS; what it prints is in the files out and err.
run() {
    local expected=$1 status=0
    shift
    "$ichor" "$@" >out 2>err </dev/null || status=$?
    [ $status -eq "$expected" ] && return
    fail "ichor $*" "status $status, not $expected" "stdout: $(tail -n 3 out)" "stderr: $(tail -n 20 err)"
}

# said WORD... : stderr is one line, from ichor, that holds each WORD.
said() {
    local word
    [ "$(wc -l <err)" -eq 1 ] || fail "stderr is not one line: $(cat err)" || return
    case $(cat err) in "ichor: "*) ;; *) fail "stderr is not ichor's: $(cat err)" || return ;; esac
    for word in "$@"; do
        grep -qF -- "$word" err || fail "'$word' is not in: $(cat err)" || return
    done
}

silent() { [ ! -s err ] || fail "stderr: $(cat err)"; }
holds() { # FILE WORD...
    local word file=$1
    shift
    for word in "$@"; do grep -qF -- "$word" "$file" || fail "'$word' is not in $file: $(head -n 5 "$file")" || return; done
}
header() { [ "$(head -n 1 "$1")" = "$2" ] || fail "$1 begins with: $(head -n 1 "$1")"; }
rows() { [ "$(($(wc -l <"$1") - 1))" -eq "$2" ] || fail "$1 has $(($(wc -l <"$1") - 1)) rows, not $2"; }
same() { cmp "$1" "$2" >/dev/null || fail "$1 and $2 differ"; }
there() { local f; for f in "$@"; do [ -e "$f" ] || fail "$f is missing" || return; done; }
gone() { local f; for f in "$@"; do [ ! -e "$f" ] || fail "$f is there" || return; done; }
no_rests() { [ -z "$(find . -name '.ichor-*.tmp')" ] || fail "temporary files are left: $(find . -name '.ichor-*.tmp')"; }

labels=any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural
tiny="--size 32 --epochs 1"

# A dataset of six phantoms of 32 pixels, split; made once, copied into the present folder.
phantoms() { # FOLDER [SEED]
    local made=$root/phantoms-${2:-1}
    if [ ! -e "$made" ]; then
        "$ichor" synth "$made" --studies 6 --size 32 --prevalence 0.5 --seed "${2:-1}" --quiet &&
            "$ichor" split "$made" --fractions 0.67,0.33,0 --quiet || fail "no phantoms" || return
    fi
    cp -r "$made" "$1"
}

# A pretrained RUN, made once; hard links, since what the program writes it renames into place.
pretrained() { # FOLDER
    if [ ! -e "$root/pretrained" ]; then
        phantoms "$root/to-pretrain" &&
            "$ichor" pretrain "$root/to-pretrain" --out "$root/pretrained" $tiny --quiet || fail "no model" || return
    fi
    cp -rl "$root/pretrained" "$1"
}

# A run of the phantoms d that nobody stops, in the folder whole; made once for the same OPTIONS.
whole() { # OPTIONS...
    [ -e "$root/whole $*" ] || run 0 pretrain d --out "$root/whole $*" "$@" --quiet || return
    cp -rl "$root/whole $*" whole
}

run_tests() {
    local name bad=0
    for name in $(declare -F | sed -n 's/^declare -f \(test_.*\)/\1/p'); do
        failed=0
        mkdir "$root/$name" && cd "$root/$name" || exit 1
        $name
        if [ $failed -eq 0 ]; then echo "ok      ${name#test_}"; else
            echo "FAILED  ${name#test_}"
            bad=1
        fi
    done
    exit $bad
}

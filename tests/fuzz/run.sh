#!/usr/bin/env bash
# Fuzzes one target for a while; the corpus grows in BUILD/corpus/TARGET, findings lie in BUILD/findings/TARGET.
#   tests/fuzz/run.sh BUILD TARGET SECONDS [FOLDER WITH MORE SEEDS]
set -euo pipefail
build=$(realpath "$1") target=$2 seconds=$3
here=$(realpath "$(dirname "$0")")
corpus=$build/corpus/$target findings=$build/findings/$target
mkdir -p "$findings"
shm=/dev/shm # what is written is synced, and a disk would make that slow
[ -w $shm ] || shm=${TMPDIR:-/tmp}
export TMPDIR=$(mktemp -d "$shm/ichor-fuzz-XXXXXX")
trap 'rm -rf "$TMPDIR"' EXIT
"$here/seeds.sh" "$target" "$corpus"
dictionary=()
[ ! -e "$here/$target.dict" ] || dictionary=(-dict="$here/$target.dict")
# one process that starts others: a crash is written down and the next goes on
"$build/tests/fuzz/fuzz_$target" -fork=1 -ignore_crashes=1 -ignore_timeouts=1 -ignore_ooms=1 \
    -rss_limit_mb=2048 -timeout=5 -max_len=65536 -max_total_time="$seconds" -artifact_prefix="$findings/" \
    "${dictionary[@]}" "$corpus" $(ls -d "$here/regressions/$target" 2>/dev/null || true) "${@:4}"

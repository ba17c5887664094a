#!/usr/bin/env bash
# A target over its seeds and regressions: replay.sh PROGRAM TARGET CHANGES
set -euo pipefail
here=$(realpath "$(dirname "$0")")
shm=/dev/shm # what is written is synced, and a disk would make that slow
[ -w $shm ] || shm=${TMPDIR:-/tmp}
export TMPDIR=$(mktemp -d "$shm/ichor-replay-XXXXXX")
trap 'rm -rf "$TMPDIR"' EXIT
"$here/seeds.sh" "$2" "$TMPDIR/seeds"
"$1" "$3" "$TMPDIR/seeds" "$here/regressions/$2"

#!/usr/bin/env bash
# The table of weak-label methods: builds Ichor, makes phantoms, fine-tunes each recipe with five seeds, and writes
# benchmarks/weak_labels.md. About half an hour on two free cores; given again, it goes on where it was stopped.
#   benchmarks/weak_labels.sh [OUT]           OUT, for data and runs, defaults to weak-labels-out
#   benchmarks/weak_labels.sh OUT --quick     tiny sizes, to see that it works; writes OUT/weak_labels.md
#   benchmarks/weak_labels.sh OUT --only max,mean --seeds 3
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
-h | --help)
    sed -n 's/^# \{0,1\}//p' benchmarks/weak_labels.sh
    exit 0
    ;;
esac
out=${1:-weak-labels-out}
shift || true

tools/packages.sh build
cmake --preset release >/dev/null
cmake --build build -j "$(nproc)" --target ichor >/dev/null

[ $# -gt 0 ] || set -- --table benchmarks/weak_labels.md
exec python3 benchmarks/weak_labels.py --out "$out" "$@"

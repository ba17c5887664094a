#!/usr/bin/env bash
# Ichor beside torch and ONNX Runtime on this machine: installs the peers, builds Ichor, measures all of them in
# turn, writes benchmarks/results.md. Nothing else should run meanwhile; the result says how much did.
#   benchmarks/compare.sh               everything: 5 rounds, about half an hour on 2 cores
#   benchmarks/compare.sh --quick       2 rounds, short measurements
#   benchmarks/compare.sh --only TEXT   only rows whose name contains TEXT
#   benchmarks/compare.sh --avx2        every row without AVX-512, in the peers too
# and --threads N, --rounds N, --seconds X, --out FILE.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
-h | --help)
    sed -n 's/^# \{0,1\}//p' benchmarks/compare.sh
    exit 0
    ;;
esac

tools/packages.sh build peers onnx

cmake --preset release >/dev/null
cmake --build build -j "$(nproc)" --target ichor >/dev/null

exec /usr/bin/python3 benchmarks/compare.py "$@"

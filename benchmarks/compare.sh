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

peers="python3-torch python3-nibabel python3-pil libjemalloc2 libtcmalloc-minimal4"
command -v node >/dev/null || peers+=" nodejs"
command -v npm >/dev/null || peers+=" npm"
missing=()
for package in $peers; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    echo "Installing: ${missing[*]}"
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
# Its install script would only fetch the GPU's libraries.
npm ci --prefix benchmarks --ignore-scripts --no-audit --no-fund --silent

tools/packages.sh build
cmake --preset release >/dev/null
cmake --build build -j "$(nproc)" --target ichor >/dev/null

exec /usr/bin/python3 benchmarks/compare.py "$@"

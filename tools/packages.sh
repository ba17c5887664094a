#!/usr/bin/env bash
# Installs the Debian packages named, if any is missing. Needs root or sudo only then.
#   tools/packages.sh build        what the program needs
#   tools/packages.sh build tests  and what its tests need
#   tools/packages.sh analysis     what tools/analyse.py, the thread sanitizer and the test under valgrind need
#   tools/packages.sh peers        what the benchmarks measure Ichor against
#   tools/packages.sh browser      what the report's test in a browser needs; without it that test is skipped
#   tools/packages.sh clang        clang, which the whole project builds with, too
#   tools/packages.sh arm64        to build for arm64 and run that here (tools/arm64.sh)
#   tools/packages.sh release      to make and try packages (tools/release.sh)
#   tools/packages.sh onnx         ONNX Runtime, for the test of export (skipped without it) and as a peer
set -euo pipefail

build="gcc g++ make cmake pkg-config libopenblas-openmp-dev libnifti-dev libstb-dev libinih-dev libjansson-dev zlib1g-dev libdeflate-dev libdcmtk-dev libopenjp2-7-dev libseccomp-dev"
tests="libcmocka-dev clang-format python3-numpy libopenmpi-dev openmpi-bin"
analysis="cppcheck clang clang-tidy libomp-dev libopenblas-serial-dev valgrind"
peers="python3-torch python3-nibabel python3-pil libjemalloc2 libtcmalloc-minimal4"
clang="clang libomp-dev"
arm64="mmdebstrap g++-aarch64-linux-gnu qemu-user"
release="dpkg-dev mmdebstrap"

# node comes from elsewhere on some machines, and then brings its own npm
node=
command -v npm >/dev/null || node="nodejs npm"
from_npm=()
wanted=()
for set in "$@"; do
    case $set in
    build) wanted+=($build) ;;
    tests) wanted+=($tests) ;;
    analysis) wanted+=($analysis) ;;
    peers) wanted+=($peers $node) ;;
    clang) wanted+=($clang) ;;
    arm64) wanted+=($arm64) ;;
    release) wanted+=($release) ;;
    browser)
        from_npm+=(tests/browser)
        wanted+=(chromium $node)
        ;;
    onnx)
        from_npm+=(benchmarks)
        wanted+=($node)
        ;;
    *) echo "tools/packages.sh: '$set' is not a set of packages; use build, tests, peers, browser, onnx, clang, arm64, release" >&2; exit 2 ;;

    esac
done

missing=()
for package in "${wanted[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    echo "Installing: ${missing[*]}"
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
# As package-lock.json says, unless that is what lies there already. ONNX Runtime's install script would only fetch
# libraries for GPUs.
for folder in "${from_npm[@]}"; do
    (
        cd "$(dirname "$0")/../$folder"
        cmp -s package-lock.json node_modules/.of-lock ||
            { npm ci --ignore-scripts --no-audit --no-fund --silent && cp package-lock.json node_modules/.of-lock; }
    )
done

#!/usr/bin/env bash
# Installs what the tests need, builds, runs every test.
#   ./test.sh             everything with gcc; unit tests with clang; unit tests, fuzz targets and spine sanitized
#   ./test.sh --sanitize  all that end in time under the address and undefined-behaviour sanitizers
#   ./test.sh --races     the same under the thread sanitizer
#   ./test.sh --arm64     another processor, in an emulator, which takes its time
#   ./test.sh --quick     the release build's quick tests, for daily work
set -euo pipefail
cd "$(dirname "$0")"

what=${1:-}
case $what in
--quick | --sanitize | --races | --arm64 | "") ;;
*) echo "usage: ./test.sh [--quick|--sanitize|--races|--arm64]" >&2; exit 2 ;;
esac

tools/packages.sh build tests
tools/packages.sh release || echo "without mmdebstrap: packages are not tried in a clean Debian"
tools/packages.sh browser || echo "without a browser: its tests are skipped"
tools/packages.sh onnx || echo "without ONNX Runtime: the test that runs exported models is skipped"
jobs=$(nproc)

run() { # preset, ctest arguments
    local preset=$1 folder=$2
    shift 2
    cmake --preset "$preset" >/dev/null
    cmake --build "$folder" -j "$jobs" -- --quiet 2>/dev/null || cmake --build "$folder" -j "$jobs"
    ctest --preset "$preset" --no-tests=error -j "$jobs" "$@"
}

case $what in
--quick) run release build -LE slow ;;
--sanitize) run sanitize build-sanitize -LE "slow|speed" ;;
--races)
    tools/packages.sh analysis
    run tsan build-tsan
    ;;
--arm64)
    cmake --preset release >/dev/null && cmake --build build -j "$jobs" # whose figures are compared
    tools/arm64.sh --quick
    ;;
"")
    tools/packages.sh analysis || echo "without analysers: their test is skipped"
    run release build
    if tools/packages.sh clang; then
        run clang build-clang -LE "slow|speed" -R '^(tensor|layers|optim|data|infer|train)\.'
    else
        echo "without clang: gcc alone builds it"
    fi
    # Hostile input and the way to the page; the other verbs take minutes there (--sanitize).
    run sanitize build-sanitize -LE "slow|speed" -E '^cli\.(audit|threads|recipe|watch|calibrate|compare|worklist)$'
    ;;
esac

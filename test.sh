#!/usr/bin/env bash
# Installs what the tests need, builds, runs every test.
#   ./test.sh           everything: sanitizers, clang, arm64 in an emulator
#   ./test.sh --races   all that end in time under the thread sanitizer
#   ./test.sh --quick   the release build's quick tests, for daily work
set -euo pipefail
cd "$(dirname "$0")"

quick= races=
case ${1:-} in
--quick) quick=1 ;;
--races) races=1 ;;
"") ;;
*) echo "usage: ./test.sh [--quick|--races]" >&2; exit 2 ;;
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

if [ -n "$races" ]; then
    tools/packages.sh analysis
    run tsan build-tsan
elif [ -n "$quick" ]; then
    run release build -LE slow
else
    tools/packages.sh analysis || echo "without analysers and valgrind: their tests are skipped"
    run release build
    run sanitize build-sanitize -LE "slow|speed"
    if tools/packages.sh clang; then
        run clang build-clang -LE "slow|speed" -R '^(tensor|layers|optim|data|infer|train)\.'
    else
        echo "without clang: what it compiles is not tested"
    fi
    if tools/packages.sh arm64; then
        tools/arm64.sh --quick
    else
        echo "without a cross compiler and an emulator: arm64 is not tested"
    fi
fi

#!/bin/sh
# Builds the course from an installed Ichor and nothing else, and runs its own tests: every lesson ends well and leaves
# its picture, empty exercises are told what is wrong, solutions are right.
#     lessons.sh <cmake> <ctest> <build folder> <C compiler>
set -eu
cmake=$1 ctest=$2 build=$3 compiler=$4
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
"$cmake" --install "$build" --prefix "$root/prefix" >"$root/log" || { tail -n 3 "$root/log"; exit 1; }
examples=$root/prefix/share/ichor/examples
"$cmake" -S "$examples" -B "$root/out" -DCMAKE_PREFIX_PATH="$root/prefix" -DCMAKE_C_COMPILER="$compiler" \
    -DCMAKE_COMPILE_WARNING_AS_ERROR=ON >"$root/log" 2>&1 || { cat "$root/log"; exit 1; }
"$cmake" --build "$root/out" >"$root/log" 2>&1 || { cat "$root/log"; exit 1; }
"$ctest" --test-dir "$root/out" --output-on-failure --no-tests=error
for lesson in "$examples"/[0-9][0-9]_*; do
    number=$(basename "$lesson" | cut -c1-2)
    set -- "$root/out/$number"-*
    [ -s "$1" ] || { echo "lesson $number left no picture"; exit 1; }
done

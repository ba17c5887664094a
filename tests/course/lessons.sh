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

# Solutions with a mistake in them (wrong_solutions.txt): the judge must find each.
lib=$(dirname "$(find "$root/prefix" -name libichor.so)")
grep -v '^#' "$(dirname "$0")/wrong_solutions.txt" >"$root/wrong"
wrong=0
while IFS= read -r line; do
    folder=$(echo "$line" | awk -F ' [|] ' '{ print $1 }')
    echo "$line" | awk -F ' [|] ' -v source="$examples/$folder/solution.c" '{
        while ((getline text < source) > 0) {
            at = done ? 0 : index(text, $2)
            if (at) { text = substr(text, 1, at - 1) $3 substr(text, at + length($2)); done = 1 }
            print text
        }
        exit !done
    }' >"$examples/$folder/wrong.c" || { echo "not in solution.c: $line"; exit 1; }
    "$compiler" -O1 -w -fopenmp -I"$root/prefix/include" -o "$root/judge" "$examples/$folder/check.c" \
        "$examples/$folder/wrong.c" "$examples/check.c" -L"$lib" -Wl,-rpath,"$lib" -lichor -lm
    status=0
    "$root/judge" >"$root/log" 2>&1 || status=$?
    [ $status -eq 1 ] || { echo "exit $status, not 1: $line"; wrong=1; }
done <"$root/wrong"
exit $wrong

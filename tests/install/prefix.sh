# What the tests of the installed package share: a clean prefix, and `ichor` from there.
#     test_x.sh <ichor> <cmake> <build folder> …
. "$(dirname "$0")/../cli/lib.sh"
cmake=$2 build=$3
prefix=$root/prefix
"$cmake" --install "$build" --prefix "$prefix" >"$root/installed" || { tail -n 3 "$root/installed"; exit 1; }
ichor=$prefix/bin/ichor
lib=$(dirname "$(find "$prefix" -name libichor.so)")
export LD_LIBRARY_PATH=$lib PKG_CONFIG_PATH=$lib/pkgconfig

# A model with a study head, and what predict says of every study, made once.
answered() {
    [ -e "$root/answers" ] && return
    phantoms "$root/d" && pretrained "$root/r" && run 0 finetune "$root/d" --init "$root/r" --out "$root/m" --epochs 1 --quiet &&
        run 0 predict "$root/m" "$root/d" --out "$root/answers" --quiet
}
study=a1-0002

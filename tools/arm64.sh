#!/usr/bin/env bash
# Builds everything for arm64, runs its unit tests in qemu, and lets a tiny network learn and predict there: its figures
# must be those of this machine's build in build/ (which has to be there).
#   tools/arm64.sh           all unit tests: an emulator takes its time
#   tools/arm64.sh --quick   those that take seconds even in an emulator: what ./test.sh runs
set -euo pipefail
cd "$(dirname "$0")/.."
tools/packages.sh arm64
eval "$(grep '^build=' tools/packages.sh)"
libraries=$(printf '%s\n' $build libcmocka-dev | grep -e '-dev$' | sort | paste -sd,)
sysroot=build-arm64/sysroot

# Debian's arm64 packages, unpacked, not installed.
if [ "$(cat build-arm64/sysroot.of 2>/dev/null)" != "$libraries" ]; then
    rm -rf "$sysroot" && mkdir -p "$sysroot"
    mmdebstrap --quiet --variant=extract --arch=arm64 --include="$libraries" "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$sysroot"
    # a link to /lib means the sysroot's
    find "$sysroot" -type l -lname '/*' -printf '%p %l\n' | while read -r link target; do
        ln -snf "$(realpath -sm --relative-to="$(dirname "$link")" "$sysroot$target")" "$link"
    done
    echo "$libraries" >build-arm64/sysroot.of
fi
cmake --preset arm64 >/dev/null
cmake --build build-arm64/release -j "$(nproc)" -- --quiet
tests='^(tensor|layers|optim|data|infer|train)\.'
[ "${1:-}" != --quick ] || tests='^(tensor\.(rng|arena|team|blas|kernel_promises)|layers\.(loss|redo|layers_torch)|optim\.(optimizer|schedule)|data\.(csv|split|volume|preprocess|recipe|safetensors)|infer\.(stats|paired|conformal)|train\.(log|tally))$'
ctest --test-dir build-arm64/release --output-on-failure --no-tests=error -j "$(nproc)" -R "$tests" -LE 'slow|speed'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_WAIT_POLICY=passive
# A network that has learned here is fine-tuned end to end, predicts and is judged on both: AUCs must be the same. (Its
# norms use running statistics. A whole pretraining would not do: norms over a batch make much of a last digit.)
build/ichor synth "$work/d" --studies 12 --size 64 --prevalence 0.5 --quiet
build/ichor split "$work/d" --fractions 0.6,0.4,0 --quiet
build/ichor pretrain "$work/d" --out "$work/r" --arch resnet18 --size 32 --epochs 6 --quiet
figures() { # NAME KERNELS PROGRAM...
    local out=$work/$1 kernels=$2
    shift 2
    "$@" finetune "$work/d" --init "$work/r" --out "$out/m" --epochs 1 --kernels "$kernels" --quiet
    "$@" predict "$out/m" "$work/d" --out "$out/answers" --kernels "$kernels" --quiet
    "$@" evaluate "$out/answers" "$work/d" --out "$out/figures" --quiet
    grep -E '^(study|slice),any,auc,' "$out/figures/metrics.csv" | cut -d, -f1-4
}
# Phantoms and a step of pretraining, from the first to the last line of the program: the loss, to four digits.
first_loss() { # NAME KERNELS PROGRAM...
    local out=$work/step-$1 kernels=$2
    shift 2
    "$@" synth "$out/d" --studies 2 --size 32 --quiet
    "$@" pretrain "$out/d" --out "$out/r" --arch resnet18 --size 32 --batch 200 --epochs 1 --kernels "$kernels" --quiet
    awk -F, 'NR == 2 { printf "%.4f\n", $3 }' "$out/r/log.csv"
}
kernel_sets="reference baseline"
[ "${1:-}" != --quick ] || kernel_sets=baseline # the plain loops take half an hour there
for kernels in $kernel_sets; do
    for what in first_loss figures; do
        here=$($what "here-$kernels" $kernels build/ichor)
        there=$($what "arm64-$kernels" $kernels qemu-aarch64 -L "$sysroot" build-arm64/release/ichor)
        printf '%s, %s kernels, here and on arm64:\n%s\n%s\n' $what $kernels "$here" "$there"
        [ "$here" = "$there" ] || { echo "tools/arm64.sh: arm64 comes to other figures" >&2; exit 1; }
    done
done

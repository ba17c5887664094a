#!/usr/bin/env bash
# From nothing to a page that shows which slice bleeds: installs packages, builds, makes phantoms of two "hospitals",
# pretrains on slice labels of one set of patients, fine-tunes on study labels of another, and judges on a third.
#   ./demo.sh [OUT]      OUT defaults to demo-out
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-demo-out}

tools/packages.sh build
cmake -S . -B build -DICHOR_TESTS=OFF >/dev/null
cmake --build build -j "$(nproc)"
ichor=build/ichor
started=$SECONDS

rm -rf "$out"
mkdir -p "$out"
say() { printf '\n== %s\n' "$*"; }

say "Phantoms: patients to pretrain on, to fine-tune on, and to be tested on"
$ichor synth "$out/slices-labelled" --studies 100 --seed 1 --size 160
$ichor synth "$out/studies-labelled" --studies 100 --seed 2 --size 160
$ichor synth "$out/unseen" --studies 60 --seed 3 --size 160
rm "$out/studies-labelled/slices.csv" # fine-tuning sees one label a study, nothing else

say "Pretraining on slices"
$ichor pretrain "$out/slices-labelled" --out "$out/pretrained" --size 96 --epochs 3

say "Fine-tuning on studies"
$ichor finetune "$out/studies-labelled" --init "$out/pretrained" --out "$out/finetuned" --epochs 3

say "The same from scratch, without the pretraining"
$ichor finetune "$out/studies-labelled" --out "$out/scratch" --size 96 --epochs 3 --lr-cnn 3e-4

say "Patients that no network has seen"
for model in pretrained finetuned scratch; do
    heatmaps=
    [ $model = finetuned ] && heatmaps=--heatmaps
    $ichor predict "$out/$model" "$out/unseen" --out "$out/predictions-$model" $heatmaps
    $ichor evaluate "$out/predictions-$model" "$out/unseen" --out "$out/metrics-$model" --quiet
done
$ichor report "$out/predictions-finetuned" --evaluation "$out/metrics-finetuned" --out "$out/report" --quiet

figure() { awk -F, -v l="$2" -v m="$3" '$1==l && $2=="any" && $3==m {printf "%.3f (%.3f-%.3f)", $4, $5, $6}' "$out/metrics-$1/metrics.csv"; }
say "60 unseen patients, after $((SECONDS - started)) s"
printf '%-28s %-22s %-22s %-22s\n' "" "study AUC (95 % CI)" "slice AUC (95 % CI)" "study PPV (95 % CI)"
row() { printf '%-28s %-22s %-22s %-22s\n' "$2" "$(figure "$1" study auc)" "$(figure "$1" slice auc)" "$(figure "$1" study ppv)"; }
row pretrained "pretrained only"
row finetuned "pretrained, fine-tuned"
row scratch "study labels from scratch"
echo
echo "Open $out/report/index.html"

#!/usr/bin/env bash
# Memory of fine-tuning end to end, for studies of 40, 200 and 600 slices, two of them a step: the peak of the
# program's resident set, from its start to its end. It should grow by the slices' features alone.
#   benchmarks/memory.sh [ICHOR] [options of finetune]     needs python3; minutes with --size 96 --chunk 32
# A chunk is at most as long as a step, so --chunk must be below 80 for a fair comparison; the default is at 224 px.
# The studies are phantoms whose slices are stacked again and again until they are as many as wanted.
set -euo pipefail
ichor=$(realpath "${1:-build/ichor}")
[ $# -eq 0 ] || shift
work=$(mktemp -d "${TMPDIR:-/tmp}/ichor-memory-XXXXXX")
trap 'rm -rf "$work"' EXIT

# NIfTI-1: the volume is behind 352 bytes; dim[3], its slices, is the 16-bit number at byte 46.
stretch() { # VOLUME.nii.gz SLICES
    local raw=$work/raw.nii long=$work/long.nii copies
    gzip -dc "$1" >"$raw"
    local slices=$(od -An -td2 -j46 -N2 "$raw") bytes=$(($(stat -c %s "$raw") - 352))
    head -c 352 "$raw" >"$long"
    for ((copies = 0; copies * slices < $2; copies++)); do tail -c +353 "$raw" >>"$long"; done
    truncate -s $((352 + bytes / slices * $2)) "$long"
    printf "\\$(printf %o $(($2 % 256)))\\$(printf %o $(($2 / 256)))" | dd of="$long" bs=1 seek=46 conv=notrunc status=none
    gzip -1 -c "$long" >"$1"
}

peak() { # COMMAND...: its peak in MiB
    python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)' "$@"
}

echo "slices_a_study,peak_rss_mib"
for slices in 40 200 600; do
    "$ichor" synth "$work/$slices" --studies 2 --size 128 --prevalence 0.5 --seed 1 --quiet
    for volume in "$work/$slices"/volumes/*.nii.gz; do stretch "$volume" $slices; done
    echo "$slices,$(peak "$ichor" finetune "$work/$slices" --out "$work/run" --epochs 1 --studies 2 --quiet "$@")"
    rm -r "$work/$slices" "$work/run"
done

#!/usr/bin/env bash
# Installs Debian packages in a clean, minimal Debian that is gone afterwards, and works with the program there.
# Skipped (77) where no such Debian can be had.
#   clean_debian.sh PACKAGE.deb...
set -euo pipefail
skip() { echo "skipped: $*"; exit 77; }
[ "$(id -u)" -eq 0 ] || skip "a clean Debian wants root"
command -v mmdebstrap >/dev/null || skip "no mmdebstrap (tools/packages.sh release)"
. /etc/os-release
[ "$ID" = debian ] || skip "the packages are for Debian"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/packages"
cp "$@" "$work/packages"
cat >"$work/try" <<'END'
set -e
echo began
cd /root
! command -v ichor && ! command -v gcc && ! ls /usr/lib/*/libopenblas* 2>/dev/null # it is clean
apt-get -qq -y --no-install-recommends install /packages/*.deb </dev/null >installed 2>&1 || { tail -n 20 installed; exit 1; }
ldconfig -p | grep -q 'libichor\.so'
zcat /usr/share/man/man1/ichor-predict.1.gz | grep -q heatmaps
test -e /usr/share/bash-completion/completions/ichor && grep -q Apache-2.0 /usr/share/doc/ichor/copyright
ichor --version
ichor synth d --studies 6 --size 64 --prevalence 0.5 --quiet
ichor split d --fractions 0.67,0.33,0 --quiet
ichor pretrain d --out r --arch resnet18 --size 32 --epochs 1 --quiet
ichor finetune d --init r --out m --epochs 1 --quiet
ichor predict m d --out answers --heatmaps --quiet
ichor evaluate answers d --out figures --quiet
test "$(wc -l <answers/studies.csv)" -eq 7 && grep '^study,any,auc,' figures/metrics.csv
cut -d, -f1-4 answers/studies.csv
apt-get -qq -y purge ichor libichor0.1 </dev/null >removed 2>&1 || { tail -n 20 removed; exit 1; }
! find /usr -name '*ichor*' | grep .
echo "a clean Debian: installed, learned, predicted, removed"
END
clean() { mmdebstrap --variant=minbase --format=null --skip=check/empty "$@" "$VERSION_CODENAME" /dev/null; }
mmdebstrap --variant=minbase --format=null --customize-hook="copy-in $work/packages /" \
    --customize-hook="upload $work/try /try" \
    --customize-hook='chroot "$1" env OMP_WAIT_POLICY=passive sh /try' \
    "$VERSION_CODENAME" /dev/null >"$work/said" 2>&1 && done=1 || done=
grep -q '^began$' "$work/said" || skip "no Debian to be had: $(tail -n 1 "$work/said")" # its mirror's fault, not ours
grep -vE '^[IWN]: ' "$work/said"
[ -n "$done" ]

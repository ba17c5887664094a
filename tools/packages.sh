#!/usr/bin/env bash
# Installs the Debian packages named, if any is missing. Needs root or sudo only then.
#   tools/packages.sh build        what the program needs
#   tools/packages.sh build tests  and what its tests need
set -euo pipefail

build="gcc g++ make cmake pkg-config libopenblas-openmp-dev libnifti-dev libstb-dev libinih-dev libjansson-dev zlib1g-dev libdeflate-dev libdcmtk-dev libopenjp2-7-dev"
tests="libcmocka-dev clang-format"

wanted=()
for set in "$@"; do
    case $set in
    build) wanted+=($build) ;;
    tests) wanted+=($tests) ;;
    *) echo "tools/packages.sh: '$set' is not a set of packages; use build, tests" >&2; exit 2 ;;
    esac
done

missing=()
for package in "${wanted[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
echo "Installing: ${missing[*]}"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

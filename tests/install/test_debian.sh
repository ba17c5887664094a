#!/usr/bin/env bash
# The Debian packages of this build, in a clean Debian.
#   test_debian.sh <cpack> <build folder>
set -euo pipefail
here=$(dirname "$(realpath "$0")") cpack=$1
command -v dpkg-shlibdeps >/dev/null || { echo "skipped: no dpkg-shlibdeps (dpkg-dev)"; exit 77; }
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
cd "$2"
"$cpack" -G DEB -B "$packages" >"$packages/said" 2>&1 || { tail -n 5 "$packages/said"; exit 1; }
"$here/clean_debian.sh" "$packages"/*.deb

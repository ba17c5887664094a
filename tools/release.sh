#!/usr/bin/env bash
# A release of the commit that is checked out: source tarball, binary tarball, Debian packages, SHA256SUMS. Built twice,
# in other folders, at other times, in other surroundings, and held against each other byte by byte; then installed in
# a clean Debian, where it must run. Needs tools/packages.sh build release, and root for the clean Debian.
#   tools/release.sh [OUT]      OUT defaults to out/release
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-out/release}")
version=$(sed -n 's/^project(Ichor VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[ -z "$(git status --porcelain)" ] || echo "tools/release.sh: what is not committed is not in the release" >&2
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH CCACHE_DISABLE=1 # a cache would give the second build the first one's bytes
work=$(mktemp -d)
elsewhere=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "$work")") # there folders list in another order
trap 'rm -rf "$work" "$elsewhere"' EXIT

rm -rf "$out"
mkdir -p "$out"
git archive --format=tar --prefix="ichor-$version/" HEAD | gzip -9n >"$out/ichor-$version.tar.gz"

# build PLACE: from the source tarball to packages, all within PLACE
build() {
    mkdir -p "$1/packages"
    tar -xzf "$out/ichor-$version.tar.gz" -C "$1"
    cmake -S "$1/ichor-$version" -B "$1/build" -DICHOR_TESTS=OFF -DCMAKE_INSTALL_PREFIX=/usr >"$1/said" &&
        cmake --build "$1/build" -j "$(nproc)" >>"$1/said" 2>&1 &&
        (cd "$1/build" && cpack -B "$1/packages" >>"$1/said" 2>&1) || { tail -n 20 "$1/said" >&2; return 1; }
    local tree=ichor-$version-linux-$(uname -m) # CPack's own tarball lists files as the folder happens to
    (umask 022 && cmake --install "$1/build" --strip --prefix "$1/$tree" >>"$1/said")
    tar -C "$1" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - "$tree" |
        gzip -9n >"$1/packages/$tree.tar.gz"
    cp "$1"/build/{ichor,libichor.a} "$1"/build/libichor.so."$version" "$1/packages"
    rm -r "$1/packages/_CPack_Packages"
}
build "$work/one"
(
    umask 077
    export TZ=Pacific/Chatham LC_ALL=C.UTF-8 USER=somebody HOME=/nonexistent
    sleep 2 # no second is the same
    build "$elsewhere/a folder of another name"
)
sums() { (cd "$1" && sha256sum -- *); }
sums "$work/one/packages" >"$work/sums"
sums "$elsewhere/a folder of another name/packages" | diff "$work/sums" - ||
    { echo "tools/release.sh: two builds of one source differ" >&2; exit 1; }
echo "the same bytes, twice:"
cat "$work/sums"

cp "$work"/one/packages/*.{deb,tar.gz} "$out"
(cd "$out" && sha256sum -- *.deb *.tar.gz >SHA256SUMS)
tests/install/clean_debian.sh "$out"/*.deb
echo "$out is ready"

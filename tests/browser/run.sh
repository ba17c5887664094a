#!/usr/bin/env bash
# The report's page in headless chromium.
#   run.sh ICHOR WORK [SHOTS]   ICHOR: the program; WORK: a folder to fill; SHOTS: a folder for pictures of the page
# Ends with 77, which ctest calls skipped, where something that it needs is missing.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: run.sh ICHOR WORK [SHOTS]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)

skip() { echo "skipped: $* (tools/packages.sh browser)"; exit 77; }
command -v node >/dev/null || skip "node is not installed"
for package in playwright-core axe-core; do
    [ -d "$here/node_modules/$package" ] || skip "node package $package is not installed"
done
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[ -n "$chromium" ] || skip "chromium is not installed"

CHROMIUM=$chromium exec node "$here/test_report.mjs" "$@"

#!/usr/bin/env bash
# What git keeps: plain files that are whole in a clone on any machine. A link that points out of the project is there on
# the machine that made it, and on no other.
cd "$(dirname "$0")/.."
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || exit 77
status=0
wrong() { # WHAT, LIST
    [ -z "$2" ] || { echo "$1:"$'\n'"$2" && status=1; }
}
wrong "links: copy what they point to, if its licence allows that" "$(git ls-files -s | awk '$1 == 120000 {print $4}')"
wrong "files above 1 MiB: make them in the test that needs them" \
    "$(git ls-files -z | xargs -0 -r stat -c '%s %n' | awk '$1 > 1048576')"
wrong "names that one machine cannot tell apart" "$(git ls-files | tr A-Z a-z | sort | uniq -d)"
exit $status

#!/bin/sh
# Holds the course's pages to the files that they quote: pages.sh DOCS
#  - every link that leads into this repository leads to something;
#  - every ```c block is code of the file that the nearest link above it names, line by line, indentation aside;
#    a line of its own, "...", stands for code that was left out.
set -u
docs=$1
wrong=0
for page in "$docs"/*.md; do
    # [text](target) and ![text](target), several a line
    for target in $(awk '/^```/ { code = !code } !code' "$page" | grep -o '](\([^)]*\))' | sed 's/^](//; s/)$//; s/#.*//' | sort -u); do
        case $target in
        http://* | https://*) ;;
        *) [ -e "$docs/$target" ] || { echo "$page: there is no $target"; wrong=1; } ;;
        esac
    done
    awk -v page="$page" -v docs="$docs" '
        function content(path,   line, all) {
            all = "\n"
            while ((getline line < path) > 0) { sub(/^[ \t]+/, "", line); all = all line "\n" }
            close(path)
            return all
        }
        function judge(   n, parts, i, rest, at) {
            rest = content(docs "/" file)
            n = split(code, parts, /\n\.\.\.\n/)
            for (i = 1; i <= n; i++) {
                sub(/^\n*/, "\n", parts[i]); sub(/\n*$/, "\n", parts[i])
                at = index(rest, parts[i])
                if (!at) { printf "%s:%d: this is not in %s:%s", page, start, file, parts[i]; return 1 }
                rest = substr(rest, at + length(parts[i]) - 1)
            }
            return 0
        }
        /^```/ && !inside { inside = 1; is_c = $0 == "```c"; start = NR; code = "\n"; next }
        /^```/ { if (is_c) { blocks++; bad += judge() } inside = 0; next }
        inside { sub(/^[ \t]+/, ""); code = code $0 "\n"; next }
        match($0, /\]\(\.\.\/\.\.\/[^)#]*\.[ch][)#]/) {
            line = $0
            while (match(line, /\]\(\.\.\/\.\.\/[^)#]*\.[ch][)#]/)) {
                file = substr(line, RSTART + 2, RLENGTH - 3)
                line = substr(line, RSTART + RLENGTH)
            }
        }
        END { if (!blocks && page ~ /[0-9][0-9]-/) { print page ": quotes no code"; bad++ } exit bad > 0 }
    ' "$page" || wrong=1
done
exit $wrong

#!/usr/bin/env bash
# Writes ichor.1 and a page for each verb out of the program's own help.
#   tools/manual.sh FOLDER ICHOR...      ICHOR: the program, with the emulator before it that it may need
set -euo pipefail
folder=$1
ichor=("${@:2}")
version=$("${ichor[@]}" --version | head -n 1)
export ARGP_HELP_FMT=rmargin=4000 # one line an option: man does the wrapping
mkdir -p "$folder"

# Text as roff wants it: no command at a line's start, hyphens that can be copied.
roff='function roff(text) { gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); sub(/^[.\x27]/, "\\\\\\&&", text); return text }'

verbs=$("${ichor[@]}" --help | sed -n 's/^  \([a-z-]*\) .*/\1/p')
"${ichor[@]}" --help | awk -v version="$version" "$roff"'
    NR == 1 { synopsis = substr($0, 8) }
    NR == 2 {
        printf ".TH ICHOR 1 \"\" \"%s\"\n.SH NAME\nichor \\- weakly supervised detection of hemorrhage on head CT\n", version
        printf ".SH SYNOPSIS\n%s\n.SH DESCRIPTION\n%s\n", roff(synopsis), roff($0)
    }
    NR > 2 && /^[A-Z]/ { printf ".SS %s\n", roff($0) }
    /^  [a-z]/ { name = $1; sub(/^ +[a-z-]+ +/, ""); printf ".TP\n.BR ichor\\-%s (1)\n%s\n", roff(name), roff($0); list = list ",\n.BR ichor\\-" roff(name) " (1)" }
    /^\x27/ { printf ".PP\n%s\n", roff($0) }
    END { printf ".SH SEE ALSO\n%s\n", substr(list, 3) }' >"$folder/ichor.1"

for verb in $verbs; do
    "${ichor[@]}" "$verb" --help | awk -v verb="$verb" -v version="$version" "$roff"'
        function heading(text) { if (!begun) printf ".SH OPTIONS\n"; begun = 1; if (text != "") printf ".SS %s\n", roff(text) }
        NR == 1 { synopsis = substr($0, 8); next }
        NR == 2 {
            printf ".TH ICHOR\\-%s 1 \"\" \"%s\"\n", toupper(roff(verb)), version
            printf ".SH NAME\nichor\\-%s \\- %s\n.SH SYNOPSIS\n%s\n", roff(verb), roff($0), roff(synopsis)
            next
        }
        /^ +-/ { # an option; what it does follows after two blanks or on the next line
            heading("")
            sub(/^ +/, "")
            at = match($0, /   */)
            printf ".TP\n.B %s\n", roff(at ? substr($0, 1, at - 1) : $0)
            if (at) print roff(substr($0, at + RLENGTH))
            next
        }
        /^ [^ ]/ { heading(substr($0, 2)); next }
        /^ / { sub(/^ +/, ""); print roff($0); next }
        /./ { printf "%s%s\n", told++ ? ".PP\n" : ".SH NOTES\n", roff($0) }
        END { printf ".SH SEE ALSO\n.BR ichor (1)\n" }' >"$folder/ichor-$verb.1"
done

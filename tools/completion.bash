# Completion of ichor's verbs, options and their choices for bash, read from the program's own help; so it knows
# what the program knows. Installed as share/bash-completion/completions/ichor; or: source tools/completion.bash
_ichor() {
    local program=${COMP_WORDS[0]} verb=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]} option=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "$("$program" --help | sed -n 's/^  \([a-z-]*\) .*/\1/p') --help --version" -- "$word"))
        return
    fi
    # bash takes --mode=train for three words
    [ "$word" = = ] && option=${COMP_WORDS[COMP_CWORD - 1]} word=
    [ "${COMP_WORDS[COMP_CWORD - 1]}" = = ] && option=${COMP_WORDS[COMP_CWORD - 2]}
    case ${COMP_WORDS[COMP_CWORD - 1]} in --*) option=${option:-${COMP_WORDS[COMP_CWORD - 1]}} ;; esac
    local options choices=
    options=$("$program" "$verb" --help 2>/dev/null | grep -oE '^ +(-[a-z], )?--[a-z0-9-]+(=[^ ]+)?(, --[a-z0-9-]+)?')
    [ -z "$option" ] || choices=$(grep -oE -- "$option=[a-z0-9-]+(\|[a-z0-9-]+)+" <<<"$options" | sed 's/.*=//; s/|/ /g')
    if [ -n "$choices" ]; then
        COMPREPLY=($(compgen -W "$choices" -- "$word"))
    elif [ "${word#-}" != "$word" ]; then
        COMPREPLY=($(compgen -W "$(grep -oE -- '--[a-z0-9-]+' <<<"$options")" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
        compopt -o filenames 2>/dev/null
    fi
}
complete -F _ichor ichor

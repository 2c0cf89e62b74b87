# bash completion for voicectl: source this file.
_voicectl() {
    local line=${COMP_LINE:0:COMP_POINT} answer value about quoted char word= before= quote=
    local -a abouts=()
    local -i i
    for ((i = 0; i < ${#line}; i++)); do  # find an open quote, and the part of the word before it
        char=${line:i:1}
        case $quote$char in
            \'\' | \"\") quote= ;;
            \' | \") quote=$char before=$word ;;
            \\ | \"\\) i+=1 word+=${line:i:1} ;;
            [[:space:]]) word= ;;
            *) word+=$char ;;
        esac
    done
    if [[ ! $quote ]]; then
        word=${line##*[[:space:]]}
        before=${word%"$2"}  # bash replaces only what follows the last : or =
    fi
    COMPREPLY=()
    if ! answer=$(_VOICECTL_COMPLETE=bash _VOICECTL_COMPLETE_LINE=$line command voicectl 2>/dev/null); then
        compopt -o default
        return
    fi
    while IFS=$'\t' read -r value about; do
        if [[ $value ]]; then
            quoted=$value
            case $quote in
                \') [[ $value != *\'* ]] || continue ;;  # cannot be written in these quotes
                \") [[ $value != *[\"\\\$\`!]* ]] || continue ;;
                *) printf -v quoted %q "$value" ;;
            esac
            COMPREPLY+=("${quoted#"$before"}")
            abouts+=("$about")
        fi
    done <<<"$answer"
    if ((COMP_TYPE == 63 && ${#COMPREPLY[@]} > 1)); then  # bash only lists them: add the descriptions
        for i in "${!COMPREPLY[@]}"; do
            COMPREPLY[i]+=${abouts[i]:+  (${abouts[i]})}
        done
    fi
}
complete -o nosort -F _voicectl voicectl

"""``completion``: scripts that let a shell complete voicectl's commands, options and values.

Each script passes the command line up to the cursor to ``voicectl``, and offers the words that
:mod:`voicectl.cli.complete` prints. The scripts never evaluate text from outside, such as the name of a user.
"""

from __future__ import annotations

import typer

from voicectl.cli.context import current

_BASH = """\
# bash completion for voicectl: source this file.
_voicectl() {
    local line=${COMP_LINE:0:COMP_POINT} answer value about quoted char word= before= quote=
    local -a abouts=()
    local -i i
    for ((i = 0; i < ${#line}; i++)); do  # find an open quote, and the part of the word before it
        char=${line:i:1}
        case $quote$char in
            \\'\\' | \\"\\") quote= ;;
            \\' | \\") quote=$char before=$word ;;
            \\\\ | \\"\\\\) i+=1 word+=${line:i:1} ;;
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
    while IFS=$'\\t' read -r value about; do
        if [[ $value ]]; then
            quoted=$value
            case $quote in
                \\') [[ $value != *\\'* ]] || continue ;;  # cannot be written in these quotes
                \\") [[ $value != *[\\"\\\\\\$\\`!]* ]] || continue ;;
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
"""

_ZSH = """\
#compdef voicectl
# zsh completion for voicectl: put this file, called _voicectl, into a directory of $fpath.
_voicectl() {
    local answer line about
    local -a values shown
    local -i is_described=0
    answer=$(_VOICECTL_COMPLETE=zsh _VOICECTL_COMPLETE_LINE="${(j: :)words[1,CURRENT-1]} $QIPREFIX$PREFIX" \\
        command voicectl 2>/dev/null) || { _files; return }
    for line in "${(@f)answer}"; do
        [[ -n $line ]] || continue
        about=${line#*$'\\t'}
        values+=("${line%%$'\\t'*}")
        shown+=("${line%%$'\\t'*}${about:+  ($about)}")
        [[ -z $about ]] || is_described=1
    done
    if (( is_described )); then
        compadd -V voicectl -l -d shown -a values
    else
        compadd -V voicectl -a values
    fi
}
if [[ ${funcstack[1]} == _voicectl ]]; then
    _voicectl "$@"
else
    compdef _voicectl voicectl
fi
"""

_FISH = """\
# fish completion for voicectl: put this file into ~/.config/fish/completions.
function __voicectl_complete
    set -l line (commandline -cp)
    set -l answer (_VOICECTL_COMPLETE=fish _VOICECTL_COMPLETE_LINE="$line" command voicectl 2>/dev/null)
    if test $status -eq 0
        string join -- \\n $answer
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command voicectl --no-files --keep-order --arguments '(__voicectl_complete)'
"""


def bash(ctx: typer.Context) -> None:
    """Print the completion script for bash.

    To load it, add to ~/.bashrc: source <(voicectl completion bash)

    Example:
      $ voicectl completion bash
    """
    current(ctx).terminal.write(_BASH)


def zsh(ctx: typer.Context) -> None:
    """Print the completion script for zsh.

    Save it as _voicectl in a directory in $fpath, and start a new shell.

    Example:
      $ voicectl completion zsh
    """
    current(ctx).terminal.write(_ZSH)


def fish(ctx: typer.Context) -> None:
    """Print the completion script for fish.

    Save it as ~/.config/fish/completions/voicectl.fish.

    Example:
      $ voicectl completion fish
    """
    current(ctx).terminal.write(_FISH)

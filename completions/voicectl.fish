# fish completion for voicectl: put this file into ~/.config/fish/completions.
function __voicectl_complete
    set -l line (commandline -cp)
    set -l answer (_VOICECTL_COMPLETE=fish _VOICECTL_COMPLETE_LINE="$line" command voicectl 2>/dev/null)
    if test $status -eq 0
        string join -- \n $answer
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command voicectl --no-files --keep-order --arguments '(__voicectl_complete)'

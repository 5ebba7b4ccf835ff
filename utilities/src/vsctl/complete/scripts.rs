//! What tells a shell to ask `ovs-vsctl --complete`.

/// Bash splits words at `=` and `:` and replaces only the last part; the function joins them for the
/// question and cuts the answers again.
const BASH: &str = r#"_ovs_vsctl() {
    local -a words=()
    local i part glue='' word=''
    for ((i = 1; i <= COMP_CWORD; i++)); do
        part=${COMP_WORDS[i]}
        if ((${#words[@]})) && [[ $part == [=:]* || ( -n $glue && -n $part ) ]]; then
            words[${#words[@]}-1]+=$part
        else
            words+=("$part")
        fi
        glue=''
        [[ $part == *[=:] ]] && glue=1
    done
    ((${#words[@]})) && word=${words[${#words[@]}-1]}
    # What bash keeps of the word: all before the part that it replaces.
    part=${COMP_WORDS[COMP_CWORD]}
    [[ $part == [=:]* ]] && part=''
    local kept=${word%"$part"} line
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        COMPREPLY+=("${line#"$kept"}")
    done < <("${COMP_WORDS[0]:-ovs-vsctl}" --complete -- "${words[@]}" 2>/dev/null)
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[=:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}
complete -o default -F _ovs_vsctl ovs-vsctl
"#;

const ZSH: &str = r#"#compdef ovs-vsctl
_ovs_vsctl() {
    local line text about
    local -a whole whole_about open open_about
    while IFS=$'\t' read -r text about; do
        line="$text${about:+  -- $about}"
        if [[ $text == *[=:] ]]; then
            open+=("$text"); open_about+=("$line")
        else
            whole+=("$text"); whole_about+=("$line")
        fi
    done < <("${words[1]}" --complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( $#whole + $#open == 0 )); then
        _files
        return
    fi
    (( $#whole )) && compadd -l -d whole_about -a whole
    (( $#open )) && compadd -l -S '' -d open_about -a open
    return 0
}
compdef _ovs_vsctl ovs-vsctl
"#;

const FISH: &str = "complete -c ovs-vsctl -f -a \"(ovs-vsctl --complete -- (commandline -opc)[2..-1] \
                    (commandline -ct) 2>/dev/null)\"\n";

/// `--completions`: a script for a shell.
///
/// # Errors
///
/// An unknown shell.
pub(in crate::vsctl) fn script(shell: &str) -> Result<String, String> {
    match shell {
        "bash" => Ok(BASH.to_owned()),
        "zsh" => Ok(ZSH.to_owned()),
        "fish" => Ok(FISH.to_owned()),
        other => Err(format!("no completions for \"{other}\" (accepted: bash, zsh, fish)")),
    }
}

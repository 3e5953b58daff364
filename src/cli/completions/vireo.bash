# SPDX-License-Identifier: Apache-2.0
# Completion of vireo for bash.  The lists are checked against 'vireo help --table'.

# command|options of its own
_vireo_commands='login|fingerprint
logout|
vm list|search max
vm show|
vm create|cluster template memory cpus description disk nic start wait timeout
vm start|wait timeout
vm stop|wait timeout force
vm shutdown|wait timeout force
vm reboot|force
vm remove|keep-disks force wait timeout
vm console|type print file
host list|search max
host show|
disk list|search max
disk upload|storage-domain name description preallocated iso timeout
event list|search max follow
job list|search max
api GET|
api POST|
api PUT|
api DELETE|
help|'
_vireo_options='output url user password-file ca-file quiet help version'
# options that take a value
_vireo_values='output search max url user password-file ca-file fingerprint timeout cluster template
memory cpus description disk nic type file storage-domain name'

# Names from the Manager; nothing when there is no session.
_vireo_names() {
    local kind="$1" line
    while IFS= read -r line; do
        [[ $line == "$cur"* ]] && COMPREPLY+=("$(printf '%q' "$line")")
    done < <(case $kind in
        vm | host | disk) vireo "$kind" list -q -o name 2>/dev/null </dev/null ;;
        esac)
}

_vireo() {
    local cur="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
    local -a words=()
    local i word skip= line own=
    COMPREPLY=()

    # The words before this one that are neither options nor their values.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ $skip ]]; then
            skip=
        elif [[ $word == --* ]]; then
            [[ " ${_vireo_values//$'\n'/ } " == *" ${word#--} "* ]] && skip=1
        elif [[ $word == -[osmt] ]]; then
            skip=1
        elif [[ $word != -* ]]; then
            words+=("$word")
        fi
    done

    if [[ $skip ]]; then
        case $previous in
        -o | --output) COMPREPLY=($(compgen -W 'table json yaml name' -- "$cur")) ;;
        --password-file | --ca-file | --file) COMPREPLY=($(compgen -f -- "$cur")) ;;
        --type) COMPREPLY=($(compgen -W 'vnc spice' -- "$cur")) ;;
        --disk) _vireo_names disk ;;
        esac
        return
    fi

    if [[ $cur == -* ]]; then
        while IFS= read -r line; do
            [[ ${line%%|*} == "${words[0]} ${words[1]}" || ${line%%|*} == "${words[0]}" ]] &&
                own="${line#*|}"
        done <<<"$_vireo_commands"
        COMPREPLY=($(compgen -P -- -W "$own $_vireo_options" -- "${cur#--}"))
        return
    fi

    case ${#words[@]} in
    0) COMPREPLY=($(compgen -W "$(cut -d'|' -f1 <<<"$_vireo_commands" | cut -d' ' -f1 | sort -u)" \
        -- "$cur")) ;;
    1) COMPREPLY=($(compgen -W "$(cut -d'|' -f1 <<<"$_vireo_commands" |
        sed -n "s/^${words[0]//[^a-z]/} //p")" -- "$cur")) ;;
    *)
        case "${words[0]} ${words[1]}" in
        'vm list' | 'vm create') ;;
        vm\ *) _vireo_names vm ;;
        'host show') _vireo_names host ;;
        'disk upload') COMPREPLY=($(compgen -f -- "$cur")) ;;
        esac
        ;;
    esac
}
complete -o filenames -F _vireo vireo

# SPDX-License-Identifier: Apache-2.0
#
# login: the Manager's SSH key is let in from now on.  manager_key
main() {
    [ "$(id -u)" = 0 ] ||
        problem "The user $(id -un) is not root; hosts are installed as root."
    home=$(getent passwd 0 | cut -d: -f6)
    folder=${home:-/root}/.ssh
    file=$folder/authorized_keys
    grep -qxF -- "$manager_key" "$file" 2>/dev/null && return
    mkdir -p -m 700 "$folder" || problem "$folder cannot be made: is the disk full or read-only?"
    if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then echo >>"$file"; fi
    printf '%s\n' "$manager_key" >>"$file" && chmod 600 "$file" && sync "$file" &&
        grep -qxF -- "$manager_key" "$file" ||
        problem "The Manager's key cannot be added to $file: is the disk full or read-only?"
}
main </dev/null
exit

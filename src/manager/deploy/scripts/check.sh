# SPDX-License-Identifier: Apache-2.0
#
# check: whether the machine can become a host.  free_mib, now
main() {
    [ "$(id -u)" = 0 ] || problem "The user $(id -un) is not root; hosts are installed as root."
    ID='' VERSION_ID='' PRETTY_NAME=''
    if [ -r /etc/os-release ]; then . /etc/os-release; fi
    [ "$ID:$VERSION_ID" = debian:12 ] ||
        problem "The host runs ${PRETTY_NAME:-a system of unknown kind}; the agent is made for Debian 12."
    machine=$(dpkg --print-architecture) || problem "dpkg does not work on the host."
    [ "$machine" = amd64 ] || problem "The host is of architecture $machine; the agent is made for amd64."
    [ -d /run/systemd/system ] || problem "systemd does not run on the host; the agent is a service of it."
    for folder in / /usr /var /var/cache; do
        free=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')
        [ "${free:-0}" -ge "$free_mib" ] ||
            problem "Only ${free:-0} MiB are free in $folder of the host; at least $free_mib are needed. Make room there."
    done
    mark=/var/lib/.vireo-check
    : 2>/dev/null >"$mark" && rm -f "$mark" || problem "/var/lib cannot be written to on the host."
    # A certificate that begins an hour ago is not valid yet where clocks are further behind.
    behind=$((now - $(date +%s)))
    [ "$behind" -lt 3000 ] ||
        problem "The clock of the host is $((behind / 60)) minutes behind the Manager's; set it."
    [ "$behind" -gt -86400 ] ||
        problem "The clock of the host is $((-behind / 3600)) hours ahead of the Manager's; set it."
    grep -qwE 'vmx|svm' /proc/cpuinfo ||
        note "its processor shows no hardware virtualization, so that machines are emulated, slowly"
}
main </dev/null
exit

# SPDX-License-Identifier: Apache-2.0
#
# install: the agent's package, fetched from the Manager.  url, manager_host, sha256, authority
work=/var/cache/vireo-agent
run=/run/vireo-deploy

apt() {
    apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=240 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        -o Acquire::Retries=2 "$@"
}

# Runs a command with its output in a log, which the Manager sees grow on stderr.  Not a pipe: a
# connection that breaks must not break a package manager in the middle of its work.
logged() {
    : >"$run/log"
    "$@" >"$run/log" 2>&1 9>&- &
    tail -q -n +1 -f --pid=$! "$run/log" >&2 9>&-
    wait $!
}

# The reason that stands in the log, as far as it is known.
explain() {
    # dpkg names the package in one line and its trouble in the next, indented.
    last=$(awk '/^(E:|W: |dpkg: error)|: error/ { print; trouble = 1; next }
                trouble && /^ / { sub(/^ +/, ""); print }
                { trouble = 0 }' "$run/log" | tail -n 4 | tr '\n' ' ')
    if grep -qiE 'no space left|enough free space|write error' "$run/log"; then
        problem "The disk of the host is full: make room in / and /var and install again. ($last)"
    elif grep -qE 'Could not get lock|frontend lock' "$run/log"; then
        problem "Another package manager is at work on the host; install again when it is done. ($last)"
    elif grep -qE 'Failed to fetch|Unable to locate package|unmet dependencies|Temporary failure resolving' "$run/log"; then
        problem "Packages that the agent needs cannot be had: look at /etc/apt/sources.list and the network of the host. ($last)"
    fi
    problem "$1 failed on the host: ${last:-$(tail -n 3 "$run/log" | tr '\n' ' ')}"
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' vireo-agent 2>/dev/null)" = installed ] &&
        [ "$(cat "$work/installed" 2>/dev/null)" = "$sha256" ] &&
        [ -z "$(dpkg --verify vireo-agent 2>&1 | grep -v '^..5...... c ')" ]
}

fetch() {
    printf '%s\n' "$authority" >"$run/ca.pem"
    rm -f "$work/vireo-agent.deb"
    logged /usr/lib/apt/apt-helper -o Acquire::https::CAInfo="$run/ca.pem" \
        -o Acquire::https::Verify-Peer=true -o Acquire::https::Verify-Host=true \
        -o "Acquire::https::Proxy::$manager_host=DIRECT" -o APT::Sandbox::User=root \
        -o Acquire::https::Timeout=60 -o Acquire::Retries=2 \
        download-file "$url" "$work/vireo-agent.deb" "SHA256:$sha256" && return
    grep -qiE 'no space left|write error' "$run/log" &&
        problem "The disk of the host is full: make room in /var and install again."
    problem "The host cannot fetch the agent from the Manager at ${url%%/ovirt-engine/*}: $(grep -E '^(E|Err|W)' "$run/log" | tail -n 3 | tr '\n' ' ')"
}

put_in_place() {
    logged apt install --reinstall --allow-downgrades "$work/vireo-agent.deb"
}

# What an earlier try, or somebody else, left half done.
mend() {
    logged dpkg --force-confdef --force-confold --configure -a
    if dpkg-query -W -f '${db:Status-Eflag} ${db:Status-Status}' vireo-agent 2>/dev/null |
        grep -qE 'reinst-required|half-installed|unpacked|half-configured|triggers'; then
        logged dpkg --force-remove-reinstreq --remove vireo-agent
    fi
    logged apt -f install
    logged apt update
}

main() {
    mkdir -p -m 700 "$work" && exec 9>"$work/lock" ||
        problem "$work cannot be written to on the host: is the disk full or read-only?"
    # What a Manager that was restarted had begun still goes on.
    flock -w 240 9 || problem "An earlier installation of the agent still runs on the host."
    mkdir -p -m 700 "$run" || problem "$run cannot be made on the host."
    if is_installed; then
        note "the agent is installed already"
        return
    fi
    rm -f "$work/installed"
    fetch
    put_in_place || { mend; put_in_place; } || explain "Installing the package vireo-agent"
    [ "$(dpkg-query -W -f '${db:Status-Status}' vireo-agent 2>/dev/null)" = installed ] ||
        explain "Installing the package vireo-agent"
    rm -f "$work/vireo-agent.deb"
    printf '%s\n' "$sha256" >"$work/installed"
    note "the agent $(dpkg-query -W -f '${Version}' vireo-agent) is installed"
}
main </dev/null
exit

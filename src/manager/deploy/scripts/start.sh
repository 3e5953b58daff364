# SPDX-License-Identifier: Apache-2.0
#
# start: the agent's service.  firewall: yes or nothing, port
open_ports() {
    # Agent, images, migration of machines (libvirt, QEMU), consoles, serial consoles, SNMP, Cockpit.
    for range in "$port" 54322 16514 49152:49216 5900:6923 2223 9090; do
        if command -v ufw >/dev/null && ufw status | grep -q '^Status: active'; then
            ufw allow "$range/tcp" >&2 || return
        fi
        if command -v firewall-cmd >/dev/null && firewall-cmd -q --state; then
            firewall-cmd -q --permanent --add-port="$(echo "$range" | tr : -)/tcp" &&
                firewall-cmd -q --add-port="$(echo "$range" | tr : -)/tcp" || return
        fi
    done
}

main() {
    if [ -n "$firewall" ]; then
        open_ports || problem "The ports of the agent cannot be opened in the host's firewall."
    fi
    # The package has enabled it, unless somebody undid that; a reload walks all units of the host.
    if [ "$(systemctl show -p NeedDaemonReload --value vireo-agent.service)" = yes ]; then
        systemctl daemon-reload >&2
    fi
    systemctl is-enabled -q vireo-agent.service || systemctl enable vireo-agent.service >&2 ||
        problem "The service vireo-agent cannot be enabled."
    if systemctl restart vireo-agent.service >&2 && systemctl is-active vireo-agent.service >&2; then
        # The host is called installed now, also after a loss of power: dpkg can have been told not to
        # wait for disks (force-unsafe-io).
        sync -f /usr /etc /var
        return
    fi
    problem "The agent does not start on the host: $(journalctl -u vireo-agent.service -n 3 -o cat --no-pager 2>/dev/null | tr '\n' ' ')"
}
main </dev/null
exit

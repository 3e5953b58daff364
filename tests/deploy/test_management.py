# SPDX-License-Identifier: Apache-2.0
"""The management network of hosts that are installed: a bridge over the card with the address."""

import json
import os
import subprocess
import time

import pytest

from bare import wait_until
from deploykit import PASSWORD, run_site
from test_deploy import Host, kill_manager
from vireolab.network import own_network

LIMIT = 120
MANAGER, ADDRESS = "198.18.0.1", "198.18.0.11"
# ip(8) of the host, which does what it is told line by line, and ends the agent behind line $N.
IP = """\
#!/bin/sh
case "$*" in
*-batch*) ;;
*) exec /usr/bin/ip.real "$@" ;;
esac
count=0
while read -r line; do
    [ -s /run/kill-at ] && [ "$count" = "$(cat /run/kill-at)" ] && {
        rm /run/kill-at
        kill -9 "$(cat /run/vireo-agent.pid)"
    }
    count=$((count + 1))
    /usr/bin/ip.real $line || { case "$*" in *-force*) ;; *) exit 1 ;; esac; }
done
"""


@pytest.fixture(scope="module")
def site():
    """In a network of its own from now on, so that addresses are free to choose."""
    mine = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    own_network()
    subprocess.run(["ip", "addr", "add", MANAGER + "/32", "dev", "lo"], check=True)
    try:
        with run_site(MANAGER) as made:
            made.options["NetworkConnectivityCheckTimeoutInSeconds"] = "5"
            made.options["SetupNetworksPollingTimeout"] = "1"
            made.processes.end("manager", patience=40)
            made.prepare()
            made.start_manager()
            yield made
    finally:
        set_network(mine)
        os.close(mine)


def set_network(descriptor):
    import ctypes
    assert ctypes.CDLL(None).setns(descriptor, 0x40000000) == 0


@pytest.fixture
def machine_address():
    return ADDRESS


@pytest.fixture
def add(api, machine):
    made = []

    def add_host(parameters="", address=ADDRESS):
        host = Host(api, api.add("hosts" + parameters, {
            "name": "m%d" % (time.time() * 1000), "address": address, "root_password": PASSWORD,
            "cluster": {"name": "Default"}, "ssh": {"port": str(machine.port)}}))
        made.append(host)
        return host
    yield add_host
    for host in made:
        try:
            host.wait("up", "install_failed", "maintenance", "non_operational", "non_responsive")
            host.remove()
        except Exception as error:  # the test's own failure is the one to read
            print(error)


def ip(machine, *arguments):
    said = machine.run("ip", "-j", *arguments, check=False)
    return json.loads(said) if said.startswith("[") else []  # no such device


def addresses(machine, device):
    return sorted(address["local"] for entry in ip(machine, "addr", "show", "dev", device)
                  for address in entry.get("addr_info", []) if address.get("scope") == "global")


def routes(machine, device):
    found = []
    for six in ([], ["-6"]):
        for route in ip(machine, *six, "route", "show", "dev", device):
            if route.get("protocol") != "kernel":
                found.append((route["dst"], route.get("gateway"), route.get("metric")))
    return sorted(found, key=str)


def bridge_of(machine, device="eth0"):
    shown = ip(machine, "link", "show", "dev", device)
    return shown[0].get("master") if shown else None


def on_bridge(machine):
    return bridge_of(machine) == "ovirtmgmt" and addresses(machine, "eth0") == [] \
        and ADDRESS in addresses(machine, "ovirtmgmt")


def as_before(machine):
    return not ip(machine, "link", "show", "dev", "ovirtmgmt") and ADDRESS in addresses(machine, "eth0")


def restart_agent(machine):
    """What systemd does with an agent that was killed."""
    wait_until(lambda: "dead" in machine.run("sh", "-c", "kill -0 $(cat /run/vireo-agent.pid) || echo dead"),
               LIMIT, "the agent was not killed")
    machine.run("sh", "-c", ": >/run/agent.log; systemctl restart vireo-agent.service")


def test_an_installed_host_has_the_bridge_of_its_management_network(api, machine, package, add):
    """With all that its card carried: a second address, IPv6, routes."""
    machine.run("sh", "-c", "ip addr add 198.18.0.12/24 dev eth0; ip addr add 2001:db8::11/64 dev eth0 nodad;"
                            "ip route add 203.0.113.0/24 via 198.18.0.1 dev eth0 metric 7;"
                            "ip -6 route add 2001:db8:1::/48 via 2001:db8::1 dev eth0")
    before = addresses(machine, "eth0"), routes(machine, "eth0")
    mac = ip(machine, "link", "show", "dev", "eth0")[0]["address"]
    host = add()
    host.wait("up")
    assert on_bridge(machine)
    assert (addresses(machine, "ovirtmgmt"), routes(machine, "ovirtmgmt")) == before
    assert ip(machine, "link", "show", "dev", "ovirtmgmt")[0]["address"] == mac
    assert any("from eth0 to the bridge ovirtmgmt" in text for text in host.events(509))
    job = [job for job in api.get("jobs")["job"] if job["description"].endswith(host.get()["name"])][0]
    steps = {step["description"]: step["status"] for step in api.get("jobs/%s/steps" % job["id"])["step"]}
    assert [status for name, status in steps.items() if "management network" in name.lower()] == ["finished"]
    # Installed again it stays as it is.
    host.maintenance()
    host.install()
    host.wait("up")
    assert on_bridge(machine) and sum("to the bridge" in text for text in host.events(509)) == 1


def test_a_boot_brings_the_bridge_back(machine, package, add):
    host = add()
    host.wait("up")
    machine.run("sh", "-c", "kill -9 $(cat /run/vireo-agent.pid); ip link del ovirtmgmt;"
                            "ip addr add %s/24 dev eth0; ip route add default via %s dev eth0;"
                            "ip route add 203.0.113.0/24 via %s dev eth0" % (ADDRESS, MANAGER, MANAGER))
    restart_agent(machine)
    assert on_bridge(machine)
    assert routes(machine, "ovirtmgmt") == [("203.0.113.0/24", MANAGER, None), ("default", MANAGER, None)]
    host.wait("up")


def test_a_host_that_is_known_by_its_ipv6_address(machine, package, add):
    subprocess.run(["ip", "addr", "add", "2001:db8::1/64", "dev", machine.cable, "nodad"], check=True)
    machine.run("sh", "-c", "ip addr add 2001:db8::11/64 dev eth0 nodad; ip -6 route add default via 2001:db8::1;"
                            "echo ListenAddress 2001:db8::11 >>/etc/ssh/test_sshd_config")
    machine.start_sshd()
    host = add(address="2001:db8::11")
    host.wait("up")
    assert bridge_of(machine) == "ovirtmgmt" and addresses(machine, "eth0") == []
    assert addresses(machine, "ovirtmgmt") == [ADDRESS, "2001:db8::11"]
    assert ("default", "2001:db8::1", 1024) in routes(machine, "ovirtmgmt")
    # A boot of a machine whose distribution knows nothing of it any more.
    machine.run("sh", "-c", "kill -9 $(cat /run/vireo-agent.pid); ip link del ovirtmgmt")
    restart_agent(machine)
    assert addresses(machine, "ovirtmgmt") == [ADDRESS, "2001:db8::11"]
    assert ("default", "2001:db8::1", 1024) in routes(machine, "ovirtmgmt")
    host.wait("up")


def test_an_address_on_a_vlan(api, machine, package, add):
    """The bridge is over the VLAN's device, whatever that is called, when the network has that VLAN; else
    nothing is changed and the reason says so."""
    if "Unknown device type" in machine.run("ip", "link", "add", "link", "eth0", "name", "probe", "type", "vlan",
                                            "id", "9", check=False):
        pytest.skip("the kernel has no VLANs (8021q)")
    machine.run("sh", "-c", "ip link add link eth0 name mgmt type vlan id 10; ip link set mgmt up;"
                            "ip addr flush dev eth0; ip addr add %s/24 dev mgmt" % ADDRESS)
    for command in (["addr", "del", MANAGER + "/24", "dev", machine.cable],
                    ["link", "add", "link", machine.cable, "name", machine.cable + "v", "type", "vlan", "id", "10"],
                    ["addr", "add", MANAGER + "/24", "dev", machine.cable + "v"],
                    ["link", "set", machine.cable + "v", "up"]):
        subprocess.run(["ip"] + command, check=True)
    host = add()
    reason = host.failure()
    assert "VLAN 10" in reason and ADDRESS in addresses(machine, "mgmt")
    network = api.find("networks", "network", "ovirtmgmt")
    api.call("PUT", "networks/" + network["id"], {"vlan": {"id": "10"}})
    try:
        host.install()
        host.wait("up")
        assert bridge_of(machine, "mgmt") == "ovirtmgmt" and addresses(machine, "ovirtmgmt") == [ADDRESS]
        assert host.get()["status"] == "up"
    finally:
        host.maintenance()
        api.call("PUT", "networks/" + network["id"], {"vlan": {"id": "0"}})


def test_what_other_programs_do_to_the_card_is_mended(machine, package, add):
    """ifup gives the card its address again; a card goes and comes back later."""
    host = add()
    host.wait("up")
    machine.run("ip", "addr", "add", ADDRESS + "/24", "dev", "eth0")
    wait_until(lambda: on_bridge(machine), LIMIT, "the address stays on the card")
    machine.run("ip", "link", "del", "eth0")
    assert ADDRESS in addresses(machine, "ovirtmgmt")
    machine.cable = machine.cable + "b"
    subprocess.run(["ip", "link", "add", machine.cable, "type", "veth", "peer", "name", "eth0", "netns",
                    str(machine.init)], check=True)
    subprocess.run(["ip", "addr", "add", MANAGER + "/24", "dev", machine.cable], check=True)
    subprocess.run(["ip", "link", "set", machine.cable, "up"], check=True)
    wait_until(lambda: on_bridge(machine), LIMIT, "the card that came back is not below its bridge")
    assert routes(machine, "ovirtmgmt") == [("default", MANAGER, None)]
    host.wait("up")


def test_an_agent_killed_at_any_line_of_the_move(machine, package, add):
    """It is started again, gives back what it had begun to move, and the Manager asks again."""
    machine.run("sh", "-c", "mv /usr/bin/ip /usr/bin/ip.real; rm -f /usr/sbin/ip /sbin/ip")
    machine.put("/usr/bin/ip", IP, 0o755)
    machine.run("ip", "addr", "add", "198.18.0.12/24", "dev", "eth0")
    host = add("?activate=false")
    host.wait("maintenance")
    line = killed = 0
    while True:
        machine.run("sh", "-c", "kill -9 $(cat /run/vireo-agent.pid); rm -rf /var/lib/vireo-agent/networks;"
                                "ip link del ovirtmgmt; ip addr add %s/24 dev eth0; ip addr add 198.18.0.12/24 "
                                "dev eth0; ip route add default via %s dev eth0; echo %d >/run/kill-at"
                                % (ADDRESS, MANAGER, line))
        assert as_before(machine)
        host.install(activate=False)

        def died_or_ended():
            dead = machine.run("sh", "-c", "[ -e /run/kill-at ] || kill -0 $(cat /run/vireo-agent.pid) "
                                           "2>/dev/null || echo dead")
            return "dead" in dead or host.get()["status"] == "maintenance"
        wait_until(died_or_ended, LIMIT, "line %d" % line)
        if machine.read("/run/kill-at"):
            break
        killed += 1
        restart_agent(machine)
        host.wait("maintenance")
        assert on_bridge(machine) and addresses(machine, "ovirtmgmt") == [ADDRESS, "198.18.0.12"], line
        assert routes(machine, "ovirtmgmt") == [("default", MANAGER, None)]
        line += 1
    assert killed >= 8


def test_a_manager_killed_while_the_host_waits_for_its_sign(site, machine, package, add):
    host = add()
    wait_until(lambda: bridge_of(machine) == "ovirtmgmt" or host.get()["status"] != "installing", LIMIT,
               "no bridge")
    kill_manager(site, host)
    site.start_manager()
    host.wait("up")
    assert on_bridge(machine)


def test_a_card_that_loses_the_manager_on_the_bridge_is_given_back(machine, package, add):
    """As a switch does it that takes a bridge for an attack: all that comes over it is dropped."""
    machine.run("sh", "-c", "mv /usr/bin/ip /usr/bin/ip.real; rm -f /usr/sbin/ip /sbin/ip")
    machine.put("/usr/bin/ip", "#!/bin/sh\n/usr/bin/ip.real \"$@\"\nstatus=$?\n"
                "if [ -e /run/deaf ] && /usr/bin/ip.real route show dev ovirtmgmt 2>/dev/null | grep -q default; "
                "then /usr/bin/ip.real link set ovirtmgmt down; fi\nexit $status\n", 0o755)
    machine.run("sh", "-c", ": >/run/deaf")
    host = add()
    reason = host.failure()
    assert ADDRESS in reason and ("took that back" in reason or "does not answer" in reason)
    assert as_before(machine)
    assert routes(machine, "eth0") == [("default", MANAGER, None)]
    machine.run("rm", "/run/deaf")
    host.install()
    host.wait("up")
    assert on_bridge(machine)


def test_a_leased_address_stays_and_people_are_told(machine, package, add):
    machine.run("ip", "addr", "change", ADDRESS + "/24", "dev", "eth0", "valid_lft", "3600",
                "preferred_lft", "3600")
    host = add()
    host.wait("up")
    assert as_before(machine)
    assert any("DHCP" in text and "inet static" in text for text in host.events(509))

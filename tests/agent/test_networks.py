# SPDX-License-Identifier: Apache-2.0
"""setupNetworks on real interfaces of a network namespace, and what it does when the Manager is lost."""

import json
import re
import subprocess

import pytest

from host import wait_until
from stomp import RpcError


@pytest.fixture
def nic(host):
    def ip(*arguments):
        done = subprocess.run(host.inside(["ip"] + list(arguments)), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout
    ip("link", "add", "nic0", "type", "veth", "peer", "name", "peer0")
    ip("link", "set", "nic0", "up")
    ip("addr", "add", "192.0.2.11/24", "dev", "nic0")
    yield ip
    ip("link", "del", "nic0")


def addresses(ip, device):
    return [address["local"] for entry in json.loads(ip("-j", "addr", "show", "dev", device) or "[]")
            for address in entry.get("addr_info", []) if address["family"] == "inet"]


NETWORK = {"nic": "nic0", "bridged": "true", "ipaddr": "192.0.2.11", "netmask": "255.255.255.0",
           "STP": "no", "switch": "legacy", "mtu": 1500, "defaultRoute": False}
DONE = {"code": 0, "message": "Done"}


def test_a_network_is_made_reported_kept_and_removed(host, nic):
    client = host.client()
    assert client.call_ready("Host.setupNetworks", networks={"net1": NETWORK}, bondings={},
                             options={"connectivityCheck": "false"}) == DONE
    report = client.call("Host.getCapabilities")
    network = report["networks"]["net1"]
    assert (network["addr"], network["netmask"]) == ("192.0.2.11", "255.255.255.0")
    assert network["ports"] == ["nic0"] and network["bridged"] is True
    assert report["bridges"]["net1"]["ports"] == ["nic0"]
    assert "nic0" in report["nics"] and report["nics"]["nic0"]["addr"] == ""
    assert report["netConfigDirty"] == "True"
    assert addresses(nic, "nic0") == []

    client.call("Host.setSafeNetworkConfig")
    assert client.call("Host.getNetworkCapabilities")["netConfigDirty"] == "False"
    # A boot: the bridge is gone, the address is where the distribution put it.
    host.kill_agent()
    nic("link", "del", "net1")
    nic("addr", "add", "192.0.2.11/24", "dev", "nic0")
    host.start_agent()
    client = host.client()
    assert client.call_ready("Host.getNetworkCapabilities")["networks"]["net1"]["ports"] == ["nic0"]

    remove = {"net1": {"remove": "true"}}
    assert client.call("Host.setupNetworks", networks=remove, bondings={},
                       options={"commitOnSuccess": True}) == DONE
    assert "net1" not in client.call("Host.getNetworkCapabilities")["networks"]
    assert addresses(nic, "nic0") == ["192.0.2.11"]


def test_without_a_sign_of_the_manager_everything_is_rolled_back(host, nic):
    client = host.client()
    client.call_ready("Host.ping2")
    with pytest.raises(RpcError) as failure:
        client.call("Host.setupNetworks", networks={"net2": NETWORK}, bondings={},
                    options={"connectivityCheck": "true", "connectivityTimeout": 1})
    assert failure.value.code == 10
    assert "net2" not in client.call("Host.getNetworkCapabilities")["networks"]
    assert addresses(nic, "nic0") == ["192.0.2.11"]


def test_a_sign_of_the_manager_makes_it_stay(host, nic):
    client, other = host.client(), host.client()
    client.call_ready("Host.ping2")
    call = client.start("Host.setupNetworks", networks={"net3": NETWORK}, bondings={},
                        options={"connectivityCheck": "true", "connectivityTimeout": 60})
    # The Manager keeps asking on another connection until its call is answered.
    answer = None
    while answer is None:
        other.call("Host.confirmConnectivity")
        try:
            answer = client.finish(call, timeout=0.2)
        except TimeoutError:
            pass
    assert answer == DONE
    client.call("Host.setupNetworks", networks={"net3": {"remove": "true"}}, bondings={}, options={})


def test_another_network_takes_the_card_of_one_that_goes(host, nic):
    """Both in one request, and back with the next."""
    client = host.client()
    client.call_ready("Host.ping2")
    for old, new in ((None, "net5"), ("net5", "net6"), ("net6", "net5")):
        networks = {new: NETWORK}
        if old:
            networks[old] = {"remove": "true"}
        assert client.call("Host.setupNetworks", networks=networks, bondings={}, options={}) == DONE
        report = client.call("Host.getNetworkCapabilities")
        assert old not in report["networks"]
        assert report["networks"][new]["ports"] == ["nic0"]
        assert addresses(nic, new) == ["192.0.2.11"]
    # Somebody else's bridge is not moved away.
    with pytest.raises(RpcError) as failure:
        client.call("Host.setupNetworks", networks={"net6": NETWORK}, bondings={}, options={})
    assert failure.value.code == 24
    client.call("Host.setupNetworks", networks={"net5": {"remove": "true"}}, bondings={}, options={})
    assert addresses(nic, "nic0") == ["192.0.2.11"]


@pytest.mark.parametrize("code, change", [
    (27, {"bad/name": NETWORK}),
    (23, {"net4": dict(NETWORK, nic="nic9")}),
    (22, {"net4": dict(NETWORK, ipaddr="192.0.2")}),
    (22, {"net4": dict(NETWORK, netmask="255.0.255.0")}),
    (26, {"net4": dict(NETWORK, vlan="5000")}),
    (21, {"net4": dict(NETWORK, bridged="false")}),
])
def test_what_cannot_be_is_refused_and_changes_nothing(host, nic, code, change):
    client = host.client()
    before = client.call_ready("Host.getNetworkCapabilities")
    with pytest.raises(RpcError) as failure:
        client.call("Host.setupNetworks", networks=change, bondings={}, options={})
    assert failure.value.code == code
    assert client.call("Host.getNetworkCapabilities") == before


def filters_of(host):
    return re.findall(r"<filterref filter='([^']*)'", host.virsh("nwfilter-dumpxml", "vdsm-no-mac-spoofing"))


def define_filter(host, xml):
    with open(host.path("filter.xml"), "w", encoding="ascii") as file:
        file.write(xml)
    host.virsh("nwfilter-define", host.path("filter.xml"))


def test_an_empty_filter_of_guests_becomes_a_real_one(host):
    """An empty one stands in while libvirt's own are not installed; later it is replaced, not left."""
    host.client().call_ready("Host.ping2")
    parts = ["no-mac-spoofing", "no-arp-mac-spoofing"]
    assert filters_of(host) == parts
    host.virsh("nwfilter-undefine", "vdsm-no-mac-spoofing")
    define_filter(host, "<filter name='vdsm-no-mac-spoofing' chain='root'/>")
    for _ in range(2):  # and again
        host.kill_agent()
        host.start_agent()
        host.client().call_ready("Host.ping2")
        assert filters_of(host) == parts


def test_the_link_of_an_interface_is_in_the_statistics(host, nic):
    """Up, down with the peer (the switch's port), down by hand; lo, which has no carrier to tell of, is up."""
    client = host.client()
    client.call_ready("Host.ping2")

    def state(device):
        link = client.call("Host.getStats")["network"][device]
        assert link["name"] == device
        assert client.call("Host.getNetworkStatistics")["network"][device]["state"] == link["state"]
        return link["state"]

    def becomes(device, wanted):  # the kernel tells a change of the carrier within a second
        wait_until(lambda: state(device) == wanted, 10, "%s is not %s" % (device, wanted))

    becomes("lo", "up")
    becomes("nic0", "down")  # nobody has set its peer up
    for change, wanted in ((("peer0", "up"), "up"), (("peer0", "down"), "down"), (("peer0", "up"), "up"),
                           (("nic0", "down"), "down"), (("nic0", "up"), "up")):
        nic("link", "set", *change)
        becomes("nic0", wanted)

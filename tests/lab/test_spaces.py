# SPDX-License-Identifier: Apache-2.0
"""The quick tier: hosts as namespaces, with a libvirtd and an agent each, and a directory they share."""

import os
import subprocess

import pytest

from labkit import ROOT
from vireolab import scenario

TOPOLOGY = "two-spaces"
SHARED = {"type": "posixfs", "path": "/srv/shared", "vfs_type": "none", "mount_options": "bind"}
MIB = 1 << 20


@pytest.fixture(scope="module")
def joined(lab):
    """Both hosts are up in the Manager."""
    return {name: lab.add_host(name) for name in ("host1", "host2")}


@pytest.fixture(scope="module")
def domain(lab, joined):
    """A data domain in the shared directory."""
    return scenario.add_data_domain(lab.api(), joined["host1"], "shared", storage=SHARED)


def test_spaces_are_unlike_each_other(lab):
    one, two = lab.host("host1"), lab.host("host2")
    for question in ("cat /etc/machine-id", "hostname", "cat /sys/class/net/nic0/address",
                     "virsh -c qemu:///system capabilities | grep -m 1 '<uuid>'"):
        assert one.run(question).out != two.run(question).out
    # Each has processes, mounts and networks of its own.
    one.run("sleep 1000 >/dev/null 2>&1 & touch /run/one; ip link add only0 type bridge")
    assert two.run("pgrep -f '[s]leep 1000'; ls /run/one; ip link show only0", check=False).out == ""
    one.run("ping -c 1 -W 5 host2")


def test_both_hosts_join_and_see_the_shared_domain(lab, joined, domain):
    assert [joined[name]["status"] for name in joined] == ["up", "up"]
    assert domain["status"] == "active"
    assert lab.host("host2").run("ls /srv/shared").out.split() == [domain["id"]]
    assert lab.api().get("storagedomains/" + domain["id"])["storage"]["path"] == "/srv/shared"


def test_a_machine_counts_on_the_shared_directory(lab, domain):
    api = lab.api()
    built = subprocess.run([os.path.join(ROOT, "tools", "boot-guest")], stdout=subprocess.PIPE,
                           text=True, check=True)
    disk = scenario.upload_disk(api, domain, "counter", os.path.join(built.stdout.strip(), "boot.qcow2"),
                                MIB)
    vm = scenario.start_vm(api, scenario.add_vm(api, "counter", disk, 16 * MIB))
    place = [name for name in lab.hosts
             if vm["host"]["id"] == api.find("hosts", "host", name)["id"]][0]
    lab.host(place).wait("grep -q 'BOOT 3' %s/*.log" % lab.host(place).vm.path("serial"))
    # The agent dies and comes back; the machine does not notice.
    lab.host(place).vm.kill_service("agent")
    lab.host(place).wait_ready()
    lab.wait_host(place, "up")
    assert api.get("vms/" + vm["id"])["status"] == "up"
    scenario.stop_vms(api, 60)


def is_connected(lab, path):
    """By host, whether it has the shared directory @path in its mount table."""
    target = path.replace("/", "_")
    return {name: lab.host(name).run("grep -q '%s ' /proc/self/mountinfo" % target, check=False).status == 0
            for name in ("host1", "host2")}


def test_every_host_lets_go_of_a_domain_in_maintenance(lab, joined, domain):
    """Another domain; then the last one, while a host that does not answer holds nothing up."""
    api, two = lab.api(), lab.host("host2")
    path = SHARED["path"] + "/second"
    two.run("mkdir -p %s && chown 36:36 %s" % (path, path))
    second = scenario.add_data_domain(api, joined["host1"], "second", storage=dict(SHARED, path=path))
    below = "datacenters/%s/storagedomains/" % api.find("datacenters", "data_center", "Default")["id"]
    everywhere, nowhere = {"host1": True, "host2": True}, {"host1": False, "host2": False}

    def move(which, action, wanted):
        api.action(below + which["id"] + "/" + action)
        api.wait_status(below + which["id"], wanted, 120, bad=("inactive",))

    two.wait("grep -q '_second ' /proc/self/mountinfo")
    assert is_connected(lab, path) == everywhere
    move(second, "deactivate", "maintenance")
    assert is_connected(lab, path) == nowhere
    assert is_connected(lab, SHARED["path"]) == everywhere
    move(second, "activate", "active")
    two.wait("grep -q '_second ' /proc/self/mountinfo")

    move(second, "deactivate", "maintenance")
    move(domain, "deactivate", "maintenance")
    assert is_connected(lab, SHARED["path"]) == nowhere
    move(domain, "activate", "active")
    two.wait("grep -q '_shared ' /proc/self/mountinfo")
    move(second, "activate", "active")
    two.wait("grep -q '_second ' /proc/self/mountinfo")

    spm = api.find("hosts", "host", "host1")["spm"]["status"] == "spm"
    frozen, other = ("host2", "host1") if spm else ("host1", "host2")
    lab.host(frozen).freeze()
    try:
        move(second, "deactivate", "maintenance")
    finally:
        lab.host(frozen).thaw()
    assert not is_connected(lab, path)[other]
    lab.wait_host(frozen, "up")


def test_power_cut_and_frozen(lab):
    one, two = lab.host("host1"), lab.host("host2")
    before = two.boot_id()
    two.cut()
    assert one.run("ping -c 1 -W 1 host2", check=False).status == 1
    two.heal()
    one.wait("ping -c 1 -W 1 host2")
    two.freeze()
    assert two.vm.is_frozen()
    two.thaw()
    assert not two.vm.is_frozen() and two.boot_id() == before
    inside = two.vm.members()
    assert two.fence("off")[0] == 0
    assert two.fence("status")[0] == 2
    assert not [pid for pid in inside if os.path.exists("/proc/%d" % pid)]
    assert two.fence("on")[0] == 0
    two.wait_ready()
    assert two.boot_id() != before
    one.wait("ping -c 1 -W 1 host2")

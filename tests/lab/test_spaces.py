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

# SPDX-License-Identifier: Apache-2.0
"""The lab itself: hosts are real and unlike, and power, cables, freezing and watchdogs act on them."""

import contextlib
import os
import subprocess

import pytest

TOPOLOGY = "three-hosts"
MANAGER = False
WATCHDOG = 60  # seconds; wdmd's own, in softdog


@pytest.fixture(scope="module")
def stopped_watchdog(lab):
    """host3's watchdog daemon has stopped; it goes by while the tests on the other hosts run."""
    host = lab.host("host3")
    before = host.boot_id()
    events = host.events()
    host.run("systemctl start wdmd && systemctl is-active wdmd && kill -STOP $(pidof wdmd)")
    yield before, events
    events.close()


def test_three_hosts_are_unlike_each_other(lab, stopped_watchdog):
    seen = [host.run("cat /etc/machine-id /sys/class/dmi/id/product_uuid /etc/hostname "
                     "/sys/class/net/nic0/address /etc/ssh/ssh_host_ed25519_key.pub").out.split("\n")
            for host in lab.hosts.values()]
    for values in zip(*[lines[:5] for lines in seen]):
        assert len(set(values)) == 3, values
    for host in lab.hosts.values():
        assert host.run("cat /sys/class/dmi/id/product_uuid").out.strip() == \
            lab.vlab.identity(host.vm.machine)["uuid"]


def test_a_host_is_a_debian_without_vireo(lab):
    host = lab.host("host1")
    assert host.run("cat /proc/1/comm").out == "systemd\n"
    assert host.run("systemctl is-system-running", check=False).out == "running\n"
    assert host.run("command -v vireo-agentd vireo-managerd; ls /etc/vireo", check=False).out == ""
    # Nothing of the outer machine's private places and services is seen.
    assert host.run("ls -A /root /home /srv /tmp | grep -vE '^(|/.*|[.]ssh|systemd-private.*|[.].*-unix)$'",
                    check=False).out == ""
    assert host.run("systemctl is-active libvirtd sanlock wdmd postgresql", check=False).out.split() == \
        ["inactive"] * 4


def test_a_host_runs_machines_by_kvm(lab):
    host = lab.host("host1")
    host.run("systemctl start libvirtd")
    known = host.run("virsh -c qemu:///system capabilities").out
    assert "<domain type='kvm'/>" in known, host.run(
        "ls -l /dev/kvm /var/cache/libvirt/qemu/capabilities; free -m; dmesg | tail -n 20").out


def test_root_may_log_in_by_password(lab):
    host = lab.host("host1")
    options = ["-o", "PubkeyAuthentication=no", "-o", "ControlPath=none", "-o",
               "NumberOfPasswordPrompts=1"]
    script = os.path.join(lab.vlab.state, "ssh", "askpass")
    with open(script, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nprintf '%s\\n' \"$LAB_PASSWORD\"\n")
    os.chmod(script, 0o700)

    def login(password):
        environment = dict(os.environ, SSH_ASKPASS=script, SSH_ASKPASS_REQUIRE="force",
                           LAB_PASSWORD=password)
        command = lab.vlab.ssh("host1", "id", "-un")
        command[command.index("host1"):command.index("host1")] = options
        return subprocess.run(command, env=environment, cwd=lab.vlab.state, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert login(lab.root_password).stdout == "root\n"
    refused = login("wrong")
    assert refused.returncode == 255 and "Permission denied" in refused.stderr
    assert host.run("id -un").out == "root\n"


def test_fencing_turns_a_host_off_and_on(lab):
    host = lab.host("host2")
    assert host.fence("status")[0] == 0
    before = host.boot_id()
    host.run("echo kept >/etc/kept; echo kept >/var/lib/kept; echo lost >/run/lost; sync")
    assert host.fence("off")[0] == 0
    assert not host.is_on() and host.fence("status")[0] == 2
    assert host.fence("off")[0] == 0, "off again is no failure"
    assert host.fence("on")[0] == 0
    assert host.is_on() and host.fence("status")[0] == 0
    host.wait_ready()
    assert host.boot_id() != before
    assert host.run("cat /etc/kept /var/lib/kept; ls /run/lost", check=False).out == "kept\nkept\n"


def test_fencing_needs_the_password(lab):
    host = lab.host("host2")
    status, said = host.fence("off", password="wrong")
    assert status == 1 and host.is_on(), said


def test_a_fence_agent_in_a_neighbour_reaches_the_controller(lab):
    target = lab.host("host2")
    options = "ip=%s\nusername=%s\npassword=%s\nlanplus=1\ncipher=3\naction=status\n" % (
        target.bmc.address, target.bmc.user, target.bmc.password)
    assert "Status: ON" in lab.host("host1").run("fence_ipmilan", stdin=options.encode()).out


def test_a_cut_cable_is_no_carrier_and_no_answer_and_heals(lab):
    near, far = lab.host("host1"), lab.host("host2")
    near.run("ping -c 1 -W 5 host2")
    far.cut()
    far.wait("[ $(cat /sys/class/net/nic0/carrier) = 0 ]", by_agent=True)
    assert near.run("ping -c 2 -W 1 host2", check=False).status == 1
    far.heal("nic0")
    far.wait("[ $(cat /sys/class/net/nic0/carrier) = 1 ]", by_agent=True)
    near.wait("ping -c 1 -W 1 host2")


def test_a_cable_stays_cut_over_power(lab):
    host = lab.host("host2")
    host.cut("nic0")
    host.power_off()
    host.power_on(wait=False)
    host.vm.agent(240).close()
    assert host.agent("cat /sys/class/net/nic0/carrier", check=False).out == "0\n"
    host.heal()
    host.wait_ready()


def test_a_frozen_host_is_silent_and_goes_on(lab):
    host, neighbour = lab.host("host2"), lab.host("host1")
    before = host.boot_id()
    host.freeze()
    assert host.vm.is_frozen()
    assert neighbour.run("ping -c 2 -W 1 host2", check=False).status == 1
    # Its cable is in: that is what tells a frozen host from a cut one.
    assert host.fence("status")[0] == 0
    host.thaw()
    neighbour.wait("ping -c 1 -W 1 host2")
    assert host.boot_id() == before


def test_a_shared_disk_is_one_disk(lab):
    path = "/dev/disk/by-id/wwn-0x5000c50000000001"
    lab.host("host1").run("printf 'written by host1' | dd of=%s bs=512 seek=8 conv=sync oflag=direct" % path)
    read = lab.host("host2").run("dd if=%s bs=512 skip=8 count=1 iflag=direct | tr -d '\\0'" % path)
    assert read.out == "written by host1"


def test_a_host_that_powers_itself_off_is_off(lab):
    host = lab.host("host2")
    with host.events() as events:
        with contextlib.suppress(OSError, EOFError):  # it may not get to answer
            host.agent("systemctl poweroff --force", check=False)
        assert events.wait_event(("SHUTDOWN",), 120)
    process = host.vm.processes.find("host2")
    assert process is None or process.ended(30)
    assert host.fence("status")[0] == 2


def test_a_watchdog_resets_its_host(lab, stopped_watchdog):
    before, events = stopped_watchdog
    assert events.wait_event(("RESET",), WATCHDOG + 60), "the watchdog did not bite"
    host = lab.host("host3")
    host.wait_ready()
    assert host.boot_id() != before

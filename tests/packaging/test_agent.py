# SPDX-License-Identifier: Apache-2.0
"""The agent from its package: enrolled, upgraded under a running virtual machine, removed, purged."""

import os

import pytest

UNIT = "vireo-agent.service"
PKI = "/etc/pki/vdsm"
GUEST = """\
<domain type='qemu'>
  <name>guest</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <on_poweroff>destroy</on_poweroff>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices>
</domain>
"""


def main_pid(machine):
    return int(machine.unit(UNIT, "MainPID"))


@pytest.fixture(scope="module")
def before(machine):
    # The order of libvirt's own files does not matter: they are there before.
    machine.run("systemctl", "start", "libvirtd.service")
    return machine.added()


@pytest.fixture(scope="module")
def installed(machine, packages, before):
    machine.install(packages["vireo-agent"])
    return machine


def test_a_number_that_is_taken_is_told_before_anything_is_installed(machine, packages, before):
    machine.run("useradd", "--system", "--uid", "36", "--no-create-home", "squatter")
    done = machine.install(packages["vireo-agent"], check=False)
    assert done.returncode != 0
    assert "squatter has the number 36" in done.stdout
    assert not machine.exists("/usr/sbin/vireo-agentd")
    assert not machine.exists("/etc/vireo")
    machine.run("userdel", "squatter")
    machine.run("dpkg", "--purge", "vireo-agent")


def test_without_a_certificate_it_waits_and_does_not_fail(installed):
    assert installed.status("vireo-agent") == "installed"
    assert installed.unit(UNIT, "ActiveState", "ConditionResult", "UnitFileState") == [
        "inactive", "no", "enabled"]


def test_the_storage_user_has_its_number(installed):
    assert installed.out("id", "-u", "vdsm") == "36"
    assert installed.out("id", "-g", "vdsm") == "36"
    for user in ("libvirt-qemu", "sanlock"):
        assert "vdsm" in installed.out("id", "-nG", user).split()


@pytest.mark.parametrize("path, want", [
    (PKI + "/keys", ("root", "vdsm", "750")),
    (PKI + "/certs", ("root", "root", "755")),
    ("/rhev/data-center", ("vdsm", "vdsm", "755")),
    ("/var/lib/vireo-agent", ("root", "root", "711")),
])
def test_its_folders_are_there(installed, path, want):
    assert installed.owner(path) == want


@pytest.fixture(scope="module")
def enrolled(installed, packages):
    """A certificate as a Manager gives it, here by vireo-setup; then the unit is started."""
    installed.install(packages["vireo-manager"])
    installed.run("vireo-setup", "enrol-host", "--state", "/var/lib/vireo", "--name", "localhost",
                  "--out", "/tmp/host")
    installed.run("sh", "-ec", "cd /tmp/host; cp cacert.pem vdsmcert.pem %s/certs/;"
                  "install -m 600 vdsmkey.pem %s/keys/" % (PKI, PKI))
    installed.run("systemctl", "start", UNIT)
    return installed


def test_with_a_certificate_it_serves(enrolled):
    assert enrolled.unit(UNIT, "ActiveState", "SubState") == ["active", "running"]
    port = enrolled.read("/var/lib/vireo-agent/agent.port").strip()
    assert port == "54321"
    shown = enrolled.out("sh", "-c", "cd /var/lib/vireo/pki; gnutls-cli --x509cafile ca.pem --x509certfile "
                         "manager.pem --x509keyfile manager.key -p %s localhost </dev/null 2>&1" % port)
    assert "The certificate is trusted" in shown
    assert enrolled.exists("/run/ovirt-imageio/sock"), "image transfers are served"


def test_what_it_mounts_everybody_sees(enrolled):
    """libvirtd and virtual machines live in the machine's own mount namespace."""
    assert enrolled.out("readlink", "/proc/%d/ns/mnt" % main_pid(enrolled)) == \
        enrolled.out("readlink", "/proc/1/ns/mnt")


def test_it_gave_up_what_it_does_not_need(enrolled):
    rows = dict(line.split(":", 1) for line in
                enrolled.read("/proc/%d/status" % main_pid(enrolled)).splitlines())
    bounding = int(rows["CapBnd"], 16)
    for number, name in ((16, "SYS_MODULE"), (25, "SYS_TIME"), (22, "SYS_BOOT"), (34, "SYSLOG")):
        assert not bounding >> number & 1, name
    assert rows["NoNewPrivs"].strip() == "1"
    assert rows["Seccomp"].strip() == "2"
    enrolled.run("systemd-analyze", "security", "--offline=yes", "--threshold=65", UNIT)


def test_the_unit_is_sound(enrolled):
    assert enrolled.out("systemd-analyze", "verify", UNIT) == ""


def test_an_agent_that_hangs_is_killed_and_started_again(enrolled):
    drop_in = "/run/systemd/system/%s.d/watchdog.conf" % UNIT
    enrolled.write(drop_in, "[Service]\nWatchdogSec=2s\n")
    enrolled.run("systemctl", "daemon-reload")
    enrolled.run("systemctl", "restart", UNIT)
    try:
        agent, restarts = main_pid(enrolled), int(enrolled.unit(UNIT, "NRestarts"))
        enrolled.run("kill", "-STOP", str(agent))
        enrolled.wait("a restart by the watchdog",
                      lambda: int(enrolled.unit(UNIT, "NRestarts")) == restarts + 1)
        enrolled.wait("an agent again", lambda: enrolled.unit(UNIT, "SubState") == "running")
    finally:
        enrolled.run("rm", drop_in)
        enrolled.run("systemctl", "daemon-reload")
        enrolled.run("systemctl", "restart", UNIT)


def guest_pid(machine):
    return int(machine.read("/run/libvirt/qemu/guest.pid"))


@pytest.fixture(scope="module")
def guest(enrolled):
    enrolled.write("/tmp/guest.xml", GUEST)
    enrolled.run("virsh", "-c", "qemu:///system", "create", "/tmp/guest.xml")
    return guest_pid(enrolled)


def test_an_upgrade_restarts_the_agent_and_no_virtual_machine(enrolled, guest, packages):
    enrolled.write("/etc/vireo/agent.conf",
                   enrolled.read("/etc/vireo/agent.conf").replace("log=info", "log=debug"))
    agent = main_pid(enrolled)
    enrolled.install(packages["vireo-agent"], options=["--force-confdef"])
    assert enrolled.unit(UNIT, "ActiveState") == "active"
    assert main_pid(enrolled) != agent, "the new program runs"
    assert "log=debug" in enrolled.read("/etc/vireo/agent.conf")
    assert guest_pid(enrolled) == guest and enrolled.exists("/proc/%d" % guest)
    assert enrolled.out("virsh", "-c", "qemu:///system", "domstate", "guest") == "running"


def test_the_image_daemon_ends_with_the_agent(enrolled):
    enrolled.run("systemctl", "stop", UNIT)
    group = enrolled.path("/sys/fs/cgroup/system.slice/%s/cgroup.procs" % UNIT)
    enrolled.wait("the end of what the agent started", lambda: not os.path.exists(group))
    enrolled.run("systemctl", "start", UNIT)


def test_removal_leaves_virtual_machines_and_configuration(enrolled, guest):
    enrolled.run("dpkg", "--remove", "vireo-agent")
    assert not enrolled.exists("/usr/sbin/vireo-agentd")
    assert enrolled.exists("/etc/vireo/agent.conf")
    assert enrolled.exists(PKI + "/keys/vdsmkey.pem")
    assert enrolled.exists("/proc/%d" % guest)
    assert enrolled.run("systemctl", "is-active", UNIT, check=False).stdout.strip() != "active"


def test_purge_touches_no_storage(enrolled, before):
    storage = "/rhev/data-center/mnt/server:_export"
    enrolled.run("mkdir", "-p", storage, "/var/lib/vireo-agent/mounted")
    for folder in (storage, "/var/lib/vireo-agent/mounted"):
        enrolled.run("mount", "-t", "tmpfs", "tmpfs", folder)
        enrolled.write(folder + "/disk", "precious")
    enrolled.run("dpkg", "--purge", "vireo-agent", check=False)
    for folder in (storage, "/var/lib/vireo-agent/mounted"):
        assert enrolled.read(folder + "/disk") == "precious"
    for folder in (storage, "/var/lib/vireo-agent/mounted"):
        enrolled.run("umount", folder)


def test_purge_leaves_nothing_else_behind(enrolled, before):
    enrolled.run("rmdir", "-p", "--ignore-fail-on-non-empty", "/rhev/data-center/mnt/server:_export",
                 check=False)
    enrolled.write("/var/cache/vireo-agent/installed", "what the Manager's deployment keeps there")
    enrolled.run("dpkg", "--purge", "vireo-agent", "vireo-manager")
    enrolled.run("virsh", "-c", "qemu:///system", "destroy", "guest")
    assert enrolled.added() - before == set()

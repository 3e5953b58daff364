# SPDX-License-Identifier: Apache-2.0
"""vireo-agentd doctor on an installed host: breaks it, one thing after the other, and has it mended."""

import pytest

UNIT = "vireo-agent.service"
KEY = "/etc/pki/vdsm/keys/vdsmkey.pem"


def doctor(machine, *options):
    """(exit status, check -> list of (finding, text)); lines of what to do belong to their finding."""
    done = machine.run("vireo-agentd", "doctor", *options, check=False)
    findings = {}
    for line in done.stdout.splitlines():
        if line.startswith(("ok ", "note ", "WRONG ", "mended ")):
            finding, check, text = line.split(None, 2)
            findings.setdefault(check, []).append((finding, text))
    return done.returncode, findings


def finding_of(machine, check, *options):
    """The worst of what the doctor finds about one thing."""
    _, findings = doctor(machine, *options)
    order = ("ok", "note", "mended", "WRONG")
    return max(findings[check], key=lambda finding: order.index(finding[0]))


@pytest.fixture(scope="module")
def host(machine, packages):
    """A host that its Manager, on the same machine, has enrolled."""
    machine.install(packages["vireo-manager"], packages["vireo-agent"])
    machine.run("vireo-setup", "enrol-host", "--state", "/var/lib/vireo", "--name", "localhost",
                "--out", "/tmp/host")
    machine.run("sh", "-ec", "cd /tmp/host; cp cacert.pem vdsmcert.pem /etc/pki/vdsm/certs/;"
                "install -m 600 vdsmkey.pem " + KEY)
    machine.run("sed", "-i", "s/^manager=.*/manager=OU=Vireo Manager/", "/etc/vireo/agent.conf")
    machine.run("systemctl", "start", UNIT)
    return machine


def test_a_host_as_the_package_leaves_it_is_well(host):
    _, findings = doctor(host)
    wrong = {check: found for check, found in findings.items() if check != "sanlock" and
             any(finding == "WRONG" for finding, _ in found)}
    assert wrong == {}
    assert {"configuration", "programs", "user", "folders", "space", "clock", "certificate", "processor",
            "libvirt", "sanlock", "networks", "storage", "ports", "service"} == set(findings)
    assert ("ok", "port 54321 is served by vireo-agentd") in findings["ports"]
    assert ("ok", "port 54322 is served by vireo-imaged") in findings["ports"]


def test_a_host_that_every_host_may_command_is_not_well(host):
    host.run("sed", "-i", "s/^manager=.*/manager=/", "/etc/vireo/agent.conf")
    try:
        finding, text = finding_of(host, "certificate")
        assert finding == "WRONG" and "every host of its authority may command this one" in text
    finally:
        host.run("sed", "-i", "s/^manager=.*/manager=OU=Vireo Manager/", "/etc/vireo/agent.conf")


def test_without_a_certificate_it_says_how_to_get_one(host):
    host.run("mv", "/etc/pki/vdsm/certs/vdsmcert.pem", "/tmp/vdsmcert.pem")
    try:
        done = host.run("vireo-agentd", "doctor", check=False)
        assert done.returncode == 1
        assert "vdsmcert.pem is missing" in done.stdout
        assert "vireo-agentd register --manager" in done.stdout
    finally:
        host.run("mv", "/tmp/vdsmcert.pem", "/etc/pki/vdsm/certs/vdsmcert.pem")


# What is wrong, what of it the doctor sees, how to tell that it is mended.
BREAKS = [
    ("chmod 0644 " + KEY, "certificate", "stat -c %a " + KEY, "600"),
    ("chmod 0666 /etc/vireo/agent.conf", "configuration", "stat -c %a /etc/vireo/agent.conf", "644"),
    ("chmod 0777 /var/lib/vireo-agent", "folders", "stat -c %a /var/lib/vireo-agent", "755"),
    ("gpasswd --delete libvirt-qemu vdsm", "user", "id -nG libvirt-qemu | grep -wo vdsm", "vdsm"),
    ("systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket; "
     "rm -f /run/libvirt/libvirt-sock", "libvirt", "systemctl is-active libvirtd.service", "active"),
    ("systemctl stop " + UNIT, "service", "systemctl is-active " + UNIT, "active"),
    ("systemctl disable " + UNIT, "service", "systemctl is-enabled " + UNIT, "enabled"),
    ("printf '[network]\\nmtu=1500\\n' >/var/lib/vireo-agent/networks/ovirtmgmt", "networks",
     "cat /sys/class/net/ovirtmgmt/operstate | grep -vq none && ls /sys/class/net/ovirtmgmt/bridge/stp_state",
     "/sys/class/net/ovirtmgmt/bridge/stp_state"),
    ("ip link set ovirtmgmt down", "networks", "cat /sys/class/net/ovirtmgmt/flags", "0x1003"),
]


@pytest.mark.parametrize("break_it, check, ask, want", BREAKS, ids=[row[0][:40] for row in BREAKS])
def test_what_is_broken_is_seen_and_mended(host, break_it, check, ask, want):
    host.run("sh", "-c", break_it)
    assert finding_of(host, check)[0] == "WRONG"
    assert finding_of(host, check, "--mend")[0] == "mended"
    assert host.out("sh", "-c", ask) == want
    assert finding_of(host, check)[0] in ("ok", "note")


def test_a_port_that_another_program_holds_is_told(host):
    host.run("systemctl", "stop", UNIT)
    host.run("systemd-run", "--unit=holder", "socat", "TCP6-LISTEN:54321,reuseaddr,fork", "/dev/null")
    try:
        host.wait("a listener", lambda: ":54321" in host.out("ss", "-Hltn"))
        assert finding_of(host, "ports") == ("WRONG", "Port 54321 is held by socat1.") or \
            finding_of(host, "ports") == ("WRONG", "Port 54321 is held by socat.")
    finally:
        host.run("systemctl", "stop", "holder.service")
        host.run("systemctl", "start", UNIT)


def test_storage_that_belongs_to_somebody_else_is_told_and_left_alone(host):
    place = "/rhev/data-center/mnt/server:_export"
    host.run("mkdir", "-p", place)
    host.run("mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", place)
    try:
        assert finding_of(host, "storage", "--mend")[0] == "WRONG"
        assert host.owner(place) == ("root", "root", "700")
        host.run("chown", "36:36", place)
        assert finding_of(host, "storage") == ("ok", place + " answers")
    finally:
        host.run("umount", place)


def test_a_configuration_that_cannot_be_read_ends_it(host):
    text = host.read("/etc/vireo/agent.conf")
    host.write("/etc/vireo/agent.conf", text + "\n[agent]\nprot=1\n")
    try:
        done = host.run("vireo-agentd", "doctor", check=False)
        assert done.returncode == 1
        assert '"prot"' in done.stdout
    finally:
        host.write("/etc/vireo/agent.conf", text)


def test_its_command_line(host):
    assert host.run("vireo-agentd", "doctor", "--mned", check=False).returncode == 2
    assert "--mend" in host.out("vireo-agentd", "doctor", "--help")

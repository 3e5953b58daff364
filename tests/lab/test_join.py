# SPDX-License-Identifier: Apache-2.0
"""Hosts join: two over SSH, with a bare Debian, systemd and the package as it is built; a third
registers itself.  What goes wrong on the way says why, and is in nobody's way afterwards."""

import glob
import os
import re
import sys

import pytest

from labkit import ROOT
from vlab.manager import BUILD

sys.path.insert(0, os.path.join(ROOT, "tests", "agent"))

import pki  # noqa: E402

TOPOLOGY = "three-hosts"
PACKAGES = True
INSTALL_FAILED, INSTALLED, PROGRESS = 505, 504, 509
CERTIFICATE = "/etc/pki/vdsm/certs/vdsmcert.pem"

# The device that has an address.
WHERE = "ip -br -4 addr | awk -v a=%s/24 '$3 == a { print $1 }'"


def events(lab, name, code):
    """Descriptions of the host's events of that code, the newest first."""
    found = lab.api().get("events?search=host.name=%s&max=300" % name).get("event", [])
    return [event["description"] for event in found if int(event["code"]) == code]


def path_of(lab, name):
    return "hosts/" + lab.api().find("hosts", "host", name)["id"]


def install(lab, name, **body):
    lab.api().action(path_of(lab, name) + "/install", body)


def failure(lab, name, seen):
    """The reason of an installation that failed; @seen is how many failed before."""
    lab.wait_host(name, "install_failed", bad=("up",))
    reasons = events(lab, name, INSTALL_FAILED)
    assert len(reasons) == seen + 1
    return reasons[0]


def installed(host):
    return host.run("dpkg-query -W -f '${db:Status-Status}' vireo-agent", check=False).out == "installed"


@pytest.fixture(scope="module")
def refused(lab):
    """host3 with a wrong password, while the others are being installed."""
    return lab.add_host("host3", wait=None, root_password="wrong")


@pytest.fixture(scope="module")
def joined(lab, refused):
    """host1 and host2, added at the same moment and `up`."""
    for name in ("host1", "host2"):
        assert lab.add_host(name, wait=None)["status"] == "installing"
    return {name: lab.wait_host(name, "up") for name in ("host1", "host2")}


# --- what goes wrong, on host3 ---

def test_a_wrong_password_says_so(lab, refused):
    reason = failure(lab, "host3", 0)
    assert "password" in reason and "PermitRootLogin" in reason
    assert not installed(lab.host("host3"))


def test_a_full_disk_says_what_is_free_and_what_is_needed(lab, refused):
    lab.wait_host("host3", "install_failed")
    host = lab.host("host3")
    host.run("free=$(df -Pk / | awk 'NR == 2 { print int($4 / 1024) }');"
             "fallocate -l $((free - 100))M /var/ballast")
    install(lab, "host3", root_password=lab.root_password)
    reason = failure(lab, "host3", 1)
    assert re.search(r"Only 1?[0-9][0-9] MiB are free in / ", reason) and "at least 200" in reason
    host.run("rm /var/ballast")
    assert not installed(host)


def test_a_package_that_does_not_install_says_what_dpkg_said(lab, refused):
    lab.wait_host("host3", "install_failed")
    host = lab.host("host3")
    # Another package has a file of ours.
    host.run("""set -e
        mkdir -p /tmp/other/DEBIAN /tmp/other/usr/sbin
        printf 'Package: other\\nVersion: 1\\nArchitecture: all\\nMaintainer: root <root@localhost>\\nDescription: x\\n' \\
            >/tmp/other/DEBIAN/control
        : >/tmp/other/usr/sbin/vireo-agentd
        dpkg-deb --build /tmp/other /tmp/other.deb && dpkg -i /tmp/other.deb""")
    install(lab, "host3", root_password=lab.root_password)
    reason = failure(lab, "host3", 2)
    host.run("dpkg -P other")
    assert "trying to overwrite '/usr/sbin/vireo-agentd'" in reason and "package other" in reason
    assert not installed(host)


def test_after_all_that_a_second_try_succeeds(lab, refused):
    lab.wait_host("host3", "install_failed")
    install(lab, "host3", root_password=lab.root_password)
    lab.wait_host("host3", "up")
    host = lab.host("host3")
    assert installed(host)
    assert host.run("dpkg --audit").out == ""
    assert host.run("systemctl is-active vireo-agent").out == "active\n"
    assert host.run("systemctl --failed --no-legend").out == ""


# --- two by SSH ---

def test_two_hosts_join_over_ssh(lab, joined):
    api = lab.api()
    for name, shown in joined.items():
        host = lab.host(name)
        assert installed(host)
        assert host.run("systemctl is-active vireo-agent libvirtd").out == "active\nactive\n"
        assert host.run("systemctl is-enabled vireo-agent").out == "enabled\n"
        key = host.run("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").out.split()[1]
        assert shown["ssh"]["fingerprint"] == key
        assert shown["hardware_information"]["uuid"].lower() == host.run(
            "cat /sys/class/dmi/id/product_uuid").out.strip().lower()
        assert host.run(WHERE % host.address).out == "ovirtmgmt\n"
        # Every step is an event, and a step of the job.
        progress = events(lab, name, PROGRESS)
        for word in ("connecting", key, "checking", "installing version", "enrolling", "starting"):
            assert any(word in text for text in progress), word
        assert events(lab, name, INSTALLED)
        jobs = [job for job in api.get("jobs").get("job", [])
                if job["description"] == "Installing Host " + name]
        assert [job["status"] for job in jobs] == ["finished"]
        steps = api.get("jobs/%s/steps" % jobs[0]["id"])["step"]
        assert {step["status"] for step in steps} == {"finished"} and len(steps) >= 8
    assert joined["host1"]["hardware_information"]["uuid"] != joined["host2"][
        "hardware_information"]["uuid"]


def test_a_host_is_up_again_after_a_reboot(lab, joined):
    """By the reset button, a moment after it was installed: all of it is on the disk, and starts."""
    host = lab.host("host1")
    before = host.boot_id()
    host.reset()
    lab.wait_host("host1", ("connecting", "non_responsive"))
    lab.wait_host("host1", "up")
    assert host.boot_id() != before
    assert host.run(WHERE % host.address).out == "ovirtmgmt\n"


def test_a_changed_host_key_is_not_believed_until_somebody_says_so(lab, joined):
    host, api, path = lab.host("host2"), lab.api(), path_of(lab, "host2")
    lab.wait_host("host2", "up")
    api.action(path + "/deactivate")
    lab.wait_host("host2", "maintenance")
    # Without ssh from here on, whose client remembers the old one as the Manager does.
    host.agent("cd /etc/ssh && mkdir old && mv ssh_host_ed25519_key* old && "
               "ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key && systemctl restart ssh")
    key = host.agent("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").out.split()[1]
    install(lab, "host2", root_password=lab.root_password)
    reason = failure(lab, "host2", 0)
    assert key in reason and "set up anew" in reason
    since = "--since=@$(stat -c %Y /etc/ssh/ssh_host_ed25519_key)"
    assert "Accepted" not in host.agent("journalctl -u ssh --no-pager -o cat " + since).out
    install(lab, "host2", ssh={"fingerprint": key}, root_password=lab.root_password)
    assert lab.wait_host("host2", "up")["ssh"]["fingerprint"] == key
    host.agent("cd /etc/ssh && mv old/* . && rmdir old && systemctl restart ssh")


# --- one by itself ---

def test_a_host_registers_itself_and_is_approved(lab, joined):
    """host3, as an administrator does it who has the package and no root password to give away."""
    host, api = lab.host("host3"), lab.api()
    lab.wait_host("host3", "up")
    path = path_of(lab, "host3")
    api.action(path + "/deactivate")
    lab.wait_host("host3", "maintenance")
    api.call("DELETE", path)
    host.run("apt-get -q -y purge vireo-agent", limit=300)
    assert host.run("ls -d /etc/pki/vdsm /var/lib/vireo-agent", check=False).out == ""

    package = glob.glob(os.path.join(BUILD, "packages", "vireo-agent_*.deb"))[0]
    host.run("apt-get -q -y install %s" % host.push_file(package), limit=300)
    said = host.run("vireo-agentd register --manager 10.99.0.1:8443 --fingerprint SHA256:%s" % ":".join(
        ["00"] * 32), check=False)
    assert said.status != 0 and "fingerprint" in said.err + said.out
    assert api.find("hosts", "host", "host3") is None
    host.run("vireo-agentd register --manager 10.99.0.1:8443 --fingerprint SHA256:" +
             pki.fingerprint(lab.ca))
    shown = api.find("hosts", "host", "host3")
    assert shown["status"] == "pending_approval" and shown["address"] in (host.address, "host3")
    api.action("hosts/%s/approve" % shown["id"], {"cluster": {"name": "Default"}})
    lab.wait_host("host3", "up")
    assert host.run("systemctl is-active vireo-agent").out == "active\n"


# --- certificates ---

def test_an_expired_certificate_heals_by_itself(lab, joined, tmp_path):
    host = lab.host("host1")
    lab.wait_host("host1", "up")
    authority = pki.Authority.__new__(pki.Authority)
    authority.folder = str(tmp_path)
    authority.key, authority.pem = lab.manager.site.path("pki", "ca.key"), lab.ca
    expired = authority.sign(host.run("vireo-agentd enroll request").out, days_ago=400, days_left=-10,
                             names=(host.address,))
    host.run("systemctl stop vireo-agent")
    host.run("cat >" + CERTIFICATE, stdin=expired.encode())
    lab.wait_host("host1", ("connecting", "non_responsive"))
    host.run("systemctl start vireo-agent")
    lab.wait_host("host1", "up")
    host.run("openssl x509 -noout -checkend 86400 -in " + CERTIFICATE)
    assert host.run("cat " + CERTIFICATE).out.strip() != expired.strip()
    assert host.run("vireo-agentd doctor", check=False).status == 0

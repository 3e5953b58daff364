# SPDX-License-Identifier: Apache-2.0
"""The Manager from its package: installed, served, killed, upgraded, removed, purged."""

import json
import os

import pytest

UNIT = "vireo-manager.service"
API = "https://localhost/ovirt-engine/api"


def main_pid(machine):
    return int(machine.unit(UNIT, "MainPID"))


def database_pid(machine):
    return int(machine.read("/var/lib/vireo/db/data/postmaster.pid").split()[0])


def get(machine, password=None, ca="/var/lib/vireo/pki/ca.pem"):
    """The HTTP status of the API, asked over verified TLS."""
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", ca, API]
    if password is not None:
        # curl's configuration: the password is on no command line.
        return machine.run(*command, "-K", "-", stdin='user = "admin@internal:%s"' % password).stdout
    return machine.out(*command)


@pytest.fixture(scope="module")
def before(machine):
    return machine.added()


@pytest.fixture(scope="module")
def installed(machine, packages, before):
    machine.install(packages["vireo-cli"], packages["vireo-manager"])
    return machine


def test_it_serves_once_it_is_installed(installed):
    assert installed.unit(UNIT, "ActiveState", "SubState", "UnitFileState") == [
        "active", "running", "enabled"]
    password = installed.read("/var/lib/vireo/admin-password").strip()
    assert get(installed) == "401"
    assert get(installed, "wrong") == "401"
    assert get(installed, password) == "200"


@pytest.mark.parametrize("path, want", [
    ("/var/lib/vireo", ("vireo", "vireo", "750")),
    ("/var/lib/vireo/admin-password", ("vireo", "vireo", "600")),
    ("/var/lib/vireo/pki/ca.key", ("vireo", "vireo", "600")),
    ("/var/lib/vireo/pki/https.key", ("vireo", "vireo", "600")),
    ("/var/lib/vireo/db/data", ("vireo", "vireo", "700")),
    ("/run/vireo/manager.port", ("vireo", "vireo", "640")),
    ("/etc/vireo/manager.conf", ("root", "root", "644")),
])
def test_its_files_are_its_own(installed, path, want):
    assert installed.owner(path) == want


def test_it_runs_with_as_little_as_it_can(installed):
    status = installed.read("/proc/%d/status" % main_pid(installed))
    rows = dict(line.split(":", 1) for line in status.splitlines())
    assert rows["Uid"].split()[0] == installed.out("id", "-u", "vireo") != "0"
    assert int(rows["CapBnd"], 16) == 1 << 10  # CAP_NET_BIND_SERVICE
    assert rows["NoNewPrivs"].strip() == "1"
    assert rows["Seccomp"].strip() == "2"
    # systemd's own judgement: 10 is no protection at all.
    installed.run("systemd-analyze", "security", "--offline=yes", "--threshold=20", UNIT)


def test_the_unit_is_sound(installed):
    assert installed.out("systemd-analyze", "verify", UNIT) == ""


def test_a_killed_manager_comes_back_to_its_running_database(installed):
    manager, database = main_pid(installed), database_pid(installed)
    installed.run("kill", "-KILL", str(manager))
    installed.wait("another Manager", lambda: installed.unit(UNIT, "SubState") == "running" and
                   main_pid(installed) not in (0, manager))
    assert database_pid(installed) == database
    assert get(installed, installed.read("/var/lib/vireo/admin-password").strip()) == "200"


def test_a_manager_that_hangs_is_killed_and_started_again(installed):
    drop_in = "/run/systemd/system/%s.d/watchdog.conf" % UNIT
    installed.write(drop_in, "[Service]\nWatchdogSec=2s\n")
    installed.run("systemctl", "daemon-reload")
    installed.run("systemctl", "restart", UNIT)
    try:
        manager = main_pid(installed)
        restarts = int(installed.unit(UNIT, "NRestarts"))
        installed.run("kill", "-STOP", str(manager))
        installed.wait("a restart by the watchdog",
                       lambda: int(installed.unit(UNIT, "NRestarts")) == restarts + 1)
        installed.wait("a Manager again", lambda: installed.unit(UNIT, "SubState") == "running")
        assert main_pid(installed) != manager
    finally:
        installed.run("rm", drop_in)
        installed.run("systemctl", "daemon-reload")
        installed.run("systemctl", "restart", UNIT)


def test_a_wrong_configuration_is_told_and_not_tried_again(installed):
    text = installed.read("/etc/vireo/manager.conf")
    installed.write("/etc/vireo/manager.conf", text.replace("port=443", "port=70000"))
    try:
        assert installed.run("systemctl", "restart", UNIT, check=False).returncode != 0
        assert installed.unit(UNIT, "ActiveState", "ExecMainStatus") == ["failed", "2"]
        assert "[https] port" in installed.log(UNIT)
    finally:
        installed.write("/etc/vireo/manager.conf", text)
        installed.run("systemctl", "restart", UNIT)


def test_names_in_the_configuration_come_into_the_certificate(installed):
    text = installed.read("/etc/vireo/manager.conf")
    installed.write("/etc/vireo/manager.conf",
                    text.replace("host-names=", "host-names=manager.example.com;192.0.2.7"))
    installed.run("systemctl", "restart", UNIT)
    shown = installed.out("certtool", "-i", "--infile", "/var/lib/vireo/pki/https.pem")
    assert "DNSname: manager.example.com" in shown
    assert "IPAddress: 192.0.2.7" in shown
    assert "DNSname: localhost" in shown


def test_the_command_line_works(installed):
    password = installed.read("/var/lib/vireo/admin-password").strip()
    installed.write("/tmp/password", password + "\n")
    done = installed.out("vireo", "api", "GET", "/clusters", "-o", "json", "--url", "https://localhost",
                         "--ca-file", "/var/lib/vireo/pki/ca.pem", "--user", "admin@internal",
                         "--password-file", "/tmp/password")
    assert [cluster["name"] for cluster in json.loads(done)["cluster"]] == ["Default"]


def test_an_upgrade_keeps_state_and_changed_configuration(installed, packages):
    password = installed.read("/var/lib/vireo/admin-password")
    configuration = installed.read("/etc/vireo/manager.conf")
    assert "manager.example.com" in configuration
    authority = installed.read("/var/lib/vireo/pki/ca.pem")
    manager = main_pid(installed)
    installed.install(packages["vireo-manager"], options=["--force-confdef"])
    assert main_pid(installed) != manager, "the new program runs"
    assert installed.unit(UNIT, "ActiveState") == "active"
    assert installed.read("/etc/vireo/manager.conf") == configuration
    assert installed.read("/var/lib/vireo/pki/ca.pem") == authority
    assert get(installed, password.strip()) == "200"


def test_removal_keeps_state_and_the_next_installation_finds_it(installed, packages):
    password = installed.read("/var/lib/vireo/admin-password")
    database = database_pid(installed)
    installed.run("dpkg", "--remove", "vireo-manager")
    assert installed.status("vireo-manager") == "config-files"
    assert not installed.exists("/proc/%d" % database), "the database went with its Manager"
    assert not installed.exists("/usr/sbin/vireo-managerd")
    assert installed.exists("/etc/vireo/manager.conf")
    assert installed.read("/var/lib/vireo/admin-password") == password
    installed.install(packages["vireo-manager"], options=["--force-confdef"])
    assert get(installed, password.strip()) == "200"


def test_purge_leaves_nothing_behind(installed, before):
    # Even after a Manager whose database goes on by itself.
    installed.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNIT)
    installed.run("systemctl", "stop", UNIT)
    database = database_pid(installed)
    assert installed.exists("/proc/%d" % database)
    assert {"/usr/sbin/vireo-managerd", "/var/lib/vireo/pki/ca.key"} <= installed.added()
    installed.run("dpkg", "--purge", "vireo-manager", "vireo-cli")
    assert installed.status("vireo-manager") in ("unknown", "not-installed")
    assert not installed.exists("/proc/%d" % database)
    # Users and groups stay, as in every Debian package: files elsewhere may be theirs.
    assert installed.added() - before == set()
    assert not os.path.lexists(installed.path("/run/vireo"))

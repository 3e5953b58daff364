# SPDX-License-Identifier: Apache-2.0
"""Hosts are installed over SSH for real, in roots that are thrown away."""

import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from vireolab.api import ApiError
from vireolab.site import free_port

from bare import build_package, wait_until
from deploykit import BUILD, PASSWORD, bare_machine

LIMIT = 180


def ask(site, path, status=200):
    """The text behind @path of the Manager, which answers with @status."""
    context = ssl.create_default_context(cafile=site.path("pki", "ca.pem"))
    try:
        with urllib.request.urlopen(site.url + path, context=context, timeout=30) as answer:
            assert status == 200
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        assert error.code == status
        return error.read().decode()


class Host:
    """What the Manager shows of one host."""

    def __init__(self, api, made):
        self.api, self.id = api, made["id"]
        self.path = "hosts/" + self.id

    def get(self):
        return self.api.get(self.path)

    def wait(self, *wanted):
        return self.api.wait_status(self.path, wanted, LIMIT,
                                    bad=() if "install_failed" in wanted else ("install_failed",),
                                    pause=0.2)

    def events(self, code):
        found = [event for event in self.api.get("events?search=host.name=%s" % self.get()["name"])
                 .get("event", []) if int(event["code"]) == code]
        return [event["description"] for event in found]

    def failure(self):
        """The reason of the last failed installation."""
        self.wait("install_failed")
        return self.events(505)[0]

    def install(self, **body):
        self.api.action(self.path + "/install", body)

    def maintenance(self):
        self.api.action(self.path + "/deactivate")
        self.wait("maintenance")

    def remove(self):
        status = self.get()["status"]
        if status not in ("maintenance", "install_failed", "pending_approval"):
            self.maintenance()
        self.api.call("DELETE", self.path)


@pytest.fixture
def add(api, machine):
    """Adds the bare machine; it is removed at the end."""
    made = []

    def add_host(password=PASSWORD, parameters="", **more):
        body = {"name": "bare%d" % (time.time() * 1000), "address": "127.0.0.1",
                "port": str(free_port()), "cluster": {"name": "Default"},
                "ssh": {"port": str(machine.port)}}
        if password is not None:
            body["root_password"] = password
        body["ssh"].update(more)
        host = Host(api, api.add("hosts" + parameters, body))
        made.append(host)
        return host
    yield add_host
    for host in made:
        try:
            host.wait("up", "install_failed", "maintenance", "non_operational", "non_responsive",
                      "pending_approval")
            host.remove()
        except (ApiError, Exception) as error:  # the test's own failure is the one to read
            print(error)


def installed(machine):
    return machine.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", "vireo-agent",
                       check=False).startswith("ii")


@pytest.fixture(scope="module", autouse=True)
def unreachable(site, tmp_path_factory):
    """A host, on a machine of its own, whose agent listens where nobody asks.  The Manager asks for two
    minutes, so this begins with the first test and is looked at after most others."""
    with bare_machine("127.0.0.2") as machine:  # the Manager has no two hosts at one address
        build_package(BUILD, site.path("packages"), tmp_path_factory.mktemp("unreachable"), version="1.2",
                      postinst="sed -i 's/^\\[agent\\]/[agent]\\naddress=127.0.0.77/' /etc/vireo/agent.conf\n")
        host = Host(site.api(), site.api().add("hosts", {
            "name": "unreachable", "address": machine.address, "port": str(free_port()),
            "cluster": {"name": "Default"}, "root_password": PASSWORD, "ssh": {"port": str(machine.port)}}))
        # The package that is offered may change once it runs.
        wait_until(lambda: any("starting the agent" in text for text in host.events(509)), LIMIT,
                   "the agent is not started")
        yield host
        host.api = site.api()
        host.wait("install_failed")
        host.remove()


def test_a_bare_machine_becomes_a_host(site, api, machine, package, add):
    host = add()
    assert host.get()["status"] == "installing"
    shown = host.wait("up")
    assert installed(machine)
    # The key that was seen is shown, and the password is nowhere.
    assert shown["ssh"]["fingerprint"] == machine.fingerprint()
    assert shown["ssh"]["public_key"].split()[1] in machine.read("/etc/ssh/test_host_key.pub")
    assert "password" not in str(shown)
    assert shown["certificate"]["subject"].startswith("CN=127.0.0.1")
    progress = host.events(509)
    for word in ("connecting", machine.fingerprint(), "checking", "installing version", "enrolling",
                 "starting"):
        assert any(word in text for text in progress), word
    assert host.events(504)
    jobs = [job for job in api.get("jobs").get("job", [])
            if job["description"] == "Installing Host " + shown["name"]]
    assert jobs[0]["status"] == "finished"
    steps = api.get("jobs/%s/steps" % jobs[0]["id"])["step"]
    assert sorted(step["status"] for step in steps) == ["finished"] * 9
    # The key was made over there and stayed there; the certificate is for the address and no other.
    assert machine.run("stat", "-c", "%a", "/etc/pki/vdsm/keys/vdsmkey.pem").strip() == "600"
    text = machine.run("openssl", "x509", "-noout", "-text", "-in",
                       "/etc/pki/vdsm/certs/vdsmcert.pem")
    assert "IP Address:127.0.0.1" in text and "DNS:" not in text
    recorded = machine.read("/var/lib/vireo-agent/manager.conf")
    assert "url=https://127.0.0.1:%d" % site.port in recorded
    assert "known-by=OU=Vireo Manager;" in recorded


def secrets_in(site, word):
    """Where the text stands in what the Manager keeps: database, logs, files."""
    found = subprocess.run(["grep", "-rlF", "--", word, site.state], stdout=subprocess.PIPE,
                           text=True, check=False).stdout
    return found.split()


def test_the_password_is_kept_nowhere(site, machine, package, add):
    host = add()
    host.wait("up")
    assert secrets_in(site, "correct horse") == []
    assert secrets_in(site, machine.fingerprint()) != []  # it would have been found


def test_a_wrong_password_says_so_and_the_right_one_mends_it(machine, package, add):
    host = add(password="wrong")
    reason = host.failure()
    assert "password" in reason and "PermitRootLogin" in reason
    assert not installed(machine)
    host.install(root_password=PASSWORD)
    host.wait("up")


def test_the_managers_key_is_enough_where_it_is_let_in(site, machine, package, add):
    key = ask(site, "/ovirt-engine/services/pki-resource?resource=engine-certificate"
                   "&format=OPENSSH-PUBKEY")
    host = add(password=None, authentication_method="publickey")
    reason = host.failure()
    assert "authorized_keys" in reason
    machine.let_in(key.strip())
    host.install(ssh={"authentication_method": "publickey"})
    host.wait("up")


def test_a_host_key_that_was_given_must_be_shown(machine, package, add):
    other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    host = add(fingerprint=other)
    reason = host.failure()
    assert other in reason and machine.fingerprint() in reason
    assert "Failed password" not in machine.read("/run/sshd.log")
    assert "Accepted" not in machine.read("/run/sshd.log")
    host.install(root_password=PASSWORD, ssh={
        "port": str(machine.port), "public_key": machine.read("/etc/ssh/test_host_key.pub").strip()})
    assert host.wait("up")["ssh"]["fingerprint"] == machine.fingerprint()


def test_a_changed_host_key_stops_a_reinstallation(machine, package, add):
    host = add()
    host.wait("up")
    host.maintenance()
    machine.new_host_key()
    host.install(root_password=PASSWORD)
    reason = host.failure()
    assert machine.fingerprint() in reason and "set up anew" in reason
    host.install(ssh={"fingerprint": machine.fingerprint()})
    host.wait("up")


def test_a_full_disk_is_noticed_before_and_in_the_middle(machine, package, add):
    machine.resize("100m")
    host = add()
    reason = host.failure()
    assert "MiB are free" in reason
    # Enough to begin with, and not enough to end with.
    package(version="1.1", ballast=400)
    machine.resize("300m")
    host.install(root_password=PASSWORD)
    reason = host.failure()
    assert "disk of the host is full" in reason
    machine.resize("1500m")
    host.install(root_password=PASSWORD)
    host.wait("up")


@pytest.mark.parametrize("script", ["postinst", "preinst"])
def test_a_package_that_fails_leaves_nothing_that_is_in_the_way(machine, package, add, script):
    package(version="2.0", **{script: "echo this is the trouble >&2; exit 1\n"})
    host = add()
    reason = host.failure()
    assert "vireo-agent" in reason
    package(version="1.9")  # older, and good
    host.install(root_password=PASSWORD)
    host.wait("up")
    assert installed(machine)


def test_installing_again_changes_nothing_and_mends_what_is_broken(machine, package, add):
    host = add()
    host.wait("up")
    key = machine.read("/etc/pki/vdsm/keys/vdsmkey.pem")
    host.maintenance()
    host.install()
    host.wait("up")
    assert any("installed already" in text for text in host.events(509))
    assert machine.read("/etc/pki/vdsm/keys/vdsmkey.pem") == key
    host.maintenance()
    machine.run("sh", "-c", "cd /usr/libexec/vireo && rm vireo-iod vireo-imaged && echo x >vireo-imaged")
    host.install()
    host.wait("up")
    assert machine.run("dpkg", "--verify", "vireo-agent").replace("??5?????? c", "").count("/usr") == 0


def test_a_new_certificate_has_a_new_key(machine, package, add):
    host = add()
    host.wait("up")
    with pytest.raises(ApiError) as refused:
        host.api.action(host.path + "/enrollcertificate")
    assert refused.value.status == 409
    host.maintenance()
    key = machine.read("/etc/pki/vdsm/keys/vdsmkey.pem")
    host.api.action(host.path + "/enrollcertificate")
    host.wait("maintenance")
    assert machine.read("/etc/pki/vdsm/keys/vdsmkey.pem") != key
    host.api.action(host.path + "/activate")
    host.wait("up")


def test_without_activation_it_ends_in_maintenance(machine, package, add):
    host = add(parameters="?activate=false")
    host.wait("maintenance")
    assert installed(machine)


def test_an_agent_that_cannot_be_reached_is_told(unreachable):
    reason = unreachable.failure()
    assert "does not answer on port" in reason and "firewall" in reason


def kill_manager(site, host):
    manager = site.processes.find("manager")
    manager.send(9)
    assert manager.ended(10)
    host.api.token = None


def machine_says(machine, test):
    """Until the shell's @test is true over there."""
    end = time.monotonic() + LIMIT
    while machine.run("sh", "-c", "if %s; then echo yes; fi" % test) != "yes\n":
        assert time.monotonic() < end, test
        time.sleep(0.1)


def test_a_killed_manager_goes_on(site, machine, package, add):
    """Killed while the package is being installed: the job goes on with the Manager's own key, and
    what it had begun on the host is not disturbed."""
    package(version="1.3", preinst=": >/run/waits; while [ -e /run/gate ]; do sleep 0.1; done\n")
    machine.run("sh", "-c", ": >/run/gate")
    host = add()
    machine_says(machine, "[ -e /run/waits ]")
    kill_manager(site, host)
    site.start_manager()
    assert host.get()["status"] == "installing"
    machine_says(machine, "grep -c 'Accepted publickey' /run/sshd.log | grep -qx 3")
    machine.run("rm", "/run/gate")
    host.wait("up")
    assert any("installed already" in text for text in host.events(509))


def test_a_manager_killed_before_it_logged_in_wants_the_password_again(site, machine, package, add):
    machine.signal_sshd(19)
    host = add()
    while not host.events(509):
        time.sleep(0.1)
    kill_manager(site, host)
    machine.signal_sshd(18)
    machine.start_sshd()
    site.start_manager()
    reason = host.failure()
    assert "restarted" in reason and "password again" in reason
    host.install(root_password=PASSWORD)
    host.wait("up")


@pytest.mark.parametrize("body, word", [
    ({"ssh": {"port": "70000"}}, "port"),
    ({"ssh": {"fingerprint": "MD5:aa:bb"}}, "fingerprint"),
    ({"ssh": {"public_key": "ssh-rsa AAAA"}}, "public_key"),
    ({"ssh": {"authentication_method": "password"}}, "password"),
    ({"ssh": {"user": {"user_name": "root; reboot"}}}, "user_name"),
    ({"ssh": {"user": {"user_name": "-oProxyCommand=x"}}}, "user_name"),
])
def test_bad_logins_are_refused_at_once(api, site, body, word):
    whole = {"name": "never", "address": "127.0.0.1", "cluster": {"name": "Default"}}
    whole.update(body)
    with pytest.raises(ApiError) as refused:
        api.add("hosts", whole)
    assert refused.value.status == 400 and word in str(refused.value)
    assert api.find("hosts", "host", "never") is None


def test_packages_lie_behind_addresses_that_nobody_guesses(site, package):
    path = "/ovirt-engine/services/host-package/"
    for address in (path, path + "0" * 48 + "/vireo-agent.deb", path + "../vireo-agent.deb"):
        ask(site, address, status=404)

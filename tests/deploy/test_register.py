# SPDX-License-Identifier: Apache-2.0
"""Hosts that register themselves, and certificates that are renewed."""

import subprocess
import time
import urllib.parse
import uuid

import pytest

import pki
from bare import build_package
from deploykit import BUILD, PASSWORD
from test_deploy import Host, add, ask, installed  # noqa: F401 (fixtures)
from vireolab.api import ApiError
from vireolab.site import free_port

SERVICE = "/ovirt-engine/services/host-register?"


def command(site, status=200, version="1", **parameters):
    parameters["version"] = version
    return ask(site, SERVICE + urllib.parse.urlencode(parameters), status)


def register(site, status=200, **parameters):
    """From another address each time: an address may not ask often."""
    said = {"command": "register", "uniqueId": str(uuid.uuid4()), "name": "reg-%d" % time.time_ns(),
            "address": "192.0.2.%d" % (time.time_ns() % 250 + 1)}
    said.update(parameters)
    return command(site, status, **{name: text for name, text in said.items() if text is not None})


@pytest.fixture
def pending(site, api):
    """Registers hosts; they are removed at the end."""
    before = {host["id"] for host in api.get("hosts").get("host", [])}

    def make(status=200, **parameters):
        said = register(site, status, **parameters)
        return [Host(api, host) for host in api.get("hosts").get("host", [])
                if host["id"] not in before], said
    yield make
    for host in api.get("hosts").get("host", []):
        if host["id"] not in before:
            Host(api, host).remove()


@pytest.fixture(autouse=True)
def fresh_limits(site):
    """The Manager forgets who asked how often when it starts."""
    site.processes.end("manager", patience=40)
    site.start_manager()


# --- the protocol ---

def test_the_manager_says_who_it_is(site):
    assert command(site, command="get-version") == "1"
    with open(site.path("pki", "ca.pem"), encoding="ascii") as file:
        assert command(site, command="get-pki-trust") == file.read()
    line = command(site, command="get-ssh-trust")
    assert line.startswith("ssh-rsa AAAA") and line.count("\n") == 1
    assert line.strip() == ask(site, "/ovirt-engine/services/pki-resource?resource=engine-certificate"
                                     "&format=OPENSSH-PUBKEY").strip()


@pytest.mark.parametrize("query", [
    "version=1", "command=get-version", "version=1&command=no-such", "version=0&command=get-version",
    "version=x&command=register", "version=1&command=register&name=a",
    "version=1&command=register&uniqueId=%2F%2F&address=192.0.2.9",
    "version=1&command=register&uniqueId=a&address=bad%20address",
    "version=1&command=register&uniqueId=a&address=192.0.2.9&sshPort=70000",
    "version=1&command=register&uniqueId=a&address=192.0.2.9&vdsPort=0x50",
    "version=1&command=register&uniqueId=a&address=192.0.2.9&name=a%20b",
    "version=1&command=register&uniqueId=a&address=192.0.2.9&sshUser=-o",
    "version=2&command=register&uniqueId=a&address=192.0.2.9&sshPublicKey=ssh-rsa%20x",
])
def test_what_makes_no_sense_is_refused_and_changes_nothing(site, api, query):
    before = api.get("hosts")
    assert ask(site, SERVICE + query, 400).count("\n") == 1
    assert api.get("hosts") == before


# --- records ---

def test_a_registered_host_waits_for_its_approval(site, api, pending):
    print_ = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    hosts, said = pending(name="joins", address="192.0.2.20", sshPort="2222", vdsPort="54999",
                          sshKeyFingerprint=print_)
    assert said == "OK\n"
    shown = hosts[0].get()
    assert shown["status"] == "pending_approval" and shown["name"] == "joins"
    assert shown["address"] == "192.0.2.20" and shown["port"] == "54999"
    assert shown["ssh"]["port"] == "2222" and shown["ssh"]["fingerprint"] == print_
    assert hosts[0].events(828)
    for action, body in (("activate", {}), ("deactivate", {}), ("install", {})):
        with pytest.raises(ApiError) as refused:
            api.action(hosts[0].path + "/" + action, body)
        assert refused.value.status == 409, action
    with pytest.raises(ApiError) as refused:
        api.call("PUT", hosts[0].path, {"name": "other"})
    assert refused.value.status == 409
    hosts[0].remove()


def test_without_an_address_it_is_where_the_request_came_from(pending):
    hosts, _ = pending(address=None, name=None)
    assert hosts[0].get()["address"] == hosts[0].get()["name"] == "127.0.0.1"


def test_the_same_machine_again_changes_nothing(site, api, pending):
    identifier = str(uuid.uuid4())
    hosts, _ = pending(uniqueId=identifier, name="twice", address="192.0.2.21")
    before = hosts[0].get()
    again, said = pending(uniqueId=identifier.upper(), name="elsewhere", address="192.0.2.22")
    assert said == "OK\n" and len(again) == 1 and hosts[0].get() == before


def test_names_get_numbers_and_pending_addresses_step_aside(pending):
    pending(name="same", address="192.0.2.30")
    hosts, _ = pending(name="same", address="192.0.2.30")
    by_name = {host.get()["name"]: host.get()["address"] for host in hosts}
    assert by_name["same-1"] == "192.0.2.30"
    assert by_name["same"].startswith("hostname-was-192.0.2.30-")


def test_a_host_in_use_keeps_its_address(site, api, pending):
    made = api.add("hosts?activate=false", {"name": "inuse", "address": "192.0.2.40",
                                            "cluster": {"name": "Default"}})
    before = api.get("hosts/" + made["id"])
    _, said = pending(400, address="192.0.2.40")
    assert "address" in said
    assert api.get("hosts/" + made["id"]) == before


def test_one_address_may_not_ask_often(site, api, pending):
    for _ in range(10):
        pending()
    _, said = pending(429)
    assert "later" in said


def test_not_everybody_can_wait_at_once(site, api, pending):
    hosts = []
    for _ in range(7):
        fresh_start(site)
        api.token = None  # each login lasts for one of these Managers
        for _ in range(10):
            if len(hosts) < 64:
                hosts, _ = pending()
    _, said = pending(400)
    assert "Too many hosts wait" in said


def fresh_start(site):
    site.processes.end("manager", patience=40)
    site.start_manager()


# --- the whole way ---

def vireo_agentd(machine, *arguments, check=True):
    return machine.run("vireo-agentd", *arguments, check=check)


@pytest.fixture
def prepared(site, machine, package):
    """A bare machine with the agent's package, as an administrator installs it."""
    with open(build_package(BUILD, site.path("by-hand"), site.path("scratch")), "rb") as file:
        machine.put_bytes("/opt/agent.deb", file.read())
    machine.run("dpkg", "-i", "/opt/agent.deb")
    machine.run("sh", "-c", "printf '[agent]\\nport=%d\\n' >/run/x; sed -i 's/^state=/port=%d\\nstate=/' "
                            "/etc/vireo/agent.conf" % ((free_port(),) * 2))
    machine.run("sh", "-c", "rm -f /etc/ssh/ssh_host_*; cp /etc/ssh/test_host_key.pub "
                            "/etc/ssh/ssh_host_ed25519_key.pub")
    return machine


def register_for_real(site, machine):
    return vireo_agentd(machine, "register", "--manager", "127.0.0.1:%d" % site.port,
                        "--fingerprint", "SHA256:" + pki.fingerprint(site.path("pki", "ca.pem")),
                        "--ssh-port", str(machine.port), "--address", "127.0.0.1")


def test_a_host_registers_itself_and_is_approved(site, api, prepared, pending):
    said = register_for_real(site, prepared)
    assert "registered" in said
    host = [Host(api, entry) for entry in api.get("hosts")["host"] if entry["name"] == "bare"][0]
    shown = host.get()
    assert shown["status"] == "pending_approval"
    assert shown["ssh"]["fingerprint"] == prepared.fingerprint()
    api.action(host.path + "/approve", {"cluster": {"name": "Default"}})
    host.wait("up")
    assert host.events(498)
    recorded = prepared.read("/var/lib/vireo-agent/manager.conf")
    assert "known-by=OU=Vireo Manager;" in recorded
    # Registering once more is an error now.
    said = vireo_agentd(prepared, "register", "--manager", "127.0.0.1:%d" % site.port,
                        "--fingerprint", "SHA256:" + pki.fingerprint(site.path("pki", "ca.pem")),
                        check=False)
    assert "is a host already" in said
    assert prepared.read("/var/lib/vireo-agent/manager.conf") == recorded
    host.remove()


def test_another_manager_is_not_believed(site, prepared, tmp_path):
    other = pki.Authority(tmp_path / "other")
    said = vireo_agentd(prepared, "register", "--manager", "127.0.0.1:%d" % site.port,
                        "--fingerprint", "SHA256:" + pki.fingerprint(other.pem), check=False)
    assert "fingerprint" in said
    assert prepared.read("/etc/pki/vdsm/certs/cacert.pem") == ""


def test_patterns_approve_at_once(site, api, prepared, pending):
    site.options["AutoApprovePatterns"] = "10\\\\.0\\\\..*,127.0.0.1"
    try:
        site.processes.end("manager", patience=40)
        site.prepare()
        site.start_manager()
        api.token = None
        register_for_real(site, prepared)
        host = [Host(api, entry) for entry in api.get("hosts")["host"] if entry["name"] == "bare"][0]
        assert host.get()["status"] in ("installing", "initializing", "up")
        host.wait("up")
        host.remove()
    finally:
        site.options["AutoApprovePatterns"] = ""
        site.processes.end("manager", patience=40)
        site.prepare()
        site.start_manager()
        api.token = None


# --- renewal ---

def signed_by_hand(site, machine, **validity):
    """A certificate of the Manager's authority for the machine's key, with any dates."""
    ours = pki.Authority.__new__(pki.Authority)
    ours.folder = site.path("by-hand")
    ours.key, ours.pem = site.path("pki", "ca.key"), site.path("pki", "ca.pem")
    return ours.sign(vireo_agentd(machine, "enroll", "request"), **validity)


def test_an_expired_certificate_heals(site, api, machine, package, add):  # noqa: F811
    host = add()
    host.wait("up")
    host.maintenance()
    expired = signed_by_hand(site, machine, days_ago=400, days_left=-10)
    machine.put("/etc/pki/vdsm/certs/vdsmcert.pem", expired)
    machine.run("systemctl", "restart", "vireo-agent.service")
    host.api.action(host.path + "/activate")
    host.wait("up")
    assert machine.read("/etc/pki/vdsm/certs/vdsmcert.pem").strip() != expired.strip()
    text = machine.run("openssl", "x509", "-noout", "-checkend", "86400", "-in",
                       "/etc/pki/vdsm/certs/vdsmcert.pem")
    assert "will not expire" in text


def test_only_who_has_the_key_of_a_host_gets_a_certificate(site, tmp_path):
    stranger = str(tmp_path / "key.pem")
    pki.run("openssl", "genrsa", "-out", stranger, "3072")
    request = pki.run("openssl", "req", "-new", "-key", stranger, "-subj", "/CN=127.0.0.1")
    for body, status in ((request, 403), (b"hello", 400), (b"x" * 100000, 400), (b"", 400)):
        done = subprocess.run(
            ["curl", "-sS", "-o", str(tmp_path / "out"), "-w", "%{http_code}", "--cacert",
             site.path("pki", "ca.pem"), "--data-binary", "@-",
             site.url + "/ovirt-engine/services/host-renew"],
            input=body, stdout=subprocess.PIPE, check=True)
        assert int(done.stdout) == status, body[:20]

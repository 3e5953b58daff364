# SPDX-License-Identifier: Apache-2.0
"""Whom an agent obeys: its Manager and itself in everything, another host of the same authority in next
to nothing (docs/decisions/012)."""

import glob
import http.client
import os
import re
import shutil
import ssl
import stat
import tempfile
import time
import uuid

import pytest

import machines
import pki
from host import ROOT
from stomp import RpcError
from test_networks import NETWORK, addresses, nic  # noqa: F401 (a fixture)

MARK = "Vireo Manager"
REFUSED = -32001
NOT_PERMITTED = b"Not permitted to hosts"

pytestmark = pytest.mark.skipif(not shutil.which("certtool"), reason="needs certtool (gnutls-bin)")


def all_verbs():
    found = []
    for path in sorted(glob.glob(os.path.join(ROOT, "model", "host", "verbs-*.idl"))):
        with open(path, encoding="utf-8") as file:
            found += re.findall(r"^verb (\S+)$", file.read(), re.M)
    assert len(found) > 200
    return found


class Peers:
    """Certificates of one authority: name -> (certificate, key)."""

    def __init__(self, folder):
        self.authority = pki.Authority(folder)
        self.names = {
            "manager": self.authority.identity("m.example.com", MARK),
            "renewed": self.authority.identity("new-name.example.com", MARK),
            "engine": self.authority.identity("engine.example.com"),
            "own": self.authority.identity("192.0.2.1"),
            "other": self.authority.identity("192.0.2.2"),
        }
        # Whoever has the agent's key is root there; an older certificate of it serves as well.
        self.names["own-old"] = self.authority.identity("192.0.2.9", key=self.names["own"][1])

    def client(self, host, name, own_name=None, **options):
        certificate, key = self.names[name]
        if own_name is None:
            own_name = name == "other"
        if own_name:
            options.update(events=False, reply_to=str(uuid.uuid4()))
        return host.client(ca=self.authority.pem, certificate=certificate, key=key, **options)


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    return Peers(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def manager():
    """What agent.conf says about the Manager; tests may have parameters of this name."""
    return "OU=" + MARK


@pytest.fixture
def host(site, peers, manager):
    with open(site.path("agent.conf"), encoding="ascii") as file:
        plain = file.read()
    run = tempfile.mkdtemp(dir="/tmp")  # a socket's path is short
    certificate, key = peers.names["own"]
    site.ticket_socket = os.path.join(run, "image.sock")
    with open(site.path("agent.conf"), "w", encoding="ascii") as file:
        file.write(plain.replace("[agent]\n", "[agent]\nca=%s\ncertificate=%s\nkey=%s\nmanager=%s\n"
                                 "enroll=/bin/true\nticket-socket=%s\n" % (
                                     peers.authority.pem, certificate, key, manager,
                                     site.ticket_socket), 1))
    recorded = site.path("agent", "manager.conf")
    if os.path.exists(recorded):
        os.unlink(recorded)
    open(site.path("agent.log"), "w", encoding="ascii").close()
    site.start_agent()
    yield site
    if site.agent:
        site.kill_agent()
    with open(site.path("agent.conf"), "w", encoding="ascii") as file:
        file.write(plain)
    shutil.rmtree(run)


def code_of(client, verb, **params):
    """0, or the code of the error."""
    try:
        client.call(verb, **params)
        return 0
    except RpcError as error:
        return error.code


def next_frame(client):
    return client.frame(time.monotonic() + 60)


def error_frame(client):
    command, _, body = next_frame(client)
    assert command == "ERROR", command
    return body


def about_a_machine():
    """Parameters that fit verbs about a machine, VM.migrationCreate among them."""
    vm = str(uuid.uuid4())
    return {"vmID": vm, "params": {"vmId": vm, "xml": "<domain/>"}, "incomingLimit": 2}


@pytest.mark.parametrize("name", ["manager", "renewed", "own", "own-old"])
def test_the_manager_and_the_host_itself_may_everything(host, peers, name):
    client = peers.client(host, name)
    assert client.call_ready("Host.getCapabilities")["kvmEnabled"] in ("true", "false")
    assert client.call("Host.getVMList") == []
    for verb, want in (("VM.getStats", 1), ("VM.destroy", 1), ("VM.migrationCreate", 44)):
        assert code_of(client, verb, **about_a_machine()) == want, verb
    assert "was refused" not in host.log("agent", 10000)


def test_another_host_is_refused_all_verbs_but_a_migration_sources(host, peers):
    peers.client(host, "manager").call_ready("Host.ping2")
    client = peers.client(host, "other")
    allowed = {"Host.ping": 0, "VM.migrationCreate": 44}  # 44: there is no migration yet
    for verb in all_verbs():
        assert code_of(client, verb, **about_a_machine()) == allowed.get(verb, REFUSED), verb
        if verb not in allowed:
            assert code_of(client, verb) == REFUSED, verb  # whatever the parameters are
    # It says why, and the log says who; one line for all of them.
    with pytest.raises(RpcError, match="Only the Manager may ask for it"):
        client.call("VM.create", vmID=str(uuid.uuid4()), vmParams={})
    with pytest.raises(RpcError, match="migrating here"):
        client.call("VM.destroy", vmID=str(uuid.uuid4()))
    lines = [line for line in host.log("agent", 100000).splitlines() if "was refused" in line]
    assert len(lines) == 1 and "Host 192.0.2.2 (127.0.0.1:" in lines[0], lines


def test_in_a_batch_each_is_looked_at(host, peers):
    client = peers.client(host, "other")
    client.call_ready("Host.ping")
    body = (b'[{"jsonrpc":"2.0","method":"Host.ping","id":"a"},'
            b'{"jsonrpc":"2.0","method":"Host.getVMList","id":"b"}]')
    client.send("SEND", {"destination": "jms.topic.vdsm_requests", "reply-to": client.reply_to}, body)
    command, _, answer = next_frame(client)
    assert command == "MESSAGE"
    assert b'"id":"a","result":true' in answer and b'"code":-32001' in answer


def test_a_machine_of_this_host_is_not_another_hosts_to_destroy(host, peers):
    ours, client = peers.client(host, "manager"), peers.client(host, "other")
    ours.call_ready("Host.ping2")
    vm, xml = machines.domain("kept", graphics="")
    machines.create(ours, vm, xml)
    for verb in ("VM.destroy", "VM.getStats", "VM.pause", "VM.setTicket"):
        assert code_of(client, verb, vmID=vm) == REFUSED, verb
    assert [one["vmId"] for one in ours.call("Host.getVMList")] == [vm]
    ours.call("VM.destroy", vmID=vm)


@pytest.mark.parametrize("destination", [
    "jms.queue.events", "jms.topic.vdsm_responses", "jms.topic.vdsm_irs_responses",
    "jms.topic.vdsm_requests", "jms.topic", "jms"])
def test_another_host_hears_nothing_of_others(host, peers, destination):
    ours, client = peers.client(host, "manager"), peers.client(host, "other")
    ours.call_ready("Host.ping2")
    client.send("SUBSCRIBE", {"id": "1", "destination": destination})
    assert error_frame(client) == NOT_PERMITTED
    assert ours.call("Host.echo", message="secret") == "secret"
    assert client.call("Host.ping") is True  # and nothing came before that


def test_another_host_puts_nothing_into_the_managers_ears(host, peers):
    ours, client = peers.client(host, "manager"), peers.client(host, "other")
    ours.call_ready("Host.ping2")
    for destination in ("jms.queue.events", "jms.topic.vdsm_responses", client.reply_to):
        client.send("SEND", {"destination": destination},
                    b'{"jsonrpc":"2.0","method":"|virt|VM_status|x","params":{}}')
        assert error_frame(client) == NOT_PERMITTED
    # Answers and errors to where the Manager listens.
    for body in (b'{"jsonrpc":"2.0","method":"Host.ping","id":"forged"}', b"no JSON",
                 b'{"jsonrpc":"2.0","method":"VM.create","id":"forged"}'):
        for headers in ({}, {"reply-to": "jms.topic.vdsm_responses"}, {"reply-to": "jms.queue.events"}):
            client.send("SEND", dict(headers, destination="jms.topic.vdsm_requests"), body)
    assert client.call("Host.ping") is True
    assert ours.call("Host.echo", message="still") == "still"
    assert ours.events == [] and ours.answers == {}


def test_another_hosts_ping_is_no_sign_of_the_manager(host, peers, nic):  # noqa: F811
    ours, client = peers.client(host, "manager"), peers.client(host, "other")
    ours.call_ready("Host.ping2")
    call = ours.start("Host.setupNetworks", networks={"net1": NETWORK}, bondings={},
                      options={"connectivityCheck": "true", "connectivityTimeout": 1})
    with pytest.raises(RpcError) as failure:
        while True:
            assert client.call("Host.ping") is True
            try:
                ours.finish(call, timeout=0.05)
                break
            except TimeoutError:
                pass
    assert failure.value.code == 10
    assert addresses(nic, "nic0") == ["192.0.2.11"]


@pytest.mark.parametrize("manager", ["CN=engine.example.com"])
def test_a_manager_is_known_by_its_name_and_the_mark_counts_all_the_same(host, peers):
    for name in ("engine", "manager", "own"):
        client = peers.client(host, name)
        assert client.call_ready("Host.getVMList") == [], name
    assert code_of(peers.client(host, "other"), "Host.getVMList") == REFUSED


@pytest.mark.parametrize("manager", [""])
def test_a_host_of_before_is_closed_by_the_first_manager_with_the_mark(host, peers):
    """Nothing is recorded, as on hosts that were enrolled before there was a mark."""
    other = peers.client(host, "other", own_name=False)
    assert other.call_ready("Host.getVMList") == []
    assert peers.client(host, "engine").call("Host.echo", message="all") == "all"
    assert "every host of its authority may command this one" in host.log("agent", 10000)
    command, _, body = next_frame(other)
    assert command == "MESSAGE" and b'"all"' in body  # answers go to everybody's ears

    ours = peers.client(host, "manager")
    assert ours.call("Host.echo", message="closed") == "closed"
    with open(host.path("agent", "manager.conf"), encoding="ascii") as file:
        assert "known-by=OU=Vireo Manager;" in file.read()
    # The connection that was open already is a visitor's now, and heard nothing.
    other.reply_to = str(uuid.uuid4())
    other.send("SUBSCRIBE", {"id": "own", "destination": other.reply_to})
    assert code_of(other, "Host.getVMList") == REFUSED
    assert other.answers == {}
    assert code_of(peers.client(host, "engine", own_name=True), "Host.getVMList") == REFUSED
    # So it stays for the next agent.
    host.kill_agent()
    host.start_agent()
    assert code_of(peers.client(host, "other"), "Host.getVMList") == REFUSED
    assert peers.client(host, "renewed").call_ready("Host.getVMList") == []


def test_image_tickets_are_installed_by_root_of_this_host_alone(host, peers):
    """Not over TLS at all: a socket of the file system, which nobody else may open."""
    status = os.stat(host.ticket_socket)
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == 0
    with open(host.path("agent", "image.port"), encoding="ascii") as file:
        port = int(file.read())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(peers.authority.pem)
    context.load_cert_chain(*peers.names["manager"])
    for method in ("PUT", "GET", "PATCH", "DELETE"):
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
        connection.sock = context.wrap_socket(host.connect(("127.0.0.1", port), 20))
        connection.request(method, "/tickets/" + str(uuid.uuid4()),
                           body="{}" if method in ("PUT", "PATCH") else None)
        assert connection.getresponse().status in (400, 403, 404, 405), method
        connection.close()

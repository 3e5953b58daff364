# SPDX-License-Identifier: Apache-2.0
"""The host protocol on the wire, byte by byte (facts/host-rpc.md 2, 3 and 19).

The client is the standard library alone: it knows STOMP and JSON only by the sheet.  The server
is tests/net/rpc_echo_server, the agent's own server with verbs that always answer the same.
"""

import json
import os
import re
import socket
import ssl
import subprocess
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("VIREO_BUILD", os.path.join(ROOT, "build"))
SERVER = os.path.join(BUILD, "tests", "net", "rpc_echo_server")

CONNECT = b"CONNECT\naccept-version:1.2\nhost:null\nheart-beat:0,15000\n\n\0"
CONNECTED = b"CONNECTED\nversion:1.2\nheart-beat:15000,0\n\n\0"
SUBSCRIBE_EVENTS = (b"SUBSCRIBE\nid:2f7b6d0e-3a5b-4a5e-9d2e-5b1d0a44c001\n"
                    b"destination:jms.queue.events\n\n\0")
SUBSCRIBE_REPLIES = (b"SUBSCRIBE\nid:9c7a1f2e-0b3d-4a6f-8f3c-77e1c1b4c002\n"
                     b"destination:jms.topic.vdsm_responses\n\n\0")
GET_STATS = (b"SEND\ndestination:jms.topic.vdsm_requests\nreply-to:jms.topic.vdsm_responses\n"
             b"ovirtCorrelationId:5e0d1c33\ncontent-type:application/json\ncontent-length:98\n\n"
             b'{"jsonrpc":"2.0","method":"Host.getStats","params":{},'
             b'"id":"0a7e2f52-1c9b-4d8e-9b21-0d5b1a2c3d4e"}\0')
ANSWER_HEAD = (b"MESSAGE\ndestination:jms.topic.vdsm_responses\ncontent-type:application/json\n"
               b"subscription:9c7a1f2e-0b3d-4a6f-8f3c-77e1c1b4c002\ncontent-length:%d\n\n")


class Pki:
    """Two CAs and what they issued, made by openssl."""

    def __init__(self, folder):
        self.folder = str(folder)
        for ca in ("ca", "other"):
            self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                         "-subj", "/O=test/CN=" + ca, "-keyout", self.path(ca + ".key"),
                         "-out", self.path(ca + ".pem"))
        for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
            # With the key of its CA: making keys is slow, and nothing here depends on them.
            os.link(self.path(ca + ".key"), self.path(name + ".key"))
            self.openssl("req", "-new", "-key", self.path(name + ".key"),
                         "-subj", "/O=test/CN=" + name, "-out", self.path(name + ".csr"))
            self.openssl("x509", "-req", "-days", "2", "-in", self.path(name + ".csr"),
                         "-CA", self.path(ca + ".pem"), "-CAkey", self.path(ca + ".key"),
                         "-set_serial", str(int.from_bytes(os.urandom(8), "big")),
                         "-out", self.path(name + ".pem"))

    def path(self, name):
        return os.path.join(self.folder, name)

    @staticmethod
    def openssl(*arguments):
        subprocess.run(("openssl",) + arguments, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def context(self, name="client", version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.path("ca.pem"))
        if name:
            context.load_cert_chain(self.path(name + ".pem"), self.path(name + ".key"))
        if version:
            context.minimum_version = context.maximum_version = version
        return context


class Server:
    def __init__(self, pki):
        self.process = subprocess.Popen(
            [SERVER, pki.path("ca.pem"), pki.path("server.pem"), pki.path("server.key")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def order(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(timeout=20)
        self.process.stdout.close()
        return status


class Wire:
    """One TLS connection, in bytes."""

    def __init__(self, server, context):
        self.raw = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self.sock = context.wrap_socket(self.raw)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def say(self, data):
        self.sock.sendall(data)

    def hear(self, length):
        while len(self.buffer) < length:
            data = self.sock.recv(65536)
            assert data, "closed after %r" % self.buffer
            self.buffer += data
        taken, self.buffer = self.buffer[:length], self.buffer[length:]
        return taken

    def expect(self, data):
        assert self.hear(len(data)) == data

    def expect_end(self):
        assert self.buffer == b""
        try:
            assert self.sock.recv(1) == b""
        except (ssl.SSLEOFError, ConnectionError):
            pass

    def expect_answer(self, head=ANSWER_HEAD):
        """The frame around an answer must be exact; its body is returned."""
        text = b""
        while not text.endswith(b"\n\n"):
            text += self.hear(1)
        length = int(re.search(rb"content-length:(\d+)\n", text).group(1))
        assert text == head % length
        body = self.hear(length)
        self.expect(b"\0")
        return json.loads(body)

    def open(self):
        self.say(CONNECT + SUBSCRIBE_EVENTS + SUBSCRIBE_REPLIES)
        self.expect(CONNECTED)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("wire"))


@pytest.fixture(scope="module")
def server(pki):
    if not os.path.exists(SERVER):
        pytest.fail("%s is not built" % SERVER)
    server = Server(pki)
    yield server
    assert server.end() == 0


def request(body, head=b"SEND\ndestination:jms.topic.vdsm_requests\n"
                        b"reply-to:jms.topic.vdsm_responses\n"):
    return head + b"content-length:%d\n\n" % len(body) + body + b"\0"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_managers_session_is_answered_byte_by_byte(server, pki, version):
    with Wire(server, pki.context(version=version)) as wire:
        wire.open()
        wire.say(GET_STATS)
        assert wire.expect_answer() == {
            "jsonrpc": "2.0", "id": "0a7e2f52-1c9b-4d8e-9b21-0d5b1a2c3d4e",
            "result": {"memFree": 40960, "cpuIdle": "97.50", "vmCount": 3, "storageDomains": {
                "5f0e1b0c-3a5b-4a5e-9d2e-5b1d0a44c001": {
                    "code": 0, "lastCheck": "4.2", "delay": "0.000412", "valid": True,
                    "version": 5, "acquired": True, "actual": True}}}}


def test_a_session_that_comes_byte_by_byte_is_the_same(server, pki):
    with Wire(server, pki.context()) as wire:
        for at in range(len(CONNECT + SUBSCRIBE_REPLIES)):
            wire.say((CONNECT + SUBSCRIBE_REPLIES)[at:at + 1])
        wire.expect(CONNECTED)
        half = len(GET_STATS) // 2
        wire.say(GET_STATS[:half])
        wire.say(GET_STATS[half:])
        assert "result" in wire.expect_answer()


@pytest.mark.parametrize("body, want", [
    (b'{"jsonrpc":"2.0","method":"Host.ping","params":{},"id":"1"}',
     {"jsonrpc": "2.0", "id": "1", "result": True}),
    (b'{"jsonrpc":"2.0","method":"Host.echo","params":{"message":"\\u00e4\\n","x":1},"id":"2"}',
     {"jsonrpc": "2.0", "id": "2", "result": "\u00e4\n"}),
    (b'{"jsonrpc":"2.0","method":"VM.destroy","params":{"vmID":"d3a1"},"id":"3"}',
     {"jsonrpc": "2.0", "id": "3", "error": {
         "code": 1, "message": "Virtual machine does not exist: {'vmId': 'd3a1'}"}}),
])
def test_results_are_unwrapped_and_errors_have_code_and_message(server, pki, body, want):
    with Wire(server, pki.context()) as wire:
        wire.open()
        wire.say(request(body))
        assert wire.expect_answer() == want


@pytest.mark.parametrize("body, code", [
    (b'{"jsonrpc":"2.0","method":"Host.fly","params":{},"id":"1"}', -32601),
    (b'{"jsonrpc":"2.0","method":"Host.echo","params":{},"id":"1"}', -32602),
    (b'{"jsonrpc":"1.0","method":"Host.ping","params":{},"id":"1"}', -32600),
    (b'[]', -32600),
    (b'{"jsonrpc":', -32700),
    (b'\xff', -32700),
    (b'[' * 100000, -32700),
])
def test_what_is_no_good_request_gets_its_code(server, pki, body, code):
    with Wire(server, pki.context()) as wire:
        wire.open()
        wire.say(request(body))
        answer = wire.expect_answer()
        assert answer["error"]["code"] == code
        assert sorted(answer["error"]) == ["code", "message"]


def test_the_version_must_be_exactly_one(server, pki):
    with Wire(server, pki.context()) as wire:
        wire.say(b"CONNECT\naccept-version:1.1,1.2\nhost:null\n\n\0")
        wire.expect(b"ERROR\ncontent-length:19\n\nVersion unsupported\0")
        wire.say(CONNECT)
        wire.expect(CONNECTED)


def test_events_go_to_every_subscriber_and_none_during_recovery(server, pki):
    params = b'{"d3a1":{"status":"Up"},"notify_time":4296440130}'
    body = b'{"jsonrpc":"2.0","method":"|virt|VM_status|d3a1","params":' + params + b"}"
    event = (b"MESSAGE\ndestination:jms.queue.events\ncontent-type:application/json\n"
             b"subscription:2f7b6d0e-3a5b-4a5e-9d2e-5b1d0a44c001\ncontent-length:%d\n\n%s\0"
             % (len(body), body))
    with Wire(server, pki.context()) as one, Wire(server, pki.context()) as two:
        one.open()
        two.open()
        server.order("recovering on")
        server.order("event |virt|VM_status|early {}")
        one.say(GET_STATS)
        error = one.expect_answer()["error"]
        assert error == {"code": 99, "message": "Recovering from crash or Initializing"}
        two.expect_answer()  # both subscribed to the same destination
        server.order("recovering off")
        server.order("event |virt|VM_status|d3a1 " + params.decode())
        one.expect(event)
        two.expect(event)


def test_a_heart_beat_is_a_lone_newline(server, pki):
    with Wire(server, pki.context()) as wire:
        begin = time.monotonic()
        wire.say(b"CONNECT\naccept-version:1.2\nheart-beat:0,1\n\n\0")
        wire.expect(b"CONNECTED\nversion:1.2\nheart-beat:1000,0\n\n\0")
        wire.expect(b"\n")
        assert time.monotonic() - begin >= 1
        wire.say(b"\n\nDISCONNECT\nreceipt:r1\n\n\0")
        wire.expect(b"RECEIPT\nreceipt-id:r1\n\n\0")
        wire.expect_end()


@pytest.mark.parametrize("start", [b"POST / HTTP/1.1\r\n", b"STOMP\naccept-version:1.2\n\n\0",
                                   b"GET / HTTP/1.1\r\n\r\n", b"\0" * 20])
def test_another_protocol_is_closed(server, pki, start):
    with Wire(server, pki.context()) as wire:
        wire.say(start)
        wire.expect_end()


@pytest.mark.parametrize("frame", [b"ACK\nid:1\nxxxx:y\n\n\0", b"SEND\nno colon\n\n\0",
                                   b"SEND\ncontent-length:99999999999\n\nx",
                                   b"SEND\n" + b"a:b\n" * 65 + b"\n\0",
                                   b"SEND\n" + b"a" * 9000 + b":b\n\n\0"])
def test_a_frame_that_is_not_allowed_ends_the_connection(server, pki, frame):
    with Wire(server, pki.context()) as wire:
        wire.say(CONNECT)
        wire.expect(CONNECTED)
        wire.say(frame)
        wire.expect_end()


def refused(server, context):
    """With TLS 1.3 a client learns only when it reads that its certificate was refused."""
    try:
        with Wire(server, context) as wire:
            wire.say(CONNECT)
            return wire.sock.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("who", ["stranger", None])
def test_a_client_without_a_certificate_of_the_ca_is_refused(server, pki, who, version):
    assert refused(server, pki.context(who, version))


def test_old_versions_of_tls_are_refused(server, pki):
    context = pki.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Wire(server, context)

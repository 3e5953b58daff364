# SPDX-License-Identifier: Apache-2.0
"""The host's side of getting and keeping a certificate, with another Manager's part played here."""

import base64
import http.server
import os
import shutil
import ssl
import subprocess
import threading
import urllib.parse

import pytest

import pki
from host import ROOT

BUILD = os.environ.get("VIREO_BUILD", os.path.join(ROOT, "build"))
AGENT = os.path.join(BUILD, "src", "agent", "vireo-agentd")
SSH_KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 vireo-manager"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("certtool") or not shutil.which("unshare"),
    reason="needs root, unshare and certtool (gnutls-bin)")


class Host:
    """A folder with an agent.conf; commands run with a root account of their own."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.home = self.path("root")
        os.makedirs(self.home)
        with open(self.path("agent.conf"), "w", encoding="ascii") as file:
            file.write("[agent]\n# mine\nport=54321\nstate=%s\nca=%s\ncertificate=%s\nkey=%s\n" % (
                self.path("state"), self.path("pki/ca.pem"), self.path("pki/cert.pem"),
                self.path("pki/key.pem")))

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        try:
            with open(self.path(name), encoding="ascii") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def files(self):
        found = {}
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self.folder)
                found[path] = self.read(path)
        return found

    def run(self, *arguments, data="", good=True):
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /root && exec "$@"', self.home,
             AGENT] + list(arguments) + ["--config", self.path("agent.conf")],
            input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode == 0) == good, done.stderr
        return done.stdout if good else done.stderr

    def enrol(self, authority, **validity):
        request = self.run("enroll", "request")
        certificate = authority.sign(request, **validity)
        self.run("enroll", "accept", data=certificate + authority.text())
        return certificate


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return pki.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    return pki.Authority(tmp_path_factory.mktemp("other"), "Other CA")


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path / "host")


# --- request and accept ---

def test_the_key_is_made_on_the_host_and_used_once_its_certificate_is_there(host, authority):
    request = host.run("enroll", "request")
    assert host.read("pki/key.pem") is None
    assert os.stat(host.path("pki/key.pem.new")).st_mode & 0o777 == 0o600
    certificate = authority.sign(request)
    host.run("enroll", "accept", "--manager", "https://m.example.com:8443", "--port", "54999",
             "--known-by", "OU=Vireo Manager", data=certificate + authority.text())
    assert host.read("pki/key.pem.new") is None
    assert os.stat(host.path("pki/key.pem")).st_mode & 0o777 == 0o600
    key = pki.run("openssl", "pkey", "-pubout", data=host.read("pki/key.pem").encode()).decode()
    assert pki.public_key(host.read("pki/cert.pem"), "x509") == key
    assert pki.public_key(request, "req") == key
    assert host.read("pki/ca.pem").strip() in authority.text()
    assert host.read("state/manager.conf") == (
        "[manager]\nurl=https://m.example.com:8443\nknown-by=OU=Vireo Manager;\n")
    # An administrator's file: the port changes and nothing else.
    assert "port=54999" in host.read("agent.conf") and "# mine" in host.read("agent.conf")


def test_a_later_request_keeps_the_key_unless_a_new_one_is_wanted(host, authority):
    host.enrol(authority)
    before = host.read("pki/key.pem")
    again = host.run("enroll", "request")
    assert pki.public_key(again, "req") == pki.public_key(host.read("pki/cert.pem"), "x509")
    fresh = host.run("enroll", "request", "--new-key")
    assert pki.public_key(fresh, "req") != pki.public_key(again, "req")
    assert host.read("pki/key.pem") == before
    host.run("enroll", "accept", data=authority.sign(fresh) + authority.text())
    assert host.read("pki/key.pem") != before


def test_a_key_without_its_certificate_yet_is_completed_by_the_same_certificate(host, authority):
    host.enrol(authority)
    certificate = authority.sign(host.run("enroll", "request", "--new-key"))
    os.rename(host.path("pki/key.pem.new"), host.path("pki/key.pem"))  # killed right here
    host.run("enroll", "accept", data=certificate + authority.text())
    key = pki.run("openssl", "pkey", "-pubout", data=host.read("pki/key.pem").encode()).decode()
    assert pki.public_key(host.read("pki/cert.pem"), "x509") == key


def test_what_the_manager_is_known_by_is_the_last_ones_word(host, authority):
    """An older Manager says nothing about it: what an earlier one said does not count any more."""
    certificate = host.enrol(authority) + authority.text()
    for known, want in (("CN=engine.example.com", "known-by=CN=engine.example.com;\n"), (None, "")):
        host.run("enroll", "accept", "--manager", "https://e", *(("--known-by", known) if known else ()),
                 data=certificate)
        assert host.read("state/manager.conf") == "[manager]\nurl=https://e\n" + want
    for wrong in (("--known-by", "engine", "--manager", "https://e"), ("--known-by", "CN=engine")):
        assert "--known-by" in host.run("enroll", "accept", *wrong, data=certificate, good=False)
    assert "known-by" not in host.read("state/manager.conf")


def test_what_does_not_fit_changes_nothing(host, authority, other, tmp_path):
    host.enrol(authority)
    stranger = Host(tmp_path / "stranger")
    foreign = authority.sign(stranger.run("enroll", "request"))
    mine = host.run("enroll", "request")
    before = host.files()
    for what, pem in (("another host's certificate", foreign + authority.text()),
                      ("an authority that did not sign", authority.sign(mine) + other.text()),
                      ("an authority that is not trusted", other.sign(mine)),
                      ("no certificate", "hello"),
                      ("nothing", ""),
                      ("too much", "x" * 100000)):
        said = host.run("enroll", "accept", data=pem, good=False)
        assert said.startswith("vireo-agentd: "), what
        assert host.files() == before, what


# --- renewal and registration, with a Manager played here ---

class Manager(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        self.server.seen.append((parts.path, query))
        answers = {"get-version": "1", "get-pki-trust": self.server.authority.text(),
                   "get-ssh-trust": SSH_KEY + "\n", "register": self.server.verdict}
        self.answer(200 if self.server.verdict else 400, answers[query["command"]] or "No.\nmore")

    def do_POST(self):
        request = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.seen.append((self.path, request))
        self.answer(200, self.server.renew(request))

    def log_message(self, *arguments):
        pass


@pytest.fixture
def manager(authority):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Manager)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server())
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.authority, server.seen, server.verdict = authority, [], "OK\n"
    server.renew = lambda request: authority.sign(request, days_left=100)
    server.address = "127.0.0.1:%d" % server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("days_ago, days_left, renewed", [
    (0, 300, False),
    (180, 120, False),
    (210, 90, True),   # less than a third is left
    (300, -10, True),  # it has expired
])
def test_a_certificate_is_renewed_when_less_than_a_third_is_left(host, authority, manager, days_ago,
                                                                 days_left, renewed):
    before = host.enrol(authority, days_ago=days_ago, days_left=days_left)
    host.run("enroll", "accept", "--manager", "https://" + manager.address,
             data=before + authority.text())
    key = host.read("pki/key.pem")
    said = host.run("enroll", "renew")
    assert said == ("renewed\n" if renewed else "")
    assert len(manager.seen) == renewed
    assert (host.read("pki/cert.pem").strip() != before.strip()) == renewed
    assert host.read("pki/key.pem") == key
    if renewed:
        path, request = manager.seen[0]
        assert path == "/ovirt-engine/services/host-renew"
        assert pki.public_key(request, "req") == pki.public_key(before, "x509")


def test_a_bad_answer_to_a_renewal_changes_nothing(host, authority, other, manager):
    certificate = host.enrol(authority, days_ago=10, days_left=-1)
    host.run("enroll", "accept", "--manager", "https://" + manager.address,
             data=certificate + authority.text())
    before = host.files()
    for renew in (other.sign, lambda request: "hello", lambda request: "x" * 200000):
        manager.renew = renew
        host.run("enroll", "renew", good=False)
        assert host.files() == before


def test_nobody_but_the_trusted_manager_renews(host, other, manager):
    certificate = host.enrol(other, days_ago=10, days_left=-1)
    host.run("enroll", "accept", "--manager", "https://" + manager.address,
             data=certificate + other.text())
    assert "certificate" in host.run("enroll", "renew", good=False)
    assert manager.seen == []


@pytest.mark.parametrize("form", ["openssl", "plain", "base64"])
def test_registration_trusts_the_manager_with_the_given_fingerprint(host, authority, manager, form):
    digest = pki.fingerprint(authority.pem)
    if form == "plain":
        digest = digest.replace(":", "").lower()
    elif form == "base64":
        digest = base64.b64encode(bytes.fromhex(digest.replace(":", ""))).decode().rstrip("=")
    host.run("register", "--manager", manager.address, "--fingerprint", "SHA256:" + digest,
             "--name", "web host", "--address", "192.0.2.7", "--ssh-port", "2222")
    assert [query["command"] for _, query in manager.seen] == [
        "get-pki-trust", "get-version", "get-ssh-trust", "register"]
    path, query = manager.seen[-1]
    assert path == "/ovirt-engine/services/host-register" and query["version"] == "1"
    assert query["name"] == "web host" and query["address"] == "192.0.2.7"
    assert query["sshPort"] == "2222" and query["vdsPort"] == "54321" and query["uniqueId"]
    assert host.read("root/.ssh/authorized_keys") == SSH_KEY + "\n"
    assert os.stat(host.path("root/.ssh/authorized_keys")).st_mode & 0o777 == 0o600
    assert manager.address in host.read("state/manager.conf")
    assert host.read("pki/ca.pem").strip() in authority.text()


def test_registering_again_adds_the_key_once(host, authority, manager):
    os.makedirs(host.path("root/.ssh"))
    with open(host.path("root/.ssh/authorized_keys"), "w", encoding="ascii") as file:
        file.write("ssh-ed25519 AAAA mine")  # without an end of its line
    for _ in range(2):
        host.run("register", "--manager", "https://" + manager.address + "/", "--fingerprint",
                 "SHA256:" + pki.fingerprint(authority.pem))
    assert host.read("root/.ssh/authorized_keys") == "ssh-ed25519 AAAA mine\n" + SSH_KEY + "\n"


def test_another_fingerprint_ends_it_before_anything_is_believed(host, other, manager):
    before = host.files()
    said = host.run("register", "--manager", manager.address, "--fingerprint",
                    "SHA256:" + pki.fingerprint(other.pem), good=False)
    assert "fingerprint" in said
    assert host.files() == before
    assert [query["command"] for _, query in manager.seen] == ["get-pki-trust"]


def test_a_manager_that_refuses_is_quoted(host, authority, manager):
    manager.verdict = None
    said = host.run("register", "--manager", manager.address, "--fingerprint",
                    "SHA256:" + pki.fingerprint(authority.pem), good=False)
    assert "400" in said and "more" not in said

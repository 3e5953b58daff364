# SPDX-License-Identifier: Apache-2.0
"""Consoles on a host whose libvirt encrypts them, VNC and SPICE."""

import os
import subprocess

import pytest

import machines
import spice
from rfb import Refused, VENCRYPT, Viewer
from stomp import RpcError


def openssl(*arguments):
    subprocess.run(("openssl",) + arguments, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """What a host has in /etc/pki/vdsm/libvirt-vnc and libvirt-spice; RSA, as QEMU wants it."""
    folder = str(tmp_path_factory.mktemp("pki"))

    def path(name):
        return os.path.join(folder, name)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path("ca-key.pem"), "-out",
            path("ca-cert.pem"), "-days", "2", "-subj", "/CN=authority")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", path("server-key.pem"), "-out",
            path("server.csr"), "-subj", "/O=site/CN=host")
    with open(path("ext"), "w", encoding="ascii") as file:
        file.write("subjectAltName=DNS:host\n")
    openssl("x509", "-req", "-in", path("server.csr"), "-CA", path("ca-cert.pem"), "-CAkey",
            path("ca-key.pem"), "-CAcreateserial", "-days", "2", "-extfile", path("ext"), "-out",
            path("server-cert.pem"))
    return folder


@pytest.fixture(scope="module")
def qemu_conf(certificates):
    return "".join('%s_tls = 1\n%s_tls_x509_cert_dir = "%s"\n' % (kind, kind, certificates)
                   for kind in ("vnc", "spice"))


@pytest.fixture
def client(host):
    client = host.client()
    yield client
    client.close()


def start(client, name, graphics):
    vm, xml = machines.domain(name, graphics=graphics)
    machines.create(client, vm, xml)
    up = client.wait_status(vm, "Up")
    return vm, {one["type"]: one for one in up["displayInfo"]}


def set_ticket(client, vm, kind, password):
    client.call("VM.updateDevice", vmID=vm, params={
        "deviceType": "graphics", "graphicsType": kind, "password": password, "ttl": 120})


def test_vnc_is_encrypted_and_wants_the_ticket_inside(host, client, certificates):
    ca = os.path.join(certificates, "ca-cert.pem")
    vm, displays = start(client, "vnc", machines.VNC)
    port = int(displays["vnc"]["port"])
    set_ticket(client, vm, "vnc", "secret")
    assert client.call("Host.getCapabilities")["vncEncrypted"] == "true"
    with Viewer("127.0.0.1", port, connect=host.connect) as viewer:
        assert viewer.kinds == [VENCRYPT]
        viewer.encrypt(ca, "host")
        assert viewer.authenticate("secret", encrypted=True)
        assert viewer.screen()[0] >= 640
    with pytest.raises(Refused):
        with Viewer("127.0.0.1", port, connect=host.connect) as viewer:
            viewer.encrypt(ca, "host")
            viewer.authenticate("guess", encrypted=True)


def test_spice_takes_the_ticket_on_its_secure_port_alone(host, client, certificates):
    ca = os.path.join(certificates, "ca-cert.pem")
    vm, displays = start(client, "spice", machines.SPICE)
    if "spice" not in displays:
        pytest.skip("this QEMU has no SPICE")
    port, secure = int(displays["spice"]["port"]), int(displays["spice"]["tlsPort"])
    assert secure > 0

    def answer(password):
        return spice.open_main("127.0.0.1", secure, password, ca=ca, name="host",
                               connect=host.connect)
    assert answer("*****") == spice.PERMISSION_DENIED
    set_ticket(client, vm, "spice", "abcdefghijkl")
    assert answer("abcdefghijkl") == spice.OK
    assert answer("abcdefgh") == spice.PERMISSION_DENIED
    if port > 0:
        assert spice.open_main("127.0.0.1", port, "abcdefghijkl",
                               connect=host.connect) == spice.NEED_SECURED


def test_both_protocols_have_tickets_of_their_own(host, client, certificates):
    ca = os.path.join(certificates, "ca-cert.pem")
    vm, displays = start(client, "both", machines.VNC + machines.SPICE)
    if "spice" not in displays:
        pytest.skip("this QEMU has no SPICE")
    set_ticket(client, vm, "vnc", "one")
    set_ticket(client, vm, "spice", "two")
    secure = int(displays["spice"]["tlsPort"])
    assert spice.open_main("127.0.0.1", secure, "one", ca=ca, name="host",
                           connect=host.connect) == spice.PERMISSION_DENIED
    assert spice.open_main("127.0.0.1", secure, "two", ca=ca, name="host",
                           connect=host.connect) == spice.OK
    with pytest.raises(RpcError):
        set_ticket(client, vm, "rdp", "x")

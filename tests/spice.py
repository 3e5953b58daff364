# SPDX-License-Identifier: Apache-2.0
"""spice: the link stage of a SPICE client (spice-protocol 0.14): a connection to the main channel, and
whether the server takes a ticket.  Standard library, and openssl for RSA."""

import socket
import ssl
import struct
import subprocess
import tempfile

LIMIT = 20
MAIN = 1
OK, NEED_SECURED, PERMISSION_DENIED = 0, 5, 7


def receive(link, count):
    data = b""
    while len(data) < count:
        more = link.recv(count - len(data))
        assert more, "the connection ended"
        data += more
    return data


def seal(public, password):
    with tempfile.NamedTemporaryFile() as key:
        key.write(public)
        key.flush()
        return subprocess.run(
            ["openssl", "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", key.name,
             "-pkeyopt", "rsa_padding_mode:oaep"],
            input=password.encode() + b"\0", stdout=subprocess.PIPE, check=True).stdout


def open_main(host, port, password, ca=None, name=None, connect=socket.create_connection):
    """The server's answer, one of the numbers above."""
    with connect((host, port), LIMIT) as link:
        link.settimeout(LIMIT)
        if ca:
            link = ssl.create_default_context(cafile=ca).wrap_socket(link, server_hostname=name)
        message = struct.pack("<IBBIII", 0, MAIN, 0, 0, 0, 18)
        link.sendall(struct.pack("<4sIII", b"REDQ", 2, 2, len(message)) + message)
        magic, _, _, size = struct.unpack("<4sIII", receive(link, 16))
        assert magic == b"REDQ" and size < 4096
        reply = receive(link, size)
        (error,) = struct.unpack("<I", reply[:4])
        if error:
            return error
        link.sendall(seal(reply[4:166], password))
        return struct.unpack("<I", receive(link, 4))[0]

# SPDX-License-Identifier: Apache-2.0
"""rfb: the part of a VNC viewer that opens a console (RFC 6143, VeNCrypt), down to the first sight
of the screen's size.

Standard library only; DES is openssl's, as triple DES with one key three times.
"""

import socket
import ssl
import struct
import subprocess

NONE, VNC_AUTH, VENCRYPT = 1, 2, 19
X509_VNC = 261
LIMIT = 20


class Refused(Exception):
    """The server ended the handshake; the text is its own."""


def des(password, challenge):
    """The challenge under the password, whose bits of each byte go backwards in VNC."""
    key = password.encode("ascii")[:8].ljust(8, b"\0")
    key = bytes(int("{:08b}".format(byte)[::-1], 2) for byte in key)
    return subprocess.run(["openssl", "enc", "-des-ede3", "-nopad", "-K", (key * 3).hex()],
                          input=challenge, stdout=subprocess.PIPE, check=True).stdout


def receive(viewer, count):
    data = b""
    while len(data) < count:
        more = viewer.recv(count - len(data))
        if not more:
            raise Refused("the connection ended")
        data += more
    return data


class Viewer:
    """A connection up to the list of ways to authenticate: `kinds`."""

    def __init__(self, host, port, connect=socket.create_connection):
        self.socket = connect((host, port), LIMIT)
        self.socket.settimeout(LIMIT)
        assert receive(self.socket, 12).startswith(b"RFB 003.")
        self.socket.sendall(b"RFB 003.008\n")
        (count,) = receive(self.socket, 1)
        if count == 0:
            raise Refused(self.reason())
        self.kinds = list(receive(self.socket, count))

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        self.close()

    def close(self):
        self.socket.close()

    def peer(self):
        """Our own port, as the server sees it."""
        return self.socket.getsockname()[1]

    def reason(self):
        (length,) = struct.unpack(">I", receive(self.socket, 4))
        return receive(self.socket, min(length, 4096)).decode("utf-8", "replace")

    def encrypt(self, ca, name):
        """VeNCrypt with an X.509 certificate of @ca for @name; a password follows."""
        assert VENCRYPT in self.kinds, self.kinds
        self.socket.sendall(bytes([VENCRYPT]))
        assert receive(self.socket, 2) == b"\0\2"
        self.socket.sendall(b"\0\2")
        assert receive(self.socket, 1) == b"\0"
        (count,) = receive(self.socket, 1)
        subtypes = struct.unpack(">%dI" % count, receive(self.socket, 4 * count))
        assert subtypes == (X509_VNC,), subtypes
        self.socket.sendall(struct.pack(">I", X509_VNC))
        assert receive(self.socket, 1) == b"\1"
        context = ssl.create_default_context(cafile=ca)
        self.socket = context.wrap_socket(self.socket, server_hostname=name)

    def authenticate(self, password, encrypted=False):
        """True when the password is the right one; Refused, with the reason, when it is not."""
        if not encrypted:
            assert VNC_AUTH in self.kinds, self.kinds
            self.socket.sendall(bytes([VNC_AUTH]))
        self.socket.sendall(des(password, receive(self.socket, 16)))
        if receive(self.socket, 4) != b"\0\0\0\0":
            raise Refused(self.reason())
        return True

    def screen(self):
        """(width, height, name) of an open console."""
        self.socket.sendall(b"\0")  # others leave
        width, height = struct.unpack(">HH", receive(self.socket, 4))
        receive(self.socket, 16)
        (length,) = struct.unpack(">I", receive(self.socket, 4))
        return width, height, receive(self.socket, min(length, 4096)).decode("utf-8", "replace")


def accepts(host, port, password, **options):
    """Whether the server lets somebody with this password in."""
    try:
        with Viewer(host, port, **options) as viewer:
            return viewer.authenticate(password)
    except Refused:
        return False

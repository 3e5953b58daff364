# SPDX-License-Identifier: Apache-2.0
"""The image daemon with clients that take what they can get, and storage that hangs."""

import select
import socket
import sys
import threading
import unittest
import uuid

from fake_nbd import DATA, FakeNbd
from test_imaged import MIB, Case, Daemon

PEER_MAX, TOTAL_MAX = 64, 256       # server.c


class Crowd:
    """Connections that never say a word, each from an address of this machine."""

    def __init__(self, port):
        self.port, self.sockets, self.ended = port, {}, set()
        self.poll = select.poll()

    def come(self, address, count):
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", self.port), 60, (address, 0))
            self.sockets[s.fileno()] = s
            self.poll.register(s, select.POLLIN)

    def wait_ended(self, count):
        """Until so many of them were thrown out."""
        while len(self.ended) < count:
            found = self.poll.poll(30000)     # idle ones end after 60 s
            assert found, "%d were thrown out, not %d" % (len(self.ended), count)
            for fd, _ in found:
                self.poll.unregister(fd)
                self.ended.add(fd)

    def go(self):
        for s in self.sockets.values():
            s.close()


class Crowds(Case):
    def setUp(self):
        super().setUp()
        self.crowd = Crowd(self.daemon.port)
        self.addCleanup(self.crowd.go)

    def test_one_address_leaves_room_for_others(self):
        self.crowd.come("127.0.0.2", 1000)
        self.crowd.wait_ended(1000 - PEER_MAX)
        self.code(200, "GET", "/info/")
        # Where connections ended there is room again.
        self.crowd.go()
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.daemon.port), 60,
                                              ("127.0.0.2", 0)) as plain, \
                        self.daemon.context.wrap_socket(plain, server_hostname="127.0.0.1") as s:
                    s.sendall(b"GET /info/ HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertIn(b" 200 ", s.recv(4096).splitlines()[0])
                    break
            except (ConnectionError, BrokenPipeError):
                pass        # not all have been noticed yet

    def test_many_addresses_keep_out_nobody_with_a_ticket(self):
        id = self.daemon.ticket(self.make(), 4 * MIB)
        self.code(206, "GET", "/images/" + id, headers={"Range": "bytes=0-9"})
        for i in range(10):
            self.crowd.come("127.0.1.%d" % (i + 1), PEER_MAX)
        self.crowd.wait_ended(10 * PEER_MAX - TOTAL_MAX)
        first = self.con.sock.getsockname()
        self.code(206, "GET", "/images/" + id, headers={"Range": "bytes=0-9"})
        self.assertEqual(self.con.sock.getsockname(), first)
        con = self.daemon.connect()
        self.addCleanup(con.close)
        con.request("GET", "/images/" + id)
        self.assertEqual(len(con.getresponse().read()), 4 * MIB)


class Idle(Case):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--idle", "1")

    def test_connections_that_say_nothing_end(self):
        for said in (b"", b"\x16\x03\x01\x02\x00\x01"):     # the second begins a handshake
            with socket.create_connection(("127.0.0.1", self.daemon.port), 60) as s:
                s.sendall(said)
                while s.recv(4096):
                    pass        # an alert that says why

    def test_connections_end_when_their_ticket_says_so(self):
        id = self.daemon.ticket(self.make(), MIB, inactivity_timeout=1)
        self.code(200, "GET", "/images/" + id)
        self.assertEqual(self.con.sock.recv(1), b"")


class Nbd(Case):
    def serve(self, extents, **more):
        path = self.daemon.path("nbd-%s" % uuid.uuid4())
        server = FakeNbd(path, extents, **more)
        self.addCleanup(server.stop)
        return server, self.daemon.ticket("nbd:unix:" + path, server.size, ["read"])


class HungStorage(Nbd):
    def test_a_backend_that_cannot_be_closed_holds_nobody_else(self):
        server, id = self.serve([(MIB, DATA)], hangs=True)
        other = self.daemon.ticket(self.make(), 4 * MIB)
        self.code(206, "GET", "/images/" + id, headers={"Range": "bytes=0-9"})
        answers = []
        remove = threading.Thread(
            target=lambda: answers.append(self.daemon.ask("DELETE", "/tickets/" + id)[0]))
        remove.start()
        while not self.daemon.show(id)["canceled"]:
            pass
        con = self.daemon.connect()
        self.addCleanup(con.close)
        con.request("GET", "/images/" + other)
        self.assertEqual(len(con.getresponse().read()), 4 * MIB)
        # The disk is not free as long as it is not closed.
        remove.join()
        self.assertEqual(answers, [409])
        server.release()
        while self.daemon.ask("DELETE", "/tickets/" + id)[0] != 204:
            pass

    def test_a_connection_that_ends_with_one_holds_nobody_else(self):
        server, id = self.serve([(MIB, DATA)], hangs=True)
        self.code(206, "GET", "/images/" + id, headers={"Range": "bytes=0-9"})
        self.con.close()
        while self.daemon.show(id)["connections"]:
            pass
        self.code(200, "GET", "/info/")         # over a new connection
        self.assertEqual(self.daemon.ask("DELETE", "/tickets/" + id)[0], 409)
        server.release()
        while self.daemon.ask("DELETE", "/tickets/" + id)[0] != 204:
            pass


del Case, Nbd       # have no tests of their own

if __name__ == "__main__":
    unittest.main(argv=sys.argv, verbosity=1)

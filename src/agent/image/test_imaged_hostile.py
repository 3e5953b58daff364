# SPDX-License-Identifier: Apache-2.0
"""The image daemon with clients that take what they can get, images in a million pieces, and storage
that hangs."""

import hashlib
import http.client
import json
import random
import select
import socket
import sys
import threading
import unittest
import uuid

from fake_nbd import DATA, HOLE, FakeNbd
from test_imaged import MIB, Case, Daemon, real_client

PEER_MAX, TOTAL_MAX = 64, 256       # server.c


def peak(daemon):
    """The daemon's largest resident memory, bytes."""
    with open("/proc/%d/status" % daemon.process.pid) as f:
        return int(next(line for line in f if line.startswith("VmHWM:")).split()[1]) * 1024


def sanitized(daemon):
    with open("/proc/%d/maps" % daemon.process.pid) as f:
        return "san.so" in f.read()


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


class Pieces(Nbd):
    def listed(self, id):
        return [(e["start"], e["length"], e["zero"], e["hole"])
                for e in json.loads(self.code(200, "GET", "/images/%s/extents" % id)[1])]

    @staticmethod
    def layout(seed, count, unit=512, most=40):
        chance = random.Random(seed)
        return [(unit * chance.randint(1, most), chance.choice((DATA, HOLE))) for _ in range(count)]

    def test_a_million_pieces_take_no_memory(self):
        extents = [(512, DATA), (512, HOLE)] * 500000
        _, id = self.serve(extents)
        before = peak(self.daemon)
        answer, text = self.code(200, "GET", "/images/%s/extents" % id)
        self.assertEqual(answer.getheader("Transfer-Encoding"), "chunked")
        if not sanitized(self.daemon):      # freed memory is kept there
            self.assertLess(peak(self.daemon) - before, 16 * MIB)
        found = json.loads(text)
        self.assertEqual(len(found), len(extents))
        for index in (0, 1, 16383, 16384, 131071, 131072, 999999):
            self.assertEqual(found[index], {"start": 512 * index, "length": 512,
                                            "zero": index % 2 == 1, "hole": index % 2 == 1})
        # The connection goes on.
        self.code(206, "GET", "/images/" + id, headers={"Range": "bytes=0-9"})

    @unittest.skipUnless(real_client, "ovirt-imageio is not installed (pip install ovirt-imageio)")
    def test_the_real_client_reads_a_list_in_chunks(self):
        extents = [(4096, DATA), (8192, HOLE)] * 20000
        _, id = self.serve(extents)
        url = "https://127.0.0.1:%d/images/%s" % (self.daemon.port, id)
        with real_client.ImageioClient(url, cafile=self.daemon.cert, secure=True) as client:
            self.assertEqual([(e.length, HOLE if e.zero else DATA) for e in client.extents("zero")],
                             extents)

    def test_neighbours_are_joined_however_they_are_told(self):
        extents = self.layout(1, 5000)
        want, at = [], 0
        for length, flags in extents:
            if want and want[-1][2] == (flags == HOLE):
                want[-1] = (want[-1][0], want[-1][1] + length, *want[-1][2:])
            else:
                want.append((at, length, flags == HOLE, flags == HOLE))
            at += length
        for entries in (1, 2, 3, 1000, 5000):
            _, id = self.serve(extents, entries=entries)
            self.assertEqual(self.listed(id), want, entries)

    def test_alike_pieces_are_one_short_answer(self):
        _, id = self.serve([(512, HOLE)] * 300000)
        answer, text = self.code(200, "GET", "/images/%s/extents" % id)
        self.assertEqual(json.loads(text), [{"start": 0, "length": 512 * 300000, "zero": True,
                                             "hole": True}])
        self.assertEqual(int(answer.getheader("Content-Length")), len(text))

    def test_what_cannot_be_told_is_an_error_and_no_list(self):
        _, id = self.serve([(512, DATA), (512, HOLE)], broken=0)
        self.code(500, "GET", "/images/%s/extents" % id)
        _, id = self.serve([(512, DATA), (512, HOLE)] * 50000, broken=512 * 40000)
        con = self.daemon.connect()
        self.addCleanup(con.close)
        con.request("GET", "/images/%s/extents" % id)
        answer = con.getresponse()
        self.assertEqual(answer.status, 200)
        with self.assertRaises(http.client.IncompleteRead):
            answer.read()

    def test_checksums_skip_zeroes_and_nothing_else(self):
        for seed, block_size in ((2, 4096), (3, 16384), (4, 65536)):
            extents = self.layout(seed, 300, most=400)
            content = b"".join((b"\7" if flags == DATA else b"\0") * length
                               for length, flags in extents)
            want = hashlib.blake2b(digest_size=32)
            for at in range(0, len(content), block_size):
                want.update(hashlib.blake2b(content[at:at + block_size], digest_size=32).digest())
            for entries in (1, 7, 1000):
                _, id = self.serve(extents, entries=entries)
                _, text = self.code(200, "GET", "/images/%s/checksum?block_size=%d" % (id, block_size))
                self.assertEqual(json.loads(text)["checksum"], want.hexdigest(), (seed, entries))


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

# SPDX-License-Identifier: Apache-2.0
"""The image daemon, over TLS and its control socket, as clients and the agent use it.

The last class uses the real client library (PyPI: ovirt-imageio) and is skipped where that is not
installed.
"""

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
import uuid

IMAGED = os.environ["VIREO_IMAGED"]
MIB = 1 << 20


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    """One vireo-imaged with a certificate of its own."""

    def __init__(self, *args):
        self.dir = tempfile.TemporaryDirectory(prefix="vireo-imaged-")
        self.cert, self.key = self.path("cert.pem"), self.path("key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.key, "-out",
                        self.cert], check=True, stderr=subprocess.DEVNULL)
        self.control = self.path("control")
        self.process = subprocess.Popen(
            [IMAGED, "--address", "127.0.0.1", "--port", "0", "--control", self.control,
             "--certificate", self.cert, "--key", self.key, "--delete-wait", "1", *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.context = ssl.create_default_context(cafile=self.cert)

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def stop(self):
        self.process.stdin.close()      # the agent is gone: so is the daemon
        code = self.process.wait(60)
        self.process.stdout.close()
        self.dir.cleanup()
        assert code == 0, code

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=60)

    def ask(self, method, path, body=None):
        con = UnixConnection(self.control)
        con.request(method, path, body if body is None or isinstance(body, bytes) else json.dumps(body))
        answer = con.getresponse()
        text = answer.read()
        con.close()
        return answer.status, text

    def ticket(self, path, size, ops=("write",), **more):
        id = str(uuid.uuid4())
        url = path if path.startswith("nbd:") else "file://" + path
        body = dict(uuid=id, size=size, url=url, ops=list(ops), timeout=300, **more)
        status, text = self.ask("PUT", "/tickets/" + id, body)
        assert status == 200, (status, text)
        return id

    def show(self, id):
        status, text = self.ask("GET", "/tickets/" + id)
        assert status == 200, status
        return json.loads(text)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def setUp(self):
        self.file = self.daemon.path("image-%s" % uuid.uuid4())
        self.con = self.daemon.connect()
        self.addCleanup(self.con.close)

    def make(self, size=4 * MIB, content=b""):
        with open(self.file, "wb") as f:
            f.write(content)
            f.truncate(size)
        return self.file

    def ask(self, method, path, body=None, headers=None):
        self.con.request(method, path, body, headers or {})
        answer = self.con.getresponse()
        text = answer.read()
        return answer, text

    def code(self, want, method, path, body=None, headers=None):
        answer, text = self.ask(method, path, body, headers)
        self.assertEqual(answer.status, want, (method, path, headers, text[:200]))
        return answer, text


class Control(Case):
    def test_tickets_live_and_die(self):
        id = self.daemon.ticket(self.make(), 4 * MIB, filename="a\"b\n.img", transfer_id="t1")
        t = self.daemon.show(id)
        self.assertEqual((t["size"], t["ops"], t["transferred"], t["active"], t["connections"]),
                         (4 * MIB, ["write"], 0, False, 0))
        self.assertEqual(t["filename"], "a_b_.img")
        self.assertTrue(0 < t["timeout"] <= 300)
        self.assertEqual(self.daemon.ask("PATCH", "/tickets/" + id, {"timeout": 1000})[0], 200)
        self.assertTrue(300 < self.daemon.show(id)["timeout"] <= 1000)
        self.assertEqual(self.daemon.ask("DELETE", "/tickets/" + id)[0], 204)
        self.assertEqual(self.daemon.ask("GET", "/tickets/" + id)[0], 404)
        self.assertEqual(self.daemon.ask("DELETE", "/tickets/" + id)[0], 204)

    def test_bad_tickets_are_refused(self):
        id = str(uuid.uuid4())
        good = dict(uuid=id, size=1, url="file:///x", ops=["read"], timeout=1)
        rows = [
            b"", b"{", b"[]", b"{}", b"\0" * 100, b"[" * 10000,
            dict(good, size=-1), dict(good, size="1"), dict(good, url="ftp://x"),
            dict(good, ops=[]), dict(good, ops=["format"]), dict(good, timeout=-1),
            dict(good, uuid=str(uuid.uuid4())), dict(good, size=1 << 62),
        ]
        for row in rows:
            self.assertEqual(self.daemon.ask("PUT", "/tickets/" + id, row)[0], 400, row)
        self.assertEqual(self.daemon.ask("PUT", "/tickets/not-an-id", good)[0], 400)
        self.assertEqual(self.daemon.ask("PATCH", "/tickets/" + id, {"timeout": "x"})[0], 400)
        self.assertEqual(self.daemon.ask("PATCH", "/tickets/" + id, {"timeout": 1})[0], 404)
        self.assertEqual(self.daemon.ask("POST", "/tickets/" + id, {})[0], 405)
        self.assertEqual(self.daemon.ask("GET", "/nothing")[0], 404)

    def test_a_removed_ticket_ends_idle_connections_and_waits_for_busy_ones(self):
        id = self.daemon.ticket(self.make(), 4 * MIB)
        self.code(200, "GET", "/images/" + id)
        self.assertEqual(self.daemon.show(id)["connections"], 1)
        self.assertEqual(self.daemon.ask("DELETE", "/tickets/" + id)[0], 204)
        self.code(403, "GET", "/images/" + id)
        # An upload whose body has not ended is busy.
        id = self.daemon.ticket(self.make(), 4 * MIB)
        con = self.daemon.connect()
        self.addCleanup(con.close)
        con.putrequest("PUT", "/images/" + id)
        con.putheader("Content-Length", str(2 * MIB))
        con.endheaders()
        con.send(b"x" * MIB)
        while self.daemon.show(id)["transferred"] < MIB:
            pass
        self.assertTrue(self.daemon.show(id)["active"])
        self.assertEqual(self.daemon.ask("DELETE", "/tickets/" + id)[0], 409)
        self.assertTrue(self.daemon.show(id)["canceled"])
        con.send(b"x" * MIB)
        answer = con.getresponse()
        self.assertEqual(answer.status, 403, answer.read())
        con.close()
        while self.daemon.show(id)["connections"]:
            pass
        self.assertEqual(self.daemon.ask("DELETE", "/tickets/" + id)[0], 204)


class Data(Case):
    def test_options_tell_what_a_ticket_may(self):
        answer, text = self.code(200, "OPTIONS", "/images/*")
        self.assertEqual(answer.getheader("Allow"), "OPTIONS,GET,PUT,PATCH")
        self.assertEqual(json.loads(text), {"features": ["checksum", "extents", "flush", "zero"]})
        id = self.daemon.ticket(self.make(), MIB, ["read"])
        answer, text = self.code(200, "OPTIONS", "/images/" + id)
        self.assertEqual(answer.getheader("Allow"), "OPTIONS,GET")
        self.assertEqual(json.loads(text), {"features": ["checksum", "extents"], "max_readers": 8,
                                            "max_writers": 8})
        self.assertEqual(answer.getheader("Access-Control-Allow-Origin"), "*")
        self.assertEqual(answer.getheader("Access-Control-Max-Age"), "86400")
        answer, text = self.code(403, "OPTIONS", "/images/%s" % uuid.uuid4())
        self.assertTrue(text.startswith(b"You are not allowed to access this resource:"), text)
        self.assertEqual(answer.getheader("Connection").lower(), "close")

    def test_reading(self):
        data = os.urandom(3 * MIB + 17)
        id = self.daemon.ticket(self.make(len(data), data), len(data), ["read"], filename="d.img")
        answer, text = self.code(200, "GET", "/images/" + id)
        self.assertEqual(text, data)
        self.assertEqual(answer.getheader("Content-Length"), str(len(data)))
        self.assertEqual(answer.getheader("Content-Disposition"), "attachment; filename=d.img")
        rows = [
            ("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=1048576-", MIB, len(data)),
            ("bytes=5-99999999999", 5, len(data)),
            ("bytes=%d-" % (len(data) - 1), len(data) - 1, len(data)),
        ]
        for range, start, end in rows:
            answer, text = self.code(206, "GET", "/images/" + id, headers={"Range": range})
            self.assertEqual(text, data[start:end], range)
            self.assertEqual(answer.getheader("Content-Range"),
                             "bytes %d-%d/%d" % (start, end - 1, len(data)))
        bad = ["bytes=-5", "bytes=0-1,3-4", "bytes=9-5", "bytes=x-", "bytes=%d-" % len(data),
               "bytes=99999999999999999999-", "items=0-1", "bytes=0-1x", ""]
        for range in bad:
            answer, _ = self.code(416, "GET", "/images/" + id, headers={"Range": range})
            self.assertEqual(answer.getheader("Content-Range"), "bytes */%d" % len(data))
        self.assertEqual(self.daemon.show(id)["transferred"], len(data))

    def test_writing(self):
        id = self.daemon.ticket(self.make(4 * MIB, b"o" * (4 * MIB)), 4 * MIB)
        data = os.urandom(2 * MIB + 5)
        self.code(200, "PUT", "/images/" + id, data)
        self.code(200, "PUT", "/images/%s?flush=n&close=y" % id, b"hello",
                  {"Content-Range": "bytes 3145728-3145732/*"})
        with open(self.file, "rb") as f:
            content = f.read()
        want = bytearray(b"o" * (4 * MIB))
        want[:len(data)] = data
        want[3 * MIB:3 * MIB + 5] = b"hello"
        self.assertEqual(content, bytes(want))
        self.assertEqual(self.daemon.show(id)["transferred"], len(data) + 5)
        self.code(200, "PUT", "/images/" + id, data)        # the same bytes count once
        self.assertEqual(self.daemon.show(id)["transferred"], len(data) + 5)

    def test_bad_writes(self):
        id = self.daemon.ticket(self.make(MIB), MIB)
        rows = [
            (416, b"x" * (MIB + 1), {}),
            (416, b"x" * (64 * MIB), {}),     # answered long before all was sent
            (416, b"x", {"Content-Range": "bytes 1048576-1048576/*"}),
            (400, b"x", {"Content-Range": "bytes x-1/*"}),
            (400, b"x", {"Content-Range": "0-1"}),
            (400, iter([b"x"]), {"Transfer-Encoding": "chunked"}),
        ]
        for code, body, headers in rows:
            con = self.daemon.connect()
            con.request("PUT", "/images/" + id, body, headers)
            answer = con.getresponse()
            self.assertEqual(answer.status, code, headers)
            con.close()
        self.code(400, "PUT", "/images/%s?flush=maybe" % id, b"x")
        read_only = self.daemon.ticket(self.file, MIB, ["read"])
        self.code(403, "PUT", "/images/" + read_only, b"x")
        self.code(403, "PATCH", "/images/" + read_only, b"{}")
        self.code(413, "PATCH", "/images/" + id, b"{}" * (32 * 1024 + 1))
        self.code(404, "GET", "/images/%s/other" % id)
        self.code(404, "GET", "/else")
        self.code(405, "DELETE", "/images/" + id)
        self.code(405, "PUT", "/images/%s/extents" % id, b"x")
        self.assertEqual(os.stat(self.file).st_blocks, 0)

    def test_zeroing_and_flushing(self):
        id = self.daemon.ticket(self.make(4 * MIB, b"x" * (4 * MIB)), 4 * MIB, sparse=True)
        json_type = {"Content-Type": "application/json"}

        def patch(code, body, headers=json_type):
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            return self.code(code, "PATCH", "/images/" + id, body, headers)

        patch(200, {"op": "zero", "offset": MIB, "size": 2 * MIB, "flush": True})
        patch(200, {"op": "flush"})
        with open(self.file, "rb") as f:
            self.assertEqual(f.read(), b"x" * MIB + b"\0" * (2 * MIB) + b"x" * MIB)
        self.assertEqual(self.daemon.show(id)["transferred"], 2 * MIB)
        answer, text = self.code(200, "GET", "/images/%s/extents" % id)
        self.assertEqual(json.loads(text), [
            {"start": 0, "length": MIB, "zero": False, "hole": False},
            {"start": MIB, "length": 2 * MIB, "zero": True, "hole": True},
            {"start": 3 * MIB, "length": MIB, "zero": False, "hole": False}])
        self.code(404, "GET", "/images/%s/extents?context=dirty" % id)
        self.code(400, "GET", "/images/%s/extents?context=odd" % id)
        patch(400, {"op": "trim"})
        patch(400, {"op": "zero", "offset": 0})
        patch(400, {"op": "zero", "size": -1})
        patch(400, {"op": "zero", "size": "1"})
        patch(400, {"op": "zero", "size": 1, "flush": "y"})
        patch(400, b"{")
        patch(400, b"[" * 1000)
        patch(400, {"op": "flush"}, {"Content-Type": "text/plain"})
        patch(416, {"op": "zero", "offset": 4 * MIB, "size": 1})
        patch(416, {"op": "zero", "offset": 1, "size": 2 ** 63 - 1})

    def test_extents_cover_sparse_images(self):
        id = self.daemon.ticket(self.make(8 * MIB), 8 * MIB, ["read"])
        _, text = self.code(200, "GET", "/images/%s/extents" % id)
        self.assertEqual(json.loads(text), [{"start": 0, "length": 8 * MIB, "zero": True, "hole": True}])

    def test_checksums(self):
        id = self.daemon.ticket(self.make(9 * MIB + 3, b"y" * 100), 9 * MIB + 3, ["read"])
        sums = set()
        for algorithm in json.loads(self.code(200, "GET", "/images/%s/checksum/algorithms" % id)[1])[
                "algorithms"]:
            _, text = self.code(200, "GET", "/images/%s/checksum?algorithm=%s" % (id, algorithm))
            sums.add(json.loads(text)["checksum"])
        self.assertEqual(len(sums), 4)
        _, text = self.code(200, "GET", "/images/%s/checksum" % id)
        self.assertEqual(json.loads(text)["algorithm"], "blake2b")
        self.assertEqual(json.loads(text)["block_size"], 4 * MIB)
        self.code(400, "GET", "/images/%s/checksum?algorithm=crc" % id)
        self.code(400, "GET", "/images/%s/checksum?block_size=1" % id)

    def test_expired_tickets_open_nothing(self):
        id = self.daemon.ticket(self.make(), MIB)
        self.code(200, "GET", "/images/" + id)
        self.assertEqual(self.daemon.ask("PATCH", "/tickets/" + id, {"timeout": 0})[0], 200)
        _, text = self.code(403, "GET", "/images/" + id)
        self.assertIn(b"expired", text)
        self.assertEqual(self.daemon.ask("PATCH", "/tickets/" + id, {"timeout": 100})[0], 200)
        self.code(200, "GET", "/images/" + id)

    def test_connections_are_kept(self):
        id = self.daemon.ticket(self.make(), 4 * MIB)
        self.con.connect()
        first = self.con.sock.getsockname()
        for _ in range(20):
            self.code(206, "GET", "/images/" + id, headers={"Range": "bytes=0-9"})
            self.code(200, "PUT", "/images/%s?flush=n" % id, b"0123456789")
            self.assertEqual(self.con.sock.getsockname(), first)
        self.assertEqual(self.daemon.show(id)["connections"], 1)
        self.assertEqual(json.loads(self.code(200, "GET", "/info/")[1])["version"][:2], "2.")

    def test_missing_and_odd_files_are_errors(self):
        missing = self.daemon.ticket(self.file, MIB)
        self.code(500, "GET", "/images/" + missing)
        os.mkfifo(self.file)
        self.assertIn(self.ask("GET", "/images/" + missing)[0].status, (400, 500))
        link = self.daemon.path("link-%s" % uuid.uuid4())
        os.symlink("/etc/passwd", link)
        self.code(500, "GET", "/images/" + self.daemon.ticket(link, 10, ["read"]))

    def test_many_clients_at_once(self):
        size = 16 * MIB
        id = self.daemon.ticket(self.make(size), size)
        data = os.urandom(size)
        failed = []

        def write(index):
            con = self.daemon.connect()
            for at in range(index * MIB, size, 8 * MIB):
                con.request("PUT", "/images/%s?flush=n" % id, data[at:at + MIB],
                            {"Content-Range": "bytes %d-%d/*" % (at, at + MIB - 1)})
                answer = con.getresponse()
                if answer.status != 200:
                    failed.append(answer.read())
                answer.read()
            con.close()

        threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failed, [])
        self.assertEqual(self.code(200, "GET", "/images/" + id)[1], data)
        self.assertEqual(self.daemon.show(id)["transferred"], size)

    def test_plain_http_and_bad_bytes_get_nothing(self):
        for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 1000, os.urandom(4096)):
            with socket.create_connection(("127.0.0.1", self.daemon.port), 60) as s:
                try:
                    s.sendall(junk)
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(4096):
                        pass
                except OSError:
                    pass        # thrown out already
        self.code(200, "GET", "/info/")


class Nbd(Case):
    """A qcow2 image seen raw, through qemu-nbd as the agent starts it."""

    def setUp(self):
        super().setUp()
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.file, "8M"], check=True)
        self.socket = self.daemon.path("nbd-%s" % uuid.uuid4())
        pid_file = self.socket + ".pid"
        subprocess.run(["qemu-nbd", "--fork", "--persistent", "--shared", "8", "--socket", self.socket,
                        "--pid-file", pid_file, "--discard=unmap", "--detect-zeroes=unmap", "--format",
                        "qcow2", self.file], check=True)
        with open(pid_file) as f:
            pid = int(f.read())
        self.addCleanup(os.kill, pid, 15)

    def test_the_guest_sees_what_was_uploaded(self):
        id = self.daemon.ticket("nbd:unix:" + self.socket, 8 * MIB, sparse=True)
        data = os.urandom(MIB)
        self.code(200, "PUT", "/images/" + id, data, {"Content-Range": "bytes 1048576-2097151/*"})
        self.code(200, "PATCH", "/images/" + id,
                  json.dumps({"op": "zero", "offset": 1572864, "size": 6 * MIB, "flush": True}),
                  {"Content-Type": "application/json"})
        want = b"\0" * MIB + data[:MIB // 2] + b"\0" * (6 * MIB + MIB // 2)
        self.assertEqual(self.code(200, "GET", "/images/" + id)[1], want)
        _, text = self.code(200, "GET", "/images/%s/extents" % id)
        extents = json.loads(text)
        self.assertEqual([(e["start"], e["length"], e["zero"]) for e in extents if not e["zero"]],
                         [(MIB, MIB // 2, False)])
        self.assertEqual(sum(e["length"] for e in extents), 8 * MIB)
        self.assertEqual(self.daemon.ask("DELETE", "/tickets/" + id)[0], 204)

    def test_a_missing_server_is_an_error(self):
        id = self.daemon.ticket("nbd:unix:" + self.daemon.path("none"), MIB)
        self.code(500, "GET", "/images/" + id)
        self.code(500, "PUT", "/images/" + id, b"x")


try:
    from ovirt_imageio import client as real_client
except ImportError:
    real_client = None


@unittest.skipUnless(real_client, "ovirt-imageio is not installed (pip install ovirt-imageio)")
class RealClient(Case):
    def url(self, id):
        return "https://127.0.0.1:%d/images/%s" % (self.daemon.port, id)

    def source(self, format):
        path = self.daemon.path("source-%s" % uuid.uuid4())
        subprocess.run(["qemu-img", "create", "-q", "-f", format, path, "64M"], check=True)
        subprocess.run(["qemu-io", "-f", format, "-c", "write -P 7 3M 5M", "-c", "write -P 9 40M 1M",
                        path], check=True, stdout=subprocess.DEVNULL)
        return path

    def test_upload_checksum_download(self):
        source = self.source("raw")
        id = self.daemon.ticket(self.make(64 * MIB), 64 * MIB, sparse=True)
        real_client.upload(source, self.url(id), self.daemon.cert, secure=True)
        subprocess.run(["qemu-img", "compare", "-q", "-f", "raw", "-F", "raw", source, self.file],
                       check=True)
        self.assertEqual(self.daemon.show(id)["transferred"], 64 * MIB)
        _, text = self.code(200, "GET", "/images/%s/checksum" % id)
        self.assertEqual(json.loads(text)["checksum"], real_client.checksum(source)["checksum"])
        copy = self.daemon.path("copy-%s" % uuid.uuid4())
        down = self.daemon.ticket(self.file, 64 * MIB, ["read"])
        real_client.download(self.url(down), copy, self.daemon.cert, fmt="qcow2", secure=True)
        subprocess.run(["qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", source, copy],
                       check=True)


if __name__ == "__main__":
    unittest.main(argv=sys.argv, verbosity=1)

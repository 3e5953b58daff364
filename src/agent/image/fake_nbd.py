# SPDX-License-Identifier: Apache-2.0
"""An NBD server that answers as a test wants it to (github.com/NetworkBlockDevice/nbd, doc/proto.md)."""

import bisect
import itertools
import os
import socket
import struct
import threading

DATA, HOLE = 0, 3   # base:allocation: NBD_STATE_HOLE | NBD_STATE_ZERO
ENTRIES = 131072    # that qemu-nbd puts into one answer at most


class FakeNbd:
    """Serves @extents, a list of (length, flags), on the Unix socket @path: data reads as sevens.

    @entries: how many extents an answer holds at most.  @broken: the offset from which on the extents
    cannot be told.  @hangs: after the client took its leave the connection stays until release().
    """

    def __init__(self, path, extents, entries=ENTRIES, broken=None, hangs=False):
        self.size = sum(length for length, _ in extents)
        self.packed = b"".join(struct.pack(">II", *extent) for extent in extents)
        self.offsets = list(itertools.accumulate((length for length, _ in extents[:-1]), initial=0))
        self.extents, self.entries, self.broken = extents, entries, broken
        self.free = threading.Event()
        if not hangs:
            self.free.set()
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def release(self):
        self.free.set()

    def stop(self):
        self.release()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with peer, peer.makefile("rb") as stream:
            try:
                if self.negotiate(peer, stream):
                    while self.request(peer, stream):
                        pass
                    self.free.wait()
            except (OSError, struct.error):
                pass        # the client is gone

    def negotiate(self, peer, stream):
        def reply(option, kind, data=b""):
            peer.sendall(struct.pack(">QIII", 0x3e889045565a9, option, kind, len(data)) + data)

        peer.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
        stream.read(4)
        while True:
            _, option, length = struct.unpack(">QII", stream.read(16))
            stream.read(length)
            if option == 10:        # NBD_OPT_SET_META_CONTEXT
                reply(option, 4, struct.pack(">I", 1) + b"base:allocation")
                reply(option, 1)
            elif option == 7:       # NBD_OPT_GO
                reply(option, 3, struct.pack(">HQH", 0, self.size, 1))
                reply(option, 1)
                return True
            elif option == 8:       # NBD_OPT_STRUCTURED_REPLY
                reply(option, 1)
            elif option == 2:       # NBD_OPT_ABORT
                return False
            else:
                reply(option, (1 << 31) + 1)

    def request(self, peer, stream):
        _, _, kind, handle, offset, length = struct.unpack(">IHHQQI", stream.read(28))

        def reply(chunk, data):
            peer.sendall(struct.pack(">IHHQI", 0x668e33ef, 1, chunk, handle, len(data)) + data)

        if kind == 2:       # NBD_CMD_DISC
            return False
        if kind == 7 and (self.broken is None or offset < self.broken):
            reply(5, struct.pack(">I", 1) + self.status(offset))
        elif kind == 0:
            reply(1, struct.pack(">Q", offset) + self.content(offset, length))
        else:
            reply(0x8001, struct.pack(">IH", 5, 0))
        return True

    def status(self, offset):
        index = bisect.bisect_left(self.offsets, offset)    # clients ask from where an answer ended
        return self.packed[8 * index:8 * (index + self.entries)]

    def content(self, offset, length):
        parts, index = [], bisect.bisect_right(self.offsets, offset) - 1
        for at, (size, flags) in zip(self.offsets[index:], self.extents[index:]):
            if at >= offset + length:
                break
            parts.append((b"\7" if flags == DATA else b"\0") *
                         (min(at + size, offset + length) - max(at, offset)))
        return b"".join(parts)

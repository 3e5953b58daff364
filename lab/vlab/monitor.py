# SPDX-License-Identifier: Apache-2.0
"""monitor: into a virtual machine through its sockets: QMP to QEMU, the guest agent's to the host.

Both speak one JSON object a line.  The agent's channel needs no network of the host.
"""

import base64
import json
import os
import select
import socket
import time

from vlab import StepFailed

LINE_LIMIT = 64 << 20


def connect(path):
    """A stream socket to @path, which may be longer than an address holds."""
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_CLOEXEC)
    stream = socket.socket(socket.AF_UNIX)
    try:
        stream.connect("/proc/self/fd/%d/%s" % (folder, os.path.basename(path)))
    except OSError:
        stream.close()
        raise
    finally:
        os.close(folder)
    return stream


class Lines:
    """JSON objects, one a line, with a deadline for each wait."""

    def __init__(self, path):
        self.stream, self.data = connect(path), b""

    def close(self):
        self.stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def send(self, message, mark=b""):
        self.stream.sendall(mark + json.dumps(message).encode() + b"\n")

    def receive(self, seconds):
        """The next object, or None when none came in that time; EOFError when the peer is gone."""
        end = time.monotonic() + seconds
        while b"\n" not in self.data:
            if not select.select([self.stream], [], [], max(0, end - time.monotonic()))[0]:
                return None
            piece = self.stream.recv(65536)
            if not piece:
                raise EOFError("the virtual machine ended")
            # The agent marks a fresh start with 0xff: what was before is of another conversation.
            self.data = (self.data + piece).rpartition(b"\xff")[2]
            if len(self.data) > LINE_LIMIT:
                raise StepFailed("a line of more than %d bytes from the machine" % LINE_LIMIT)
        line, _, self.data = self.data.partition(b"\n")
        try:
            return json.loads(line)
        except ValueError:
            return {}


class Qmp(Lines):
    """A session of QEMU's own protocol; @events: the socket for those who wait for events."""

    def __init__(self, path, seconds=10):
        super().__init__(path)
        if self.receive(seconds) is None:
            raise StepFailed("QEMU does not greet on %s" % path, "is the machine frozen? lab/lab thaw")
        self.call("qmp_capabilities")

    def call(self, command, seconds=10, **arguments):
        message = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        self.send(message)
        end = time.monotonic() + seconds
        while True:
            answer = self.receive(max(0, end - time.monotonic()))
            if answer is None:
                raise StepFailed("QEMU does not answer %s" % command)
            if "error" in answer:
                raise StepFailed("%s: %s" % (command, answer["error"].get("desc")))
            if "return" in answer:
                return answer["return"]

    def wait_event(self, names, seconds):
        """The next event called one of @names, or None."""
        end = time.monotonic() + seconds
        while True:
            message = self.receive(max(0, end - time.monotonic()))
            if message is None:
                return None
            if message.get("event") in names:
                return message


class Agent(Lines):
    """A conversation with qemu-ga in the host; ready when the constructor returns."""

    def __init__(self, path, seconds):
        super().__init__(path)
        self.number = 0
        end, wanted = time.monotonic() + seconds, set()
        while True:
            # What is sent before the agent runs waits for it in QEMU, but does not outlive a
            # reset of the machine: so it is said again now and then.
            number = int.from_bytes(os.urandom(4), "big")
            wanted.add(number)
            self.send({"execute": "guest-sync-delimited", "arguments": {"id": number}}, b"\xff")
            again = min(end, time.monotonic() + 5)
            while time.monotonic() < again:
                answer = self.receive(max(0, again - time.monotonic()))
                if answer and answer.get("return") in wanted:
                    # Every answer is read before this end is closed: the agent's writes to nobody
                    # would spin.
                    self.call("guest-ping")
                    return
            if time.monotonic() >= end:
                self.close()
                raise StepFailed("the guest agent does not answer within %d s" % seconds)

    def call(self, command, seconds=30, **arguments):
        message = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        # Answers to what was said more than once may still be on their way: ours carries our number.
        self.number = message["id"] = self.number + 1
        self.send(message)
        end = time.monotonic() + seconds
        while True:
            answer = self.receive(max(0, end - time.monotonic()))
            if answer is None:
                raise StepFailed("the guest agent does not answer %s" % command)
            if answer.get("id") == self.number:
                break
        if "error" in answer:
            raise StepFailed("%s: %s" % (command, answer["error"].get("desc")))
        return answer.get("return")

    def run(self, script, seconds):
        """Runs @script with sh; (exit status, output, errors)."""
        pid = self.call("guest-exec", path="/bin/sh", arg=["-c", script],
                        **{"capture-output": True})["pid"]
        end, pause = time.monotonic() + seconds, 0.02
        while True:
            state = self.call("guest-exec-status", pid=pid)
            if state["exited"]:
                break
            if time.monotonic() > end:
                raise StepFailed("in the host, not ended within %d s: %s" % (seconds, script[:200]))
            select.select([], [], [], pause)
            pause = min(pause * 1.5, 0.5)
        texts = [base64.b64decode(state.get(key, "")).decode("utf-8", "replace")
                 for key in ("out-data", "err-data")]
        return (state.get("exitcode", 128 + state.get("signal", 0)), *texts)

# SPDX-License-Identifier: Apache-2.0
"""stomp: a small client of the host protocol, as a Manager speaks it (facts/host-rpc.md 1 to 6).

Standard library only, and nothing of ours below it: what it accepts is what the sheet says.
"""

import json
import select
import socket
import ssl
import time
import uuid


class RpcError(Exception):
    def __init__(self, code, message):
        super().__init__("%s: %s" % (code, message))
        self.code = code


class Client:
    """One connection.  `events` collects (method, params) as they come."""

    def __init__(self, port, host="127.0.0.1", ca=None, certificate=None, key=None, events=True,
                 reply_to="jms.topic.vdsm_responses"):
        """@reply_to: the Managers' name, which they share; other hosts make up one each."""
        sock = socket.create_connection((host, port), timeout=20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ca:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.load_verify_locations(ca)
            context.load_cert_chain(certificate, key)
            sock = context.wrap_socket(sock)
        self.sock = sock
        self.buffer = b""
        self.answers = {}
        self.events = []
        self.beats = 0
        self.send("CONNECT", {"accept-version": "1.2", "host": "null", "heart-beat": "0,15000"})
        command, self.connected, _ = self.frame(time.monotonic() + 20)
        assert command == "CONNECTED", command
        if events:
            self.send("SUBSCRIBE", {"id": str(uuid.uuid4()), "destination": "jms.queue.events"})
        self.reply_to = reply_to
        self.send("SUBSCRIBE", {"id": str(uuid.uuid4()), "destination": self.reply_to})

    def close(self):
        self.sock.close()

    def send(self, command, headers, body=b""):
        text = command + "\n" + "".join("%s:%s\n" % pair for pair in headers.items()) + "\n"
        self.sock.sendall(text.encode() + body + b"\0")

    def fill(self, until):
        wait = until - time.monotonic()
        if wait <= 0:
            raise TimeoutError("nothing came in time")
        pending = getattr(self.sock, "pending", None)
        if not (pending and pending()) and not select.select([self.sock], [], [], wait)[0]:
            raise TimeoutError("nothing came in time")
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("the agent closed the connection")
        self.buffer += data

    def frame(self, until):
        while True:
            while self.buffer.startswith(b"\n"):
                self.buffer = self.buffer[1:]
                self.beats += 1
            end = self.buffer.find(b"\n\n")
            if end >= 0:
                lines = self.buffer[:end].decode().split("\n")
                headers = dict(reversed([line.split(":", 1) for line in lines[1:]]))
                start = end + 2
                if "content-length" in headers:
                    stop = start + int(headers["content-length"])
                else:
                    stop = self.buffer.find(b"\0", start)
                if 0 <= stop < len(self.buffer):
                    assert self.buffer[stop:stop + 1] == b"\0", "no NUL after the body"
                    body = self.buffer[start:stop]
                    self.buffer = self.buffer[stop + 1:]
                    return lines[0], headers, body
            self.fill(until)

    def receive(self, until):
        command, headers, body = self.frame(until)
        if command != "MESSAGE":
            raise ConnectionError("%s: %s" % (command, body.decode()))
        message = json.loads(body)
        if "id" in message:
            self.answers[message["id"]] = message
        else:
            self.events.append((message["method"], message["params"]))

    def start(self, method, **params):
        ident = str(uuid.uuid4())
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params,
                           "id": ident}).encode()
        self.send("SEND", {"destination": "jms.topic.vdsm_requests", "reply-to": self.reply_to,
                           "ovirtCorrelationId": ident[:8], "content-type": "application/json",
                           "content-length": str(len(body))}, body)
        return ident

    def finish(self, ident, timeout=60):
        until = time.monotonic() + timeout
        while ident not in self.answers:
            self.receive(until)
        answer = self.answers.pop(ident)
        if "error" in answer:
            raise RpcError(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    def call(self, method, **params):
        return self.finish(self.start(method, **params))

    def call_ready(self, method, timeout=60, **params):
        """Like call(), through the 99 of recovery."""
        until = time.monotonic() + timeout
        while True:
            try:
                return self.call(method, **params)
            except RpcError as error:
                if error.code != 99 or time.monotonic() > until:
                    raise
                select.select([], [], [], 0.05)

    def wait_event(self, accept, timeout=60):
        """The first event, old ones included, for which accept(method, params) holds."""
        until = time.monotonic() + timeout
        seen = 0
        while True:
            for index in range(seen, len(self.events)):
                if accept(*self.events[index]):
                    return self.events.pop(index)
            seen = len(self.events)
            self.receive(until)

    def wait_status(self, vm, status, timeout=60):
        """The machine's members of the first VM_status event that says `status`."""
        _, params = self.wait_event(
            lambda method, params: method == "|virt|VM_status|" + vm
            and params[vm].get("status") == status, timeout)
        return params[vm]

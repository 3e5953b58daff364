# SPDX-License-Identifier: Apache-2.0
"""A Manager and an image daemon with canned answers, each on its own port, over TLS."""

import http.server
import json
import os
import re
import ssl
import subprocess
import threading
import urllib.parse

PASSWORD = "right & secret+"
ID = "00000000-0000-4000-8000-%012d"


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_authority(folder):
    """ca.pem, and server.pem with its key for 127.0.0.1; other.pem is an authority of nobody."""
    def path(name):
        return os.path.join(folder, name)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        run("openssl", "req", "-x509", *key, "-keyout", path(name + ".key"), "-out",
            path(name + ".pem"), "-days", "2", "-subj", "/CN=" + name)
    run("openssl", "req", *key, "-keyout", path("server.key"), "-out", path("server.csr"),
        "-subj", "/CN=127.0.0.1")
    with open(path("ext"), "w", encoding="ascii") as file:
        file.write("subjectAltName=IP:127.0.0.1\n")
    run("openssl", "x509", "-req", "-in", path("server.csr"), "-CA", path("ca.pem"), "-CAkey",
        path("ca.key"), "-CAcreateserial", "-days", "2", "-extfile", path("ext"), "-out",
        path("server.pem"))


def vm(number, name, status):
    return {"id": ID % number, "name": name, "status": status, "memory": "1073741824",
            "cpu": {"topology": {"sockets": "2", "cores": "2", "threads": "1"}},
            "cluster": {"id": ID % 900}, "creation_time": 1714559696789,
            "link": [{"href": "/x", "rel": "nics"}]}


class Manager:
    """What the canned answers draw from; a test changes it and looks at what was asked."""

    def __init__(self, folder):
        self.folder = folder
        self.requests = []  # (port's name, method, path, headers, body)
        self.tokens = set()
        self.vms = [vm(1, "web1", "down"), vm(2, "web2", "up"), vm(3, "twin", "up"),
                    vm(4, "twin", "up"), vm(5, "evil\x1b[31m\x07", "down")]
        self.clusters = [{"id": ID % 900, "name": "Default"}]
        self.events = [{"id": str(n), "time": 1714559696789 + n, "severity": "normal",
                        "description": "event %d" % n} for n in (3, 2, 1)]
        self.disks = {}
        self.transfer = None
        self.image = bytearray()
        self.break_after = None  # the daemon refuses what comes after so many bytes
        self.features = ["zero", "flush"]
        self.manager = self.serve("manager")
        self.daemon = self.serve("daemon")

    def serve(self, name):
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def answer(self, status, body=b"", kind="application/json", headers=()):
                if not isinstance(body, bytes):
                    body = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                for key, value in headers:
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                owner.requests.append((name, self.command, self.path, self.headers, body))
                where = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(where.query))
                getattr(owner, "on_" + name)(self, where.path, query, body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = handle_any

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(self.folder, "server.pem"),
                                os.path.join(self.folder, "server.key"))
        server.socket = context.wrap_socket(server.socket, server_side=True,
                                            do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def url(self, server=None):
        return "https://127.0.0.1:%d" % (server or self.manager).server_address[1]

    def close(self):
        for server in (self.manager, self.daemon):
            server.shutdown()
            server.server_close()

    def asked(self, method, pattern, port="manager"):
        return [r for r in self.requests
                if r[0] == port and r[1] == method and re.search(pattern, r[2])]

    # ---- the Manager ----

    def on_manager(self, request, path, query, body):
        if path == "/ca.crt":
            with open(os.path.join(self.folder, "ca.pem"), "rb") as file:
                return request.answer(200, file.read(), "application/x-x509-ca-cert")
        if path == "/ovirt-engine/sso/oauth/token":
            return self.give_token(request, dict(urllib.parse.parse_qsl(body.decode())))
        if path == "/ovirt-engine/services/sso-logout":
            self.tokens.discard(dict(urllib.parse.parse_qsl(body.decode())).get("token"))
            return request.answer(200, {})
        if not path.startswith("/ovirt-engine/api/"):
            return request.answer(404)
        token = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.tokens:
            return request.answer(401, b"", "text/plain")
        return self.on_api(request, path.removeprefix("/ovirt-engine/api"), query, body)

    def give_token(self, request, form):
        if form.get("username") == "huge@internal":
            return request.answer(200, {"access_token": "x" * 1000000})
        if form.get("password") != PASSWORD:
            return request.answer(400, {"error_code": "access_denied",
                                        "error": "The user name or password is incorrect."})
        token = "token-%d" % len(self.requests)
        self.tokens.add(token)
        return request.answer(200, {"access_token": token, "token_type": "bearer"})

    def fault(self, request, status, text, action=False):
        fault = {"reason": "Operation Failed", "detail": "[%s]" % text}
        request.answer(status, {"status": "failed", "fault": fault} if action else fault)

    def on_api(self, request, path, query, body):
        method, parts = request.command, path.strip("/").split("/")
        content = json.loads(body) if body[:1] == b"{" else {}
        if path == "/away":
            return request.answer(302, b"", headers=[("Location", self.url(self.daemon) + "/x")])
        if path == "/deep":
            return request.answer(200, b'{"a":' + b"[" * 200 + b"]" * 200 + b"}")
        if path == "/forbidden":
            return self.fault(request, 403, "User is not authorized to perform this action.")
        if path == "/echo":
            return request.answer(200, {"method": method, "body": body.decode(),
                                        "type": request.headers.get("Content-Type")})
        if parts[0] == "vms":
            return self.on_vms(request, method, parts[1:], query, content)
        if parts[0] == "disks":
            return self.on_disks(request, method, parts[1:], content)
        if parts[0] == "imagetransfers":
            return self.on_transfer(request, method, parts[1:])
        lists = {"clusters": ("cluster", self.clusters), "hosts": ("host", []),
                 "templates": ("template", [{"id": ID % 0, "name": "Blank", "memory_policy":
                                         {"guaranteed": "1073741824", "max": "4294967296"}}]),
                 "vnicprofiles": ("vnic_profile", [{"id": ID % 910, "name": "ovirtmgmt"}]),
                 "jobs": ("job", []),
                 "storagedomains": ("storage_domain",
                                    [{"id": ID % 920, "name": "data", "type": "data"},
                                     {"id": ID % 921, "name": "iso", "type": "iso"}])}
        if parts == ["events"]:
            found = [e for e in self.events if int(e["id"]) > int(query.get("from", 0))]
            return self.listed(request, "event", found[:int(query.get("max", 1000))])
        if len(parts) == 1 and parts[0] in lists:
            return self.listed(request, *lists[parts[0]])
        return request.answer(404)

    def listed(self, request, key, items):
        request.answer(200, {key: items} if items else {})

    def on_vms(self, request, method, parts, query, content):
        if not parts and method == "POST":
            made = dict(vm(50, content["name"], "down"), **content)
            self.vms.append(made)
            return request.answer(201, made)
        if not parts:
            match = re.fullmatch(r'name="(.*)"', query.get("search", ""))
            return self.listed(request, "vm",
                               [v for v in self.vms if not match or v["name"] == match[1]])
        found = [v for v in self.vms if v["id"] == parts[0]]
        if not found:
            return request.answer(404, b"", "application/json")
        if len(parts) == 1:
            if method == "DELETE":
                self.vms.remove(found[0])
                return request.answer(200, {"status": "complete"})
            return request.answer(200, found[0])
        if parts[1] == "start":
            if found[0]["status"] != "down":
                return self.fault(request, 409, "Cannot run VM. VM is running.", True)
            found[0]["status"] = "up"
            return request.answer(200, {"status": "complete"})
        if parts[1] == "stop":
            found[0]["status"] = "down"
            return request.answer(200, {"status": "complete"})
        if parts[1] == "graphicsconsoles" and method == "GET":
            up = found[0]["status"] == "up"
            return self.listed(request, "graphics_console",
                               [{"id": "766e63", "protocol": "vnc"}] if up else [])
        if parts[1:] == ["graphicsconsoles", "766e63", "remoteviewerconnectionfile"]:
            return request.answer(200, {"status": "complete", "remote_viewer_connection_file":
                                        "[virt-viewer]\ntype=vnc\n"})
        if parts[1] == "diskattachments" and content["disk"]["id"] not in self.disks:
            return self.fault(request, 409, "Cannot attach Virtual Disk.")
        return request.answer(201, content)

    def on_disks(self, request, method, parts, content):
        if not parts and method == "POST":
            made = dict(content, id=ID % 60, status="ok", actual_size="0")
            self.disks[made["id"]] = made
            return request.answer(202, made)
        if not parts:
            return self.listed(request, "disk", list(self.disks.values()))
        if parts[0] not in self.disks:
            return request.answer(404)
        if method == "DELETE":
            del self.disks[parts[0]]
            return request.answer(200, {"status": "complete"})
        return request.answer(200, self.disks[parts[0]])

    def on_transfer(self, request, method, parts):
        if not parts:
            self.transfer = {"id": ID % 70, "phase": "initializing"}
            return request.answer(201, self.transfer)
        action = parts[1] if len(parts) > 1 else None
        if action == "finalize":
            self.transfer["phase"] = "finalizing_success"
        elif action == "cancel":
            self.transfer["phase"] = "finished_cleanup"
        answer = dict(self.transfer)
        # The next look finds it one step on.
        following = {"initializing": "transferring", "finalizing_success": "finished_success"}
        if not action:
            self.transfer["phase"] = following.get(self.transfer["phase"], self.transfer["phase"])
        if answer["phase"] == "transferring":
            answer["transfer_url"] = self.url(self.daemon) + "/images/ticket"
        return request.answer(200, answer)

    # ---- the image daemon ----

    def write(self, offset, data):
        end = offset + len(data)
        if len(self.image) < end:
            self.image.extend(b"\xff" * (end - len(self.image)))
        self.image[offset:end] = data

    def on_daemon(self, request, path, query, body):
        if path != "/images/ticket":
            return request.answer(403, b"You are not allowed", "text/plain")
        if request.command == "OPTIONS":
            return request.answer(200, {"features": self.features})
        if request.command == "PATCH":
            content = json.loads(body)
            self.write(content["offset"], bytes(content["size"]))
            return request.answer(200)
        match = re.fullmatch(r"bytes (\d+)-(\d+)/\*", request.headers["Content-Range"])
        offset = int(match[1])
        if int(match[2]) - offset + 1 != len(body):
            return request.answer(400, b"range", "text/plain")
        if self.break_after is not None and offset >= self.break_after:
            return request.answer(403, b"ticket expired", "text/plain")
        self.write(offset, body)
        return request.answer(200)

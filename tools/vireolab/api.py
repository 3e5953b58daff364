# SPDX-License-Identifier: Apache-2.0
"""api: a small client of the Manager's REST API (JSON), standard library only."""

import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request

from vireolab import StepFailed

BASE = "/ovirt-engine/api"


class ApiError(Exception):
    """An answer that is no success; `status` and `fault` as the Manager gave them."""

    def __init__(self, method, path, status, fault):
        super().__init__("%s %s answered %d%s" % (method, path, status,
                                                  ": " + fault if fault else ""))
        self.status, self.fault = status, fault


def fault_text(body):
    try:
        answer = json.loads(body)
    except ValueError:
        return body[:300].decode("utf-8", "replace")
    fault = answer.get("fault", answer) if isinstance(answer, dict) else {}
    return " ".join(str(fault[key]) for key in ("reason", "detail", "error") if fault.get(key))


class Api:
    def __init__(self, url, ca, user, password, timeout=120):
        self.url, self.user, self.password, self.timeout = url.rstrip("/"), user, password, timeout
        self.tls = ssl.create_default_context(cafile=ca)
        self.token = None

    def _open(self, request, timeout=None):
        # No proxy of the environment: the Manager is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=self.tls))
        return opener.open(request, timeout=timeout or self.timeout)

    def healthy(self):
        """Whether the Manager answers and has its database."""
        request = urllib.request.Request(self.url + "/ovirt-engine/services/health")
        try:
            with self._open(request, 5) as answer:
                return answer.status == 200
        except (OSError, http.client.HTTPException):
            return False

    def login(self):
        form = urllib.parse.urlencode({
            "grant_type": "password", "scope": "ovirt-app-api",
            "username": self.user, "password": self.password}).encode()
        request = urllib.request.Request(self.url + "/ovirt-engine/sso/oauth/token", form,
                                         {"Accept": "application/json"})
        try:
            with self._open(request) as answer:
                self.token = json.load(answer)["access_token"]
        except urllib.error.HTTPError as error:
            raise ApiError("POST", "sso/oauth/token", error.code, fault_text(error.read())) from None

    def call(self, method, path, body=None):
        """One request below the API's root; the decoded answer, or {} when it has no body."""
        if not self.token:
            self.login()
        data = None if body is None else json.dumps(body).encode()
        path = path if path.startswith(BASE) else BASE + "/" + path.lstrip("/")
        headers = {"Accept": "application/json", "Authorization": "Bearer " + self.token}
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with self._open(request) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise ApiError(method, path, error.code, fault_text(error.read())) from None
        return json.loads(content) if content else {}

    def get(self, path):
        return self.call("GET", path)

    def add(self, path, body):
        return self.call("POST", path, body)

    def action(self, path, body=None):
        return self.call("POST", path, body or {})

    def find(self, collection, kind, name):
        """The object called @name, or None."""
        query = urllib.parse.urlencode({"search": 'name="%s"' % name})
        for entry in self.get("%s?%s" % (collection, query)).get(kind, []):
            if entry.get("name") == name:
                return entry
        return None

    def wait_status(self, path, wanted, limit, bad=(), member="status", pause=0.5):
        """Polls @path until @member is one of @wanted; the object.  One of @bad ends it at once."""
        wanted = (wanted,) if isinstance(wanted, str) else wanted
        end = time.monotonic() + limit
        while True:
            answer = self.get(path)
            status = answer.get(member)
            if status in wanted:
                return answer
            if status in bad or time.monotonic() > end:
                raise StepFailed("%s has %s %s instead of %s%s" % (
                    path, member, status, " or ".join(wanted),
                    "" if status in bad else " after %d s" % limit))
            time.sleep(pause)

    def upload(self, url, path):
        """PUTs the file at @path to the image daemon's @url."""
        where = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection(where.hostname, where.port, context=self.tls,
                                                 timeout=self.timeout)
        size = os.path.getsize(path)
        with open(path, "rb") as image:
            connection.request("PUT", where.path, body=image,
                               headers={"Content-Length": str(size),
                                        "Content-Type": "application/octet-stream"})
            answer = connection.getresponse()
            text = answer.read()
        connection.close()
        if answer.status != 200:
            raise ApiError("PUT", url, answer.status, text[:300].decode("utf-8", "replace"))

# SPDX-License-Identifier: Apache-2.0
"""The interface on the wire: a Manager alone with a PostgreSQL of its own, asked with the standard
library, so that every byte is ours.  What stands in rest-api 10.4 as a pitfall is a test here.
"""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("VIREO_BUILD", os.path.join(ROOT, "build"))
API = "/ovirt-engine/api"
ZERO = "00000000-0000-0000-0000-000000000000"


class Answer:
    def __init__(self, answer):
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()
        self.text = self.body.decode()

    def xml(self):
        assert self.headers["Content-Type"].startswith("application/xml")
        return ElementTree.fromstring(self.body)

    def json(self):
        assert self.headers["Content-Type"].startswith("application/json")
        return json.loads(self.body)


class Manager:
    """vireo-managerd in a folder of its own."""

    def __init__(self, state):
        self.state = state
        subprocess.run([self.program("vireo-setup"), "--state", state, "--host-name", "localhost",
                        "--manager=https.port=0", "--manager=options.AccountLockMinutes=60",
                        "init"], check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(state, "admin-password"), encoding="utf-8") as file:
            self.password = file.read().strip()
        self.process = None
        self.port = 0
        self.start()

    @staticmethod
    def program(name):
        for folder, _, files in os.walk(BUILD):
            if name in files and os.access(os.path.join(folder, name), os.X_OK):
                return os.path.join(folder, name)
        pytest.skip("%s is not built" % name)

    def start(self):
        path = os.path.join(self.state, "run", "manager.port")
        if os.path.exists(path):
            os.unlink(path)
        self.log = open(os.path.join(self.state, "test.log"), "ab")
        self.process = subprocess.Popen(
            [self.program("vireo-managerd"), "--config", os.path.join(self.state, "manager.conf")],
            stderr=self.log)
        deadline = time.monotonic() + 120
        while not os.path.exists(path):
            assert self.process.poll() is None, "the Manager ended at its start"
            assert time.monotonic() < deadline, "the Manager did not start"
            time.sleep(0.05)
        with open(path, encoding="ascii") as file:
            self.port = int(file.read())
        self.token = self.log_in()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0

    def tls(self, ca="pki/ca.pem"):
        return ssl.create_default_context(cafile=os.path.join(self.state, ca))

    def ask(self, method, path, body=None, headers=None, connection=None, auth=True):
        headers = dict(headers or {})
        if auth and "Authorization" not in headers and "Cookie" not in headers:
            headers["Authorization"] = "Bearer " + self.token
        if body is not None and "Content-Type" not in headers:
            headers["Content-Type"] = "application/xml"
        own = connection is None
        if own:
            connection = http.client.HTTPSConnection("localhost", self.port, timeout=120,
                                                     context=self.tls())
        connection.request(method, path if path.startswith("/") else API + "/" + path, body,
                           headers)
        answer = Answer(connection.getresponse())
        if own:
            connection.close()
        return answer

    def get(self, path, **headers):
        return self.ask("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def get_json(self, path):
        return self.get(path, Accept="application/json").json()

    def post(self, path, body, **headers):
        return self.ask("POST", path, body, {k.replace("_", "-"): v for k, v in headers.items()})

    def sso(self, path, form, **headers):
        return self.ask("POST", "/ovirt-engine/" + path, urllib.parse.urlencode(form),
                        {"Content-Type": "application/x-www-form-urlencoded",
                         "Accept": "application/json", **headers}, auth=False)

    def log_in(self, user="admin@internal", password=None):
        answer = self.sso("sso/oauth/token", {
            "grant_type": "password", "scope": "ovirt-app-api", "username": user,
            "password": password or self.password})
        assert answer.status == 200, answer.text
        return answer.json()["access_token"]

    def basic(self, user="admin@internal", password=None):
        text = "%s:%s" % (user, password or self.password)
        return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture(scope="module")
def manager():
    state = tempfile.mkdtemp(prefix="vireo-rest-", dir="/tmp")
    os.chmod(state, 0o755)
    manager = Manager(state)
    yield manager
    if manager.process.poll() is None:
        manager.stop()
    shutil.rmtree(state, ignore_errors=True)


def make_role(manager, name):
    answer = manager.post("roles", "<role><name>%s</name><permits><permit id='1300'/></permits>"
                          "</role>" % name)
    assert answer.status == 201, answer.text
    return answer


# --- the fifteen pitfalls -------------------------------------------------------------------------

def test_a_collection_holds_items_only(manager):
    root = manager.get("roles").xml()
    assert root.tag == "roles" and {child.tag for child in root} == {"role"}


def test_a_removal_answers_exactly_200(manager):
    role = make_role(manager, "removed").xml().get("id")
    assert manager.ask("DELETE", "roles/" + role).status == 200
    assert manager.get("roles/" + role).status == 404


def test_an_unknown_id_is_404_with_an_empty_body(manager):
    for path in ("vms/" + ZERO[:-1] + "9", "vms/nonsense", "roles/" + ZERO, "no/such/place"):
        answer = manager.get(path)
        assert answer.status == 404 and answer.body == b"", path
        assert answer.headers["Content-Type"]


def test_faults_have_a_fault_root_and_failed_actions_an_action_root(manager):
    fault = manager.post("roles", "<role/>")
    assert fault.status == 400 and fault.xml().tag == "fault"
    assert fault.xml().findtext("reason") == "Incomplete parameters"
    assert re.match(r"Role \[name, permits.id\] required for add", fault.xml().findtext("detail"))
    action = manager.post("reloadconfigurations", "<action><")
    assert action.status in (400, 501)
    assert action.xml().tag == "action" and action.xml().find("fault") is not None
    assert action.xml().findtext("status") == "failed"


def test_faults_in_json(manager):
    answer = manager.ask("POST", "roles", "{}", {"Content-Type": "application/json",
                                                 "Accept": "application/json"})
    assert answer.status == 400
    assert set(answer.json()) == {"detail", "reason"}


def test_numbers_booleans_and_dates_are_never_empty(manager):
    for path in ("roles", "events", "users", "clusters", "datacenters", "templates"):
        for element in manager.get(path).xml().iter():
            if element.tag in ("administrative", "mutable", "time", "index", "code", "memory"):
                assert element.text, path


def test_json_has_strings_for_numbers_and_arrays_for_lists(manager):
    make_role(manager, "json-shape")
    roles = manager.get_json("roles?search=name%3Djson-shape")
    assert isinstance(roles["role"], list) and len(roles["role"]) == 1
    assert roles["role"][0]["administrative"] == "false"
    assert isinstance(roles["role"][0]["link"], list)
    assert manager.get_json("roles?search=name%3Dnobody") == {}
    event = manager.get_json("events?max=1")["event"][0]
    assert isinstance(event["time"], int) and isinstance(event["code"], str)


def test_the_token_has_a_string_for_its_end(manager):
    answer = manager.sso("sso/oauth/token", {"grant_type": "password", "scope": "ovirt-app-api",
                                             "username": "admin@internal",
                                             "password": manager.password}).json()
    assert isinstance(answer["exp"], str) and len(answer["access_token"]) == 86
    assert answer["token_type"] == "bearer" and answer["scope"].startswith("ovirt-app-api ")


def test_an_object_can_be_read_as_soon_as_its_addition_is_answered(manager):
    for i in range(20):
        answer = make_role(manager, "quick%d" % i)
        assert manager.get(answer.headers["Location"].split("/api/")[1]).status == 200


def test_a_bad_search_finds_nothing(manager):
    for query in ("colour=blue", "name=", "((", "name='x'"):
        answer = manager.get("vms?search=" + urllib.parse.quote(query))
        assert answer.status == 200 and len(answer.xml()) == 0, query


def test_hrefs_have_no_host_and_locations_do(manager):
    answer = make_role(manager, "located")
    assert answer.xml().get("href").startswith(API + "/roles/")
    assert answer.headers["Location"] == "https://localhost:%d%s" % (
        manager.port, answer.xml().get("href"))


def test_the_administrator_sees_everything_unfiltered(manager):
    assert manager.get("").xml().find("summary") is not None
    assert manager.get("?filter=true").xml().find("summary") is None
    assert manager.get("permissions", Filter="false").status == 200


def test_rels_have_no_underscores_and_tags_do(manager):
    rels = {link.get("rel") for link in manager.get("").xml().findall("link")}
    assert {"datacenters", "datacenters/search", "storagedomains", "vms", "hosts"} <= rels
    assert not [rel for rel in rels if "_" in rel]
    assert manager.get("datacenters").xml().tag == "data_centers"


# --- the root and what stands beside it --------------------------------------------------------------

def test_the_root_document(manager):
    root = manager.get("").xml()
    order = [child.tag for child in root if child.tag != "link"]
    assert order == ["engine_backup", "product_info", "special_objects", "summary", "time",
                     "authenticated_user", "effective_user"]
    version = root.find("product_info/version")
    assert version.findtext("major") == "4" and version.findtext("minor") == "5"
    assert root.find("special_objects/blank_template").get("id") == ZERO


def test_a_version_in_the_path_stays_in_the_hrefs(manager):
    for element in manager.get("/ovirt-engine/api/v4/roles").xml().iter():
        if element.get("href"):
            assert element.get("href").startswith("/ovirt-engine/api/v4/")
    assert manager.get("roles", Version="4").status == 200
    assert manager.get("roles", Version="3").status == 400


def test_certificates_and_health(manager):
    ca = manager.ask("GET", "/ca.crt", auth=False)
    assert ca.status == 200 and "BEGIN CERTIFICATE" in ca.text
    pki = "/ovirt-engine/services/pki-resource?resource=%s&format=%s"
    same = manager.ask("GET", pki % ("ca-certificate", "X509-PEM-CA"), auth=False)
    assert same.body == ca.body and same.headers["Content-Type"] == "application/x-x509-ca-cert"
    assert manager.ask("GET", pki % ("ca-certificate", "DER"), auth=False).status == 400
    assert manager.ask("GET", "/ovirt-engine/services/pki-resource", auth=False).status == 400
    health = manager.ask("GET", "/ovirt-engine/services/health", auth=False)
    assert health.text == "DB Up!Welcome to Health Status!"
    status = manager.ask("GET", "/ovirt-engine/sso/status", auth=False).json()
    assert status["status"] == "active"
    assert manager.ask("GET", "/ovirt-engine/", auth=False).status == 200
    assert manager.ask("GET", "/ovirt-engine/apidoc", auth=False).status == 200


# --- negotiation, methods, bodies ---------------------------------------------------------------------

def test_negotiation(manager):
    assert manager.get("roles").headers["Content-Type"].startswith("application/xml")
    assert manager.get("roles", Accept="text/html").status == 406
    assert manager.get("roles?accept=application/json", Accept="application/xml").json()
    assert manager.post("roles", "x", Content_Type="text/plain").status == 415
    wrong = manager.ask("PATCH", "roles")
    assert wrong.status == 405 and wrong.headers["Allow"] == "GET, HEAD, POST"
    head = manager.ask("HEAD", "roles")
    assert head.status == 200 and head.body == b""


def test_the_same_in_xml_and_json(manager):
    root = manager.get("roles").xml()
    items = manager.get_json("roles")["role"]
    assert [(r.get("id"), r.findtext("name"), r.findtext("administrative")) for r in root] == [
        (r["id"], r["name"], r["administrative"]) for r in items]


@pytest.mark.parametrize("kind,body", [
    ("xml", "<role><name>broken"), ("xml", "<role><name>a</name></role><role/>"),
    ("xml", "<vm><name>broken</name></vm>"), ("xml", ""),
    ("xml", "<!DOCTYPE role [<!ENTITY x 'y'>]><role><name>&x;</name></role>"),
    ("xml", "<role>" * 200), ("xml", "\0\1\2"),
    ("json", "{\"name\":"), ("json", "[1,2]"), ("json", "{\"name\":{\"a\":1}}"),
    ("json", "[" * 500),
])
def test_a_malformed_body_is_a_fault_and_changes_nothing(manager, kind, body):
    before = manager.get("roles").body
    answer = manager.post("roles", body, Content_Type="application/" + kind)
    assert answer.status == 400 and answer.xml().tag == "fault"
    assert manager.get("roles").body == before


def test_a_hundred_megabytes_are_refused_unread(manager):
    connection = manager.tls().wrap_socket(socket.create_connection(("localhost", manager.port)),
                                           server_hostname="localhost")
    connection.sendall(("POST %s/roles HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
                        "Content-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % (
                            API, manager.token, 100 << 20)).encode())
    connection.settimeout(20)
    answer = b""
    while b"</fault>" not in answer:
        piece = connection.recv(65536)
        assert piece, answer
        answer += piece
    assert answer.startswith(b"HTTP/1.1 413")
    connection.close()
    assert manager.get("roles?max=1").status == 200


def test_a_body_without_an_end_is_cut_off(manager):
    connection = http.client.HTTPSConnection("localhost", manager.port, context=manager.tls(),
                                             timeout=60)
    piece = b"x" * (1 << 20)
    status = None
    try:
        connection.request("POST", API + "/roles", (piece for _ in range(12)),
                           {"Authorization": "Bearer " + manager.token,
                            "Content-Type": "application/xml"}, encode_chunked=True)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        pass
    assert status in (413, None)
    assert manager.get("roles?max=1").status == 200


def test_headers_without_end_are_refused(manager):
    answer = manager.get("roles", X_Filler="x" * 40000)
    assert answer.status in (400, 413, 414, 431)


def test_an_operation_without_a_handler_says_so(manager):
    answer = manager.get("katelloerrata")
    assert answer.status == 501
    assert "katello" in answer.xml().findtext("detail")


# --- correlation, paging, follow -----------------------------------------------------------------------

def test_correlation_ids(manager):
    assert manager.get("roles", Correlation_Id="abc-1_2").headers["Correlation-Id"] == "abc-1_2"
    assert manager.get("roles?correlation_id=q1").headers["Correlation-Id"] == "q1"
    assert manager.get("roles", Correlation_Id="a b/c!").headers["Correlation-Id"] == "abc"
    assert len(manager.get("roles", Correlation_Id="x" * 99).headers["Correlation-Id"]) == 36
    assert re.fullmatch("[0-9a-f-]{36}", manager.get("roles").headers["Correlation-Id"])


def test_paging(manager):
    names = [role.findtext("name") for role in manager.get("roles").xml()]
    assert names == sorted(names, key=str.lower)
    assert len(manager.get("roles?max=3").xml()) == 3
    assert len(manager.get("roles;max=3").xml()) == 3
    assert len(manager.get("roles?max=0").xml()) == 0
    assert manager.get("roles?max=-1").status == 400
    assert len(manager.get("roles?max=many").xml()) == len(names)
    pages, page = [], 1
    while True:
        found = manager.get("roles?max=7&search=" + urllib.parse.quote(
            "sortby name asc page %d" % page)).xml()
        if len(found) == 0:
            break
        pages += [role.findtext("name") for role in found]
        page += 1
    assert pages == names


def test_events_from_an_id(manager):
    events = [int(event.get("id")) for event in manager.get("events").xml()]
    assert events == sorted(events, reverse=True) and len(events) >= 2
    newer = [int(e.get("id")) for e in manager.get("events;from=%d" % events[-1]).xml()]
    assert newer == events[:-1]


def test_follow(manager):
    roles = manager.get("roles?search=name%3DUserRole&follow=permits").xml()
    permits = {permit.findtext("name") for permit in roles.findall("role/permits/permit")}
    assert {"run_vm", "login"} <= permits
    assert roles.find("role/link[@rel='permits']") is not None
    permission = manager.get("permissions?follow=role,user").xml()[0]
    assert permission.findtext("role/name")
    assert manager.get("roles?follow=colour").status == 400
    assert manager.get("roles?follow=Permits").status == 200


def test_a_sub_collection_of_nothing_is_404(manager):
    assert manager.get("roles/%s/permits" % ZERO).status == 404
    assert manager.get("vms/%s/nics" % ZERO).status == 404


# --- sessions --------------------------------------------------------------------------------------------

def test_without_credentials_nothing_is_told(manager):
    answer = manager.ask("GET", "roles", auth=False)
    assert answer.status == 401
    assert any("Basic" in value for value in answer.headers.get_all("WWW-Authenticate"))
    assert "html" not in answer.headers["Content-Type"]


def test_a_revoked_token_says_what_clients_look_for(manager):
    token = manager.log_in()
    assert manager.get("roles?max=1", Authorization="Bearer " + token).status == 200
    assert manager.sso("services/sso-logout", {"token": token, "scope": ""}).json() == {}
    answer = manager.get("roles?max=1", Authorization="Bearer " + token)
    assert answer.status == 401
    assert ("invalid_grant: The provided authorization grant for the auth code has expired."
            in answer.text)
    assert "error" not in manager.sso("sso/oauth/revoke", {"token": ""}).json()


def test_basic_authentication_and_the_cookie(manager):
    assert manager.get("roles?max=1", Authorization=manager.basic()).status == 200
    first = manager.get("roles?max=1", Authorization=manager.basic(), Prefer="persistent-auth")
    cookie = first.headers["Set-Cookie"]
    assert cookie.startswith("JSESSIONID=")
    assert {word.strip() for word in cookie.split(";")[1:]} == {
        "Path=/ovirt-engine/api", "Secure", "HttpOnly", "SameSite=Strict"}
    value = cookie.split(";")[0]
    assert manager.get("roles?max=1", Cookie=value).status == 200
    assert manager.get("roles?max=1", Cookie="JSESSIONID=guess").status == 401
    assert manager.get("roles?max=1", Authorization="Basic !!!").status == 401


def test_the_token_endpoint_refuses_as_clients_expect(manager):
    assert manager.sso("sso/oauth/token", {"grant_type": "magic"}).json()["error_code"] == (
        "unsupported_grant_type")
    answer = manager.sso("sso/oauth/token", {"grant_type": "password", "scope": "ovirt-app-api",
                                             "username": "nobody@internal", "password": "x"})
    assert answer.status == 400 and answer.json()["error_code"] == "access_denied"
    assert manager.sso("sso/oauth/token-http-auth", {"scope": "ovirt-app-api"}).status == 401
    good = manager.sso("sso/oauth/token-http-auth", {"scope": "ovirt-app-api"},
                       Authorization=manager.basic())
    assert good.status == 200 and good.json()["access_token"]
    info = manager.sso("sso/oauth/token-info", {"token": good.json()["access_token"]}).json()
    assert info["active"] and info["user_id"] == "admin@internal-authz"


def test_a_wrong_authority_ends_in_the_handshake(manager, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x",
                    "-keyout", str(tmp_path / "k"), "-out", str(tmp_path / "c")], check=True,
                   stderr=subprocess.DEVNULL)
    tls = ssl.create_default_context(cafile=str(tmp_path / "c"))
    connection = http.client.HTTPSConnection("localhost", manager.port, context=tls, timeout=20)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", API)


def test_many_failures_get_slow_and_then_lock(manager):
    def attempt():
        start = time.monotonic()
        answer = manager.sso("sso/oauth/token", {
            "grant_type": "password", "scope": "ovirt-app-api", "username": "eve@internal",
            "password": "wrong"})
        return answer, time.monotonic() - start
    times = [attempt()[1] for _ in range(5)]
    assert times[3] >= 1 and times[4] >= 2
    answer, _ = attempt()
    assert answer.status == 400 and "user account is disabled or locked" in answer.text
    assert manager.get("roles?max=1").status == 200


# --- what lasts ------------------------------------------------------------------------------------------

def test_what_was_answered_survives_a_kill(manager):
    role = make_role(manager, "lasting").xml().get("id")
    manager.kill()
    manager.start()
    assert manager.get("roles/" + role).xml().findtext("name") == "lasting"


def test_terminating_ends_at_once(manager):
    manager.process.send_signal(signal.SIGTERM)
    assert manager.process.wait(60) == 0
    manager.start()
    assert manager.get("roles?max=1").status == 200


def test_the_interface_describes_itself(manager):
    answer = manager.ask("GET", "/ovirt-engine/apidoc/openapi.json", auth=False).json()
    assert answer["openapi"].startswith("3.") and len(answer["paths"]) > 300


def test_options_are_read_by_name(manager):
    option = manager.get_json("options/UserSessionTimeOutInterval?version=general")
    assert option["values"]["system_option_value"][0]["value"] == "30"
    assert manager.get("options/NoSuchOption").status == 404


def test_what_was_followed_has_links_of_its_own(manager):
    permission = manager.get("permissions?follow=role").xml()[0]
    assert permission.find("role/link[@rel='permits']") is not None
    assert manager.get("permissions").xml()[0].find("role/link") is None
    item = manager.get_json("permissions?follow=role")["permission"][0]
    assert item["role"]["link"][0]["rel"] == "permits"

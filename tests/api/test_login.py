# SPDX-License-Identifier: Apache-2.0
"""Who gets in, and how refusals look to the SDK and to plain HTTP clients."""

import http.client
import json
import ssl
import time
import urllib.parse

import ovirtsdk4 as sdk
import pytest

from helpers import connect


def plain(site):
    tls = ssl.create_default_context(cafile=site.path("pki", "ca.pem"))
    return http.client.HTTPSConnection(site.address, site.port, context=tls, timeout=60)


def token_request(site, **form):
    form = {"grant_type": "password", "scope": "ovirt-app-api", **form}
    connection = plain(site)
    connection.request("POST", "/ovirt-engine/sso/oauth/token", urllib.parse.urlencode(form),
                       {"Content-Type": "application/x-www-form-urlencoded",
                        "Accept": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_the_right_password_opens_the_api(site):
    connection = connect(site)
    assert connection.test(raise_exception=True)
    api = connection.system_service().get()
    assert api.product_info.version.major == 4
    connection.close()


def test_the_root_answers_with_and_without_a_slash(site, api):
    assert api.get("/ovirt-engine/api")["product_info"]
    assert api.get("/ovirt-engine/api/")["product_info"]


def test_a_token_has_the_members_that_clients_read(site):
    status, answer = token_request(site, username="admin@internal", password=site.password())
    assert status == 200
    assert answer["token_type"] == "bearer"
    assert isinstance(answer["exp"], str) and answer["exp"].isdigit()
    assert len(answer["access_token"]) >= 40


def test_a_wrong_password_is_an_authentication_error(site):
    with pytest.raises(sdk.AuthError, match="access_denied"):
        connection = connect(site, password="wrong")
        connection.authenticate()


def test_a_wrong_password_answers_400_in_the_shape_that_clients_know(site):
    status, answer = token_request(site, username="admin@internal", password="wrong")
    assert status == 400
    assert answer["error_code"] == "access_denied"
    assert "admin@internal" in answer["error"]
    assert "access_token" not in answer


def test_an_unknown_user_is_refused_like_a_wrong_password(site):
    status, answer = token_request(site, username="nobody@internal", password="wrong")
    assert status == 400
    assert answer["error_code"] == "access_denied"


def test_a_user_without_a_profile_is_told_so(site):
    status, answer = token_request(site, username="admin", password="wrong")
    assert status == 400
    assert "profile" in answer["error"]


def test_a_wrong_authority_ends_in_the_tls_handshake(site, scratch):
    import subprocess
    path = scratch + "/other.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                    "-subj", "/CN=Another CA", "-keyout", scratch + "/key", "-out", path],
                   check=True, stderr=subprocess.DEVNULL)
    with pytest.raises(sdk.Error, match="(?i)certificate|ssl"):
        connect(site, ca_file=path).authenticate()


def test_no_credentials_get_401_with_a_challenge_and_no_html(site):
    connection = plain(site)
    connection.request("GET", "/ovirt-engine/api", headers={"Accept": "application/xml"})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 401
    assert "Basic" in answer.getheader("WWW-Authenticate")
    assert b"<html" not in body.lower()


def test_a_made_up_token_gets_401(site):
    connection = plain(site)
    connection.request("GET", "/ovirt-engine/api/vms",
                       headers={"Accept": "application/xml", "Authorization": "Bearer " + "x" * 86})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 401


def test_a_token_is_dead_after_logout(site):
    connection = connect(site)
    token = connection.authenticate()
    connection.close()
    raw = plain(site)
    raw.request("GET", "/ovirt-engine/api", headers={"Authorization": "Bearer " + token})
    answer = raw.getresponse()
    answer.read()
    assert answer.status == 401


def test_basic_authentication_works_without_a_session(site):
    import base64
    word = base64.b64encode(("admin@internal:" + site.password()).encode()).decode()
    raw = plain(site)
    raw.request("GET", "/ovirt-engine/api/clusters", headers={"Authorization": "Basic " + word})
    answer = raw.getresponse()
    assert answer.status == 200
    assert answer.getheader("Content-Type").startswith("application/xml")
    assert b"<clusters" in answer.read()
    assert not answer.getheader("Set-Cookie")


def test_a_persistent_session_needs_its_cookie_only(site):
    import base64
    word = base64.b64encode(("admin@internal:" + site.password()).encode()).decode()
    raw = plain(site)
    raw.request("GET", "/ovirt-engine/api", headers={"Authorization": "Basic " + word,
                                                     "Prefer": "persistent-auth"})
    answer = raw.getresponse()
    answer.read()
    assert answer.status == 200
    cookie = answer.getheader("Set-Cookie")
    assert cookie.startswith("JSESSIONID=")
    raw.request("GET", "/ovirt-engine/api/clusters",
                headers={"Cookie": cookie.split(";")[0], "Prefer": "persistent-auth"})
    answer = raw.getresponse()
    answer.read()
    assert answer.status == 200


def test_guessing_gets_slower_for_one_user_only(site):
    """The first wrong passwords of a name cost nothing extra, the fourth a second; others are not
    delayed."""
    def attempt(user, password):
        begin = time.monotonic()
        status, answer = token_request(site, username=user, password=password)
        return status, time.monotonic() - begin, answer

    for number in range(3):
        assert attempt("guess@internal", str(number))[0] == 400
    status, took, _ = attempt("guess@internal", "3")
    assert status == 400 and took >= 0.95
    status, took, _ = attempt("admin@internal", site.password())
    assert status == 200


def test_after_five_wrong_passwords_the_name_is_locked(site):
    for number in range(5):
        token_request(site, username="locked@internal", password=str(number))
    begin = time.monotonic()
    status, answer = token_request(site, username="locked@internal", password="5")
    assert status == 400 and answer["error_code"] == "access_denied"
    assert time.monotonic() - begin < 4  # 8 s would be next if it were not locked

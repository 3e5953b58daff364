# SPDX-License-Identifier: Apache-2.0
"""Refusals of an empty Manager: status, shape, and that nothing has changed."""

import http.client
import ssl

import ovirtsdk4 as sdk
import pytest
from ovirtsdk4 import types

NOWHERE = "12345678-1234-1234-1234-123456789abc"


def test_an_unknown_id_is_404_with_an_empty_body(system, raw):
    with pytest.raises(sdk.NotFoundError, match="HTTP response code is 404"):
        system.vms_service().vm_service(NOWHERE).get()
    status, _, body = raw("GET", "/vms/" + NOWHERE)
    assert (status, body) == (404, b"")


def test_a_malformed_id_is_404(raw):
    assert raw("GET", "/vms/nonsense")[0] == 404


def test_an_unknown_collection_is_404(raw):
    assert raw("GET", "/nonsense")[0] == 404


@pytest.mark.parametrize("method, path, headers, want", [
    ("DELETE", "/vms", {}, 405),
    ("PUT", "/vms", {}, 405),
    ("GET", "/vms", {"Accept": "image/png"}, 406),
    ("POST", "/vms", {"Content_Type": "text/plain"}, 415),
])
def test_wrong_verbs_and_types_have_their_own_status(raw, method, path, headers, want):
    body = "hello" if method in ("POST", "PUT") else None
    assert raw(method, path, body, **headers)[0] == want


@pytest.mark.parametrize("kind, body", [
    ("application/xml", "<vm><name>broken"),
    ("application/xml", "<!DOCTYPE vm [<!ENTITY a 'b'>]><vm><name>&a;</name></vm>"),
    ("application/xml", "<vm><name>x</name><memory>lots</memory></vm>"),
    ("application/xml", "<disk><name>x</name></disk>"),
    ("application/json", '{"name": "broken"'),
    ("application/json", "[" * 100000),
    ("application/xml", "<a>" * 100000),
    ("application/xml", ""),
])
def test_a_malformed_body_is_a_400_fault_and_changes_nothing(system, raw, kind, body):
    before = len(system.vms_service().list())
    status, _, answer = raw("POST", "/vms", body, Content_Type=kind, Accept="application/xml")
    assert status == 400
    assert b"<fault>" in answer and b"<reason>" in answer
    assert len(system.vms_service().list()) == before


def test_a_body_of_100_mib_is_refused_and_the_manager_lives(site, system):
    """A client that sends all of it before it reads gets the answer; memory does not grow by it."""
    manager = site.processes.find("manager")

    def resident():
        with open("/proc/%d/statm" % manager.pid, encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096

    before = resident()
    token = system._connection.authenticate()  # pylint: disable=protected-access
    tls = ssl.create_default_context(cafile=site.path("pki", "ca.pem"))
    connection = http.client.HTTPSConnection(site.address, site.port, context=tls, timeout=120)
    connection.putrequest("POST", "/ovirt-engine/api/vms")
    connection.putheader("Authorization", "Bearer " + token)
    connection.putheader("Content-Type", "application/xml")
    connection.putheader("Content-Length", str(100 << 20))
    connection.endheaders()
    piece = b"<!-- " + b"x" * (1 << 20)
    for _ in range(100):
        connection.send(piece[:1 << 20])
    assert connection.getresponse().status == 413
    connection.close()
    assert site.processes.find("manager").pid == manager.pid
    assert resident() - before < 50 << 20
    assert system.clusters_service().list()


def test_missing_members_are_named(system):
    with pytest.raises(sdk.Error, match="(?i)incomplete.*|.*name.*") as failure:
        system.vms_service().add(types.Vm(cluster=types.Cluster(name="Default")))
    assert failure.value.code == 400


def test_an_unknown_enumeration_value_is_named_with_the_good_ones(raw):
    status, _, body = raw("POST", "/vms", "<vm><name>x</name><type>blue</type></vm>",
                          Content_Type="application/xml")
    assert status == 400
    assert b"blue" in body and b"desktop" in body


def test_a_name_is_taken_once(system):
    vms = system.vms_service()
    wanted = types.Vm(name="taken", cluster=types.Cluster(name="Default"),
                      template=types.Template(name="Blank"))
    vm = vms.add(wanted)
    with pytest.raises(sdk.Error) as failure:
        vms.add(wanted)
    assert failure.value.code == 409
    vms.vm_service(vm.id).remove()
    with pytest.raises(sdk.NotFoundError):
        vms.vm_service(vm.id).get()


def test_an_operation_that_is_not_built_answers_501(raw):
    status, _, body = raw("GET", "/katelloerrata", Accept="application/xml")
    assert status == 501
    assert b"<fault>" in body


def test_starting_without_a_host_is_refused_with_reasons(system):
    vms = system.vms_service()
    vm = vms.add(types.Vm(name="homeless", cluster=types.Cluster(name="Default"),
                          template=types.Template(name="Blank")))
    with pytest.raises(sdk.Error) as failure:
        vms.vm_service(vm.id).start()
    assert failure.value.code == 409
    assert failure.value.fault.detail
    vms.vm_service(vm.id).remove()


def test_the_shipped_objects_have_their_known_ids(system):
    assert system.data_centers_service().list(search="name=Default")[0].id == \
        "58cfb470-02f3-03d7-0386-0000000003bc"
    assert system.clusters_service().list(search="name=Default")[0].id == \
        "58cfb470-03b9-01d0-03b9-0000000001e7"
    assert system.templates_service().list()[0].name == "Blank"
    assert "ovirtmgmt" in [network.name for network in system.networks_service().list()]
    assert len(system.operating_systems_service().list()) > 20
    assert "SuperUser" in [role.name for role in system.roles_service().list()]


def test_lists_take_max_search_and_follow(system):
    clusters = system.clusters_service()
    assert len(clusters.list(max=1)) == 1
    assert clusters.list(search="name=nothing") == []
    assert clusters.list(follow="data_center")[0].data_center.name == "Default"


def test_a_correlation_id_comes_back(raw):
    _, headers, _ = raw("GET", "/clusters", Correlation_Id="my-own_id")
    assert headers["Correlation-Id"] == "my-own_id"


def test_xml_and_json_say_the_same(raw, api):
    import xml.etree.ElementTree as ElementTree
    _, _, body = raw("GET", "/clusters", Accept="application/xml")
    names = [entry.findtext("name") for entry in ElementTree.fromstring(body)]
    assert names == [entry["name"] for entry in api.get("clusters")["cluster"]]

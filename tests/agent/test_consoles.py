# SPDX-License-Identifier: Apache-2.0
"""Consoles of real machines: who is let in with which ticket, and who is seen to look."""

import pytest

import machines
from host import wait_until
from rfb import NONE, Refused, VNC_AUTH, Viewer, accepts
from stomp import RpcError


def start(client, name, **options):
    """(id, port) of a running machine without a disk: its BIOS is enough of a screen."""
    vm, xml = machines.domain(name, **options)
    machines.create(client, vm, xml)
    up = client.wait_status(vm, "Up")
    (display,) = [one for one in up["displayInfo"] if one["type"] == "vnc"]
    return vm, int(display["port"])


def set_ticket(client, vm, password, ttl=120, kind="vnc", **more):
    client.call("VM.updateDevice", vmID=vm, params=dict({
        "deviceType": "graphics", "graphicsType": kind, "password": password, "ttl": ttl,
        "existingConnAction": "disconnect", "params": {"userName": "admin", "userId": "1"}}, **more))


def stats(client, vm):
    (only,) = client.call("VM.getStats", vmID=vm)
    return only


@pytest.fixture
def client(host):
    client = host.client()
    yield client
    client.close()


def test_nobody_is_let_in_before_there_is_a_ticket(host, client):
    vm, port = start(client, "closed")
    with Viewer("127.0.0.1", port, connect=host.connect) as viewer:
        assert VNC_AUTH in viewer.kinds and NONE not in viewer.kinds
    for guess in ("*****", "", "password"):
        assert not accepts("127.0.0.1", port, guess, connect=host.connect), guess
    assert "passwd" not in client.call("Host.dumpxmls", vmList=[vm])[vm].replace("passwdValidTo", "")


def test_the_tickets_password_opens_the_console_and_another_does_not(host, client):
    vm, port = start(client, "opens")
    set_ticket(client, vm, "secret12")
    with Viewer("127.0.0.1", port, connect=host.connect) as viewer:
        assert NONE not in viewer.kinds
        assert viewer.authenticate("secret12")
        assert viewer.screen()[0] >= 640
    with pytest.raises(Refused):
        with Viewer("127.0.0.1", port, connect=host.connect) as viewer:
            viewer.authenticate("secret13")
    assert "secret12" not in client.call("Host.dumpxmls", vmList=[vm])[vm]
    assert "secret12" not in host.log("agent", lines=1000000)


def test_a_new_ticket_replaces_the_old_one(host, client):
    vm, port = start(client, "replaced")
    set_ticket(client, vm, "first")
    set_ticket(client, vm, "second")
    assert accepts("127.0.0.1", port, "second", connect=host.connect)
    assert not accepts("127.0.0.1", port, "first", connect=host.connect)


def test_a_ticket_ends_with_its_time(host, client):
    vm, port = start(client, "expires")
    set_ticket(client, vm, "fleeting", ttl=2)
    wait_until(lambda: not accepts("127.0.0.1", port, "fleeting", connect=host.connect), 30,
               "the ticket goes on to be valid")
    set_ticket(client, vm, "fleeting", ttl=120)
    assert accepts("127.0.0.1", port, "fleeting", connect=host.connect)


def test_of_a_long_password_vnc_takes_what_viewers_send(host, client):
    vm, port = start(client, "long")
    set_ticket(client, vm, "abcdefghijkl")
    assert accepts("127.0.0.1", port, "abcdefghijkl", connect=host.connect)
    assert not accepts("127.0.0.1", port, "abcdefg", connect=host.connect)


def test_tickets_that_make_no_sense_are_refused_and_change_nothing(host, client):
    vm, port = start(client, "refused")
    set_ticket(client, vm, "good")
    for parameters in ({"password": ""}, {"password": "x", "kind": "spice"}):
        with pytest.raises(RpcError) as failure:
            set_ticket(client, vm, **parameters)
        assert failure.value.code == 18, parameters
    with pytest.raises(RpcError) as failure:
        set_ticket(client, "00000000-0000-4000-8000-000000000001", "x")
    assert failure.value.code == 1
    assert accepts("127.0.0.1", port, "good", connect=host.connect)
    assert not accepts("127.0.0.1", port, "", connect=host.connect)


def test_who_has_a_ticket_is_seen_to_look_and_others_are_not(host, client):
    vm, port = start(client, "looks")
    set_ticket(client, vm, "secret")
    assert stats(client, vm)["clientIp"] == ""
    with Viewer("127.0.0.1", port, connect=host.connect) as inside:
        inside.authenticate("secret")
        inside.screen()
        wait_until(lambda: stats(client, vm)["clientIp"] == "127.0.0.1", 20, "nobody is seen")
        # Somebody without a ticket neither counts nor takes the place of who has one.
        assert not accepts("127.0.0.1", port, "guess", connect=host.connect)
        host.virsh("domdisplay", "looks")  # libvirt has told of the guess by now
        assert stats(client, vm)["clientIp"] == "127.0.0.1"
        host.kill_agent()
        host.start_agent()
        again = host.client()
        again.call_ready("Host.getVMList")
        assert stats(again, vm)["clientIp"] == "127.0.0.1"
    wait_until(lambda: stats(again, vm)["clientIp"] == "", 20, "who left is still seen")
    again.close()


def test_a_machine_goes_down_after_its_last_viewer_when_it_shall(host, client):
    vm, port = start(client, "leaves")
    set_ticket(client, vm, "secret", disconnectAction="SHUTDOWN", consoleDisconnectActionDelay=0)
    with Viewer("127.0.0.1", port, connect=host.connect) as viewer:
        viewer.authenticate("secret")
        viewer.screen()
        wait_until(lambda: stats(client, vm)["clientIp"], 20, "nobody is seen")
    client.wait_status(vm, "Powering down")

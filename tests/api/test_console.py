# SPDX-License-Identifier: Apache-2.0
"""Consoles: which a machine has, who opens them with which ticket, and who is seen at them.  The
viewers are real ones as far as it takes to be let in (tests/rfb.py, tests/spice.py)."""

import configparser
import os
import subprocess

import ovirtsdk4 as sdk
import pytest
from ovirtsdk4 import types

import spice
from helpers import connect, gone, status_of, wait_for
from rfb import NONE, Refused, VNC_AUTH, Viewer, accepts

VNC, SPICE = "766e63", "7370696365"
CONSOLE_ALLOWED = (types.VmStatus.UP, types.VmStatus.POWERING_UP)


@pytest.fixture
def service(system, vm):
    return system.vms_service().vm_service(vm)


@pytest.fixture
def console(service):
    return service.graphics_consoles_service().console_service(VNC)


@pytest.fixture
def where(console):
    """(address, port) of the running machine's console."""
    live = console.get(current=True)
    assert live.address and live.port
    return live.address, live.port


@pytest.fixture(scope="session")
def other(site, host):
    """A machine of its own without a disk, whose firmware is enough of a screen; down."""
    connection = connect(site)
    vms = connection.system_service().vms_service()
    made = vms.add(types.Vm(
        name="screens", cluster=types.Cluster(name="Default"),
        template=types.Template(name="Blank"), memory=64 << 20,
        memory_policy=types.MemoryPolicy(guaranteed=64 << 20, max=64 << 20),
        os=types.OperatingSystem(boot=types.Boot(devices=[types.BootDevice.CDROM]))))
    connection.close()
    return made.id


@pytest.fixture
def down(system, other):
    """That machine's service; down at the beginning and at the end, with a VNC console."""
    service = system.vms_service().vm_service(other)
    yield service
    if service.get().status != types.VmStatus.DOWN:
        service.stop()
        wait_for(status_of(service), types.VmStatus.DOWN)
    service.update(types.Vm(display=types.Display(type=types.DisplayType.VNC,
                                                  allow_override=False)))


def start(service):
    service.start(async_=False)
    wait_for(status_of(service), CONSOLE_ALLOWED)


def fields(text):
    file = configparser.RawConfigParser(delimiters="=", comment_prefixes="#", strict=True)
    file.read_string(text)
    return dict(file["virt-viewer"])


def ids(service, **options):
    return [one.id for one in service.graphics_consoles_service().list(**options)]


def newest_event(system):
    return int(system.events_service().list(max=1)[0].id)


def codes_since(system, event):
    return [one.code for one in system.events_service().list(from_=event)]


# --- which there are -------------------------------------------------------------------------------


def test_a_running_machine_has_its_console_and_says_where(service, console):
    assert ids(service) == [VNC]
    (live,) = service.graphics_consoles_service().list(current=True)
    assert live.protocol == types.GraphicsType.VNC and live.vm.id
    assert live.address and live.port >= 5900 and not live.tls_port
    display = service.get().display
    assert display.type == types.DisplayType.VNC
    assert (display.address, display.port) == (live.address, live.port)
    assert console.get().protocol == types.GraphicsType.VNC


def test_the_console_comes_with_the_machine_when_asked_for(system, vm, raw):
    status, _, body = raw("GET", "/vms?detail=current_graphics_consoles", Accept="application/xml")
    assert status == 200
    assert b"<graphics_console href=\"/ovirt-engine/api/vms/%s/graphicsconsoles/%s\"" % (
        vm.encode(), VNC.encode()) in body
    assert b"<port>" in body.split(b"<graphics_consoles>")[1]
    followed = system.vms_service().vm_service(vm).get(follow="graphics_consoles")
    assert [one.id for one in followed.graphics_consoles] == [VNC]
    assert b"<graphics_consoles>" not in raw("GET", "/vms/" + vm, Accept="application/xml")[2]


@pytest.mark.parametrize("name", ["nonsense", SPICE, "766e6363"])
def test_a_console_that_is_not_there_is_404(service, raw, vm, name):
    one = service.graphics_consoles_service().console_service(name)
    for ask in (one.get, one.ticket, one.remote_viewer_connection_file, one.proxy_ticket,
                one.remove):
        with pytest.raises(sdk.NotFoundError):
            ask()


def test_consoles_of_a_machine_that_is_down_are_added_and_removed(down):
    consoles = down.graphics_consoles_service()
    assert ids(down) == [VNC] and ids(down, current=True) == []
    assert consoles.console_service(VNC).get().port is None
    made = consoles.add(types.GraphicsConsole(protocol=types.GraphicsType.SPICE))
    assert made.id == SPICE
    assert sorted(ids(down)) == sorted([VNC, SPICE])
    assert down.get().display.type == types.DisplayType.SPICE
    with pytest.raises(sdk.Error, match="already") as failure:
        consoles.add(types.GraphicsConsole(protocol=types.GraphicsType.SPICE))
    assert failure.value.code == 409
    consoles.console_service(SPICE).remove()
    assert ids(down) == [VNC] and down.get().display.type == types.DisplayType.VNC
    consoles.console_service(VNC).remove()
    assert ids(down) == [] and down.get().display.type is None


def test_naming_a_display_type_means_that_console_alone(down):
    down.graphics_consoles_service().add(types.GraphicsConsole(protocol=types.GraphicsType.SPICE))
    down.update(types.Vm(display=types.Display(type=types.DisplayType.VNC)))
    assert ids(down) == [VNC]


def test_a_machine_without_consoles_runs_and_has_none(down):
    down.graphics_consoles_service().console_service(VNC).remove()
    start(down)
    assert ids(down, current=True) == [] and down.get().display.port is None
    with pytest.raises(sdk.Error, match="without a console") as failure:
        down.ticket()
    assert failure.value.code == 409
    # What is added now is there from the next start on.
    down.graphics_consoles_service().add(types.GraphicsConsole(protocol=types.GraphicsType.VNC))
    assert down.get().next_run_configuration_exists
    with pytest.raises(sdk.Error) as failure:
        down.graphics_consoles_service().add(types.GraphicsConsole(protocol=types.GraphicsType.VNC))
    assert failure.value.code == 409
    down.stop()
    wait_for(status_of(down), types.VmStatus.DOWN)
    assert ids(down) == [VNC] and down.get().display.type == types.DisplayType.VNC


def test_templates_and_instance_types_have_consoles(system):
    blank = system.templates_service().template_service("00000000-0000-0000-0000-000000000000")
    assert [one.id for one in blank.graphics_consoles_service().list()] == [VNC]
    assert blank.graphics_consoles_service().console_service(VNC).get().template.id
    with pytest.raises(sdk.NotFoundError):
        blank.graphics_consoles_service().console_service("x").get()


# --- tickets ---------------------------------------------------------------------------------------


def test_the_tickets_password_opens_the_console_and_another_does_not(system, console, where):
    before = newest_event(system)
    ticket = console.ticket()
    assert len(ticket.value) == 8 and ticket.expiry == 7200
    with Viewer(*where) as viewer:
        assert VNC_AUTH in viewer.kinds and NONE not in viewer.kinds
        assert viewer.authenticate(ticket.value)
        assert viewer.screen()[0] >= 640
    with pytest.raises(Refused):
        with Viewer(*where) as viewer:
            viewer.authenticate("guess")
    assert 164 in codes_since(system, before)  # VM_SET_TICKET


def test_a_ticket_takes_the_callers_password_and_replaces_the_one_before(service, console, where):
    first = service.ticket(ticket=types.Ticket(value="first1", expiry=120))
    assert (first.value, first.expiry) == ("first1", 120)
    assert accepts(*where, "first1")
    console.ticket(ticket=types.Ticket(value="second2", expiry=60))
    assert accepts(*where, "second2") and not accepts(*where, "first1")
    generated = service.ticket(ticket=types.Ticket(expiry=60))
    assert generated.value and generated.expiry == 60
    assert accepts(*where, generated.value) and not accepts(*where, "second2")


def test_a_ticket_ends_with_its_time(service, where):
    service.ticket(ticket=types.Ticket(value="fleeting", expiry=2))
    wait_for(lambda: accepts(*where, "fleeting"), False)


@pytest.mark.parametrize("ticket, word", [
    (types.Ticket(value="good", expiry=0), "expiry"),
    (types.Ticket(value="good", expiry=86401), "expiry"),
    (types.Ticket(value="two\nlines"), "printable"),
    (types.Ticket(value="h\u00e9"), "printable"),
    (types.Ticket(value="x" * 61), "60 characters"),
])
def test_a_ticket_that_makes_no_sense_is_refused_and_changes_nothing(service, where, ticket, word):
    service.ticket(ticket=types.Ticket(value="keepme", expiry=120))
    with pytest.raises(sdk.Error, match=word) as failure:
        service.ticket(ticket=ticket)
    assert failure.value.code == 400
    assert accepts(*where, "keepme")


def test_no_log_and_no_event_holds_a_password(site, system, service):
    service.ticket(ticket=types.Ticket(value="Sesame42", expiry=120))
    for name in ("manager", "agent"):
        with open(site.path("log", name + ".log"), "rb") as file:
            assert b"Sesame42" not in file.read()
    assert not [one for one in system.events_service().list(max=50) if "Sesame42" in one.description]


def test_nothing_opens_the_console_of_a_machine_that_is_down(down):
    console = down.graphics_consoles_service().console_service(VNC)
    for ask in (down.ticket, console.ticket, console.remote_viewer_connection_file,
                console.proxy_ticket, down.logon):
        with pytest.raises(sdk.Error, match="not running") as failure:
            ask()
        assert failure.value.code == 409
    with pytest.raises(sdk.NotFoundError):
        down.graphics_consoles_service().console_service("x").ticket()


def test_what_this_site_lacks_is_refused_with_a_reason(service, console):
    for ask, code, word in ((console.proxy_ticket, 409, "proxy"), (service.logon, 400, "password")):
        with pytest.raises(sdk.Error, match=word) as failure:
            ask()
        assert failure.value.code == code


# --- the file of remote-viewer ---------------------------------------------------------------------


def test_the_viewers_file_opens_the_console(console, where):
    text = console.remote_viewer_connection_file()
    assert text.startswith("[virt-viewer]\ntype=vnc\nhost=%s\nport=%d\npassword=" % where)
    assert text.endswith("\n") and "\r" not in text
    found = fields(text)
    assert found["delete-this-file"] == "1" and found["title"] == "sdk:%d"
    assert found["toggle-fullscreen"] == "shift+f11" and found["release-cursor"] == "shift+f12"
    assert "# Password is valid for 120 seconds.\n" in text
    assert accepts(*where, found["password"])


def test_a_get_of_the_console_as_a_file_is_that_file(raw, vm, where):
    path = "/vms/%s/graphicsconsoles/%s" % (vm, VNC)
    status, headers, body = raw("GET", path, Accept="application/x-virt-viewer")
    assert status == 200
    assert headers["Content-Type"] == "application/x-virt-viewer"
    assert headers["Cache-Control"] == "no-store"
    assert accepts(*where, fields(body.decode())["password"])


def test_files_are_refused_where_there_are_none(raw, vm, other):
    kind = {"Accept": "application/x-virt-viewer"}
    path = "/vms/%s/graphicsconsoles/" % vm
    assert raw("GET", "/vms/" + vm, **kind)[0] == 406
    assert raw("HEAD", path + VNC, **kind)[0] == 406
    assert raw("DELETE", path + VNC, **kind)[0] == 406
    assert raw("GET", path + SPICE, **kind)[0] == 404
    status, headers, body = raw("GET", "/vms/%s/graphicsconsoles/%s" % (other, VNC), **kind)
    assert status == 409 and headers["Content-Type"].startswith("application/xml")
    assert b"<fault>" in body and b"not running" in body


def test_the_command_line_gets_a_file_that_opens_the_console(site, vm, where, scratch):
    path = os.path.join(scratch, "console.vv")
    environment = dict(os.environ, VIREO_CONFIG=os.path.join(scratch, "none"), VIREO_URL=site.url,
                       VIREO_USER="admin@internal", VIREO_CA_FILE=site.path("pki", "ca.pem"),
                       VIREO_PASSWORD_FILE=site.path("admin-password"))
    subprocess.run([site.program("vireo"), "vm", "console", "sdk", "--type", "vnc", "--file", path],
                   env=environment, check=True)
    with open(path, encoding="utf-8") as file:
        assert accepts(*where, fields(file.read())["password"])


# --- who looks -------------------------------------------------------------------------------------


def sessions(service):
    return [one for one in service.sessions_service().list() if one.console_user]


def test_who_looks_is_a_session_and_an_event(system, service, console, where):
    before = newest_event(system)
    ticket = console.ticket()
    assert sessions(service) == []
    with Viewer(*where) as viewer:
        viewer.authenticate(ticket.value)
        viewer.screen()
        wait_for(lambda: len(sessions(service)), 1)
        (session,) = sessions(service)
        assert session.user.user_name.startswith("admin") and session.user.id
        assert session.ip.address and session.protocol == "vnc"
        again = service.sessions_service().session_service(session.id).get()
        assert again.user.id == session.user.id
        # A guess beside it is no session and ends none.
        assert not accepts(*where, "guess")
        assert [one.id for one in sessions(service)] == [session.id]
    wait_for(lambda: sessions(service), [])
    codes = codes_since(system, before)
    assert 167 in codes and 168 in codes  # VM_CONSOLE_CONNECTED, VM_CONSOLE_DISCONNECTED
    with pytest.raises(sdk.NotFoundError):
        service.sessions_service().session_service(session.id).get()


# --- SPICE -----------------------------------------------------------------------------------------


def start_spice(service, **options):
    """Starts it, or skips the test where QEMU has no SPICE.  Its running console."""
    try:
        service.start(async_=False, **options)
    except sdk.Error as error:
        if "no SPICE" in str(error):
            pytest.skip("this QEMU has no SPICE")
        raise
    wait_for(lambda: ids(service, current=True), [SPICE])
    return service.graphics_consoles_service().console_service(SPICE).get(current=True)


def test_a_spice_console_takes_its_ticket_on_its_secure_port(site, down):
    down.update(types.Vm(display=types.Display(type=types.DisplayType.SPICE)))
    assert ids(down) == [SPICE]
    live = start_spice(down)
    ca = site.path("pki", "ca.pem")

    def answer(password):
        return spice.open_main(live.address, live.tls_port, password, ca=ca, name=live.address)
    text = down.graphics_consoles_service().console_service(SPICE).remote_viewer_connection_file()
    found = fields(text)
    assert found["type"] == "spice" and len(found["password"]) == 12
    assert (found["host"], int(found["tls-port"])) == (live.address, live.tls_port)
    assert found["secure-channels"].split(";")[0] == "main"
    with open(ca, encoding="ascii") as file:
        authority = file.read()
    assert found["ca"].replace("\\n", "\n") == authority
    assert answer(found["password"]) == spice.OK
    assert answer("guess") == spice.PERMISSION_DENIED
    display = down.get(all_content=True).display
    assert display.type == types.DisplayType.SPICE and display.secure_port == live.tls_port
    assert display.certificate.content == authority
    assert down.get().display.certificate is None
    ticket = down.ticket()
    assert answer(ticket.value) == spice.OK
    assert answer(found["password"]) == spice.PERMISSION_DENIED


def test_a_run_once_with_another_display_is_for_that_run(down):
    live = start_spice(down, vm=types.Vm(display=types.Display(type=types.DisplayType.SPICE)))
    assert live.protocol == types.GraphicsType.SPICE
    assert ids(down) == [VNC] and down.get().display.type == types.DisplayType.SPICE
    with pytest.raises(sdk.Error, match="next start") as failure:
        down.graphics_consoles_service().console_service(VNC).ticket()
    assert failure.value.code == 409
    down.stop()
    wait_for(status_of(down), types.VmStatus.DOWN)
    assert ids(down) == [VNC] and down.get().display.type == types.DisplayType.VNC


# --- settings --------------------------------------------------------------------------------------


def test_of_a_running_machine_who_may_reconnect_changes_at_once_and_the_type_does_not(service):
    service.update(types.Vm(display=types.Display(allow_override=True, disconnect_action="none")))
    now = service.get()
    assert now.display.allow_override and now.display.disconnect_action == "none"
    assert not now.next_run_configuration_exists and now.display.type == types.DisplayType.VNC
    with pytest.raises(sdk.Error, match="explode") as failure:
        service.update(types.Vm(display=types.Display(disconnect_action="explode")))
    assert failure.value.code == 400
    service.update(types.Vm(display=types.Display(allow_override=False)))
    assert not service.get().display.allow_override


def test_the_console_address_of_the_host_overrides_its_own(system, host, service, console):
    hosts = system.hosts_service().host_service(host["id"])
    own = console.get(current=True).address
    hosts.update(types.Host(display=types.Display(address="consoles.example.com")))
    try:
        wait_for(lambda: console.get(current=True).address, "consoles.example.com")
        assert service.get().display.address == "consoles.example.com"
    finally:
        hosts.update(types.Host(display=types.Display(address="")))
    wait_for(lambda: console.get(current=True).address, own)


def test_a_removed_machine_has_no_consoles(system):
    vms = system.vms_service()
    made = vms.add(types.Vm(name="gone", cluster=types.Cluster(name="Default"),
                            template=types.Template(name="Blank")))
    service = vms.vm_service(made.id)
    service.remove()
    wait_for(gone(service), True)
    with pytest.raises(sdk.NotFoundError):
        service.graphics_consoles_service().list()

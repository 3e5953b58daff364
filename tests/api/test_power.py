# SPDX-License-Identifier: Apache-2.0
"""Power management: a second host without a machine behind it, whose BMC is real (ipmi_sim) and is
driven by the real fence_ipmilan on the first host.  Hosts that really go off are in tests/lab."""

import shutil

import ovirtsdk4 as sdk
import pytest
from ovirtsdk4 import types

from bmc import Bmc
from helpers import gone, status_of, wait_for
from vireolab.site import free_port

if not shutil.which("fence_ipmilan") or not shutil.which("ipmi_sim"):
    pytest.skip("needs fence_ipmilan and ipmi_sim (packages fence-agents, openipmi)",
                allow_module_level=True)


@pytest.fixture(scope="module")
def bmc(tmp_path_factory):
    bmc = Bmc(str(tmp_path_factory.mktemp("bmc")), free_port())
    yield bmc
    bmc.end()


@pytest.fixture
def silent(system, host, bmc):
    """A host in maintenance that nothing answers for, with power management."""
    bmc.stuck(False)
    hosts = system.hosts_service()
    made = hosts.add(types.Host(
        name="silent", address="127.0.0.1", port=free_port(), cluster=types.Cluster(name="Default")),
        activate=False)
    service = hosts.host_service(made.id)
    service.fence_agents_service().add(agent(bmc))
    service.update(types.Host(power_management=types.PowerManagement(enabled=True)))
    yield service
    if service.get().status not in (types.HostStatus.DOWN, types.HostStatus.MAINTENANCE):
        wait_for(status_of(service), types.HostStatus.NON_RESPONSIVE)
        service.deactivate()
    service.remove()
    wait_for(gone(service), True)


def agent(bmc, **changes):
    members = {"address": "127.0.0.1", "port": bmc.port, "type": "ipmilan", "order": 1,
               "username": "admin", "password": "secret",
               "options": [types.Option(name="lanplus", value="1"),
                           types.Option(name="cipher", value="3")]}
    members.update(changes)
    return types.Agent(**members)


def power(service):
    return service.fence(fence_type="status").status


def events(system, code):
    return [event.description for event in system.events_service().list(max=300)
            if event.code == code]


def test_power_goes_off_and_on_and_the_status_follows(system, silent, bmc):
    assert power(silent) == types.PowerManagementStatus.ON
    silent.fence(fence_type="stop")
    wait_for(status_of(silent), types.HostStatus.DOWN)
    wait_for(lambda: power(silent), types.PowerManagementStatus.OFF)
    assert not bmc.on
    wait_for(lambda: any("powered off by" in text for text in events(system, 21)), True)
    silent.fence(fence_type="start")
    wait_for(status_of(silent), types.HostStatus.REBOOT)
    assert bmc.on
    # Nothing answers there, so it is lost once the time to boot is over.
    wait_for(status_of(silent), types.HostStatus.NON_RESPONSIVE)


def test_a_restart_is_off_before_it_is_on(silent, bmc):
    before = len(bmc.orders())
    silent.fence(fence_type="restart", maintenance_after_restart=True)
    wait_for(lambda: bmc.orders()[before:], (["set power 0", "set power 1"],))
    wait_for(status_of(silent), types.HostStatus.MAINTENANCE)


def test_a_supply_that_stays_on_is_told(system, silent, bmc):
    bmc.stuck(True)
    silent.fence(fence_type="stop")
    # Nobody takes it away, or says that it or its power is something else, while the job has it in hand.
    agents = silent.fence_agents_service()
    only = agents.agent_service(agents.list()[0].id)
    locked = "(?i)host silent is locked by job .*stop host silent"
    for act, reason in (
            (silent.remove, locked), (silent.deactivate, locked),
            (lambda: silent.update(types.Host(address="127.0.0.2")), "maintenance"),
            (lambda: silent.update(types.Host(power_management=types.PowerManagement(enabled=False))), locked),
            (lambda: agents.add(agent(bmc, order=2)), locked),
            (lambda: only.update(types.Agent(password="other")), locked), (only.remove, locked)):
        with pytest.raises(sdk.Error, match=reason) as failure:
            act()
        assert failure.value.code == 409
    assert silent.get().power_management.enabled and len(agents.list()) == 1
    wait_for(lambda: any("never confirmed" in text for text in events(system, 9005)), True)
    wait_for(status_of(silent), types.HostStatus.MAINTENANCE)
    assert bmc.on


def test_a_wrong_password_is_not_a_state(silent, bmc):
    agents = silent.fence_agents_service()
    agents.agent_service(agents.list()[0].id).update(types.Agent(password="wrong"))
    assert power(silent) == types.PowerManagementStatus.UNKNOWN


def test_the_password_is_never_shown(silent):
    found = silent.fence_agents_service().list()[0]
    assert found.username == "admin" and found.password is None and found.type == "ipmilan"
    assert {option.name: option.value for option in found.options}["lanplus"] == "1"


def test_only_a_host_in_maintenance_is_powered_off(system, host):
    service = system.hosts_service().host_service(host["id"])
    with pytest.raises(sdk.Error, match="(?i)fence agent") as failure:
        service.fence(fence_type="stop")
    assert failure.value.code == 409  # it has no power management
    with pytest.raises(sdk.Error) as failure:
        service.fence(fence_type="manual")
    assert failure.value.code == 409  # it answers
    assert service.get().status == types.HostStatus.UP


@pytest.mark.parametrize("changes, code", [
    ({"type": "no_such"}, 400), ({"order": 0}, 400), ({"port": 70000}, 400),
    ({"address": "a\nb"}, 400), ({"address": "a -f /etc/shadow"}, 400),
    ({"username": "-oProxyCommand=reboot"}, 400)] + [
    ({"options": [types.Option(name=name, value=value)]}, 400) for name, value in [
        ("a=b", "1"), ("passwd_script", "/bin/x"), ("debug-file", "/etc/x"), ("ipmitool_path", "/x"),
        ("action", "off"), ("help", "1"), ("lanplus", "1\naction=off"), ("cipher", "3 exec /x")]])
def test_a_bad_agent_is_refused_and_changes_nothing(silent, bmc, changes, code):
    agents = silent.fence_agents_service()
    with pytest.raises(sdk.Error) as failure:
        agents.add(agent(bmc, **changes))
    assert failure.value.code == code
    assert len(agents.list()) == 1


def test_the_last_agent_stays_while_power_management_is_on(silent):
    agents = silent.fence_agents_service()
    only = agents.agent_service(agents.list()[0].id)
    with pytest.raises(sdk.Error) as failure:
        only.remove()
    assert failure.value.code == 409
    silent.update(types.Host(power_management=types.PowerManagement(enabled=False)))
    only.remove()
    assert agents.list() == []
    with pytest.raises(sdk.Error) as failure:
        silent.update(types.Host(power_management=types.PowerManagement(enabled=True)))
    assert failure.value.code == 409


def test_an_unknown_kind_of_fencing_is_refused(silent):
    with pytest.raises(sdk.Error) as failure:
        silent.fence(fence_type="explode")
    assert failure.value.code == 400

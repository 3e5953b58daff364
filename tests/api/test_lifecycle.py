# SPDX-License-Identifier: Apache-2.0
"""The life of a host: maintenance while machines run, and back."""

import ovirtsdk4 as sdk
import pytest
from ovirtsdk4 import types

from helpers import MEMORY, status_of, wait_for


def test_a_host_with_machines_waits_for_them_and_takes_no_more(system, host, vm):
    service = system.hosts_service().host_service(host["id"])
    machine = system.vms_service().vm_service(vm)
    service.deactivate(reason="new fans")
    try:
        wait_for(status_of(service), types.HostStatus.PREPARING_FOR_MAINTENANCE)
        assert machine.get().status == types.VmStatus.UP
        told = [event.description for event in system.events_service().list(max=50)
                if event.code == 602]
        assert told and "sdk" in told[0]
        other = system.vms_service().add(types.Vm(
            name="late", cluster=types.Cluster(name="Default"), memory=MEMORY,
            template=types.Template(name="Blank"), memory_policy=types.MemoryPolicy(guaranteed=MEMORY)))
        late = system.vms_service().vm_service(other.id)
        with pytest.raises(sdk.Error) as failure:
            late.start()
        assert failure.value.code == 409
        late.remove()
    finally:
        service.activate()
        wait_for(status_of(service), types.HostStatus.UP)
    assert machine.get().status == types.VmStatus.UP


def test_a_pinned_machine_keeps_its_host_out_of_maintenance(system, host, vm):
    service = system.hosts_service().host_service(host["id"])
    machine = system.vms_service().vm_service(vm)
    policy = types.VmPlacementPolicy(affinity=types.VmAffinity.PINNED,
                                     hosts=[types.Host(id=host["id"])])
    machine.update(types.Vm(placement_policy=policy))
    try:
        with pytest.raises(sdk.Error, match="sdk") as failure:
            service.deactivate()
        assert failure.value.code == 409
        assert service.get().status == types.HostStatus.UP
    finally:
        machine.update(types.Vm(placement_policy=types.VmPlacementPolicy(
            affinity=types.VmAffinity.MIGRATABLE, hosts=[])))


def test_a_cluster_whose_processor_the_host_lacks_makes_it_non_operational(system, host):
    service = system.hosts_service().host_service(host["id"])
    cluster = system.clusters_service().cluster_service(service.get().cluster.id)
    cluster.update(types.Cluster(cpu=types.Cpu(type="Intel Cascadelake Server Family",
                                               architecture=types.Architecture.X86_64)))
    try:
        service.refresh()
        wait_for(status_of(service), types.HostStatus.NON_OPERATIONAL)
        assert service.get().status_detail == "cpu_type_incompatible_with_cluster"
        wait_for(lambda: any(event.code == 515 for event in system.events_service().list(max=50)),
                 True)
    finally:
        cluster.update(types.Cluster(cpu=types.Cpu(type="Intel Nehalem Family",
                                                   architecture=types.Architecture.X86_64)))
        service.activate()
        wait_for(status_of(service), types.HostStatus.UP)

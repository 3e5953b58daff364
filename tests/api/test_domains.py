# SPDX-License-Identifier: Apache-2.0
"""A storage domain beside the first one: into maintenance, back, and away."""

import os

from helpers import gone, wait_for
from ovirtsdk4 import types
from vireolab import scenario


def test_the_host_lets_go_of_a_domain_in_maintenance_and_takes_it_again(site, api, system, host, domain):
    spare = scenario.add_data_domain(api, host, "spare", site.path("storage", "spare"))
    center = system.data_centers_service().list(search="name=Default")[0]
    service = (system.data_centers_service().data_center_service(center.id).storage_domains_service()
               .storage_domain_service(spare["id"]))

    def is_connected():
        return any(name.endswith("_storage_spare")
                   for name in os.listdir(site.path("agent", "data-center", "mnt")))

    def becomes(wanted):
        wait_for(lambda: service.get().status, wanted)

    assert is_connected()
    service.deactivate()
    becomes(types.StorageDomainStatus.MAINTENANCE)
    assert not is_connected()
    service.activate()
    becomes(types.StorageDomainStatus.ACTIVE)
    assert is_connected()
    service.deactivate()
    becomes(types.StorageDomainStatus.MAINTENANCE)
    service.remove()
    wait_for(gone(service), True)
    unattached = system.storage_domains_service().storage_domain_service(spare["id"])
    wait_for(lambda: unattached.get().status, types.StorageDomainStatus.UNATTACHED)
    unattached.remove(host=host["id"])
    wait_for(gone(unattached), True)

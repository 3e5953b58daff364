# SPDX-License-Identifier: Apache-2.0
"""What the API tests share: waiting, disks and transfers by the official SDK, serial logs."""

import http.client
import os
import ssl
import time
import urllib.parse

import ovirtsdk4 as sdk
from ovirtsdk4 import types

MEMORY = 256 << 20
SIZE = 128 << 20
LIMIT = 240  # seconds; everything below takes 10 to 60 on two cores


def connect(site, **changes):
    options = {"url": site.url + "/ovirt-engine/api", "username": "admin@internal",
               "password": site.password(), "ca_file": site.path("pki", "ca.pem"),
               "timeout": 120}
    options.update(changes)
    return sdk.Connection(**options)


def wait_for(probe, wanted, limit=LIMIT):
    """Polls @probe() until it returns one of @wanted."""
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    end = time.monotonic() + limit
    while True:
        value = probe()
        if value in wanted:
            return value
        assert time.monotonic() < end, "%s instead of %s" % (value, wanted)
        time.sleep(0.3)


def status_of(service):
    return lambda: service.get().status


def start(service, **named):
    """Starts a machine; waits while other work on this computer keeps the scheduler from it."""
    def tried():
        try:
            service.start(**named)
        except sdk.Error as error:
            if "CPUOverloaded" not in str(error):
                raise
            return False
        return True
    wait_for(tried, True, 3 * LIMIT)


def gone(service):
    def probe():
        try:
            service.get()
        except sdk.NotFoundError:
            return True
        return False
    return probe


def put(site, url, path):
    where = urllib.parse.urlsplit(url)
    tls = ssl.create_default_context(cafile=site.path("pki", "ca.pem"))
    connection = http.client.HTTPSConnection(where.hostname, where.port, context=tls, timeout=120)
    with open(path, "rb") as image:
        connection.request("PUT", where.path, image,
                           {"Content-Length": str(os.path.getsize(path))})
        answer = connection.getresponse()
        answer.read()
    connection.close()
    return answer.status


def add_disk(system, domain, name, kind=types.DiskFormat.COW, size=SIZE, initial=None):
    disks = system.disks_service()
    disk = disks.add(types.Disk(
        name=name, format=kind, sparse=kind == types.DiskFormat.COW, provisioned_size=size,
        initial_size=initial, storage_domains=[types.StorageDomain(id=domain["id"])]))
    service = disks.disk_service(disk.id)
    wait_for(status_of(service), types.DiskStatus.OK)
    return service


def open_transfer(system, disk_id, direction, kind):
    transfers = system.image_transfers_service()
    transfer = transfers.add(types.ImageTransfer(
        disk=types.Disk(id=disk_id), direction=direction, format=kind))
    service = transfers.image_transfer_service(transfer.id)
    wait_for(lambda: service.get().phase, types.ImageTransferPhase.TRANSFERRING)
    return service


def serial_log(site, vm_id):
    for folder, _, files in os.walk(site.path("log", "serial")):
        for name in files:
            if name.startswith(vm_id):
                with open(os.path.join(folder, name), "rb") as file:
                    return file.read()
    return b""

# SPDX-License-Identifier: Apache-2.0
"""A whole site in a temporary folder, once for all tests of this folder: libvirtd, agent, Manager
with its own PostgreSQL, and the official Python SDK, unmodified, as the client.

VIREO_KEEP=1 leaves the state folder behind.  A failed test shows the end of every log.
"""

import http.client
import os
import shutil
import ssl
import subprocess
import sys
import tempfile

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "tests")]

from ovirtsdk4 import types  # noqa: E402

from helpers import MEMORY, add_disk, connect, open_transfer, put, status_of, wait_for  # noqa: E402
from vireolab import StepFailed, scenario  # noqa: E402
from vireolab.network import own_network  # noqa: E402
from vireolab.site import Site, free_port, free_port_pair  # noqa: E402

BUILD = os.environ.get("VIREO_BUILD", os.path.join(ROOT, "build"))


def pytest_sessionstart():
    """Two sessions on one machine, or one beside `make run`, do not meet."""
    if os.geteuid() == 0:
        own_network()
        # What stands for the host's network card.
        subprocess.run(["ip", "link", "add", "nic0", "type", "veth", "peer", "name", "switch0"],
                       check=True)
        for name in ("nic0", "switch0"):
            subprocess.run(["ip", "link", "set", name, "up"], check=True)


def pytest_collection_modifyitems(items):
    """The failures of the interface first, then the machine and all that is done to it, then what
    kills daemons and ends the machine, then what all of it left to read."""
    first = ["test_login", "test_faults", "test_scenario"]
    last = ["test_crash", "test_texts"]

    def rank(item):
        name = item.module.__name__.split(".")[-1]
        if name in last:
            return len(first) + 1 + last.index(name)
        return first.index(name) if name in first else len(first)
    items.sort(key=rank)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    site = item.funcargs.get("site") if hasattr(item, "funcargs") else None
    if report.failed and site is not None:
        report.sections.append(("logs of the site", site.logs()))


@pytest.fixture(scope="session")
def site():
    """Manager and agent run; no host is registered yet."""
    if os.geteuid() != 0:
        pytest.skip("the site needs root: mount namespace, bridge, guests")
    try:
        Site("/nowhere", BUILD).program("vireo-managerd")
    except StepFailed as error:
        pytest.skip(str(error))
    # Short, and open to the database server's user.
    state = tempfile.mkdtemp(prefix="vireo-", dir="/tmp")
    os.chmod(state, 0o755)
    agent = free_port_pair()
    site = Site(state, BUILD, free_port(), agent, agent + 1)
    site.address = "127.0.0.1"
    # What keeps people from switching a booting host off would only keep the tests waiting.
    # A machine that runs tests is busy for longer than a host that takes machines may be.
    site.options = {"CpuOverCommitDurationMinutes": 600,
                    "FenceQuietTimeBetweenOperationsInSec": 0, "ServerRebootTimeout": 5,
                    "FenceStartStatusDelayBetweenRetriesInSec": 1, "FenceStartStatusRetries": 2,
                    "FenceStopStatusDelayBetweenRetriesInSec": 1, "FenceStopStatusRetries": 2,
                    "NicDHCPDelayGraceInMS": 2}
    try:
        site.prepare()
        site.start_libvirt()
        site.start_sanlock()
        site.make_bridge()
        site.start_agent()
        site.start_manager()
    except StepFailed:
        print(site.logs(), file=sys.stderr)
        site.remove()
        raise
    yield site
    if os.environ.get("VIREO_KEEP"):
        site.end()
        print("state kept in %s" % state, file=sys.stderr)
    else:
        site.remove()


@pytest.fixture(scope="session")
def api(site):
    """The small JSON client of the tools."""
    return site.api()


@pytest.fixture
def connection(site):
    """A fresh connection of the official SDK."""
    connection = connect(site)
    yield connection
    connection.close()


@pytest.fixture
def system(connection):
    return connection.system_service()


@pytest.fixture(scope="session")
def host(site, api):
    """This machine, registered and up."""
    return scenario.add_host(api, "host1", "127.0.0.1", site.agent_port)


@pytest.fixture(scope="session")
def domain(site, api, host):
    """An active data domain of it."""
    return scenario.add_data_domain(api, host, "data", site.path("storage", "data"))


@pytest.fixture(scope="session")
def guest_image():
    """The folder of the boot image: guest.raw, guest.qcow2."""
    done = subprocess.run([os.path.join(ROOT, "tools", "guest-image")], stdout=subprocess.PIPE,
                          text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def disk(site, api, domain, guest_image):
    """A disk with the boot image, uploaded by the SDK."""
    connection = connect(site)
    system = connection.system_service()
    image = os.path.join(guest_image, "guest.qcow2")
    service = add_disk(system, domain, "boot", initial=os.path.getsize(image))
    transfer = open_transfer(system, service.get().id, types.ImageTransferDirection.UPLOAD,
                             types.DiskFormat.COW)
    assert put(site, transfer.get().transfer_url, image) == 200
    transfer.finalize()
    wait_for(lambda: transfer.get().phase, types.ImageTransferPhase.FINISHED_SUCCESS)
    wait_for(status_of(service), types.DiskStatus.OK)
    identifier = service.get().id
    connection.close()
    return identifier


@pytest.fixture(scope="session")
def vm(site, disk):
    """A running machine with that disk and a NIC."""
    connection = connect(site)
    system = connection.system_service()
    vms = system.vms_service()
    made = vms.add(types.Vm(
        name="sdk", cluster=types.Cluster(name="Default"), template=types.Template(name="Blank"),
        memory=MEMORY, memory_policy=types.MemoryPolicy(guaranteed=MEMORY),
        os=types.OperatingSystem(boot=types.Boot(devices=[types.BootDevice.HD]))))
    service = vms.vm_service(made.id)
    wait_for(status_of(service), types.VmStatus.DOWN)
    service.disk_attachments_service().add(types.DiskAttachment(
        disk=types.Disk(id=disk), interface=types.DiskInterface.VIRTIO, bootable=True, active=True))
    profile = [entry for entry in system.vnic_profiles_service().list()
               if entry.name == "ovirtmgmt"][0]
    service.nics_service().add(types.Nic(
        name="nic1", interface=types.NicInterface.VIRTIO, vnic_profile=types.VnicProfile(
            id=profile.id)))
    service.start()
    wait_for(status_of(service), types.VmStatus.UP)
    connection.close()
    return made.id


@pytest.fixture
def raw(site, api):
    """One plain HTTP request: status, headers, body."""
    if not api.token:
        api.login()

    def request(method, path, body=None, **headers):
        tls = ssl.create_default_context(cafile=site.path("pki", "ca.pem"))
        connection = http.client.HTTPSConnection(site.address, site.port, context=tls, timeout=120)
        all_headers = {"Authorization": "Bearer " + api.token}
        all_headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        connection.request(method, "/ovirt-engine/api" + path, body, all_headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content
    return request


@pytest.fixture
def scratch():
    folder = tempfile.mkdtemp(prefix="vireo-test-")
    yield folder
    shutil.rmtree(folder)

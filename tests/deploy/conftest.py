# SPDX-License-Identifier: Apache-2.0
"""A Manager without any host, and bare machines that it makes hosts of."""

import os
import shutil
import sys
import tempfile
import uuid

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tools"), os.path.join(ROOT, "tests", "agent")]

from bare import Bare, build_package  # noqa: E402
from vireolab.site import Site, free_port  # noqa: E402

BUILD = os.environ.get("VIREO_BUILD", os.path.join(ROOT, "build"))
PASSWORD = "correct horse 'battery' \"staple\" $HOME"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    if "site" in item.funcargs:
        report.sections.append(("log of the Manager", item.funcargs["site"].logs()))
    if "machine" in item.funcargs:
        machine = item.funcargs["machine"]
        for name in ("/run/sshd.log", "/run/agent.log"):
            report.sections.append((name, machine.read(name)[-3000:]))


def run_site(address):
    """A Manager at @address, as long as the fixture lives that yields from this."""
    missing = [name for name in ("unshare", "nsenter", "dpkg-deb", "libvirtd", "/usr/sbin/sshd")
               if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        pytest.skip("needs root and %s" % (" ".join(missing) or "nothing else"))
    state = tempfile.mkdtemp(prefix="vireo-", dir="/tmp")
    os.chmod(state, 0o755)
    site = Site(state, BUILD, free_port())
    site.address = address
    try:
        site.settings = {"packages.dir": site.path("packages"), "https.name": address}
        site.prepare()
        site.start_manager()
        yield site
    finally:
        if os.environ.get("VIREO_KEEP"):
            site.end()
        else:
            site.remove()


@pytest.fixture(scope="session")
def site():
    yield from run_site("127.0.0.1")


@pytest.fixture
def api(site):
    return site.api()


@pytest.fixture
def package(site, tmp_path):
    """Makes the Manager offer another package of the agent."""
    def make(**options):
        return build_package(BUILD, site.path("packages"), tmp_path, **options)
    make()
    return make


@pytest.fixture
def machine(site):
    """A fresh bare machine."""
    folder = tempfile.mkdtemp(prefix="vireo-bare-", dir="/tmp")
    machine = Bare(folder, free_port(), PASSWORD, str(uuid.uuid4()))
    try:
        machine.start()
        yield machine
    finally:
        machine.end()
        shutil.rmtree(folder, ignore_errors=True)

# SPDX-License-Identifier: Apache-2.0
"""One private libvirtd for a module of tests; one agent for each test."""

import os
import shutil
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from host import Host, ROOT  # noqa: E402


@pytest.fixture(scope="module")
def qemu_conf():
    """More lines of libvirt's qemu.conf; a module that wants some has a fixture of this name."""
    return ""


@pytest.fixture(scope="module")
def site(tmp_path_factory, qemu_conf):
    missing = [name for name in ("libvirtd", "qemu-system-x86_64", "unshare", "nsenter")
               if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        pytest.skip("needs root and %s" % (" ".join(missing) or "nothing else"))
    host = Host(tmp_path_factory.mktemp("host"),
                os.environ.get("VIREO_BUILD", os.path.join(ROOT, "build")), qemu_conf)
    try:
        host.start()
        yield host
    finally:
        host.end()


@pytest.fixture
def host(site):
    site.start_agent()
    yield site
    if site.agent:
        client = site.client()
        for vm in client.call_ready("Host.getVMList"):
            client.call("VM.destroy", vmID=vm["vmId"])
        client.close()
        site.kill_agent()

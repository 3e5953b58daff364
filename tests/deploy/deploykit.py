# SPDX-License-Identifier: Apache-2.0
"""What these tests are made of, beside fixtures: a Manager without any host, and bare machines."""

import contextlib
import os
import shutil
import tempfile
import uuid

import pytest

from bare import Bare
from vireolab.site import Site, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("VIREO_BUILD", os.path.join(ROOT, "build"))
PASSWORD = "correct horse 'battery' \"staple\" $HOME"


@contextlib.contextmanager
def run_site(address):
    """A Manager at @address, as long as the context."""
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


@contextlib.contextmanager
def bare_machine(address="127.0.0.1"):
    """A fresh bare machine at @address (bare.py), as long as the context."""
    folder = tempfile.mkdtemp(prefix="vireo-bare-", dir="/tmp")
    machine = Bare(folder, free_port(), PASSWORD, str(uuid.uuid4()), address=address)
    try:
        machine.start()
        yield machine
    finally:
        machine.end()
        shutil.rmtree(folder, ignore_errors=True)

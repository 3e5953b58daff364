# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests on real hosts (README.md): a module says TOPOLOGY, the fixture `lab` gives it."""

import os
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from labkit import LOGS, ROOT, Keeper  # noqa: E402
from vlab.manager import BUILD  # noqa: E402

# The lab that is up, for whichever fixture fails: the failing one's test has not got it in hand.
CURRENT = pytest.StashKey()
NEEDED = ("qemu-system-x86_64", "ipmi_sim", "fence_ipmilan", "nsenter", "ssh", "busybox")


@pytest.fixture(scope="session")
def keeper():
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for name in NEEDED if not shutil.which(name, path=path)]
    if missing or os.geteuid() != 0:
        pytest.skip("needs root and %s: tools/install-packages --lab" % (" ".join(missing) or
                                                                         "nothing else"))
    keeper = Keeper()
    yield keeper
    keeper.close()


@pytest.fixture(scope="session")
def packages():
    """The packages as the tree is now, where the Manager offers them."""
    done = subprocess.run([os.path.join(ROOT, "tools", "packages"), BUILD], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


def log_folder(node):
    return os.path.join(LOGS, re.sub(r"[^\w.-]+", "_", node.rpartition("/")[2]))


@pytest.fixture(scope="module")
def lab(request, keeper):
    """The lab of the module's TOPOLOGY; with `MANAGER = False` no Manager, with `PACKAGES = True` one
    that has packages to deploy.  The tests run in the lab's network.  It is there for the module,
    and gone after it."""
    module = request.module
    made, stash = None, request.config.stash
    if getattr(module, "PACKAGES", False):
        request.getfixturevalue("packages")
    try:
        made = stash[CURRENT] = keeper.up(module.TOPOLOGY, getattr(module, "MANAGER", True),
                                          log_folder(request.node.nodeid))
        with made.vlab.network.inside():
            yield made
    finally:
        stash[CURRENT] = None
        if made and os.environ.get("LAB_KEEP"):
            made.vlab.processes.end("guard")
            print("\nlab kept: %s status; then down" % " ".join(
                ["lab/lab --state", made.vlab.state]), file=sys.stderr)
            pytest.exit("LAB_KEEP is set: this module was the last one", 1)
        keeper.down()


@pytest.fixture
def connection(lab):
    """A fresh connection of the official SDK."""
    connection = lab.connection()
    yield connection
    connection.close()


@pytest.fixture
def system(connection):
    return connection.system_service()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    made = item.config.stash.get(CURRENT, None)
    if report.failed and made is not None:
        folder = log_folder(item.nodeid)
        try:
            made.collect(folder)
            report.sections.append(("the lab; everything is in %s" % folder, made.story()))
        except Exception as error:  # the report of the test matters more
            report.sections.append(("the lab", "no logs: %r" % error))

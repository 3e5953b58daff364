# SPDX-License-Identifier: Apache-2.0
"""A Manager without any host, and bare machines that it makes hosts of."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tools"), os.path.join(ROOT, "tests", "agent")]

from bare import build_package  # noqa: E402
from deploykit import BUILD, bare_machine, run_site  # noqa: E402


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


@pytest.fixture(scope="session")
def site():
    with run_site("127.0.0.1") as made:
        yield made


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
def machine_address():
    """Where the bare machine is (bare.py); a module that wants another one has a fixture of this name."""
    return "127.0.0.1"


@pytest.fixture
def machine(site, machine_address):
    """A fresh bare machine."""
    with bare_machine(machine_address) as made:
        yield made

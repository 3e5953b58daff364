# SPDX-License-Identifier: Apache-2.0
"""Packages of this tree, and machines to install them on."""

import glob
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from machine import Machine, missing, report  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("VIREO_BUILD") or os.path.join(ROOT, "build"))
UNITS = ("vireo-manager.service", "vireo-agent.service")


class Packages:
    """The .deb files of a build, by package name."""

    def __init__(self, folder):
        self.folder = folder
        self.files = {}
        for path in glob.glob(os.path.join(folder, "*.deb")):
            name = os.path.basename(path).split("_")[0]
            if not name.endswith("-dbgsym"):
                self.files[name] = path

    def __getitem__(self, name):
        return self.files[name]

    def field(self, name, field):
        return subprocess.run(["dpkg-deb", "-f", self[name], field], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def listing(self, name):
        """path -> (mode, owner) of every entry, without the leading dot."""
        text = subprocess.run(["dpkg-deb", "-c", self[name]], check=True, text=True,
                              stdout=subprocess.PIPE).stdout
        entries = {}
        for line in text.splitlines():
            mode, owner, _, _, _, path = line.split(None, 5)
            entries[path.split(" -> ")[0].rstrip("/").lstrip(".") or "/"] = (mode, owner)
        return entries


def build_packages():
    done = subprocess.run([os.path.join(ROOT, "tools", "packages"), BUILD], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return Packages(os.path.join(BUILD, "packages"))


@pytest.fixture(scope="session")
def packages():
    return build_packages()


@pytest.fixture(scope="module")
def machine(packages):
    lacks = missing()
    if lacks:
        pytest.skip("a machine of its own needs " + lacks)
    made = Machine()
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    result = outcome.get_result()
    made = item.funcargs.get("machine") if hasattr(item, "funcargs") else None
    if result.when == "call" and result.failed and made and made.pid:
        result.sections.append(("the machine", report(made, UNITS)))

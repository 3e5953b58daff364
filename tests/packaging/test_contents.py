# SPDX-License-Identifier: Apache-2.0
"""What is in the packages, without installing them."""

import filecmp
import os
import re
import shutil
import subprocess

import pytest

from conftest import ROOT, build_packages

CONTENTS = {
    "vireo-manager": {
        "/usr/sbin/vireo-managerd": "-rwxr-xr-x", "/usr/sbin/vireo-setup": "-rwxr-xr-x",
        "/etc/vireo/manager.conf": "-rw-r--r--",
        "/lib/systemd/system/vireo-manager.service": "-rw-r--r--",
        "/usr/lib/sysusers.d/vireo-manager.conf": "-rw-r--r--",
        "/usr/share/man/man8/vireo-managerd.8.gz": "-rw-r--r--",
        "/usr/share/man/man8/vireo-setup.8.gz": "-rw-r--r--",
        "/usr/share/man/man5/manager.conf.5.gz": "-rw-r--r--",
    },
    "vireo-agent": {
        "/usr/sbin/vireo-agentd": "-rwxr-xr-x",
        "/usr/libexec/vireo/vireo-iod": "-rwxr-xr-x",
        "/usr/libexec/vireo/vireo-imaged": "-rwxr-xr-x",
        "/usr/libexec/vireo/vireo-enroll": "-rwxr-xr-x",
        "/etc/vireo/agent.conf": "-rw-r--r--",
        "/lib/systemd/system/vireo-agent.service": "-rw-r--r--",
        "/lib/systemd/system/wdmd.service.d/vireo-agent.conf": "-rw-r--r--",
        "/usr/lib/sysusers.d/vireo-agent.conf": "-rw-r--r--",
        "/usr/lib/tmpfiles.d/vireo-agent.conf": "-rw-r--r--",
        "/usr/share/man/man8/vireo-agentd.8.gz": "-rw-r--r--",
        "/usr/share/man/man5/agent.conf.5.gz": "-rw-r--r--",
    },
    "vireo-cli": {
        "/usr/bin/vireo": "-rwxr-xr-x",
        "/usr/share/bash-completion/completions/vireo": "-rw-r--r--",
        "/usr/share/man/man1/vireo.1.gz": "-rw-r--r--",
    },
}


def fields(text):
    return {entry.strip().split(" ")[0] for entry in text.replace("|", ",").split(",")}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_package_holds_its_files_with_root_as_their_owner(packages, name):
    listing = packages.listing(name)
    for path, mode in CONTENTS[name].items():
        assert listing.get(path) == (mode, "root/root"), path
    assert {owner for _, owner in listing.values()} == {"root/root"}


def test_no_file_is_in_two_packages(packages):
    seen = {}
    for name in CONTENTS:
        for path, (mode, _) in packages.listing(name).items():
            if not mode.startswith("d"):
                assert seen.setdefault(path, name) == name, path


def test_the_same_version_everywhere(packages):
    with open(os.path.join(ROOT, "meson.build"), encoding="utf-8") as file:
        version = re.search(r"^  version: '(.*)',$", file.read(), re.M).group(1)
    for name in CONTENTS:
        assert packages.field(name, "Version") == version
    program = os.path.join(packages.folder, "..", "packages-work", "vireo", "obj", "src", "cli", "vireo")
    assert version in subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True,
                                     check=True).stdout


def test_packages_depend_on_what_they_run(packages):
    assert {"postgresql", "libpq5"} <= fields(packages.field("vireo-manager", "Depends"))
    assert {"libvirt-daemon-system", "qemu-system-x86", "qemu-utils", "sanlock", "iproute2",
            "libvirt0"} <= fields(packages.field("vireo-agent", "Depends"))
    assert "libcurl4" in fields(packages.field("vireo-cli", "Depends"))
    # A client drags in neither servers nor hypervisors.
    assert not {"postgresql", "libvirt0"} & fields(packages.field("vireo-cli", "Depends"))


def test_programs_are_hardened(packages, tmp_path):
    for name in CONTENTS:
        subprocess.run(["dpkg-deb", "-x", packages[name], tmp_path], check=True)
        for path, mode in CONTENTS[name].items():
            if mode != "-rwxr-xr-x":
                continue
            program = str(tmp_path) + path
            text = subprocess.run(["readelf", "-hldW", program], stdout=subprocess.PIPE, text=True,
                                  check=True).stdout
            assert "DYN (Position-Independent" in text, path
            assert "GNU_RELRO" in text and "BIND_NOW" in text, path
            symbols = subprocess.run(["readelf", "-sW", program], stdout=subprocess.PIPE, text=True,
                                     check=True).stdout
            assert "__stack_chk_fail" in symbols, path


def test_the_manager_offers_this_very_agent(packages, tmp_path):
    subprocess.run(["dpkg-deb", "-x", packages["vireo-manager"], tmp_path], check=True)
    folder = os.path.join(tmp_path, "usr/share/vireo/packages")
    assert os.listdir(folder) == [os.path.basename(packages["vireo-agent"])]
    assert filecmp.cmp(os.path.join(folder, os.listdir(folder)[0]), packages["vireo-agent"], False)


def test_the_same_tree_gives_the_same_packages(packages, tmp_path):
    kept = {}
    for name in CONTENTS:
        kept[name] = shutil.copy(packages[name], tmp_path)
    # All is linked, compressed and packed again, at another time.
    obj = os.path.join(packages.folder, "..", "packages-work", "vireo", "obj")
    for folder, _, files in os.walk(obj):
        for file in files:
            if file.startswith("vireo") and os.access(os.path.join(folder, file), os.X_OK):
                os.unlink(os.path.join(folder, file))
    again = build_packages()
    for name in CONTENTS:
        assert filecmp.cmp(kept[name], again[name], False), name


def test_lintian_has_no_complaint(packages):
    if not shutil.which("lintian"):
        pytest.skip("lintian is missing")
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit",
                           "0"] + [packages[name] for name in CONTENTS], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def manual_keys(path):
    """Words that a manual has as the name of an entry: `.B key` or `.BR a ", " b` after .TP."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        entries = re.findall(r"^\.TP\n\.BR? (.*)$", file.read(), re.M)
    return {word.replace("\\", "") for line in entries for word in re.findall(r'[a-z][a-z\\-]*', line)}


def test_the_agents_manual_knows_every_key():
    with open(os.path.join(ROOT, "src/agent/config.c"), encoding="utf-8") as file:
        arrays = re.findall(r"char \*const \w+_keys\[\] = \{(.*?)\}", file.read(), re.S)
    keys = {key for array in arrays for key in re.findall(r'"([a-z-]+)"', array)}
    assert len(keys) > 20
    assert keys == manual_keys("src/agent/agent.conf.5")


def test_the_managers_manual_knows_every_key():
    with open(os.path.join(ROOT, "src/manager/main/settings.c"), encoding="utf-8") as file:
        keys = set(re.findall(r'(?:text|contents)_of\(settings, "[a-z]+", "([a-z-]+)"', file.read()))
    assert len(keys) > 10
    # vireo-setup's; the Manager itself does not look at it.
    assert keys | {"host-names"} == manual_keys("src/manager/main/manager.conf.5")

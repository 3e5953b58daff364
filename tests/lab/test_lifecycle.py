# SPDX-License-Identifier: Apache-2.0
"""Killed runs: nothing they leave stops the next one, and nothing stays."""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile

import pytest

from labkit import PROGRAM
from vlab.lab import MARK

LIMIT = 300


@pytest.fixture
def state(keeper):
    folder = tempfile.mkdtemp(prefix="vireo-lab-", dir="/tmp")
    yield folder
    run(folder, "down")
    shutil.rmtree(folder)


def run(state, *arguments):
    return subprocess.run([PROGRAM, "--state", state, *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT)


def marked(state):
    """Every process of that lab, recorded or not."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/environ" % entry, "rb") as file:
                if ("%s=%s" % (MARK, state)).encode() in file.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:
            pass
    return found


def pid_of(state, name):
    try:
        with open(os.path.join(state, "run", name + ".json"), encoding="utf-8") as file:
            return json.load(file)["pid"]
    except OSError:
        return None


def killed_up(state, *arguments):
    """`up` killed as soon as the host's process is recorded: in the middle of everything."""
    with subprocess.Popen([PROGRAM, "--state", state, "up", "one-host", *arguments],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        while pid_of(state, "host1") is None:
            assert process.poll() is None
            select.select([], [], [], 0.02)
        process.kill()


def ended(pid):
    """Waits for the end of a process that is not our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(LIMIT * 1000))
    finally:
        os.close(descriptor)


def test_up_goes_on_where_a_killed_one_ended_and_down_leaves_nothing(state):
    killed_up(state, "--no-manager")
    host = pid_of(state, "host1")
    assert host in marked(state)
    again = run(state, "up", "--no-manager", "one-host")
    assert again.returncode == 0, again.stdout
    assert pid_of(state, "host1") == host, "what ran was taken over"
    assert "host1" in run(state, "ssh", "host1", "hostname").stdout

    refused = run(state, "up", "two-hosts-nfs")
    assert refused.returncode == 1 and "run lab/lab down" in refused.stdout

    # Somebody killed the network's holder: what is left of that lab cannot be reached, and goes.
    os.kill(pid_of(state, "network"), signal.SIGKILL)
    again = run(state, "up", "--no-manager", "one-host")
    assert again.returncode == 0, again.stdout
    assert pid_of(state, "host1") != host

    # Frozen and without its record: found by its mark.
    os.kill(pid_of(state, "host1"), signal.SIGSTOP)
    os.unlink(os.path.join(state, "run", "host1.json"))
    done = run(state, "down")
    assert done.returncode == 0, done.stdout
    assert marked(state) == []
    assert sorted(os.listdir(state)) == ["lock", "log"]
    assert os.path.getsize(os.path.join(state, "log", "host1.serial.log")) > 0


def test_a_lab_ends_with_the_process_it_was_made_for(state):
    owner = subprocess.Popen(["sleep", "infinity"])
    killed_up(state, "--no-manager", "--guard", str(owner.pid))
    host, guard = pid_of(state, "host1"), pid_of(state, "guard")
    owner.kill()
    owner.wait()
    assert ended(guard) and ended(host)
    assert marked(state) == []

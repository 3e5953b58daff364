# SPDX-License-Identifier: Apache-2.0
"""tools/run as a person uses it: one line, a running machine, Ctrl-C; and a kill -9 in between."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from vireolab import StepFailed  # noqa: E402
from vireolab.api import Api  # noqa: E402
from vireolab.network import links  # noqa: E402
from vireolab.site import BRIDGE, Site, free_port, free_port_pair  # noqa: E402

BUILD = os.environ.get("VIREO_BUILD", os.path.join(ROOT, "build"))
READY = re.compile(r"^vireo: ready (https://[^ ]+:\d+)/ user admin@internal password-file (/\S+)$")
LIMIT = 600


@pytest.fixture
def state():
    if os.geteuid() != 0:
        pytest.skip("make run needs root")
    try:
        Site("/nowhere", BUILD).program("vireo-managerd")
    except StepFailed as error:
        pytest.skip(str(error))
    folder = tempfile.mkdtemp(prefix="vireo-run-", dir="/tmp")
    os.chmod(folder, 0o755)
    yield folder
    Site(folder, BUILD).end()
    shutil.rmtree(folder)


class Run:
    def __init__(self, state, ports):
        environment = dict(os.environ, VIREO_STATE=state, VIREO_BUILD=BUILD,
                           VIREO_PORT=str(ports[0]), VIREO_AGENT_PORT=str(ports[1]),
                           VIREO_IMAGE_PORT=str(ports[2]))
        self.errors = open(os.path.join(state, "stderr"), "ab")
        self.process = subprocess.Popen([os.path.join(ROOT, "tools", "run")], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.errors, start_new_session=True)

    def line(self):
        """The first line on stdout."""
        text, end = b"", time.monotonic() + LIMIT
        while not text.endswith(b"\n"):
            assert select.select([self.process.stdout], [], [], end - time.monotonic())[0], \
                "no line within %d s" % LIMIT
            piece = os.read(self.process.stdout.fileno(), 4096)
            assert piece, "tools/run ended with %s:\n%s" % (self.process.wait(), self.said())
            text += piece
        return text.decode().rstrip("\n")

    def said(self):
        with open(self.errors.name, encoding="utf-8", errors="replace") as file:
            return file.read()[-6000:]

    def end(self, number):
        """Sends a signal; what came on stdout after the first line, and the exit status."""
        self.process.send_signal(number)
        rest = self.process.stdout.read()
        self.errors.close()
        return rest, self.process.wait(LIMIT)


def processes_of(state):
    """Every process that has the state folder in its command line."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % entry, "rb") as file:
                line = file.read()
        except OSError:
            continue
        if state.encode() in line and int(entry) != os.getpid():
            found.append(line.replace(b"\0", b" ").decode()[:120])
    return found


def nothing_is_left(state):
    assert processes_of(state) == []
    assert links("dev", BRIDGE) == []
    with open("/proc/self/mounts", encoding="utf-8") as file:
        assert state not in file.read()


def guest_answers(api, vm):
    """Waits until the agent in the guest has told its addresses."""
    end = time.monotonic() + LIMIT
    while not api.get("vms/%s/reporteddevices" % vm).get("reported_device"):
        assert time.monotonic() < end, "the guest agent does not answer"
        time.sleep(0.5)


def client(line):
    url, password_file = READY.match(line).groups()
    with open(password_file, encoding="utf-8") as file:
        password = file.read().strip()
    ca = os.path.join(os.path.dirname(password_file), "pki", "ca.pem")
    return Api(url, ca, "admin@internal", password)


def test_run_says_one_line_survives_its_death_and_leaves_nothing_behind(state):
    agent = free_port_pair()
    ports = [free_port(), agent, agent + 1]
    run = Run(state, ports)
    line = run.line()
    assert READY.match(line), line
    api = client(line)
    vm = api.find("vms", "vm", "hello")
    assert vm["status"] == "up"
    guest_answers(api, vm["id"])

    # Killed without a chance to clean up, everything else runs on and the next run takes it over.
    run.end(signal.SIGKILL)
    assert processes_of(state)
    run = Run(state, ports)
    api = client(run.line())
    again = api.find("vms", "vm", "hello")
    assert (again["id"], again["status"]) == (vm["id"], "up")

    # Ctrl-C ends everything, the virtual machine included, and prints nothing more on stdout.
    assert run.end(signal.SIGINT) == (b"", 0)
    nothing_is_left(state)

    # Another day: the same machine starts again.
    run = Run(state, ports)
    api = client(run.line())
    assert api.find("vms", "vm", "hello")["id"] == vm["id"]
    assert len(api.get("vms")["vm"]) == 1 and len(api.get("hosts")["host"]) == 1
    guest_answers(api, vm["id"])
    assert run.end(signal.SIGTERM) == (b"", 0)
    nothing_is_left(state)


def test_run_names_a_port_that_is_taken(state):
    import socket
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        run = Run(state, [taken.getsockname()[1], free_port(), free_port()])
        assert run.process.stdout.read() == b""
        assert run.process.wait(LIMIT) == 1
        assert "VIREO_PORT" in run.said() and str(taken.getsockname()[1]) in run.said()
    nothing_is_left(state)

# SPDX-License-Identifier: Apache-2.0
"""processes: daemons that are recorded before they matter and ended only by that record.

A record is FOLDER/NAME.json with process number, start time (clock ticks since boot, /proc/PID/stat
field 22) and boot: a number that another process uses by now is never mistaken for the daemon.
"""

import json
import os
import select
import signal
import subprocess
import time

from vireolab import StepFailed


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_time(pid):
    """Clock ticks since boot, or None when there is no such living process."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Process:
    """One running daemon; ours to reap or found by its record."""

    def __init__(self, name, pid, log, child=None):
        self.name, self.pid, self.log, self.child = name, pid, log, child
        self.pidfd = os.pidfd_open(pid)

    def ended(self, timeout=0.0):
        """Whether it has ended, waiting for that up to @timeout seconds."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(max(0, timeout * 1000)):
            return False
        if self.child:
            self.child.wait()
        return True

    def send(self, number):
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            pass

    def end(self, patience=15, first=signal.SIGTERM):
        """SIGTERM, and SIGKILL when it does not listen."""
        if not self.ended():
            self.send(first)
            if not self.ended(patience):
                self.send(signal.SIGKILL)
                self.ended(10)
        return self.ended()

    def log_end(self, lines=15):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return "".join("    " + line for line in file.readlines()[-lines:])
        except OSError:
            return ""


class Processes:
    """The daemons of one state folder."""

    def __init__(self, records, logs):
        self.records, self.logs = records, logs
        self.running = {}
        os.makedirs(records, exist_ok=True)
        os.makedirs(logs, exist_ok=True)

    def _record(self, name):
        return os.path.join(self.records, name + ".json")

    def log(self, name):
        return os.path.join(self.logs, name + ".log")

    def find(self, name):
        """The daemon @name of this or an earlier run if it still lives, else None."""
        known = self.running.get(name)
        if known and not known.ended():
            return known
        self.running.pop(name, None)
        try:
            with open(self._record(name), encoding="utf-8") as file:
                record = json.load(file)
            pid = int(record["pid"])
            if record["boot"] != boot_id() or start_time(pid) != record["start"]:
                return None
            process = Process(name, pid, self.log(name))
        except (OSError, ValueError, KeyError):
            return None
        if start_time(pid) != record["start"]:
            return None
        self.running[name] = process
        return process

    def start(self, name, command, environment=None, directory=None):
        """Starts @command as @name in a session of its own; its output is appended to its log."""
        with open(self.log(name), "ab") as log:
            try:
                child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         start_new_session=True, env=environment, cwd=directory)
            except OSError as error:
                raise StepFailed("cannot run %s: %s" % (command[0], error),
                                 "run tools/install-packages and make build") from error
        record = {"pid": child.pid, "start": start_time(child.pid), "boot": boot_id(),
                  "command": command}
        temporary = self._record(name) + ".new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(record, file)
        os.replace(temporary, self._record(name))
        self.running[name] = Process(name, child.pid, self.log(name), child)
        return self.running[name]

    def end(self, name, patience=15):
        process = self.find(name)
        gone = process.end(patience) if process else True
        if gone:
            self.running.pop(name, None)
            try:
                os.unlink(self._record(name))
            except FileNotFoundError:
                pass
        return gone

    def wait_until(self, name, ready, limit, what):
        """Until @ready() is true, looking again ever more rarely; fails when the daemon ends."""
        process = self.running[name]
        end, pause = time.monotonic() + limit, 0.02
        while not ready():
            if process.ended(pause):
                raise StepFailed("%s ended while %s; the end of %s:\n%s" % (
                    name, what, process.log, process.log_end()))
            if time.monotonic() > end:
                raise StepFailed("%s: not %s within %d s; the end of %s:\n%s" % (
                    name, what, limit, process.log, process.log_end()))
            pause = min(pause * 1.5, 0.5)
        return process

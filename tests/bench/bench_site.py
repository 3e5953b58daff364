#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench_site: the real Manager on its own PostgreSQL, with simulated hosts that speak the real host
protocol (fleet.c), on this machine.

    bench_site                  the two sites of the budgets: 100 hosts, and 10,000 hosts
    bench_site --smoke          a handful of hosts, a few seconds of each, for the tests

Prints lines `what | budget | measured | beside`: the last names what was measured in the same run.
Times of processors are of the Manager alone; its database and the hosts share the machine.
"""

import argparse
import base64
import json
import os
import random
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

BUILD = os.environ["VIREO_BUILD"]
SOURCE = os.environ["VIREO_SOURCE"]
sys.path.insert(0, os.path.join(SOURCE, "tools"))

import answers  # noqa: E402
import population  # noqa: E402
from vireolab import StepFailed  # noqa: E402
from vireolab.site import Site, free_port  # noqa: E402

ADDRESS = "127.0.0.1"
HOSTS_PER_PROCESS = 5000
POLL_SECONDS = 15  # NumberVmRefreshesBeforeSave times VdsRefreshRate
TICK = os.sysconf("SC_CLK_TCK")


def row(what, budget, measured, beside=""):
    print("%s | %s | %s | %s" % (what, budget, measured, beside), flush=True)


def say(text):
    print("bench_site: " + text, file=sys.stderr, flush=True)


# --- what a process takes -------------------------------------------------------------------------

def stat(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def cpu_seconds(pid):
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICK


def children(pid):
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and int(stat(int(name))[1]) == pid:
                found += [int(name)] + children(int(name))
        except OSError:
            pass
    return found


def memory(pid, what="VmRSS"):
    """MiB."""
    with open("/proc/%d/status" % pid, encoding="utf-8") as file:
        for line in file:
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
    return 0


class Usage:
    """CPU seconds of the Manager, of its database and of the hosts, from here on."""

    def __init__(self, manager, fleet):
        self.groups = {"manager": [manager], "database": children(manager), "hosts": fleet.pids()}
        self.begin = {name: self._sum(pids) for name, pids in self.groups.items()}
        self.at = time.monotonic()

    @staticmethod
    def _sum(pids):
        total = 0
        for pid in pids:
            try:
                total += cpu_seconds(pid)
            except OSError:
                pass  # a backend that ended
        return total

    def cores(self):
        span = time.monotonic() - self.at
        return {name: (self._sum(pids) - self.begin[name]) / span
                for name, pids in self.groups.items()}


# --- the hosts ------------------------------------------------------------------------------------

def is_free(port):
    with socket.socket() as taken:
        try:
            taken.bind((ADDRESS, port))
        except OSError:
            return False
    return True


def free_ports(count):
    """The first of @count ports in a row that nobody has, below those that the system gives out."""
    for _ in range(100):
        first = random.randrange(10000, 32768 - count)
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise StepFailed("no %d ports in a row are free on %s" % (count, ADDRESS), "what listens there?")


class Fleet:
    """Processes with simulated hosts."""

    def __init__(self, folder, site, hosts, vms):
        for name in ("capabilities", "host_stats", "vm_stats", "hardware"):
            with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
                json.dump(getattr(answers, name)(), file)
        self.command = [os.path.join(BUILD, "tests", "bench", "fleet"), "--answers", folder,
                        "--vms", str(vms // hosts)]
        self.hosts, self.site, self.processes = hosts, site, []
        self.port = free_ports(hosts)

    def start(self):
        pki = self.site.path("agent", "pki")
        for first in range(0, self.hosts, HOSTS_PER_PROCESS):
            count = min(HOSTS_PER_PROCESS, self.hosts - first)
            self.processes.append(subprocess.Popen(self.command + [
                "--ca", os.path.join(pki, "cacert.pem"),
                "--certificate", os.path.join(pki, "vdsmcert.pem"),
                "--key", os.path.join(pki, "vdsmkey.pem"), "--port", str(self.port + first),
                "--first", str(first), "--hosts", str(count)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for process in self.processes:
            if process.stdout.readline() != "ready\n":
                raise StepFailed("the simulated hosts do not listen", "are their ports taken?")

    def pids(self):
        return [process.pid for process in self.processes]

    def count(self):
        """Answers to Host.getAllVmStats, calls, and hosts that were ever asked."""
        sums = [0, 0, 0]
        for process in self.processes:
            process.stdin.write("count\n")
            process.stdin.flush()
            sums = [a + int(b) for a, b in zip(sums, process.stdout.readline().split())]
        return sums

    def forget(self):
        """Counts from here on."""
        for process in self.processes:
            process.stdin.write("forget\n")
            process.stdin.flush()

    def limit(self):
        """Microseconds that decrypting and parsing one poll takes, and its bytes."""
        text = subprocess.run(self.command + ["--limit"], stdout=subprocess.PIPE, text=True,
                              check=True).stdout.split()
        return float(text[0]), int(text[1])

    def end(self):
        for process in self.processes:
            process.stdin.close()
            process.wait()
        self.processes = []


# --- the Manager ----------------------------------------------------------------------------------

class Manager:
    def __init__(self, folder, options=""):
        self.site = Site(os.path.join(folder, "site"), BUILD, free_port())
        self.site.address = ADDRESS
        self.site.prepare()
        with open(self.site.path("manager.conf"), "a", encoding="utf-8") as file:
            file.write("\n[options]\n" + options)
        self.pid, self.run = None, self.site.path("db", "run")
        self.tls = ssl.create_default_context(cafile=self.site.path("pki", "ca.pem"))

    def _answers(self, path):
        """Whether one request for @path, on a connection of its own, is answered with 200."""
        login = base64.b64encode(("admin@internal:" + self.site.password()).encode()).decode()
        try:
            with socket.create_connection((ADDRESS, self.site.port), 120) as bare:
                with self.tls.wrap_socket(bare, server_hostname=ADDRESS) as connection:
                    connection.sendall(("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                                        "Authorization: Basic %s\r\n\r\n" % (path, login)).encode())
                    return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def start(self, path="/ovirt-engine/api/vms?max=1"):
        """Milliseconds from the start of the program to its first answer to somebody who logged in
        with a password."""
        begin = time.monotonic()
        self.pid = self.site.processes.start("manager", [
            self.site.program("vireo-managerd"), "--config", self.site.path("manager.conf")]).pid
        while not self._answers(path):
            if self.site.processes.running["manager"].ended(0.002):
                raise StepFailed("the Manager ended: %s" % self.site.logs())
            if time.monotonic() - begin > 300:
                raise StepFailed("the Manager does not answer: %s" % self.site.logs())
        return (time.monotonic() - begin) * 1000

    def stop(self):
        self.site.processes.end("manager", patience=60)

    def sql(self, statement):
        return population.psql(self.run, statement)

    def load(self, path, **options):
        """rest_load's figures: a second, client us, median ms, bytes."""
        api = self.site.api()
        api.login()
        command = [os.path.join(BUILD, "tests", "bench", "rest_load"), "--port",
                   str(self.site.port), "--path", path, "--token", api.token]
        for name, value in options.items():
            command += ["--" + name, str(value)]
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        return [float(word) for word in text.split()]


def wait_for(ready, limit, what):
    end = time.monotonic() + limit
    while not ready():
        if time.monotonic() > end:
            raise StepFailed("not within %d s: %s" % (limit, what))
        time.sleep(0.2)


# --- the measurements -----------------------------------------------------------------------------

def measure_starts(manager, times, what, budget):
    starts = []
    for _ in range(times):
        manager.stop()
        starts.append(manager.start())
    starts.sort()
    row(what, budget, "%.0f ms (%s)" % (starts[len(starts) // 2],
                                        " ".join("%.0f" % start for start in starts)),
        "its embedded PostgreSQL and a password check included")


def connect_all(manager, fleet, hosts):
    """Until every host is up and was polled; seconds, and cores while it lasted."""
    begin, usage = time.monotonic(), Usage(manager.pid, fleet)
    wait_for(lambda: fleet.count()[2] == hosts, 600, "every host polled")
    wait_for(lambda: manager.sql("select count(*) from host where doc->>'status' = 'up'") ==
             [[str(hosts)]], 120, "every host up")
    return time.monotonic() - begin, usage.cores()


def monitoring_figure(rate, wanted, cores):
    """A machine that is too busy for the rate still tells what a poll costs, and so what the rate
    would: without it, a slow machine had no figure at all."""
    each = cores / rate
    if rate >= 0.8 * wanted:
        return "%.2f cores (%.0f polls a second, %.0f us each)" % (cores, rate, each * 1e6)
    return ("%.0f us a poll, so %.2f cores at %.0f polls a second; this machine did %.0f of them, with"
            " %.2f cores" % (each * 1e6, each * wanted, wanted, rate, cores))


def measure_monitoring(manager, fleet, hosts, vms, seconds, budget, poll):
    limit_us, size = fleet.limit()
    polls, usage = fleet.count()[0], Usage(manager.pid, fleet)
    begin = time.monotonic()
    time.sleep(seconds)
    cores, span = usage.cores(), time.monotonic() - begin
    rate = (fleet.count()[0] - polls) / span
    if not rate:
        raise StepFailed("no host was polled in %.0f s" % span)
    wanted = hosts / poll
    limit = limit_us * rate / 1e6
    row("monitoring %d hosts with %d VMs" % (hosts, vms), budget,
        monitoring_figure(rate, wanted, cores["manager"]),
        "decrypting and parsing the same %d KiB with GnuTLS and json-c alone: %.2f cores, %.1fx;"
        " database %.2f, hosts %.2f" % (size // 1024, limit, cores["manager"] / limit,
                                        cores["database"], cores["hosts"]))


def check_statistics(manager, vms):
    """What was polled is what the interface shows."""
    api = manager.site.api()
    for number in (0, vms - 1):
        (found,) = manager.sql("select md5('vm:%d')::uuid" % number)[0]
        values = {entry["name"]: entry["values"]["value"][0].get("datum")
                  for entry in api.get("vms/%s/statistics" % found)["statistic"]}
        if not float(values["elapsed.time"]) > 0:
            raise StepFailed("VM %s has no statistics: %s" % (found, values))


def measure_rest(manager, requests):
    """The interface of the real Manager, hosts connected and polled the while."""
    (some,) = manager.sql("select md5('vm:7')::uuid")[0]
    base = "/ovirt-engine/api/vms"
    rate, client_us, _, _ = manager.load(base + "/" + some, connections=8, requests=requests)
    row("GET /vms/{id}, the real Manager", "> 20,000/s", "%.0f/s" % rate,
        "the client takes %.0f us of the same cores a request" % client_us)
    _, client_us, median, size = manager.load(base, requests=max(4, requests // 1000))
    row("GET /vms, the real Manager, XML (%d KiB)" % (size // 1024), "< 15 ms",
        "%.1f ms" % median, "of which the client takes %.1f ms" % (client_us / 1000))


def polled_every(seconds):
    """The options of a Manager; the defaults for POLL_SECONDS."""
    return "" if seconds == POLL_SECONDS else (
        "NumberVmRefreshesBeforeSave=1\nVdsRefreshRate=%d\n" % seconds)


def small_site(folder, hosts, vms, requests):
    say("%d hosts, %d VMs" % (hosts, vms))
    manager = Manager(folder)
    fleet = Fleet(folder, manager.site, hosts, vms)
    try:
        manager.start()
        time.sleep(1)
        database = sum(memory(pid, "RssAnon") for pid in children(manager.pid))
        row("Manager memory, empty", "< 60 MiB", "%.0f MiB" % memory(manager.pid),
            "its PostgreSQL takes %.0f MiB of its own" % database)
        population.populate(manager.site.api(), manager.run, hosts, vms, ADDRESS, fleet.port)
        fleet.start()
        manager.stop()
        manager.start()
        connect_all(manager, fleet, hosts)
        measure_rest(manager, requests)
        measure_starts(manager, 5, "Manager cold start, %d hosts, %d VMs" % (hosts, vms), "< 1 s")
        fleet.forget()
        connect_all(manager, fleet, hosts)
        check_statistics(manager, vms)
    finally:
        fleet.end()
        manager.site.remove()


def large_site(folder, hosts, vms, seconds, poll=POLL_SECONDS, requests=0):
    say("%d hosts, %d VMs" % (hosts, vms))
    manager = Manager(folder, polled_every(poll))
    fleet = Fleet(folder, manager.site, hosts, vms)
    try:
        manager.start()
        population.populate(manager.site.api(), manager.run, hosts, vms, ADDRESS, fleet.port)
        fleet.start()
        manager.stop()
        say("the Manager starts and connects")
        start = manager.start()
        took, cores = connect_all(manager, fleet, hosts)
        row("all %d hosts connected, known for the first time, polled" % hosts, "-",
            "%.0f s, %.2f cores" % (took, cores["manager"]),
            "database %.2f, hosts %.2f" % (cores["database"], cores["hosts"]))
        settle(manager)
        measure_monitoring(manager, fleet, hosts, vms, seconds, "< 1 core", poll)
        check_statistics(manager, vms)
        if requests:
            measure_rest(manager, requests)
        row("Manager memory, %d hosts, %d VMs" % (hosts, vms), "< 2 GiB",
            "%.0f MiB (at most %.0f)" % (memory(manager.pid), memory(manager.pid, "VmHWM")),
            "their documents in the database: %s MiB" % manager.sql(
                "select (sum(pg_total_relation_size(oid)) / 1048576)::int from pg_class"
                " where relkind = 'r' and relnamespace = 'public'::regnamespace")[0][0])
        row("Manager start, %d hosts, %d VMs, the first" % (hosts, vms), "-",
            "%.1f s" % (start / 1000))
        measure_starts(manager, 1, "the same again", "-")
    finally:
        fleet.end()
        manager.site.remove()


def settle(manager):
    """Until what the hosts said at first is in the database."""
    def quiet():
        before = manager.sql("select value from vireo_meta where key = 'sequence'")
        time.sleep(2)
        return before == manager.sql("select value from vireo_meta where key = 'sequence'")
    wait_for(quiet, 300, "the first reports stored")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--hosts", type=int, help="one site with this many hosts, ten VMs each")
    parser.add_argument("--seconds", type=int, default=60, help="of monitoring")
    options = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("psql"):
        print("bench_site: it takes root, for the database's own user, and psql", file=sys.stderr)
        sys.exit(77 if options.smoke else 1) # 77: a test that is skipped
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder = tempfile.mkdtemp(prefix="vireo-bench-", dir="/tmp")
    os.chmod(folder, 0o755)
    try:
        if options.smoke:
            large_site(folder, 4, 8, 2, poll=1, requests=200) # one site for all measurements
        elif options.hosts:
            large_site(folder, options.hosts, 10 * options.hosts, options.seconds)
        else:
            small_site(folder, 100, 1000, 100000)
            large_site(folder, 10000, 100000, options.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *ignored: sys.exit("bench_site: it was told to end"))
    try:
        main()
    except StepFailed as error:
        sys.exit("bench_site: %s" % error)

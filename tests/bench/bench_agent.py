#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench_agent: the agent's memory with 100 machines, polled as a Manager does.

libvirt's test driver stands for QEMU, so no guest takes memory or time.  --smoke: five machines.
"""

import os
import subprocess
import sys
import tempfile
import time

BUILD = os.environ["VIREO_BUILD"]
sys.path.insert(0, os.path.join(os.environ["VIREO_SOURCE"], "tests", "agent"))

import machines  # noqa: E402
import stomp  # noqa: E402

SMOKE = "--smoke" in sys.argv
MACHINES = 5 if SMOKE else 100
POLLS = 2 if SMOKE else 20


def memory(pid, what):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        for line in file:
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
    return 0


def main():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "agent.conf"), "w", encoding="ascii") as file:
            file.write("[agent]\naddress=127.0.0.1\nport=0\nimage-port=0\nstate=%s/state\n"
                       "run-root=%s/storage\nlog=error\n[libvirt]\nuri=test:///default\naccel=kvm\n"
                       % (folder, folder))
        agent = subprocess.Popen([os.path.join(BUILD, "src", "agent", "vireo-agentd"), "--config",
                                  os.path.join(folder, "agent.conf")])
        try:
            measure(agent, os.path.join(folder, "state", "agent.port"))
        finally:
            agent.terminate()
            agent.wait()


def measure(agent, port_file):
    end = time.monotonic() + 30
    while not os.path.exists(port_file):
        if agent.poll() is not None or time.monotonic() > end:
            sys.exit("the agent does not listen")
        time.sleep(0.02)
    with open(port_file, encoding="ascii") as file:
        client = stomp.Client(int(file.read()))
    client.call_ready("Host.ping2")
    empty = memory(agent.pid, "VmRSS")
    for number in range(MACHINES):
        # The test driver has a type and an architecture of its own.
        vm, xml = machines.domain("bench%d" % number)
        xml = xml.replace('type="kvm"', 'type="test"').replace(
            '<type arch="x86_64" machine="pc-q35-rhel8.6.0">hvm</type>',
            '<type arch="i686">hvm</type>')
        machines.create(client, vm, xml)
    for _ in range(MACHINES):
        _, params = client.wait_event(lambda method, params: "|VM_status|" in method)
        (stats,) = [value for key, value in params.items() if key != "notify_time"]
        if stats["status"] != "Up":
            sys.exit("a machine did not start: %s" % stats)
    begin = time.monotonic()
    for _ in range(POLLS):
        if len(client.call("Host.getAllVmStats")) != MACHINES:
            sys.exit("machines are missing")
        client.call("Host.getStats")
    took = (time.monotonic() - begin) / POLLS
    print("agent memory, no VM | - | %.1f MiB" % empty)
    print("agent memory, %d VMs | < 40 MiB | %.1f MiB" % (MACHINES, memory(agent.pid, "VmRSS")))
    print("agent, one poll of %d VMs and the host | - | %.1f ms" % (MACHINES, took * 1000))


main()

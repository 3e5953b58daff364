# SPDX-License-Identifier: Apache-2.0
"""cli: the commands of lab/lab."""

import argparse
import os
import select
import subprocess
import sys
import termios
import tty

from vireolab.api import ApiError

from vlab import StepFailed, bmc, monitor, topology
from vlab import lab as labs

DESCRIPTION = """\
Several real Debian hosts on one machine: virtual machines that boot from this machine's own root.
LAB_STATE (.lab) is where a lab is kept; labs with different folders run beside each other."""


def say(text):
    print("lab: " + text, file=sys.stderr, flush=True)


def command_up(lab, options):
    chosen = options.topology or (lab.topology.name if lab.topology else "one-host")
    if lab.topology and not options.topology:
        wanted = lab.topology
    else:
        wanted = topology.load(chosen)
    lab.up(wanted, manager=not options.no_manager, guard=options.guard)
    print("lab: ready %s hosts %s" % (lab.state, " ".join(m.name for m in lab.topology.hosts)))
    if not options.no_manager:
        print("lab: Manager %s/ user admin@internal password-file %s" % (
            lab.manager.url, lab.manager.password_file))
        if lab.relay_port():
            print("lab: from outside the lab's network https://localhost:%d/" % lab.relay_port())
    print("lab: root's password on every host: %s" % lab.config["password"])


def command_down(lab, options):
    lab.down(options.keep)


def command_status(lab, options):
    rows = lab.status()
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print("topology %s: %s" % (lab.topology.name, lab.topology.about))
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    running = lab.manager.site.state and os.path.isdir(lab.manager.site.path("run"))
    if running:
        print("Manager %s/ password-file %s" % (lab.manager.url, lab.manager.password_file))


def command_ssh(lab, options):
    os.environ[labs.MARK] = lab.state
    command = lab.ssh(options.host, *options.command)
    if not options.command and "ssh" in command:
        command.insert(command.index("ssh") + 1, "-t")
    os.chdir(lab.state)
    os.execvp(command[0], command)


def command_console(lab, options):
    """The serial console; Ctrl-] ends the session, the host does not notice."""
    stream = monitor.connect(lab.machine(options.host).channel("console"))
    say("console of %s; Enter for a shell, Ctrl-] to leave" % options.host)
    keyboard = sys.stdin.fileno()
    saved = termios.tcgetattr(keyboard) if os.isatty(keyboard) else None
    try:
        if saved:
            tty.setraw(keyboard)
        while True:
            ready = select.select([keyboard, stream], [], [])[0]
            if stream in ready:
                data = stream.recv(65536)
                if not data:
                    return
                os.write(sys.stdout.fileno(), data)
            if keyboard in ready:
                data = os.read(keyboard, 4096)
                if not data or b"\x1d" in data:
                    return
                stream.sendall(data)
    finally:
        if saved:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, saved)
        stream.close()


def links(lab, names):
    """{machine: NIC names} of `host1`, `host1:nic1` and names of cables."""
    chosen = {}
    for name in names:
        host, _, nic = name.partition(":")
        if name in lab.topology.cables:
            for machine in lab.machines.values():
                chosen.setdefault(machine, set()).update(
                    end.name for end in machine.machine.nics if end.link == name)
        elif nic:
            chosen.setdefault(lab.machine(host), set()).add(lab.machine(host).nic(nic).name)
        else:
            chosen.setdefault(lab.machine(host), set()).update(
                end.name for end in lab.machine(host).machine.nics)
    return chosen


def command_cut(lab, options):
    lab.require()
    for machine, names in links(lab, options.link).items():
        machine.set_links(names, False)


def command_heal(lab, options):
    lab.require()
    if options.link:
        chosen = links(lab, options.link)
    else:
        chosen = {machine: machine.cut_links() for machine in lab.machines.values()}
    for machine, names in chosen.items():
        if names:
            machine.set_links(names, True)


def command_freeze(lab, options):
    lab.machine(options.host).freeze()


def command_thaw(lab, options):
    lab.machine(options.host).thaw()


def command_power(lab, options):
    machine = lab.machine(options.host)
    if options.action == "on":
        machine.power_on()
    elif options.action == "off":
        machine.power_off()
    print("on" if machine.is_on() else "off")


def command_wait(lab, options):
    machine = lab.machine(options.host)
    machine.wait_ready()


def command_chassis(lab, options):
    sys.stdout.write(bmc.chassis(lab.machine(options.host), options.arguments))


def command_logs(lab, options):
    folders = [lab.path("log"), lab.path("manager", "log")]
    found = sorted(os.path.join(folder, name) for top in folders for folder, _, names in os.walk(top)
                   for name in names if name.endswith(".log"))
    chosen = [path for path in found if not options.name or
              os.path.basename(path).startswith(options.name)]
    if not chosen:
        raise StepFailed("there is no log %s in %s" % (options.name or "", lab.path("log")))
    if options.follow:
        os.execvp("tail", ["tail", "-n", "20", "-F"] + chosen)
    if not options.name:
        for path in chosen:
            print("%9d %s" % (os.path.getsize(path), path))
        return
    subprocess.run(["tail", "-n", "+1"] + chosen, check=False)


def command_topologies(lab, options):
    for name in topology.names():
        entry = topology.load(name)
        memory, cores = entry.resources()
        print("%-16s %d machines, %5d MiB, %d cores: %s" % (
            name, len(entry.machines), memory, cores, entry.about))


def command_guard(lab, options):
    labs.guard(lab, options.pid, options.start)


def command_relay(lab, options):
    labs.relay(lab, options.port)


def parser():
    top = argparse.ArgumentParser(prog="lab", description=DESCRIPTION,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--state", help="the lab's folder instead of LAB_STATE or .lab")
    commands = top.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add(name, function, text, *arguments):
        one = commands.add_parser(name, help=text) if text else commands.add_parser(name)
        one.set_defaults(function=function)
        for argument in arguments:
            one.add_argument(*argument[0], **argument[1])

    def arg(*names, **options):
        return names, options
    host = arg("host", help="a machine's name")
    link = "HOST, HOST:nicN or a cable"
    add("up", command_up, "start a lab, or what of it does not run",
        arg("topology", nargs="?", help="a name of `topologies`, or a file; default one-host"),
        arg("--no-manager", action="store_true", help="hosts only"),
        arg("--guard", type=int, metavar="PID", help="end the lab when this process ends"))
    add("down", command_down, "end everything and delete all but the logs",
        arg("--keep", action="store_true", help="keep disks and state for the next up"))
    add("status", command_status, "what there is and what runs")
    add("ssh", command_ssh, "a shell or a command on a host", host,
        arg("command", nargs=argparse.REMAINDER))
    add("console", command_console, "the serial console; Ctrl-] leaves", host)
    add("cut", command_cut, "pull cables out", arg("link", nargs="+", help=link))
    add("heal", command_heal, "plug cables in; all of them when none is named",
        arg("link", nargs="*", help=link))
    add("freeze", command_freeze, "stop a machine dead (SIGSTOP)", host)
    add("thaw", command_thaw, "let it go on", host)
    add("power", command_power, "the plug of a machine", host,
        arg("action", choices=("on", "off", "status")))
    add("wait", command_wait, "until a machine is ready", host)
    add("logs", command_logs, "the logs' names; with NAME their content",
        arg("name", nargs="?"), arg("-f", "--follow", action="store_true"))
    add("topologies", command_topologies, "what can be started")
    # For the lab itself: what its BMCs, its guard and its relay run.
    add("chassis", command_chassis, None, host, arg("arguments", nargs="+"))
    add("guard", command_guard, None, arg("pid", type=int), arg("start", type=int))
    add("relay", command_relay, None, arg("port", type=int))
    return top


def main(argv=None):
    options = parser().parse_args(argv)
    try:
        options.function(labs.Lab(options.state, say), options)
    except (StepFailed, ApiError, OSError) as error:
        say("FAILED: %s" % error)
        if getattr(error, "remedy", ""):
            say("what to do: %s" % error.remedy)
        return 1
    except KeyboardInterrupt:
        say("interrupted; what was started runs on: `lab down` ends it, `lab up` goes on")
        return 130
    return 0

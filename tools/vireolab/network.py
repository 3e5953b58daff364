# SPDX-License-Identifier: Apache-2.0
"""network: a network of its own for a site, so that several sites on one machine never meet."""

import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000


def own_network():
    """Moves this thread, and whatever it starts from now on, into an empty network with a loopback
    interface.  Ports and the bridge are then nobody else's, and end with the last process in it.

    Like every real host it has an IPv4 address besides 127.0.0.1: getaddrinfo() with AI_ADDRCONFIG,
    which SPICE uses, knows no IPv4 addresses otherwise."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare: no network of its own")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", "198.51.100.1/32", "dev", "lo"], check=True)


def links(*selection):
    """The lines of `ip link show` for @selection; none when there is no such link."""
    done = subprocess.run(["ip", "-o", "link", "show"] + list(selection), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.splitlines()

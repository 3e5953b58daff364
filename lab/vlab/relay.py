# SPDX-License-Identifier: Apache-2.0
"""relay: a port of the outer machine's loopback that leads to the Manager, for browser and curl.

It listens in the outer network, then enters the lab's, and connects from there.
"""

import asyncio
import os
import socket

from vlab.network import enter


async def copy(reader, writer):
    try:
        while True:
            data = await reader.read(65536)
            if not data:
                break
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(listener, address, port):
    async def accept(reader, writer):
        try:
            inner, outer = await asyncio.open_connection(address, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, outer), copy(inner, writer))
    server = await asyncio.start_server(accept, sock=listener)
    await server.serve_forever()


def listen(port):
    """A listening socket on @port of the loopback, or on the next one that is free."""
    while True:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(64)
            return listener
        except OSError:
            listener.close()
            if port >= 65535:
                raise
            port += 1


def run(listener, namespace, address, port):
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    enter(descriptor)
    os.close(descriptor)
    asyncio.run(serve(listener, address, port))

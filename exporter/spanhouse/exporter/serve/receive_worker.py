"""A receive process: one of several that share the ports and write the same spool, which another process empties.

Its parent process writes the configuration to its standard input and keeps that open. When standard input ends, this process ends too.
"""

from __future__ import annotations

import asyncio
import pickle
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass

import uvloop

from spanhouse.exporter import logs
from spanhouse.exporter.readiness import STOPPING, Readiness
from spanhouse.exporter.serve.config import Ack, ServeConfig
from spanhouse.exporter.serve.credentials import Credentials
from spanhouse.exporter.serve.listeners import listening
from spanhouse.exporter.serve.pipeline import acknowledging, spooling
from spanhouse.exporter.store.open_store import OpenStore
from spanhouse.exporter.transport.malloc import limit_arenas

READY = b"ready\n"


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders to a receive process.

    Attributes:
        config: the server's configuration, with the ports that were chosen.
        number: number of this process, from 0 on.
    """

    config: ServeConfig
    number: int


async def _receive(orders: Orders) -> None:
    config = orders.config
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    credentials, readiness = Credentials.read(config), Readiness()
    loop.add_signal_handler(signal.SIGHUP, credentials.reload)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # Ctrl-C reaches all processes of a terminal; the parent process says when this one ends.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_reader(sys.stdin.fileno(), stop.set)
    async with AsyncExitStack() as stack:
        if config.ack is Ack.STORE:
            store = stack.enter_context(OpenStore.open(config.store))
            service = await stack.enter_async_context(acknowledging(config, store, readiness))
        else:
            service = await stack.enter_async_context(spooling(config, orders.number, readiness))
        await stack.enter_async_context(listening(config, service, None, None, credentials=credentials, readiness=readiness, share_ports=True))
        sys.stdout.buffer.write(READY)
        sys.stdout.buffer.flush()
        await stop.wait()
        readiness.set(STOPPING, "the server is about to end")


def main() -> None:
    """Run as ``python -m spanhouse.exporter.serve.receive_worker``."""
    orders: Orders = pickle.load(sys.stdin.buffer)  # noqa: S301 from the process that started this one
    logs.configure(orders.config.log_format, orders.config.log_level)
    limit_arenas()
    uvloop.run(_receive(orders))


if __name__ == "__main__":
    main()

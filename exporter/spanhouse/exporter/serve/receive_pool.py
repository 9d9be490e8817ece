"""The pool of receive processes that share the ports: started, watched and stopped together."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import replace
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from spanhouse.exporter.address import OFF, Address, ConfigError
from spanhouse.exporter.serve.config import STOP_SECONDS, ServeConfig
from spanhouse.exporter.serve.receive_worker import READY, Orders
from spanhouse.exporter.transport.http_listener import bind

_log = logging.getLogger(__name__)

_RESTART_SECONDS: Final = 1.0
_LAST_SECONDS: Final = 2.0
"""Time that a process gets on top of the time for calls under way, before it is killed."""


class Receivers:
    """Pool of a server's receive processes. One that ends unasked is started again.

    Args:
        config: configuration of each process.
        addresses: their addresses by option.

    Attributes:
        addresses: their addresses by option.
    """

    def __init__(self, config: ServeConfig, addresses: Mapping[str, str]) -> None:
        self.addresses = addresses
        self._config = config
        self._stopping = False
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._watches: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all processes; return when they take requests.

        Raises:
            ConfigError: a process could not start; its log says why.
        """
        for number in range(self._config.processes):
            await self._start(number)
        self._watches = [asyncio.create_task(self._watch(number), name=f"receiver {number}") for number in range(self._config.processes)]

    async def stop(self) -> None:
        """Let calls under way finish, then end all processes."""
        self._stopping = True
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS + _LAST_SECONDS):
                await asyncio.gather(*(process.wait() for process in self._processes.values()))
        except TimeoutError:
            self.signal(signal.SIGKILL)
        await asyncio.gather(*self._watches)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes."""
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    async def _start(self, number: int) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "spanhouse.exporter.serve.receive_worker", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self._processes[number] = process
        if process.stdin is not None:
            process.stdin.write(pickle.dumps(Orders(self._config, number)))
        if process.stdout is None or await process.stdout.readline() != READY:
            raise ConfigError(f"receive process {number} ended before it took requests (exit code {await process.wait()})")

    async def _watch(self, number: int) -> None:
        while True:
            code = await self._processes[number].wait()
            if self._stopping:
                return
            if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
                mark_process_dead(self._processes[number].pid)  # type: ignore[no-untyped-call]
            _log.error("receive process %d ended unasked (exit code %d); it is started again", number, code)
            try:
                await self._start(number)
            except ConfigError as error:
                _log.error("%s", error)
                await asyncio.sleep(_RESTART_SECONDS)


@asynccontextmanager
async def receivers(config: ServeConfig) -> AsyncIterator[Receivers]:
    """Run the receive processes that a configuration asks for.

    Raises:
        ConfigError: a port is taken, or a process could not start.
    """
    with _ports(config) as addresses:
        started = Receivers(replace(config, grpc=addresses["grpc"], http=addresses["http"], clickhouse_http=OFF), addresses)
        try:
            await started.start()
            yield started
        finally:
            await started.stop()


@contextmanager
def _ports(config: ServeConfig) -> Iterator[Mapping[str, str]]:
    """Choose the ports and keep them. A bound socket that does not listen gets no connections, and lets others share the port."""
    with ExitStack() as stack:
        addresses = {}
        for name, text in (("grpc", config.grpc), ("http", config.http)):
            address = Address.parse(text, f"--{name}")
            if address is None:
                addresses[name] = OFF
                continue
            # A port of another program must not be shared, so it has to be free first.
            with closing(bind(address, name)) as free:
                address = replace(address, port=free.getsockname()[1])
            stack.enter_context(closing(bind(address, name, shared=True)))
            addresses[name] = str(address)
        yield addresses

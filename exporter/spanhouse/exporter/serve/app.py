"""The `serve` process: starts the write path from its end to its beginning, and stops it the other way round."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from spanhouse.exporter.access.tokens import Right, TokenFile
from spanhouse.exporter.address import OFF
from spanhouse.exporter.clickhouse_http.endpoint import ClickHouseHttp
from spanhouse.exporter.clickhouse_http.query_log import QueryLog
from spanhouse.exporter.clickhouse_http.query_settings import QueryLimits
from spanhouse.exporter.clickhouse_http.reader import Reader
from spanhouse.exporter.readiness import STOPPING, Readiness
from spanhouse.exporter.serve.config import Ack, ServeConfig
from spanhouse.exporter.serve.credentials import Credentials
from spanhouse.exporter.serve.listeners import listening
from spanhouse.exporter.serve.pipeline import acknowledging, draining
from spanhouse.exporter.serve.receive_pool import receivers
from spanhouse.exporter.serve.status_line import status_line
from spanhouse.exporter.store.maintenance import Maintenance
from spanhouse.exporter.store.open_store import OpenStore, own_store
from spanhouse.exporter.store.thread_priority import engine_threads
from spanhouse.exporter.transport.asgi import App
from spanhouse.exporter.transport.console_auth import ConsoleAuth
from spanhouse.exporter.transport.malloc import limit_arenas
from spanhouse.schema.address import serving
from spanhouse.schema.address.serving import Serving
from spanhouse.schema.tables.driver import Execute, execute_of

_log = logging.getLogger(__name__)

_LAST_SECONDS: Final = 2.0
"""Time that cancelled queries get to end."""
_FAILED: Final = 3
"""Exit code of a process that ends by an error other than its options."""

MakeConsole = Callable[[Execute, Maintenance, Callable[[], AbstractContextManager[Execute]]], App]
"""Function that makes the console's application.

Its arguments: the function that runs statements on the store, in one thread at a time; the store's maintenance; the turn to write rows of traces.
"""


@dataclass(slots=True)
class _OpenEngine:
    """The engine of this process, closed after the event loop's work.

    Attributes:
        closing: closes its threads and connections.
        stuck: True if a query is inside of a call that the engine does not interrupt, so that it can't be closed.
    """

    closing: ExitStack = field(default_factory=ExitStack)
    stuck: bool = False


def run(config: ServeConfig, make_console: MakeConsole | None = None) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the token file and the certificates again.

    Print one line to standard output when all listeners take requests.

    Args:
        config: addresses, store, spool and limits.
        make_console: makes the application for ``config.console``; None leaves that listener out.

    Raises:
        ConfigError: an option can't be used: an address is taken, the token file or a certificate can't be read.
        StoreError: the store can't be used.
    """
    config.validate()
    limit_arenas()
    open_engine = _OpenEngine()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(config, make_console, open_engine))
        finally:
            if open_engine.stuck:
                _end_with_open_engine(sys.exc_info()[1])
            open_engine.closing.close()


def _end_with_open_engine(failure: BaseException | None) -> None:
    """End the process at once. All that was acknowledged is on disk, as it is after a kill."""
    failed = isinstance(failure, Exception)
    if failed:
        _log.critical("ends by an error", exc_info=failure)
    _log.warning("a query does not end: stopped without waiting for it")
    logging.shutdown()
    os._exit(_FAILED if failed else 0)


async def _serve(config: ServeConfig, make_console: MakeConsole | None, open_engine: _OpenEngine) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    readiness = Readiness()
    credentials = Credentials.read(config)
    loop.add_signal_handler(signal.SIGHUP, credentials.reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        files = _serve_files(config)
        engine = open_engine.closing.enter_context(engine_threads(1, "engine"))
        store = open_engine.closing.enter_context(await loop.run_in_executor(engine, _open_store, config))
        clickhouse_http = await stack.enter_async_context(_clickhouse_http(config, credentials.tokens, engine, open_engine))
        console = stack.enter_context(_console(config, store, credentials, make_console, engine))
        at = await stack.enter_async_context(_receiving(config, store, clickhouse_http, console, credentials=credentials, readiness=readiness))
        found = Serving(
            pid=os.getpid(),
            store=str(config.store),
            grpc=at.get("grpc", OFF),
            http=at.get("http", OFF),
            clickhouse_http=at.get("clickhouse-http", OFF),
            clickhouse_scheme="https" if config.over_tls("clickhouse-http") else "http",
            console=at.get("console", OFF),
        )
        stack.enter_context(_announced(found, files))
        ready = f"store={found.store} grpc={found.grpc} http={found.http} clickhouse-http={found.clickhouse_http} console={found.console}"
        print(f"spanhouse ready {ready}", flush=True)  # noqa: T201 the ready line
        async with status_line():
            await stop.wait()
        readiness.set(STOPPING, "the server is about to end")
        _log.info("stopping")


def _open_store(config: ServeConfig) -> OpenStore:
    """Open the store, in the directory of an embedded one: the engine keeps its cache of protobuf schemas where it starts."""
    if config.store.directory is not None:
        own_store(config.store.directory).close()  # it is made, unless another process owns it
        os.chdir(config.store.directory)
    return OpenStore.open(config.store, config.engine)


@asynccontextmanager
async def _receiving(
    config: ServeConfig,
    store: OpenStore,
    clickhouse_http: ClickHouseHttp | None,
    console: App | None,
    *,
    credentials: Credentials,
    readiness: Readiness,
) -> AsyncIterator[Mapping[str, str]]:
    """Open all listeners and give their addresses by option. Those of OTLP may be in processes of their own."""
    async with AsyncExitStack() as stack:
        if config.processes == 1:
            service = await stack.enter_async_context(acknowledging(config, store, readiness))
            listeners = await stack.enter_async_context(
                listening(config, service, clickhouse_http, console, credentials=credentials, readiness=readiness)
            )
            yield {name: str(listener.address) for name, listener in listeners.items()}
            return
        if config.ack is Ack.SPOOL:
            await stack.enter_async_context(draining(config, store))
        listeners = await stack.enter_async_context(listening(config, None, clickhouse_http, console, credentials=credentials, readiness=readiness))
        others = await stack.enter_async_context(receivers(config))

        def reload() -> None:
            credentials.reload()
            others.signal(signal.SIGHUP)

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        yield {**{name: str(listener.address) for name, listener in listeners.items()}, **others.addresses}


@asynccontextmanager
async def _clickhouse_http(
    config: ServeConfig, tokens: TokenFile, engine: Executor, open_engine: _OpenEngine
) -> AsyncIterator[ClickHouseHttp | None]:
    """Give the application of the ClickHouse-compatible endpoint; None over a ClickHouse server, which has its own."""
    if config.store.directory is None or config.clickhouse_http == OFF:
        yield None
        return
    opening = partial(Reader.open, config.store.directory, config.store.database, limits=QueryLimits(memory_bytes=config.query_memory_bytes))
    reader = await asyncio.get_running_loop().run_in_executor(engine, opening)
    app = ClickHouseHttp(
        reader,
        authorize=tokens.authorizer(Right.READ) if config.token_file else None,
        query_log=QueryLog(config.store.directory.with_name(f"{config.store.directory.name}-queries.jsonl"), config.query_log),
    )
    try:
        yield app
    finally:
        # Listeners have waited for the requests under way. A query may still be inside of a call that the engine does not interrupt.
        closing = threading.Thread(target=_close, args=(app, reader), daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _LAST_SECONDS)
        open_engine.stuck = closing.is_alive()


def _close(app: ClickHouseHttp, reader: Reader) -> None:
    app.close()
    reader.close()


@contextmanager
def _console(config: ServeConfig, store: OpenStore, credentials: Credentials, make: MakeConsole | None, engine: Executor) -> Iterator[App | None]:
    """Make the console's application, with a connection of its own."""
    if make is None or config.console == OFF:
        yield None
        return
    with store.another_client() as client:
        by_client = execute_of(client)

        def execute(sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[object]]:
            with store.writing:
                return engine.submit(by_client, sql, parameters).result()

        with engine_threads(1, "upkeep") as threads:
            yield ConsoleAuth(make(execute, Maintenance(store, threads), partial(store.writing_rows, execute)), credentials.tokens)


def _serve_files(config: ServeConfig) -> list[Path]:
    """Return the places where clients look for ``serve.json``."""
    files = [serving.in_data_dir()]
    if config.store.directory is not None:
        files.append(serving.beside_store(config.store.directory))
    return list(dict.fromkeys(files))


@contextmanager
def _announced(found: Serving, files: Sequence[Path]) -> Iterator[None]:
    """Keep ``serve.json`` in each of these places that does not name another living server."""
    written = [file for file in files if _write(found, file)]
    try:
        yield
    finally:
        for file in written:
            if serving.read_serving(file) == found:
                file.unlink(missing_ok=True)


def _write(found: Serving, file: Path) -> bool:
    other = serving.read_serving(file)
    if other is not None and other.pid != found.pid and other.alive():
        return False
    try:
        found.write(file)
    except OSError as error:
        _log.warning("clients will not find this server by themselves: %s: %s", file, error.strerror)
        return False
    return True

"""`serve`: starts the parts of the write path from its end to its beginning, and stops them the other way round."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop

from spanhouse.exporter.access.tokens import Right, TokenFile
from spanhouse.exporter.address import OFF
from spanhouse.exporter.clickhouse_http.endpoint import ClickHouseHttp
from spanhouse.exporter.clickhouse_http.query_log import QueryLog
from spanhouse.exporter.clickhouse_http.query_settings import QueryLimits
from spanhouse.exporter.clickhouse_http.reader import Reader
from spanhouse.exporter.ingest.service import ExportService
from spanhouse.exporter.readiness import STOPPING, Readiness
from spanhouse.exporter.serve.config import MAX_REQUEST_BYTES, Ack, ServeConfig
from spanhouse.exporter.serve.credentials import Credentials
from spanhouse.exporter.serve.listeners import listening
from spanhouse.exporter.serve.pipeline import acknowledging, draining
from spanhouse.exporter.serve.receive_pool import receivers
from spanhouse.exporter.serve.status_line import status_line
from spanhouse.exporter.store.maintenance import Maintenance
from spanhouse.exporter.store.open_store import OpenStore
from spanhouse.exporter.store.thread_priority import engine_threads
from spanhouse.exporter.transport.asgi import App
from spanhouse.exporter.transport.console_auth import ConsoleAuth
from spanhouse.exporter.transport.malloc import limit_arenas
from spanhouse.schema.address import serving
from spanhouse.schema.address.serving import Serving
from spanhouse.schema.tables.driver import Execute

_log = logging.getLogger(__name__)

_LAST_SECONDS: Final = 2.0
"""What queries that were told to end may still take."""
_FAILED: Final = 3
"""Exit code of a process that ends by an error other than its options."""

MakeConsole = Callable[[Execute, Maintenance, Callable[[], AbstractContextManager[Execute]]], App]
"""Makes the console's application; it is given what runs statements on the store, in one thread at a time, and what looks after it."""


def run(config: ServeConfig, make_console: MakeConsole | None = None) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the token file and the certificates again.

    Prints one line to standard output when all listeners take requests.

    Args:
        config: where to listen and where to keep what comes.
        make_console: for ``config.console``; None leaves that listener out.

    Raises:
        ConfigError: an option can't be used: an address is taken, the token file or a certificate can't be read.
        StoreError: the store can't be used.
    """
    config.validate()
    limit_arenas()
    uvloop.run(_serve(config, make_console))


async def _serve(config: ServeConfig, make_console: MakeConsole | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    readiness = Readiness()
    credentials = Credentials.read(config)
    loop.add_signal_handler(signal.SIGHUP, credentials.reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        files = _serve_files(config)
        engine = stack.enter_context(engine_threads(1, "engine"))
        store = stack.enter_context(await loop.run_in_executor(engine, OpenStore, config.store, config.engine))
        clickhouse_http = await stack.enter_async_context(_clickhouse_http(config, credentials.tokens, engine))
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
    """All listeners; gives their addresses by option. Those of OTLP may be in processes of their own."""
    async with AsyncExitStack() as stack:
        if config.processes == 1:
            service = ExportService(await stack.enter_async_context(acknowledging(config, store, readiness)), MAX_REQUEST_BYTES)
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
async def _clickhouse_http(config: ServeConfig, tokens: TokenFile, engine: Executor) -> AsyncIterator[ClickHouseHttp | None]:
    """The application of the ClickHouse-compatible endpoint; None over a ClickHouse server, which has its own."""
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
        # Listeners have waited for what is under way. A query may be inside of a call that the engine does not interrupt; then the process ends
        # without it and without closing the engine. All that was acknowledged is on disk, as it is after a kill.
        closing = threading.Thread(target=_close, args=(app, reader), daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _LAST_SECONDS)
        if closing.is_alive():
            failure = sys.exc_info()[1]
            failed = failure is not None and not isinstance(failure, asyncio.CancelledError)
            if failed:
                _log.critical("ends by an error", exc_info=failure)
            _log.warning("a query does not end: stopped without waiting for it")
            logging.shutdown()
            os._exit(_FAILED if failed else 0)


def _close(app: ClickHouseHttp, reader: Reader) -> None:
    app.close()
    reader.close()


@contextmanager
def _console(config: ServeConfig, store: OpenStore, credentials: Credentials, make: MakeConsole | None, engine: Executor) -> Iterator[App | None]:
    """The console's application, with a connection of its own."""
    if make is None or config.console == OFF:
        yield None
        return
    with store.another_client() as client:

        def execute(sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[Any]]:
            with store.writing:
                return engine.submit(client.query, sql, parameters=dict(parameters or {})).result().result_rows

        with engine_threads(1, "upkeep") as threads:
            yield ConsoleAuth(make(execute, Maintenance(store, threads), partial(store.writing_rows, execute)), credentials.tokens)


def _serve_files(config: ServeConfig) -> list[Path]:
    """Where clients look for ``serve.json``."""
    files = [serving.in_data_dir()]
    if config.store.directory is not None:
        files.append(serving.beside_store(config.store.directory))
    return list(dict.fromkeys(files))


@contextmanager
def _announced(found: Serving, files: Sequence[Path]) -> Iterator[None]:
    """Keep ``serve.json`` where clients look, unless another living server is named there."""
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

"""Connection to a store, the only module that uses a driver: runs statements, and converts errors to one line."""

from __future__ import annotations

import logging
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from spanhouse.query.errors import StoreUnavailableError
from spanhouse.query.sql.statement import Parameter, Statement
from spanhouse.query.sql.tag_edits import write_tag
from spanhouse.query.store.cancel import close_sockets
from spanhouse.query.store.query_limits import Cost, Limits
from spanhouse.query.store.server_api import Api
from spanhouse.schema.address import embedded
from spanhouse.schema.address.dsn import Store, StoreError, default_store, parse_store
from spanhouse.schema.address.serving import Serving, in_data_dir, owner, read_serving, server_of
from spanhouse.schema.prices import price_store
from spanhouse.schema.prices.price import Price
from spanhouse.schema.settle.remake import remake_traces
from spanhouse.schema.settle.turns import Turns
from spanhouse.schema.tables.error_codes import ClickHouseErrorCode

_UNKNOWN_TABLE: Final = ClickHouseErrorCode.UNKNOWN_TABLE
_UNKNOWN_DATABASE: Final = ClickHouseErrorCode.UNKNOWN_DATABASE
_TIMEOUT_EXCEEDED: Final = ClickHouseErrorCode.TIMEOUT_EXCEEDED
_MEMORY_EXCEEDED: Final = ClickHouseErrorCode.MEMORY_LIMIT_EXCEEDED
_AUTHENTICATION_FAILED: Final = ClickHouseErrorCode.AUTHENTICATION_FAILED
INVALID_PATTERN: Final = ClickHouseErrorCode.CANNOT_COMPILE_REGEXP
"""The engine's error code for an invalid regular expression."""
_CONNECT_SECONDS: Final = 5
_END_WITH_CLIENT: Final = "cancel_http_readonly_queries_on_client_close"
_TURN_SECONDS: Final = 10
_CANCEL_AGAIN_SECONDS: Final = 0.05
_GRACE_SECONDS: Final = 5
"""Time beyond the engine's own limit to wait for an answer."""
_LIMIT_HINTS: Final[Mapping[int, str]] = {
    _TIMEOUT_EXCEEDED: "the query took too long: ask for less, such as a shorter time, or give it more of `timeout_seconds`",
    _MEMORY_EXCEEDED: "the query needs too much memory: ask for less, such as a shorter time, or give it more of `memory_bytes`",
}
"""The engine's error code of an exceeded limit -> the remedy."""
_MESSAGE_CHARACTERS: Final = 300


class QueryCancelledError(StoreUnavailableError):
    """A statement was ended by ``cancel``."""


class StatementError(StoreUnavailableError):
    """The engine refused a statement.

    Attributes:
        code: ClickHouse's error code; None if it gave none.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class Connection:
    """A connection to a store. One statement runs at a time; other threads wait.

    Attributes:
        store: address of the store.
    """

    def __init__(self, store: Store, limits: Limits) -> None:
        """Connect.

        Raises:
            FilterError: a limit is invalid.
            StoreError: the embedded store does not exist.
            StoreUnavailableError: the store does not answer, or another process has the embedded store open.
        """
        self.store = store
        self._limits = limits.settings()
        self._server_settings: dict[str, int] = {}
        self._one = threading.Lock()
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._ended.set()
        self._cancelled = threading.Event()
        self._mark = ""
        if store.directory is not None and not store.directory.is_dir():
            raise StoreError(f"no store in {store.directory}: start `spanhouse serve`, which makes it, or name another")
        try:
            import clickhouse_connect
            from clickhouse_connect.driver.exceptions import Error
        except ModuleNotFoundError as error:
            raise StoreUnavailableError(f"no module {error.name}: pip install 'spanhouse[query]'") from None
        self._driver_errors = (Error, OSError)
        # The driver logs errors that it also raises; an application that configures logging still gets them.
        logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
        options: dict[str, Any] = {
            "dsn": store.dsn,
            # By itself the driver treats an https:// address as http on another port.
            "interface": store.scheme,
            "database": store.database,
            "connect_timeout": _CONNECT_SECONDS,
            "autogenerate_session_id": False,
            "dedicated_pool": True,
        }
        if limits.timeout_seconds is not None:
            options["send_receive_timeout"] = limits.timeout_seconds + _GRACE_SECONDS
        if store.directory is not None:
            options = embedded.client_arguments(store.directory, store.database)
        try:
            self._client = clickhouse_connect.get_client(**options)
        except ImportError:
            raise StoreUnavailableError(f"store {store}: an embedded store needs the engine: pip install 'spanhouse[server]'") from None
        except (*self._driver_errors, RuntimeError) as error:
            raise self._unreachable(error) from None
        self._finalizer = weakref.finalize(self, self._client.close)
        self._interrupt = self._kill if store.embedded else self._interruption()

    def _interruption(self) -> Callable[[], None]:
        """Return a function that cancels a server's statement by closing the connection; ``serve`` does so by itself, ClickHouse by a setting."""
        driver: Any = self._client
        setting = driver.server_settings.get(_END_WITH_CLIENT)
        if setting is not None and not setting.readonly:
            self._server_settings[_END_WITH_CLIENT] = 1
        return close_sockets(driver.http, self._cancelled.is_set)

    def _kill(self) -> None:
        """Kill the statement that runs in the embedded engine; the comment before it identifies it."""
        import clickhouse_connect

        directory = self.store.directory
        assert directory is not None  # noqa: S101  embedded stores have one
        with closing(clickhouse_connect.get_client(**embedded.client_arguments(directory, self.store.database))) as killer:
            killer.command("KILL QUERY WHERE startsWith(query, {mark:String}) ASYNC", parameters={"mark": self._mark})

    def run(self, statement: Statement) -> Sequence[Sequence[Any]]:
        """Run a statement and return its rows.

        Raises:
            QueryCancelledError: ``cancel`` was called meanwhile.
            StatementError: the engine refused it.
            StoreUnavailableError: the store does not answer.
        """
        with self._one:
            rows: Sequence[Sequence[Any]] = self._run(self._limited(statement)).result_rows
        return rows

    def measure(self, statement: Statement) -> tuple[Sequence[Sequence[Any]], Cost]:
        """Run a statement, and return its rows and its cost. Raises as ``run``."""
        with self._one:
            before = self._read()
            begun = time.perf_counter()
            # A server reports the full amount that it read only if it finishes the query before it sends the answer.
            result = self._run(self._limited(statement), {} if self.store.embedded else {"wait_end_of_query": 1})
            seconds = time.perf_counter() - begun
            rows: Sequence[Sequence[Any]] = result.result_rows
            read = [now - then for now, then in zip(self._read(), before, strict=True)]
            read = read or [int(result.summary.get(name, 0)) for name in ("read_rows", "read_bytes")]
        return rows, Cost(rows=len(rows), read_rows=read[0], read_bytes=read[1], seconds=seconds)

    def cancel(self) -> None:
        """Cancel the statement that another thread waits for; its ``run`` raises ``QueryCancelledError``. Without one nothing happens."""
        with self._changing:
            ended = self._ended
            if ended.is_set():
                return
            self._cancelled.set()
        try:
            # The statement may not have reached the engine yet, so once may not be enough.
            while not ended.wait(_CANCEL_AGAIN_SECONDS):
                self._interrupt()
        except self._driver_errors as error:
            raise self._failed(error) from None

    def _limited(self, statement: Statement) -> Statement:
        """Add the limits to a statement's SETTINGS; as driver settings they would be refused for a read-only server, which may lower its own."""
        if not self._limits:
            return statement
        return replace(statement, sql=f"{statement.sql}\nSETTINGS {', '.join(f'{name} = {value}' for name, value in self._limits.items())}")

    def _run(self, statement: Statement, settings: Mapping[str, int] = MappingProxyType({})) -> Any:
        self._mark = f"/* {uuid.uuid4().hex} */" if self.store.embedded else ""
        with self._changing:
            self._ended = threading.Event()
        try:
            sql = f"{self._mark} {statement.sql}".lstrip()
            return self._client.query(sql, parameters=_bindable(statement.parameters), settings={**self._server_settings, **settings})
        except self._driver_errors as error:
            if self._cancelled.is_set():
                raise QueryCancelledError("the query was cancelled") from None
            raise self._failed(error) from None
        finally:
            with self._changing:
                self._ended.set()
                self._cancelled.clear()

    def _read(self) -> list[int]:
        """Return the rows and bytes that the embedded engine, used by this connection alone, has read; empty for a server."""
        if not self.store.embedded:
            return []
        rows = self._client.query("SELECT event, value FROM system.events WHERE event IN ('SelectedRows', 'SelectedBytes')").result_rows
        found = {str(event): int(value) for event, value in rows}
        return [found.get(event, 0) for event in ("SelectedRows", "SelectedBytes")]

    def edit_tag(self, trace_id: str, key: str, value: str | None) -> None:
        """Set a tag, or delete it if the value is None: by the server's JSON API if there is one, else by statements.

        Raises:
            FilterError: an argument is invalid, see ``write_tag``.
            StoreUnavailableError: the store refuses writes from here, or does not answer.
        """
        statement = write_tag(trace_id, key, value)
        if (found := self.api()) is not None:
            api, root = found
            api.edit_tag(root, trace_id, key, value)
        else:
            with self._one:
                self._run(statement)
                # Readers read only the trace's row. If another process keeps the turn, its sweep applies the edit.
                turns = Turns(self._execute)
                with turns.taken(_TURN_SECONDS) as mine:
                    if mine:
                        remake_traces(turns.execute, [str(statement.parameters["trace_id"])])

    def read_prices(self) -> tuple[Price, ...]:
        """Return all rows of the store's prices, of all versions.

        Raises:
            StatementError: the engine refused it.
            StoreUnavailableError: the store does not answer.
        """
        with self._one:
            return price_store.read(self._execute)

    def write_prices(self, rows: Sequence[Price]) -> int:
        """Write prices, and return the number of the write: by the server's JSON API if there is one, else by statements.

        Raises:
            FilterError: a price is invalid.
            StoreUnavailableError: the store refuses writes from here, or does not answer.
        """
        if (found := self.api()) is not None:
            api, root = found
            return api.write_prices(root, rows)
        with self._one:
            return price_store.write(self._execute, rows)

    def _execute(self, sql: str, parameters: Mapping[str, Any] | None = None, /) -> Sequence[Sequence[object]]:
        rows: Sequence[Sequence[object]] = self._run(Statement(sql, parameters or {})).result_rows
        return rows

    def api(self) -> tuple[Api, str] | None:
        """Return the JSON API of the server with its root URL; None for a ClickHouse server, or a store opened in this process.

        Raises:
            StoreUnavailableError: the server does not answer, or has no API.
        """
        if self.store.embedded:
            return None
        driver: Any = self._client  # the HTTP client has attributes that its base class, shared with the embedded one, lacks
        api = Api(driver.http, driver.url, driver.headers)
        root = api.root()
        return None if root is None else (api, root)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._finalizer()

    def _unreachable(self, error: Exception) -> StoreUnavailableError:
        if self.store.directory is not None:
            server = server_of(self.store.directory)
            if server is not None and server.clickhouse_http != "off":
                return StoreUnavailableError(f"store {self.store} belongs to a running server: use {server.clickhouse_url}")
            remedy = (
                f"it is owned by {found}; stop that"
                if (found := owner(self.store.directory))
                else "if another process has it open, use that one's address"
            )
            return StoreUnavailableError(f"store {self.store} cannot be opened: {remedy} ({_first_line(error)})")
        if getattr(error, "code", None) == _AUTHENTICATION_FAILED:
            return StoreUnavailableError(f"store {self.store} does not let you in: name it with user and password, or any:TOKEN, before the host")
        if getattr(error, "code", None) == _UNKNOWN_DATABASE:
            return StoreUnavailableError(f"store {self.store} has no database {self.store.database}: run `spanhouse migrate`, or name another")
        return StoreUnavailableError(f"store {self.store} does not answer: check that it runs and that the address is right ({_first_line(error)})")

    def _failed(self, error: Exception) -> StatementError:
        code = getattr(error, "code", None)
        if code in {_UNKNOWN_TABLE, _UNKNOWN_DATABASE}:
            return StatementError(f"store {self.store} has no tables of spanhouse in database {self.store.database}: run `spanhouse migrate`", code)
        return StatementError(f"store {self.store}: {_LIMIT_HINTS.get(code or 0) or _first_line(error)}", code)


def connect(dsn: str | None, limits: Limits = Limits()) -> Connection:  # noqa: B008  it is frozen
    """Connect to a store; without a DSN to the server that runs on this machine, else to the default embedded store.

    Raises:
        FilterError: a limit is invalid.
        StoreError: the DSN is invalid, or there is no server and no store.
        StoreUnavailableError: the store cannot be reached.
    """
    if dsn is not None:
        return Connection(parse_store(dsn), limits)
    serving = read_serving(in_data_dir())
    if serving is not None and serving.alive() and not serving.refuses():
        return Connection(_served(serving), limits)
    store = default_store()
    if store.directory is None or not store.directory.is_dir():
        raise StoreError(f"no running server and no store in {store.directory}: start `spanhouse serve`, or name a store by its DSN")
    return Connection(store, limits)


def _served(serving: Serving) -> Store:
    """Return the address at which a running server lets clients read its store.

    Raises:
        StoreError: it has none.
    """
    if serving.clickhouse_http != "off":
        return parse_store(f"{serving.clickhouse_url}/{parse_store(serving.store).database}")
    if not serving.store.startswith("chdb:"):
        raise StoreError(f"the running server keeps its traces in {serving.store}: name that store, with its user and password")
    raise StoreError(f"the running server (process {serving.pid}) serves no queries: start it without --clickhouse-http off")


def _bindable(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in parameters.items()}


def _first_line(error: BaseException) -> str:
    """Return the message of the root cause, in one line."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return " ".join(str(error).split())[:_MESSAGE_CHARACTERS] or type(error).__name__

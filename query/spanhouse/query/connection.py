"""The one place that knows a driver: runs statements on a store, and says in one line what went wrong."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final

from spanhouse.query.api import Api
from spanhouse.query.errors import StoreUnavailableError
from spanhouse.query.statement import Parameter, Statement
from spanhouse.query.tags import write_tag
from spanhouse.schema import embedded
from spanhouse.schema.serving import Serving, in_data_dir, owner, read_serving, server_of
from spanhouse.schema.store import Store, StoreError, default_store, parse_store

_UNKNOWN_TABLE: Final = 60
_UNKNOWN_DATABASE: Final = 81
_AUTHENTICATION_FAILED: Final = 516
INVALID_PATTERN: Final = 427
"""The engine's code for a regular expression that it does not take."""
_CONNECT_SECONDS: Final = 5
_MESSAGE_CHARACTERS: Final = 300


class StatementError(StoreUnavailableError):
    """The engine refused a statement.

    Attributes:
        code: ClickHouse's error code; None if it gave none.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class Connection:
    """A connection to a store.

    Attributes:
        store: where it leads.
    """

    def __init__(self, store: Store) -> None:
        """Connect.

        Raises:
            StoreError: an embedded store that does not exist.
            StoreUnavailableError: nobody answers, or another process has the embedded store.
        """
        self.store = store
        if store.directory is not None and not store.directory.is_dir():
            raise StoreError(f"no store in {store.directory}: start `spanhouse serve`, which makes it, or name another")
        try:
            import clickhouse_connect
            from clickhouse_connect.driver.exceptions import Error
        except ModuleNotFoundError as error:
            raise StoreUnavailableError(f"no module {error.name}: pip install 'spanhouse[query]'") from None
        self._driver_errors = (Error, OSError)
        # What the driver logs is said again by the exception; an application that sets up logging still gets it.
        logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
        options: dict[str, Any] = {
            "dsn": store.dsn,
            # The driver takes an https:// address for http on another port, unless it is told.
            "interface": store.scheme,
            "database": store.database,
            "connect_timeout": _CONNECT_SECONDS,
            "autogenerate_session_id": False,
        }
        if store.directory is not None:
            options = embedded.client_arguments(store.directory, store.database)
        try:
            self._client = clickhouse_connect.get_client(**options)
        except ImportError:
            raise StoreUnavailableError(f"store {store}: an embedded store needs the engine: pip install 'spanhouse[server]'") from None
        except (*self._driver_errors, RuntimeError) as error:
            raise self._unreachable(error) from None
        self._finalizer = weakref.finalize(self, self._client.close)

    def run(self, statement: Statement) -> Sequence[Sequence[Any]]:
        """Run a statement and return its rows.

        Raises:
            StatementError: the engine refused it.
            StoreUnavailableError: nobody answers.
        """
        try:
            result = self._client.query(statement.sql, parameters=_bindable(statement.parameters))
        except self._driver_errors as error:
            raise self._failed(error) from None
        return result.result_rows

    def edit_tag(self, trace_id: str, key: str, value: str | None) -> None:
        """Set a tag, or delete it if the value is None: by the server's JSON API where there is one, else by a statement.

        Raises:
            FilterError: an argument is not of the form that ``write_tag`` says.
            StoreUnavailableError: the store takes no writes from here, or nobody answers.
        """
        statement = write_tag(trace_id, key, value)
        if (found := self.api()) is not None:
            api, root = found
            api.edit_tag(root, trace_id, key, value)
        else:
            self.run(statement)

    def api(self) -> tuple[Api, str] | None:
        """The JSON API of the server that this leads to, and where it is; None for a ClickHouse server, or a store that is open here.

        Raises:
            StoreUnavailableError: nobody answers, or the server has no API.
        """
        if self.store.embedded:
            return None
        driver: Any = self._client  # over HTTP it has more to tell than the class that its embedded kind shares with it
        api = Api(driver.http, driver.url, driver.headers)
        root = api.root()
        return None if root is None else (api, root)

    def close(self) -> None:
        """Close it; another call does nothing."""
        self._finalizer()

    def _unreachable(self, error: Exception) -> StoreUnavailableError:
        if self.store.directory is not None:
            server = server_of(self.store.directory)
            if server is not None and server.clickhouse_http != "off":
                return StoreUnavailableError(f"store {self.store} belongs to a running server: use {server.clickhouse_url}")
            who = (
                f"it is owned by {found}; stop that"
                if (found := owner(self.store.directory))
                else "if another process has it open, use that one's address"
            )
            return StoreUnavailableError(f"store {self.store} cannot be opened: {who} ({_first_line(error)})")
        if getattr(error, "code", None) == _AUTHENTICATION_FAILED:
            return StoreUnavailableError(f"store {self.store} does not let you in: name it with user and password, or any:TOKEN, before the host")
        if getattr(error, "code", None) == _UNKNOWN_DATABASE:
            return StoreUnavailableError(f"store {self.store} has no database {self.store.database}: run `spanhouse migrate`, or name another")
        return StoreUnavailableError(f"store {self.store} does not answer: check that it runs and that the address is right ({_first_line(error)})")

    def _failed(self, error: Exception) -> StatementError:
        code = getattr(error, "code", None)
        if code in {_UNKNOWN_TABLE, _UNKNOWN_DATABASE}:
            return StatementError(f"store {self.store} has no tables of spanhouse in database {self.store.database}: run `spanhouse migrate`", code)
        return StatementError(f"store {self.store}: {_first_line(error)}", code)


def connect(dsn: str | None) -> Connection:
    """Connect to a store; without a DSN to the server that runs on this machine, else to the default embedded store.

    Raises:
        StoreError: a DSN that is none, or no server and no store.
        StoreUnavailableError: the store cannot be reached.
    """
    if dsn is not None:
        return Connection(parse_store(dsn))
    serving = read_serving(in_data_dir())
    if serving is not None and serving.alive():
        return Connection(_served(serving))
    store = default_store()
    if store.directory is None or not store.directory.is_dir():
        raise StoreError(f"no running server and no store in {store.directory}: start `spanhouse serve`, or name a store by its DSN")
    return Connection(store)


def _served(serving: Serving) -> Store:
    """The store of a running server, by the address where it lets others read.

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
    """What went wrong at the bottom of it, in one line."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return " ".join(str(error).split())[:_MESSAGE_CHARACTERS] or type(error).__name__

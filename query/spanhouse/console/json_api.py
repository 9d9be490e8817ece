"""JSON API as an ASGI application. The listener around it authorizes the requests."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from spanhouse.query.errors import FilterError
from spanhouse.query.sql.statement import Statement
from spanhouse.query.sql.tag_edits import write_tag
from spanhouse.schema.maintenance import retention
from spanhouse.schema.maintenance.actions import Event
from spanhouse.schema.prices import price_store
from spanhouse.schema.prices.price import Price
from spanhouse.schema.settle.remake import remake_traces
from spanhouse.schema.tables.driver import Execute, MigrationError

_log = logging.getLogger(__name__)

_MAX_BODY_BYTES: Final = 128 * 1024
"""Above the longest value in JSON with every character escaped."""
_QUEUED_EDITS: Final = 100
"""Edits that wait for one another; a further one gets 503."""
_ROOT: Final = "/api/v1/"
_STORE_ROOT: Final = b"/api/v1/store/"
_ACTIONS: Final = frozenset({"backup", "check", "compact", "prices", "retention", "settle"})
_LAST_NS: Final = 2**63 - 1

_Written = TypeVar("_Written")
_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


class Maintenance(Protocol):
    """Maintenance of the store; for one caller at a time."""

    def run(self, action: str, numbers: Mapping[str, int]) -> AsyncIterator[Event]:
        """Run one action: check, compact, settle, prices, backup or retention. The last event is the outcome, or has ``error``."""
        ...


@dataclass
class _RefusedError(Exception):
    """Refusal of a request: status, one line of explanation, allowed methods."""

    status: HTTPStatus
    message: str
    allow: str = ""


class Console:
    """ASGI application for edits of tags and prices and for store maintenance, described by ``GET /api/v1/openapi.json``.

    An edit is answered once it is on disk. Edits run one after another, on one connection. Maintenance reports its progress as it runs, one
    line of JSON for each step.

    Args:
        execute: runs a statement on the store, on a connection of its own.
        maintenance: of the store.
        writing_rows: gives an ``execute`` that holds the lock on rows of traces.
    """

    def __init__(self, execute: Execute, maintenance: Maintenance, writing_rows: Callable[[], AbstractContextManager[Execute]]) -> None:
        self._execute = execute
        self._writing_rows = writing_rows
        self._maintenance = maintenance
        self._one_edit = asyncio.Lock()
        self._one_action = asyncio.Lock()
        self._queued_edits = 0
        self._description = (resources.files(__package__) / "openapi.json").read_bytes()

    async def __call__(self, scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        headers = []
        try:
            if scope["raw_path"].startswith(_STORE_ROOT):
                await self._maintain(scope["method"], scope["raw_path"].removeprefix(_STORE_ROOT).decode("ascii", "replace"), receive, send)
                return
            status, body = await self._answer(scope["method"], scope["raw_path"], receive)
        except _RefusedError as refused:
            status, body = refused.status, _json({"error": refused.message})
            headers += [(b"allow", refused.allow.encode())] if refused.allow else []
            headers += [(b"retry-after", b"1")] if status is HTTPStatus.SERVICE_UNAVAILABLE else []
        except ConnectionResetError:
            return
        if body:
            headers += [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
        headers += [] if status is HTTPStatus.NO_CONTENT else [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, method: str, path: bytes, receive: _Receive) -> tuple[HTTPStatus, bytes]:
        match path.decode("ascii", "replace").removeprefix(_ROOT).split("/", 3):
            case ["openapi.json"]:
                _only(method, "GET", "HEAD")
                return HTTPStatus.OK, self._description
            case ["traces", trace_id, "tags", key]:
                _only(method, "PUT", "DELETE")
                return await self._edit(_text(trace_id), _text(key), await _read_value(receive) if method == "PUT" else None)
            case ["prices"]:
                _only(method, "POST")
                return await self._write_prices(await _read_prices(receive))
        raise _RefusedError(HTTPStatus.NOT_FOUND, "no such path: GET /api/v1/openapi.json lists the paths")

    async def _maintain(self, method: str, action: str, receive: _Receive, send: _Send) -> None:
        """Run an action and stream one line of JSON for each step; the response begins before the outcome is known."""
        if action not in _ACTIONS:
            raise _RefusedError(
                HTTPStatus.NOT_FOUND, f"no such action: use one of {', '.join(sorted(_ACTIONS))}; GET /api/v1/openapi.json describes them"
            )
        _only(method, "POST")
        numbers = await _read_numbers(action, receive)
        if self._one_action.locked():
            raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "another maintenance action is running: try again")
        headers = [(b"content-type", b"application/x-ndjson"), (b"x-content-type-options", b"nosniff")]
        async with self._one_action:
            await send({"type": "http.response.start", "status": int(HTTPStatus.OK), "headers": headers})
            async for event in self._maintenance.run(action, numbers):
                await send({"type": "http.response.body", "body": _json(event), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _edit(self, trace_id: str, key: str, value: str | None) -> tuple[HTTPStatus, bytes]:
        try:
            statement = write_tag(trace_id, key, value)
        except FilterError as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from None
        await self._write_in_turn(lambda: self._write_tag(statement), "a tag")
        if value is None:
            return HTTPStatus.NO_CONTENT, b""
        return HTTPStatus.OK, _json({"trace_id": f"tr-{statement.parameters['trace_id']}", "key": key, "value": value})

    async def _write_prices(self, rows: Sequence[Price]) -> tuple[HTTPStatus, bytes]:
        return HTTPStatus.OK, _json({"version": await self._write_in_turn(lambda: price_store.write(self._execute, rows), "prices")})

    async def _write_in_turn(self, write: Callable[[], _Written], kind: str) -> _Written:
        """Write after the edits queued before, and return the result."""
        if self._queued_edits >= _QUEUED_EDITS:
            raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, f"{_QUEUED_EDITS} edits are queued already: try again")
        self._queued_edits += 1
        try:
            async with self._one_edit:
                return await asyncio.to_thread(write)
        except MigrationError as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from None
        except Exception:  # noqa: BLE001 a defect or a store error: logged with its traceback, and the client may try again
            _log.exception("%s could not be written", kind)
            raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "the store failed; see the server's log") from None
        finally:
            self._queued_edits -= 1

    def _write_tag(self, statement: Statement) -> None:
        """Write the edit of a tag, and then the trace's row."""
        self._execute(statement.sql, statement.parameters)
        with self._writing_rows() as execute:
            remake_traces(execute, [str(statement.parameters["trace_id"])])


def _only(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"use {' or '.join(allowed)} here", ", ".join(allowed))


def _text(quoted: str) -> str:
    try:
        return unquote_to_bytes(quoted).decode()
    except UnicodeDecodeError:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "the path is not percent-encoded UTF-8") from None


async def _read_value(receive: _Receive) -> str:
    """Read the value in a body ``{"value": "TEXT"}``.

    Raises:
        ConnectionResetError: the client has disconnected.
    """
    match await _read_json(receive):
        case {"value": str(value), **rest} if not rest:
            return value
    raise _RefusedError(HTTPStatus.BAD_REQUEST, 'the body must be {"value": "TEXT"} as JSON')


async def _read_days(receive: _Receive) -> Mapping[str, int]:
    """Read the retention in a body ``{"days": {"otel_traces": 30}}``.

    Raises:
        ConnectionResetError: the client has disconnected.
    """
    match await _read_json(receive):
        case {"days": dict(days), **rest} if not rest and all(type(count) is int for count in days.values()):
            try:
                return retention.parse(",".join(f"{name}={count}" for name, count in days.items()))
            except MigrationError as error:
                raise _RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from None
    raise _RefusedError(HTTPStatus.BAD_REQUEST, 'the body must be {"days": {NAME: DAYS}} as JSON')


async def _read_numbers(action: str, receive: _Receive) -> Mapping[str, int]:
    """Read the numbers in the body of a maintenance request; only retention and prices have a body.

    Raises:
        ConnectionResetError: the client has disconnected.
    """
    if action == "retention":
        return await _read_days(receive)
    if action != "prices":
        return {}
    match await _read_json(receive):
        case {"since_ns": int(since_ns), **rest} if not rest and type(since_ns) is int and 0 <= since_ns <= _LAST_NS:
            return {"since_ns": since_ns}
    raise _RefusedError(HTTPStatus.BAD_REQUEST, 'the body must be {"since_ns": UNIX_NANOSECONDS} as JSON')


async def _read_prices(receive: _Receive) -> list[Price]:
    """Read the prices in a body ``{"prices": [{"model": "gpt-4o", "input": 2.5, "output": 10}]}``.

    Raises:
        ConnectionResetError: the client has disconnected.
    """
    match await _read_json(receive):
        case {"prices": list(rows), **rest} if not rest and all(isinstance(row, dict) for row in rows):
            try:
                return [Price.read(row) for row in rows]
            except ValueError as error:
                raise _RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from None
    raise _RefusedError(HTTPStatus.BAD_REQUEST, 'the body must be {"prices": [{"model": NAME, "input": USD, "output": USD}, ...]} as JSON')


async def _read_json(receive: _Receive) -> object:
    """Read a request's body as JSON; None if it is not JSON.

    Raises:
        ConnectionResetError: the client has disconnected.
    """
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MAX_BODY_BYTES:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {_MAX_BODY_BYTES} bytes")
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"

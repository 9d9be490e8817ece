"""Logging of the server: one line per problem on standard error, as text or as JSON.

A problem that repeats is logged once, then its repeats are counted in one line a minute. Credentials are removed from every line.
"""

from __future__ import annotations

import copy
import json
import logging
import re
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeAlias

from spanhouse.schema.address.dsn import scrub

_Problem: TypeAlias = tuple[str, int, str, type[BaseException] | None]

_REPEATED: Final = "repeated"
_PROBLEMS: Final = 1000
"""Most problems that are remembered: libraries put values into their messages before they log them."""
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>,;]+", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE)
_HEADERS: Final = re.compile(r"((?:api-key|clickhouse-key|authorization)['\"]?\s*[:=,]\s*)(?:b?'[^']*'|b?\"[^\"]*\"|[^\s,;}&]+)", re.IGNORECASE)
_SECRETS: Final = re.compile(r"((?:password|token|secret)['\"]?\s*[:=]\s*)(?:b?'[^']*'|b?\"[^\"]*\"|[^\s,;}&]+)", re.IGNORECASE)


class LogFormat(StrEnum):
    """Format of a line."""

    TEXT = "text"
    """``2026-11-30T12:00:00.000Z WARNING spanhouse.exporter.serve.app: message``; a trace follows in lines that are indented."""
    JSON = "json"
    """One object a line: ``time``, ``level``, ``logger``, ``message``, for repeats ``repeated``, for exceptions ``trace``."""


def configure(form: LogFormat, level: str) -> None:
    """Log to standard error.

    Args:
        form: format of a line.
        level: lowest level that is logged: ``error``, ``warning``, ``info`` or ``debug``; of libraries it is ``warning`` at least.
    """
    handler = Handler(form)
    logging.basicConfig(level=max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]), handlers=[handler])
    logging.getLogger("spanhouse").setLevel(level.upper())
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs each try; the last failure raises an exception


@dataclass(slots=True)
class _Repeats:
    """Repeats of a problem since it was last written."""

    said_at: float
    count: int = 0
    last: logging.LogRecord | None = None
    timer: threading.Timer | None = None
    """Timer that writes the count."""


class Handler(logging.Handler):
    """Handler that writes each problem, a record from ``warning`` on, once and counts its repeats.

    Two records are the same problem if logger, level, message (before its values are put in) and class of exception are the same.

    Args:
        form: format of a line.
        repeat_seconds: time that repeats are counted before their number is written.
    """

    def __init__(self, form: LogFormat, *, repeat_seconds: float = 60.0) -> None:
        super().__init__()
        self.setFormatter(_Text() if form is LogFormat.TEXT else _Json())
        self._repeat_seconds = repeat_seconds
        self._said: dict[_Problem, _Repeats] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it. Called with the handler's lock held."""
        if record.levelno < logging.WARNING:
            self._write(record)
            return
        key = (record.name, record.levelno, str(record.msg), record.exc_info[0] if record.exc_info else None)
        said = self._said.get(key)
        now = time.monotonic()
        if said is None or now >= said.said_at + self._repeat_seconds:
            if len(self._said) >= _PROBLEMS:
                self._said = {other: repeats for other, repeats in self._said.items() if repeats.count}
            self._said[key] = _Repeats(now)
            self._write(record)
            return
        if not said.count:
            said.timer = threading.Timer(said.said_at + self._repeat_seconds - now, self._count, [key])
            said.timer.daemon = True
            said.timer.start()
        said.count += 1
        said.last = record

    def close(self) -> None:
        """Write the counts that are not written yet."""
        for key, said in tuple(self._said.items()):
            if said.timer is not None:
                said.timer.cancel()
            self._count(key)
        self._said.clear()
        super().close()

    def _count(self, key: _Problem) -> None:
        self.acquire()
        try:
            said = self._said.get(key)
            if said is not None and said.last is not None:
                record = copy.copy(said.last)
                setattr(record, _REPEATED, said.count)
                record.created = time.time()
                record.exc_info = None
                self._said[key] = _Repeats(time.monotonic())
                self._write(record)
        finally:
            self.release()

    def _write(self, record: logging.LogRecord) -> None:
        try:
            # Standard error of this moment: a status line may replace it for a while.
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 as logging itself does: a line that can't be written ends nothing
            self.handleError(record)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        repeated = getattr(record, _REPEATED, 0)
        message = _clean(record.getMessage()).replace("\n", "\\n") + (f" ({repeated} more since this was last said)" if repeated else "")
        line = f"{_time(record)} {record.levelname} {record.name}: {message}"
        return "\n    ".join([line, *self._trace(record).splitlines()])

    def _trace(self, record: logging.LogRecord) -> str:
        return _clean(self.formatException(record.exc_info)) if record.exc_info else ""


class _Json(_Text):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {"time": _time(record), "level": record.levelname, "logger": record.name, "message": _clean(record.getMessage())}
        if repeated := getattr(record, _REPEATED, 0):
            line["repeated"] = repeated
        if trace := self._trace(record):
            line["trace"] = trace
        return json.dumps(line)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _clean(text: str) -> str:
    """Return the text without credentials."""
    text = _URL.sub(lambda found: _scrubbed(found[0]), text)
    return _SECRETS.sub(r"\1***", _HEADERS.sub(r"\1***", _CREDENTIALS.sub(r"\1 ***", text)))


def _scrubbed(url: str) -> str:
    try:
        return scrub(url)
    except ValueError:  # not a URL after all, so it may hold anything
        return "***"

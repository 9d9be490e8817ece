"""What can go wrong in a verb, the exit code it ends with, and the one line that says so."""

from __future__ import annotations

import sys
from enum import IntEnum

from spanhouse.cli.text import escape_unsafe, one_line
from spanhouse.schema.address.dsn import StoreError
from spanhouse.schema.tables.driver import MigrationError


class Exit(IntEnum):
    """Exit codes of every verb."""

    DONE = 0
    NOTHING = 1
    """The answer is "worse", the named thing is unknown, or nothing matched."""
    USER = 2
    """The user's mistake."""
    STORE = 3
    """The store or the network."""
    INTERRUPTED = 130
    """Ctrl-C, as shells report it."""
    CLOSED_PIPE = 141
    """The reader of the output went away, as shells report it."""


class CommandError(Exception):
    """Ends a verb. The message is one line that says what is wrong and what to do."""

    def __init__(self, message: str, exit_code: Exit = Exit.USER) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def explain_failure(error: Exception) -> tuple[Exit, str] | None:
    """The exit code and the line for an error, or None for one that is a mistake of ours.

    Errors of packages that an install may lack are looked up among what is loaded: one that was raised is.
    """
    match error:
        case CommandError():
            return error.exit_code, one_line(str(error))
        case StoreError() | MigrationError():
            return Exit.STORE, one_line(str(error))
    if (query := sys.modules.get("spanhouse.query.errors")) is not None and isinstance(error, query.FilterError):
        shown = error.render() if sys.stderr.isatty() else one_line(str(error))  # a caret is for people
        return Exit.USER, "\n".join(map(escape_unsafe, shown.splitlines()))
    if _is(error, "spanhouse.query.errors", "StoreUnavailableError") or _is(error, "clickhouse_connect.driver.exceptions", "ClickHouseError"):
        return Exit.STORE, one_line(str(error))
    return (Exit.STORE, one_line(str(error))) if isinstance(error, OSError) else None


def _is(error: Exception, module: str, name: str) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(error, getattr(loaded, name))

"""Exit codes of all verbs, and the one line that tells an error."""

from __future__ import annotations

import sys
from enum import IntEnum

from spanhouse.cli.text import escape_unsafe, one_line
from spanhouse.schema.address.dsn import StoreError
from spanhouse.schema.tables.driver import MigrationError


class Exit(IntEnum):
    """Exit codes of every verb; docs/options.md has them as a table."""

    DONE = 0
    GATE = 1
    USER = 2
    STORE = 3
    UNDECIDED = 4
    INTERRUPTED = 130
    CLOSED_PIPE = 141

    @property
    def meaning(self) -> str:
        """Meaning in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.DONE: "done; of a gate (`compare --fail-on-regression`): the new version is shown to be no worse",
    Exit.GATE: "of a gate: the new version is worse; of `search --fail-if-empty`: no trace matches",
    Exit.USER: "the user's mistake, such as an unknown name, id, metric or option",
    Exit.STORE: "the store or the network; also what `doctor`, `store check` and `store verify` find wrong",
    Exit.UNDECIDED: "of a gate: undecided, or the traces can't tell",
    Exit.INTERRUPTED: "Ctrl-C, as shells report it",
    Exit.CLOSED_PIPE: "the reader of the output went away, as shells report it",
}


class CommandError(Exception):
    """Error that ends a verb. The message is one line that names the problem and the remedy."""

    def __init__(self, message: str, exit_code: Exit = Exit.USER) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def explain_failure(error: Exception) -> tuple[Exit, str] | None:
    """Return the exit code and the line of an error; None for a fault of the program itself.

    Errors of packages that an install may lack are looked up among the loaded modules: one that was raised is loaded.
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

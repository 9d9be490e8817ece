"""``spanhouse`` that kills itself at one point of the way from an acknowledged request to its trace's row.

Usage: KILL_AT="before POINT" or "after POINT" python -m tests.faults.killed_serve, with the arguments of ``spanhouse``. Without ``KILL_AT`` it lives.
Points are the statements of the store by their names, and steps of the spool. They count from the first insert of spans on. Its rounds are short,
so what a server does each some seconds happens at once, and a killed holder's turn ends soon. Never shipped.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from spanhouse.cli.command import main
from spanhouse.exporter.spool.appender import SpoolAppender
from spanhouse.exporter.store import open_store, settle_thread
from spanhouse.schema.settle import remake, row_statements, settle, turns
from spanhouse.schema.tables import migrations

APPEND, SEAL, INSERT, REMOVE = "append", "seal", "insert", "remove"
_FILES = (
    "waiting_arrivals",
    "touched_apart",
    "tombstones",
    "live_rows",
    "made_traces",
    "quiet_traces",
    "unseen_edits",
    "astray_rows",
    "metadata_feed",
    "models_feed",
)


def _texts() -> dict[str, str]:
    """Return the statements between a stored span and its row, by their texts."""
    made = {"settle": row_statements.settle(), "remade_parts": row_statements.remade_parts(), "remade_rows": row_statements.remade_rows()}
    texts = {name: migrations.statement(name) for name in _FILES} | made
    texts |= {"aged_rows": row_statements.aged_rows(), "mark": remake._MARK, "last_turn": turns._LAST, "taken": turns._TAKEN_BY}
    return {text: name for name, text in texts.items()}


POINTS = (
    f"after {APPEND}",
    f"after {SEAL}",
    f"before {INSERT}",
    f"after {INSERT}",
    f"before {REMOVE}",
    f"after {REMOVE}",
    *(f"{when} {name}" for name in sorted({*_texts().values(), "take"}) for when in ("before", "after")),
)


class Killer:
    """Kills the process at a point, once spans came."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._armed = False

    def run(self, name: str, do: Callable[[], Any]) -> Any:
        """Do something that has a name."""
        self._armed = self._armed or name in {APPEND, INSERT}
        self._pass(f"before {name}")
        result = do()
        self._pass(f"after {name}")
        return result

    def _pass(self, point: str) -> None:
        if self._armed and point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


class Client:
    """A connection whose statements are points."""

    def __init__(self, client: Any, killer: Killer) -> None:
        self._client = client
        self._killer = killer
        self._names = _texts()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, sql: str, parameters: Mapping[str, object] | None = None, **options: Any) -> Any:
        name = "take" if sql.startswith("INSERT INTO spanhouse_turns") else self._names.get(sql, "")
        return self._killer.run(name, lambda: self._client.query(sql, parameters=parameters, **options))

    def raw_insert(self, table: str, **options: Any) -> Any:
        return self._killer.run(INSERT, lambda: self._client.raw_insert(table, **options))


def _as_points(killer: Killer) -> None:
    connect, append, seal, unlink = open_store._connect, SpoolAppender._append, SpoolAppender._seal, Path.unlink

    def removing(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".sealed":
            killer.run(REMOVE, lambda: unlink(path, missing_ok))
        else:
            unlink(path, missing_ok)

    vars(open_store)["_connect"] = lambda *arguments: Client(connect(*arguments), killer)
    replaced: Any = SpoolAppender
    replaced._append = lambda log, requests: killer.run(APPEND, lambda: append(log, requests))
    replaced._seal = lambda log, segment: killer.run(SEAL, lambda: seal(log, segment))
    path: Any = Path
    path.unlink = removing


if __name__ == "__main__":
    vars(settle)["age"] = partial(remake.age, quiet_seconds=1)
    vars(settle_thread).update(_EVERY_SECONDS=0.2, _REMAKE_SECONDS=0.2, _FEED_SECONDS=0.2, _SWEEP_SECONDS=0.5, _BACK_OFF_SECONDS=0.5)
    vars(turns).update(LEASE_SECONDS=6, _STATEMENT_SECONDS=4)
    if point := os.environ.get("KILL_AT", ""):
        _as_points(Killer(point))
    sys.exit(main())

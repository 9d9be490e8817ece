"""Copy of a store's spans, edited tags, deletions and prices into another store, in windows of time; each is there once, whenever it was interrupted.

A window is divided by a hash of the trace id into pieces that fit in memory. Count and hash of a piece on both sides say whether it is
there; of one that is not, the ids on both sides say what is missing. That is read and written in blocks, each of which the engine takes as a
whole, and knows again by its token when it is sent twice. A span that is there already, from wherever, stays as it is. At the end all
windows are compared once more, those of an interrupted run included. Traces are settled in the target, so the source may be a store of a
pre-release, whose spans and tags have the same columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spanhouse.schema.maintenance import windows
from spanhouse.schema.maintenance.rebuild import long_traces, remake_window
from spanhouse.schema.maintenance.windows import IN_WINDOW, Step, Window
from spanhouse.schema.prices import price_store
from spanhouse.schema.settle import settle
from spanhouse.schema.tables.driver import Execute, MigrationError, number

_PIECE_SPANS: Final = 20_000
_PIECE_BYTES: Final = 32 * 2**20
"""Spans of a piece at the most, about, and their bytes in the engine's memory."""
_BLOCK_IDS: Final = 100
"""Spans that are asked for by their ids in one query: where a query goes in a URL, that is short."""

_UUID: Final = "SELECT uuid FROM system.tables WHERE database = currentDatabase() AND name = 'otel_traces'"
_COLUMNS: Final = (
    "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'otel_traces' AND default_kind IN ('', 'DEFAULT') "
    "ORDER BY position"
)
_BRACED_WINDOW: Final = IN_WINDOW.replace("{", "{{").replace("}", "}}")
"""As it stands in a text that is formatted."""
_IN_PIECE: Final = f"{IN_WINDOW} AND cityHash64(TraceId) % {{pieces:UInt64}} = {{piece:UInt64}}"
_BULK: Final = f"SELECT count(), sum(byteSize({{names}})) FROM otel_traces WHERE {_BRACED_WINDOW}"  # noqa: S608 names of columns, as below
_SUMS: Final = (
    f"SELECT cityHash64(TraceId) % {{{{pieces:UInt64}}}} AS piece, count(), sum(cityHash64({{names}})) "  # noqa: S608
    f"FROM otel_traces WHERE {_BRACED_WINDOW} GROUP BY piece"
)
_IDS: Final = (
    f"SELECT concat(TraceId, SpanId) AS id, groupArray(cityHash64({{names}})) FROM otel_traces "  # noqa: S608
    f"WHERE {_BRACED_WINDOW} AND cityHash64(TraceId) % {{{{pieces:UInt64}}}} = {{{{piece:UInt64}}}} GROUP BY id"
)
_AMONG: Final = "concat(TraceId, SpanId) IN {ids:Array(String)}"

_SETTINGS: Final[Mapping[str, object]] = {
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "async_insert": 0,
    "distributed_foreground_insert": 1,
    "max_partitions_per_insert_block": 0,
}

_IN_SHARE: Final = "cityHash64(TraceId) % {pieces:UInt64} = {piece:UInt64}"
_EXISTS: Final = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"

Read = Callable[[str, Mapping[str, object]], bytes]
"""Runs a SELECT with bound parameters; gives its rows in the engine's format ``Native``."""
Write = Callable[[str, Sequence[str], bytes, Mapping[str, object]], None]
"""Writes such rows: table, columns, rows, settings."""


@dataclass(frozen=True, slots=True)
class _Edits:
    """A small table whose rows say something of a trace; of each key the latest counts.

    Attributes:
        table: its name.
        columns: its columns.
        key: SQL of what a row is about, besides its trace.
        at: its column with the time of a row.
    """

    table: str
    columns: tuple[str, ...]
    key: str
    at: str

    @property
    def count(self) -> str:
        """Count its rows."""
        return f"SELECT count() FROM {self.table}"  # noqa: S608 our own words, as below

    @property
    def latest(self) -> str:
        """Find the latest time of each key in a piece."""
        latest = f"toUnixTimestamp64Nano(CAST(max({self.at}), 'DateTime64(9)'))"
        return f"SELECT TraceId, {self.key} AS edited, {latest} FROM {self.table} WHERE {_IN_SHARE} GROUP BY TraceId, edited"  # noqa: S608

    @property
    def rows(self) -> str:
        """Read a piece."""
        return f"SELECT {', '.join(self.columns)} FROM {self.table} WHERE {_IN_SHARE}"  # noqa: S608


_TAGS: Final = _Edits("trace_tags", ("TraceId", "Key", "Value", "EditedAt", "Deleted"), "Key", "EditedAt")
_DELETIONS: Final = _Edits("spanhouse_deleted_traces", ("TraceId", "DeletedAt"), "''", "DeletedAt")


@dataclass(frozen=True, slots=True)
class Pushed:
    """Contents of both stores when a copy has come to its end.

    Attributes:
        spans: of the source; each is in the target.
        copied: those of them that this run wrote.
        equal: those that are there with the very values of the source. The rest were there before, with other values.
        tags: edited tags of the source; each is in the target, or a later edit of it.
        prices: rows of the source's prices; each is in the target. -1 if the target has prices of its own, which stay alone.
    """

    spans: int = 0
    copied: int = 0
    equal: int = 0
    tags: int = 0
    prices: int = 0


def push(
    source: Execute,
    read: Read,
    target: Execute,
    write: Write,
    *,
    report: Callable[[Step], None] = lambda _: None,
    report_compared: Callable[[Step], None] = lambda _: None,
    cluster: str | None = None,
) -> Pushed:
    """Copy all spans, edited tags, deletions and prices. The target must have the tables of this version.

    Args:
        source: runs a statement on the store that is copied; need not write, and may be a store of a pre-release.
        read: reads rows there.
        target: runs a statement on the other one; must be allowed to make a table for its progress.
        write: writes rows there.
        report: called after each window that is copied, see ``windows``.
        report_compared: called after each window that is compared at the end.
        cluster: name of the cluster, if the target is one.

    Raises:
        MigrationError: something is not there after it was copied.
    """
    # First, so that spans of deleted traces get no row.
    _push_edits(_DELETIONS, source, read, target, write)
    # Before spans, so that costs are computed with them.
    pushed_prices = price_store.push(source, target)
    copy = _Copy(source, read, target, write)
    for step in windows.run(target, f"push {copy.identity}", "otel_traces", copy.window, cluster=cluster, source=source):
        report(step)
    copy.spans = copy.equal = 0
    every = windows.windows(source, "otel_traces")
    for done, window in enumerate(every, start=1):
        copy.window(window, False)
        report_compared(Step(window, done, len(every)))
    settle.settle_all(target)
    return Pushed(copy.spans, copy.copied, copy.equal, _push_edits(_TAGS, source, read, target, write), pushed_prices)


class _Copy:
    """A copy, one window after the other."""

    def __init__(self, source: Execute, read: Read, target: Execute, write: Write) -> None:
        self._source, self._read, self._target, self._write = source, read, target, write
        self.identity = str(source(_UUID)[0][0])
        self._columns = [str(row[0]) for row in source(_COLUMNS)]
        names = ", ".join("`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`" for name in self._columns)
        self._select = f"SELECT {names} FROM otel_traces WHERE "  # noqa: S608 names of columns
        self._bulk_of = _BULK.format(names=names)
        self._sums_of = _SUMS.format(names=names)
        self._ids_of = _IDS.format(names=names)
        self.spans = self.copied = self.equal = 0

    def window(self, window: Window, resumed: bool) -> None:
        """Copy what is not there yet, and see that it is."""
        count, size = map(number, self._source(self._bulk_of, window.parameters)[0])
        parameters = {**window.parameters, "pieces": max(1, -(-count // _PIECE_SPANS), -(-size // _PIECE_BYTES))}
        here, there = self._sums(self._source, parameters), self._sums(self._target, parameters)
        if resumed and there:
            # The target may have ended between spans and their parts.
            remake_window(self._target, window, long_traces(self._target))
        copied = self.copied
        for piece, sums in sorted(here.items()):
            if there.get(piece) == sums:
                self.spans += sums[0]
                self.equal += sums[0]
            else:
                self._piece({**parameters, "piece": piece})
        if self.copied > copied:
            settle.settle_all(self._target)

    def _sums(self, execute: Execute, parameters: Mapping[str, object]) -> dict[int, tuple[int, int]]:
        """Return count and hash of each piece that has spans."""
        return {number(piece): (number(count), number(sums)) for piece, count, sums in execute(self._sums_of, parameters)}

    def _piece(self, parameters: Mapping[str, object]) -> None:
        here, there = self._ids(self._source, parameters), self._ids(self._target, parameters)
        missing = sorted(here.keys() - there.keys())
        for deduplicated in (True, False):  # the engine may remember a block whose rows were deleted since
            if not (left := sorted(here.keys() - there.keys())):
                break
            for where, bound in self._blocks(left, whole=len(left) == len(here), parameters=parameters):
                block = self._read(f"{self._select}{where}", bound)
                token = {"insert_deduplication_token": hashlib.sha256(self.identity.encode() + block).hexdigest()}
                self._write("otel_traces", self._columns, block, {**_SETTINGS, **token, "insert_deduplicate": int(deduplicated)})
            there = self._ids(self._target, parameters)
        if lost := here.keys() - there.keys():
            raise MigrationError(f"{len(lost)} of {len(here)} spans are not in the target after they were copied: run it again")
        self.spans += len(here)
        self.copied += len(missing)
        self.equal += sum(not hashes.isdisjoint(there[one]) for one, hashes in here.items())

    def _ids(self, execute: Execute, parameters: Mapping[str, object]) -> dict[str, set[int]]:
        """Return the spans of a piece by trace and span id, each with the hashes of its rows."""
        return {str(one): set(map(number, hashes)) for one, hashes in execute(self._ids_of, parameters)}  # type: ignore[call-overload]

    @staticmethod
    def _blocks(ids: Sequence[str], *, whole: bool, parameters: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Give conditions, with their parameters, that together select these spans and no others."""
        if whole:
            yield _IN_PIECE, parameters
            return
        for first in range(0, len(ids), _BLOCK_IDS):
            yield f"{_IN_PIECE} AND {_AMONG}", {**parameters, "ids": list(ids[first : first + _BLOCK_IDS])}


def _push_edits(edits: _Edits, source: Execute, read: Read, target: Execute, write: Write) -> int:
    """Copy a table of edits, of which the table keeps the latest, and bring the rows of their traces up to them; return their number."""
    if not number(source(_EXISTS, {"table": edits.table})[0][0]):
        return 0
    rows = number(source(edits.count)[0][0])
    pieces = max(1, -(-rows // _PIECE_SPANS))
    found = 0
    for piece in range(pieces if rows else 0):
        parameters = {"pieces": pieces, "piece": piece}
        here = _latest(source, edits, parameters)
        found += len(here)
        if older := _older(_latest(target, edits, parameters), here):
            write(edits.table, edits.columns, read(edits.rows, parameters), {**_SETTINGS, "insert_deduplicate": 0})
            if left := _older(_latest(target, edits, parameters), here):
                raise MigrationError(f"{len(left)} of {len(here)} rows of {edits.table} are not in the target after they were copied: run it again")
            settle.remake(target, sorted(older))
    return found


def _latest(execute: Execute, edits: _Edits, parameters: Mapping[str, object]) -> dict[tuple[str, str], int]:
    """Return the time of each edit of a piece, in Unix nanoseconds."""
    return {(str(trace), str(key)): number(at) for trace, key, at in execute(edits.latest, parameters)}


def _older(there: Mapping[tuple[str, str], int], here: Mapping[tuple[str, str], int]) -> set[str]:
    """Return the traces of edits that are not there, or are there in an older state."""
    return {edit[0] for edit, at in here.items() if there.get(edit, -1) < at}

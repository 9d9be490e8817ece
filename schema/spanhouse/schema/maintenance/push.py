"""Copy of a store's spans, edited tags, deletions and prices into another store, in windows of time; repeated runs store nothing twice.

A window is divided by a hash of the trace id into pieces that fit in memory. A piece is equal if count and hash agree on both sides; otherwise
the ids on both sides give the missing spans. These are read and written in blocks; the engine takes a block as a whole, and recognises a
repeated one by its token. A span that the target has already stays as it is. At the end all windows are compared once more, those of an
interrupted run included. Traces are settled in the target, so the source may be a store of a pre-release, whose spans and tags have the same
columns.
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
from spanhouse.schema.settle.remake import remake_traces
from spanhouse.schema.tables.driver import Execute, MigrationError, number

_PIECE_SPANS: Final = 20_000
_PIECE_BYTES: Final = 32 * 2**20
"""Largest piece, about: its spans, and their bytes in the engine's memory."""
_BLOCK_IDS: Final = 100
"""Spans that one query selects by their ids: some drivers send a query in a URL, whose length is limited."""

_UUID: Final = "SELECT uuid FROM system.tables WHERE database = currentDatabase() AND name = 'otel_traces'"
_COLUMNS: Final = (
    "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'otel_traces' AND default_kind IN ('', 'DEFAULT') "
    "ORDER BY position"
)
_BRACED_WINDOW: Final = IN_WINDOW.replace("{", "{{").replace("}", "}}")
"""``IN_WINDOW`` for texts that ``str.format`` fills in."""
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
"""Function that runs a SELECT with bound parameters and returns its rows in the engine's format ``Native``."""
Write = Callable[[str, Sequence[str], bytes, Mapping[str, object]], None]
"""Function that writes rows in the format ``Native``: table, columns, rows, settings."""


@dataclass(frozen=True, slots=True)
class _Edits:
    """A small table of edits of traces; the latest row of each trace and key counts.

    Attributes:
        table: name of the table.
        columns: columns of the table.
        key: SQL of a row's key, besides its trace.
        at: column with the time of a row.
    """

    table: str
    columns: tuple[str, ...]
    key: str
    at: str

    @property
    def count(self) -> str:
        """Statement that counts the rows."""
        return f"SELECT count() FROM {self.table}"  # noqa: S608 our own words, as below

    @property
    def latest(self) -> str:
        """Statement that finds the latest time of each key in a piece."""
        latest = f"toUnixTimestamp64Nano(CAST(max({self.at}), 'DateTime64(9)'))"
        return f"SELECT TraceId, {self.key} AS edited, {latest} FROM {self.table} WHERE {_IN_SHARE} GROUP BY TraceId, edited"  # noqa: S608

    @property
    def rows(self) -> str:
        """Statement that reads a piece."""
        return f"SELECT {', '.join(self.columns)} FROM {self.table} WHERE {_IN_SHARE}"  # noqa: S608


_TAGS: Final = _Edits("trace_tags", ("TraceId", "Key", "Value", "EditedAt", "Deleted"), "Key", "EditedAt")
_DELETIONS: Final = _Edits("spanhouse_deleted_traces", ("TraceId", "DeletedAt"), "''", "DeletedAt")


@dataclass(frozen=True, slots=True)
class Pushed:
    """Contents of both stores at the end of a copy.

    Attributes:
        spans: spans of the source; the target has all of them.
        copied: spans that this run wrote.
        equal: spans that the target has with the source's values. The rest were there before, with other values.
        tags: edited tags of the source; the target has each, or a later edit.
        prices: rows of the source's prices; the target has all of them. -1 if the target has prices of its own, which stay alone.
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
        read: reads rows from the source.
        target: runs a statement on the target; must be allowed to create a table for the progress.
        write: writes rows into the target.
        report: called after each window that is copied, see ``windows``.
        report_compared: called after each window that is compared at the end.
        cluster: name of the cluster, if the target is one.

    Raises:
        MigrationError: the target lacks something after it was copied.
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
    """A copy in progress, one window after the other."""

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
        """Copy the missing spans of a window, and check that the target has them."""
        count, size = map(number, self._source(self._bulk_of, window.parameters)[0])
        parameters = {**window.parameters, "pieces": max(1, -(-count // _PIECE_SPANS), -(-size // _PIECE_BYTES))}
        here, there = self._sums(self._source, parameters), self._sums(self._target, parameters)
        if resumed and there:
            # The earlier run may have ended between spans and their parts.
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
        """Return count and hash of each non-empty piece."""
        return {number(piece): (number(count), number(sums)) for piece, count, sums in execute(self._sums_of, parameters)}

    def _piece(self, parameters: Mapping[str, object]) -> None:
        here, there = self._ids(self._source, parameters), self._ids(self._target, parameters)
        missing = sorted(here.keys() - there.keys())
        for deduplicated in (True, False):  # the engine may still know the token of a block whose rows were deleted
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
        """Yield conditions, with their parameters, that together select exactly these spans."""
        if whole:
            yield _IN_PIECE, parameters
            return
        for first in range(0, len(ids), _BLOCK_IDS):
            yield f"{_IN_PIECE} AND {_AMONG}", {**parameters, "ids": list(ids[first : first + _BLOCK_IDS])}


def _push_edits(edits: _Edits, source: Execute, read: Read, target: Execute, write: Write) -> int:
    """Copy a table of edits, remake the rows of their traces, and return the number of edits."""
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
            remake_traces(target, sorted(older))
    return found


def _latest(execute: Execute, edits: _Edits, parameters: Mapping[str, object]) -> dict[tuple[str, str], int]:
    """Return the time of each edit of a piece, in Unix nanoseconds."""
    return {(str(trace), str(key)): number(at) for trace, key, at in execute(edits.latest, parameters)}


def _older(there: Mapping[tuple[str, str], int], here: Mapping[tuple[str, str], int]) -> set[str]:
    """Return the traces of edits that the target lacks or has in an older state."""
    return {edit[0] for edit, at in here.items() if there.get(edit, -1) < at}

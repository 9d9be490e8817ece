"""A store that untidy traces arrive at, piece by piece, between settling, crashes, edits, deletions and the passing of hours."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, count, groupby
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.otlp import request
from tests.support.reference_merge import Edit, merge
from tests.support.reference_span import Copy
from tests.support.store import TestStore
from tests.support.untidy import Sent, untidy_trace

from spanhouse.schema.settle import remake, settle
from spanhouse.schema.tables.driver import Execute

ROWS: Final = "SELECT * EXCEPT (Timestamp), toUnixTimestamp64Nano(Timestamp) AS Timestamp FROM traces WHERE TraceId IN {trace_ids:Array(String)}"
_DOUBLES: Final = "SELECT count() - uniqExact(TraceId) FROM traces"
_PARTS: Final = "SELECT name FROM system.parts WHERE database = currentDatabase() AND table = 'spanhouse_trace_parts' AND active"
_OLDER: Final = (
    "INSERT INTO spanhouse_trace_parts SELECT * REPLACE (Received - toIntervalMillisecond({ms:Int64}) AS Received) FROM spanhouse_trace_parts"
)


class Crashed(Exception):  # noqa: N818 a thing that happened
    """The process ended here."""


class Arrivals:
    """Traces on their way into a store.

    Attributes:
        store: keeps them. Merges of its parts are stopped, so that their times can be put back.
        execute: runs settling's statements.
    """

    ACTIONS: Final = ("insert", "settle", "remake", "crash", "edit", "delete", "age", "sweep", "time_passes", "overtaken")

    def __init__(self, store: TestStore, seeds: Sequence[int], rng: random.Random, *, pieces: int, execute: Execute | None = None) -> None:
        self.store = store
        self.execute: Execute = execute or store.execute
        self.stored: dict[str, list[Copy]] = defaultdict(list)
        self.edits: dict[str, list[Edit]] = defaultdict(list)
        self.deleted: set[str] = set()
        self._rng = rng
        self._waiting = [sent for seed in seeds for sent in untidy_trace(random.Random(seed))]
        rng.shuffle(self._waiting)
        self._chunk = -(-len(self._waiting) // pieces)
        self._doubles = 0
        self._settlers = [settle.Settler(self.execute) for _ in range(2)]
        store.execute("SYSTEM STOP MERGES spanhouse_trace_parts")

    def act(self, name: str) -> None:
        getattr(self, name)()
        ((double,),) = self.store.execute(_DOUBLES)
        self._doubles += double

    def insert(self) -> None:
        taken, self._waiting = self._waiting[: self._chunk], self._waiting[self._chunk :]
        for sent in taken:
            self.stored[sent.span.trace_id.hex()].append(Copy.of(sent.span, sent.resource))
        if taken:
            self.store.insert(*_requests(taken))

    def settle(self) -> None:
        self._rng.choice(self._settlers).settle(everything=self._rng.random() < 0.5)

    def settle_all(self) -> None:
        settle.settle_all(self.execute)

    def remake(self) -> None:
        self._rng.choice(self._settlers).remake_due()

    def crash(self) -> None:
        """Settle in a process that ends after some statements."""
        settler = settle.Settler(_ending(self.execute, self._rng.randint(1, 14)))
        try:
            settler.settle(everything=True)
            settler.remake_due()
            remake.age(settler.execute, quiet_seconds=0)
        except Crashed:
            pass

    def edit(self) -> None:
        for trace_id in self._rng.sample(sorted(self.stored), min(len(self.stored), 3)):
            at = self._rng.randint(1, 10**9) + 1_790_000_000 * 10**9
            edit = Edit(at, self._rng.choice(["t", "u", "mlflow.traceName"]), self._rng.choice(["set", "again", "", None]))
            self.edits[trace_id].append(edit)
            self.store.execute(
                "INSERT INTO trace_tags SELECT {trace_id:String}, {key:String}, {value:String}, fromUnixTimestamp64Nano({at:Int64}), {deleted:UInt8}",
                {"trace_id": trace_id, "key": edit.key, "value": edit.value or "", "at": edit.at, "deleted": int(edit.value is None)},
            )
            if self._rng.random() < 0.5:
                remake.remake_traces(self.execute, [trace_id])

    def delete(self) -> None:
        for trace_id in self._rng.sample(sorted(self.stored), min(len(self.stored), 2)):
            self.deleted.add(trace_id)
            self.store.execute("INSERT INTO spanhouse_deleted_traces (TraceId) SELECT {trace_id:String}", {"trace_id": trace_id})
            remake.remake_traces(self.execute, [trace_id])

    def age(self) -> None:
        remake.age(self.execute, quiet_seconds=0)

    def sweep(self) -> None:
        self._rng.choice(self._settlers).sweep()

    def time_passes(self) -> None:
        self._pass(self._rng.choice([100, 200, 400, 500, 700, 3 * 3600]))

    def hours_pass(self) -> None:
        self._pass(3 * 3600)

    def _pass(self, seconds: int) -> None:
        """Put all parts back in time; what is settled and older than its keeping goes."""
        put_back(self.store, seconds)
        remake.drop_old_parts(self.execute)

    def overtaken(self) -> None:
        """Settle in a process that stops for a while between two statements, and what it has read is older than what others write meanwhile."""
        slow = _interrupted(self.execute, self._rng.randint(1, 9), self._meanwhile)
        kind = self._rng.randrange(3)
        if kind == 0:
            settle.Settler(slow).settle(everything=True)
        elif kind == 1:
            remake.remake_traces(slow, self._rng.sample(sorted(self.stored), min(len(self.stored), 10)))
        else:
            remake.age(slow, quiet_seconds=0)

    def _meanwhile(self) -> None:
        self.insert()
        self.settle_all()

    def finish(self) -> None:
        """Let everything arrive and come to rest."""
        while self._waiting:
            self.insert()
        self.act("settle_all")
        self.act("age")
        settle.Settler(self.execute).sweep()

    def differences(self, *, large: bool = False) -> Iterator[str]:
        """Give one text for each trace whose rows are not the one that the reference gives, and one if there were more rows than traces.

        Args:
            large: True if the rows were made as those of traces with very many spans.
        """
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self.store.client.query(ROWS, parameters={"trace_ids": sorted(self.stored)}).named_results():
            found[str(row["TraceId"])].append({key: value for key, value in row.items() if key != "TraceId"})
        if self._doubles:
            yield f"{self._doubles} traces had two rows for a time"
        expected: dict[str, dict[str, Any]] = {}
        for trace_id in sorted(self.stored):
            expected[trace_id] = merge(self.stored[trace_id], self.edits[trace_id], large=large)
            yield from self._differences(trace_id, found[trace_id], expected[trace_id])
        yield from _mistaken(
            {trace_id: (made[0]["ErrorFingerprint"], expected[trace_id]["ErrorFingerprint"]) for trace_id, made in found.items() if made}
        )

    def _differences(self, trace_id: str, rows: Sequence[dict[str, Any]], expected: dict[str, Any]) -> Iterator[str]:
        wanted = 0 if trace_id in self.deleted else 1
        if len(rows) != wanted:
            yield f"{trace_id}: {len(rows)} rows instead of {wanted}"
        elif rows and (found := different(rows[0], expected)):
            spans = "\n  ".join(map(str, sorted(self.stored[trace_id], key=lambda one: (one.span_id, one.start))))
            yield f"{trace_id}: stored and expected {found}, of\n  {spans}\n  {self.edits[trace_id]}"


def _mistaken(kinds: Mapping[str, tuple[int, Any]]) -> Iterator[str]:
    """Give each two traces whose errors are of one kind by their fingerprints or by the reference, and not by both."""
    for one, other in combinations(sorted(kinds), 2):
        (stored, expected), (others_stored, others_expected) = kinds[one], kinds[other]
        if (stored == others_stored) != (expected == others_expected):
            yield f"{one} and {other}: fingerprints {stored} and {others_stored} of {expected!r} and {others_expected!r}"


def put_back(store: TestStore, seconds: float) -> None:
    """Let time pass for the parts in a store: they came earlier by so many seconds. Merges of its parts must be stopped."""
    parts = [str(row[0]) for row in store.execute(_PARTS)]
    store.execute(_OLDER, {"ms": round(seconds * 1000)})
    for part in parts:
        store.execute(f"ALTER TABLE spanhouse_trace_parts DROP PART '{part}'")


def different(row: dict[str, Any], expected: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what a row and the reference say, of each column that is not the same in both. Of a fingerprint only whether it is 0 is compared."""
    pairs = {key: (row.get(key), expected.get(key)) for key in row | expected}
    pairs["ErrorFingerprint"] = (bool(row["ErrorFingerprint"]), bool(expected["ErrorFingerprint"]))
    return {key: pair for key, pair in pairs.items() if not _same(*pair)}


def _same(stored: Any, expected: Any) -> bool:
    if isinstance(stored, float) and isinstance(expected, float):
        return abs(stored - expected) <= 1e-9 * max(1.0, abs(expected))
    return bool(stored == expected)


def _requests(sent: Sequence[Sent]) -> Iterator[ExportTraceServiceRequest]:
    """Give a request for each run of spans of one process."""
    for resource, run in groupby(sorted(sent, key=lambda one: sorted(one.resource.items())), key=lambda one: one.resource):
        yield request([one.span for one in run], resource=resource)


def _ending(execute: Execute, after: int) -> Execute:
    left = [after]

    def run(sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Sequence[Any]]:
        left[0] -= 1
        if left[0] < 0:
            raise Crashed
        return execute(sql, parameters)

    return run


def _interrupted(execute: Execute, at: int, meanwhile: Callable[[], None]) -> Execute:
    """Return an ``execute`` that lets something else happen before its statement with this number."""
    numbers = count(1)

    def run(sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Sequence[Any]]:
        if next(numbers) == at:
            meanwhile()
        return execute(sql, parameters)

    return run

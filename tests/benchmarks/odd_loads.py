"""CPU per span of loads that are not the usual ones, from the insert to the settled row, beside the untidy load in the same run.

Usage: python -m tests.benchmarks.odd_loads [--spans N] [--million N] [--only WORD]

Each load comes into tables of its own, in inserts of one size, and is settled by the rounds of the receiver's settling thread, by a clock that
goes on by the time between two inserts. When all has come to rest there must be one row a trace, with the spans and errors that were sent, and
a sample of rows must equal the reference merge.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span
from tests.benchmarks.processes import Watch, anonymous_megabytes
from tests.support.arrivals import ROWS, different, put_back
from tests.support.expected import text
from tests.support.otlp import new_span_id, request, span
from tests.support.reference_merge import merge
from tests.support.reference_span import Copy
from tests.support.store import TestStore
from tests.support.untidy_load import REQUEST_SPANS, ROUND_SPANS, untidy_load

from spanhouse.exporter.store import settle_thread
from spanhouse.schema.settle.settle import Settler

_HOUR_NS: Final = 3600 * 10**9
_SAMPLE: Final = 1000
"""Traces that are compared with the reference merge."""
_MOST_COPIES: Final = 60_000
"""Spans of a trace that can be."""
_REST_SECONDS: Final = 150.0
_ROUND_REQUESTS: Final = -(-ROUND_SPANS // REQUEST_SPANS)
_LONG_EXPORTS: Final = 500
_LONG_SECONDS: Final = 2 * 3600 / _LONG_EXPORTS
_LONG_REQUESTS: Final = 2
_LONG_SPANS: Final = 100
"""Spans of an export of the trace that runs for two hours."""
_SLOW_REQUESTS: Final = 160
_REUSED: Final = bytes.fromhex("5eed" * 8)

_SOME_SPANS: Final = 100_000

_FORGET: Final = "ALTER TABLE spanhouse_trace_parts DELETE WHERE Received < now64(3) - toIntervalSecond(1200) SETTINGS mutations_sync = 2"
_COUNTS: Final = "SELECT TraceId, count(), max(SpanCount), max(ErrorCount) FROM traces GROUP BY TraceId"


@dataclass(frozen=True, slots=True)
class Load:
    """Requests as they are inserted.

    Attributes:
        requests: in order.
        at_once: of an insert.
        seconds: from an insert to the next.
        settled: False if nothing is settled before all is inserted.
    """

    requests: Iterator[ExportTraceServiceRequest]
    at_once: int = _ROUND_REQUESTS
    seconds: float = 1.0
    settled: bool = True


class Sent:
    """Spans and errors that were sent, by trace, and the copies of a sample of traces."""

    def __init__(self) -> None:
        self.count = 0
        self.copies: dict[str, list[Copy]] = {}
        self._spans: defaultdict[str, set[bytes]] = defaultdict(set)
        self._errors: defaultdict[str, set[bytes]] = defaultdict(set)

    @property
    def counts(self) -> dict[str, tuple[int, int, int]]:
        """One row, spans, and errors, by trace."""
        return {trace_id: (1, len(spans), len(self._errors[trace_id])) for trace_id, spans in self._spans.items()}

    def add(self, of_process: ResourceSpans) -> None:
        process = {attribute.key: text(attribute.value) for attribute in of_process.resource.attributes}
        for one in (one for scope in of_process.scope_spans for one in scope.spans):
            trace_id = one.trace_id.hex()
            if trace_id not in self._spans and len(self.copies) < _SAMPLE:
                self.copies[trace_id] = []
            if len(self.copies.get(trace_id, ())) < _MOST_COPIES and trace_id in self.copies:
                self.copies[trace_id].append(Copy.of(one, process))
            self.count += 1
            self._spans[trace_id].add(one.span_id)
            if one.status.code == 2:
                self._errors[trace_id].add(one.span_id)


class Settling:
    """A store that a load is inserted into and settled in.

    Attributes:
        sent: all that was inserted.
        seconds: CPU of inserts and settling.
    """

    def __init__(self) -> None:
        self.sent = Sent()
        self.seconds = 0.0
        self._store = TestStore()
        self._store.execute("SYSTEM STOP MERGES spanhouse_trace_parts")
        self._now = 1e6
        self._rounds = settle_thread._Rounds(Settler(self._store.execute), threading.Lock(), clock=lambda: self._now)

    def take(self, load: Load) -> None:
        """Insert and settle a load, and bring it to rest."""
        while some := list(islice(load.requests, load.at_once)):
            for of_process in chain.from_iterable(one.resource_spans for one in some):
                self.sent.add(of_process)
            began = time.monotonic()
            with self._counted():
                self._store.insert(*some)
                if load.settled:
                    self._rounds.run()
            self._pass(load.seconds, began)
        for _ in range(3):
            with self._counted():
                while not self._rounds.run():
                    self._now += 1
            self._now += _REST_SECONDS

    def check(self) -> None:
        """Compare the rows with what was sent.

        Raises:
            AssertionError: some differ.
        """
        found = {trace_id: tuple(counts) for trace_id, *counts in self._store.execute(_COUNTS)}
        assert found == self.sent.counts, [(key, row, self.sent.counts.get(key)) for key, row in found.items() if row != self.sent.counts.get(key)][
            :3
        ]
        sample = {trace_id: copies for trace_id, copies in self.sent.copies.items() if len(copies) < _MOST_COPIES}
        for row in self._store.client.query(ROWS, parameters={"trace_ids": sorted(sample)}).named_results():
            trace_id = str(row.pop("TraceId"))
            found = different(row, merge(sample[trace_id]))
            assert not found, (trace_id, found)
        self._store.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        begun = _cpu()
        yield
        self.seconds += _cpu() - begun

    def _pass(self, seconds: float, began: float) -> None:
        """Let the rest of some seconds pass, for the rounds and for the engine."""
        self._now += seconds
        if seconds > 1:
            put_back(self._store, seconds - (time.monotonic() - began))
            self._store.execute(_FORGET)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def usual(spans: int, *, flags: int = 0x101, ago_ns: int = 0) -> Iterator[ExportTraceServiceRequest]:
    """Give the requests of the untidy load, in pieces."""
    for body in untidy_load(spans, flags=flags, pieces=True, now_ns=time.time_ns() - ago_ns).bodies:
        yield ExportTraceServiceRequest.FromString(body)


def slow_host(spans: int) -> Iterator[ExportTraceServiceRequest]:
    """Give the usual requests, with the clock of one of the two services an hour slow."""
    for one in usual(spans):
        for of_process in one.resource_spans:
            if any(attribute.value.string_value == "pay" for attribute in of_process.resource.attributes):
                for made in _spans(of_process):
                    made.start_time_unix_nano -= _HOUR_NS
                    made.end_time_unix_nano -= _HOUR_NS
        yield one


def rootless(spans: int, flags: int) -> Iterator[ExportTraceServiceRequest]:
    """Give the usual requests without any span that has no parent."""
    for one in usual(spans, flags=flags):
        for scope in (scope for of_process in one.resource_spans for scope in of_process.scope_spans):
            kept = [made for made in scope.spans if made.parent_span_id]
            del scope.spans[:]
            scope.spans.extend(kept)
        yield one


def reused(spans: int) -> Iterator[ExportTraceServiceRequest]:
    """Give the usual requests under one trace id."""
    for begin in range(0, spans, _SOME_SPANS):
        for body in untidy_load(min(_SOME_SPANS, spans - begin), flags=0x101, pieces=True, now_ns=time.time_ns(), seed=begin).bodies:
            one = ExportTraceServiceRequest.FromString(body)
            for made in (made for of_process in one.resource_spans for made in _spans(of_process)):
                made.trace_id = _REUSED
            yield one


def with_long(requests: Iterator[ExportTraceServiceRequest]) -> Iterator[ExportTraceServiceRequest]:
    """Give requests for two hours, and beside each insert's an export of one trace that runs as long; its root comes last."""
    root, begun = new_span_id(), time.time_ns() - 2 * _HOUR_NS
    for export in range(_LONG_EXPORTS):
        yield from islice(requests, _LONG_REQUESTS - 1)
        starts = (begun + int(export * _LONG_SECONDS * 10**9) + number for number in range(_LONG_SPANS))
        made = [span("step", trace_id=_REUSED, parent=root, start_ns=at, attributes={"gen_ai.usage.input_tokens": 7}) for at in starts]
        if export == _LONG_EXPORTS - 1:
            made.append(span("agent", trace_id=_REUSED, span_id=root, start_ns=begun, duration_ns=2 * _HOUR_NS))
        yield request(made)


def _spans(of_process: ResourceSpans) -> Iterator[Span]:
    return (made for scope in of_process.scope_spans for made in scope.spans)


def loads(spans: int, million: int) -> Iterator[tuple[str, str, Load]]:
    """Give each load with its name and the name of the one that it is measured by: itself for the usual ones."""
    yield "usual", "usual", Load(usual(spans))
    yield "a host an hour slow", "usual", Load(slow_host(spans))
    yield "a backlog of an hour, settled when all is inserted", "usual", Load(usual(spans, ago_ns=_HOUR_NS), settled=False)
    yield "an import of spans 30 days old", "usual", Load(usual(spans, ago_ns=30 * 24 * _HOUR_NS))
    yield "no parentless span", "usual", Load(rootless(spans, 0x101))
    yield "usual, flags 0", "usual, flags 0", Load(usual(spans, flags=0))
    yield "no parentless span, flags 0", "usual, flags 0", Load(rootless(spans, 0))
    yield "one trace id for all spans", "usual", Load(reused(million))
    often = _LONG_EXPORTS * REQUEST_SPANS
    yield "usual, slowly", "usual, slowly", Load(islice(usual(often), _SLOW_REQUESTS), _LONG_REQUESTS, _LONG_SECONDS)
    yield "beside it a trace of two hours in 500 exports", "usual, slowly", Load(with_long(usual(often)), _LONG_REQUESTS, _LONG_SECONDS)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--million", type=int, default=1_000_000, help="spans that share a trace id")
    parser.add_argument("--only", default="", help="loads whose name contains this, and those that they are measured by")
    wanted = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}\n")
    print("| load | spans | CPU µs a span | times the usual | RssAnon grew by, MB |\n" + "| --- " * 5 + "|")
    measured: dict[str, float] = {}
    every = list(loads(wanted.spans, wanted.million))
    needed = {name for asked, beside, _ in every if wanted.only in asked for name in (asked, beside)}
    for name, beside, load in every:
        if name not in needed:
            continue
        before = anonymous_megabytes(os.getpid())
        with Watch(os.getpid()) as watch:
            settled = Settling()
            settled.take(load)
        measured[name] = settled.seconds / settled.sent.count * 1e6
        ratio = measured[name] / measured[beside]
        print(f"| {name} | {settled.sent.count:,} | {measured[name]:.1f} | {ratio:.2f} | {watch.peak_megabytes - before:.0f} |", flush=True)
        settled.check()


if __name__ == "__main__":
    main()

"""Many traces as OTLP requests: 64 traces of four spans each, from one process of one of 30 services, whole or in pieces.

Each request is of another process: 500 commits, of which each belongs to one of 40 versions, 20 branches, 3 environments and 5 models, in no
order of time, as where many teams deploy. Roots have one of 50,000 users, 200,000 sessions and 1,000 deployments; one in 20 has failed.
Traces start at even distances in ten days. A request is the same bytes with other values in their places, since building messages costs more
than the server takes to store them.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.otlp import LOCAL, key_values, request, span

TRACES: Final = 64
SPANS: Final = 4
ENVIRONMENTS: Final = ("production", "validation", "playground")
"""All of one length, as every value is that takes a place."""
DAYS: Final = 10
_DAY_NS: Final = 86_400 * 10**9
_RESOURCE: Final = {
    "service.name": "service-SS",
    "service.namespace": "shop",
    "app_version": "1.VV.0",
    "mlflow.source.type": "E" * len(ENVIRONMENTS[0]),
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.language": "python",
    "host.name": "checkout-7d9f8b6c5-x2x7p",
    "process.pid": 4711,
    "mlflow.source.name": "services/checkout/main.py",
    "mlflow.source.git.commit": "CCC" + "c0ffee" * 6 + "0",
    "mlflow.source.git.branch": "branch-BB",
    "mlflow.source.git.repoURL": "https://github.com/example/checkout.git",
    "mlflow.modelId": "m-0M",
}

_Bytes = npt.NDArray[np.uint8]


APART: Final = 300
"""Requests between two pieces of a trace: more spans than an insert takes."""


def in_pieces(bodies: Iterator[bytes]) -> Iterator[bytes]:
    """Cut four of five requests into three, which come far apart: two children of each trace one by one, the third with the root last."""
    later: deque[tuple[int, bytes]] = deque()
    for number, body in enumerate(bodies):
        while later and later[0][0] <= number:
            yield later.popleft()[1]
        if number % 5 == 0:
            yield body
            continue
        first, second, third = (_only(body, place) for place in ((1,), (2,), (3, 0)))
        yield first
        later.append((number + APART, second))
        later.append((number + 2 * APART, third))
        later = deque(sorted(later))
    yield from (body for _, body in later)


def _only(body: bytes, places: tuple[int, ...]) -> bytes:
    made = ExportTraceServiceRequest.FromString(body)
    (scope,) = made.resource_spans[0].scope_spans
    spans = [scope.spans[trace * SPANS + place] for trace in range(TRACES) for place in places]
    del scope.spans[:]
    scope.spans.extend(spans)
    return made.SerializeToString()


def requests(traces: int, begin_ns: int, *, flags: int = LOCAL) -> Iterator[bytes]:
    """Serialised requests with so many traces in all, rounded down to whole requests, the first of which starts then."""
    template = _Template(flags)
    chance, numbers = random.Random(7), np.random.default_rng(7)
    step_ns = DAYS * _DAY_NS // traces
    for first in range(0, traces - TRACES + 1, TRACES):
        yield template.filled(chance, numbers, begin_ns + (first + np.arange(TRACES)) * step_ns)


class _Template:
    """A request, and where in it the values stand that change: each under a number, by which those that are equal stay equal."""

    def __init__(self, flags: int) -> None:
        made: list[Span] = []
        for trace in range(TRACES):
            root = b"i%07d" % (trace * SPANS)
            for place in range(SPANS):
                number = trace * SPANS + place
                made.append(_span(trace, number, b"" if place == 0 else root, flags))
        self._plain = np.frombuffer(request(made, resource=_RESOURCE, scope="app").SerializeToString(), np.uint8)
        text = self._plain.tobytes()
        self._traces = _places(text, rb"trace-id-(\d{7})")
        self._spans = _places(text, rb"i(\d{7})")
        self._starts = _places(text, rb"b(\d{7})")
        self._ends = _places(text, rb"e(\d{7})")
        self._users = _places(text, rb"user-(\d{7})", skip=5)
        self._sessions = _places(text, rb"session-(\d{7})", skip=8)
        self._deployments = _places(text, rb"deployment-(\d{7})", skip=11)
        # A status is its message, then its code.
        self._codes = np.array([found.end() + 1 for found in re.finditer(rb"status-\d{7}", text)])
        self._process = {name: text.index(name) for name in (b"-SS", b".VV.", b"EEE", b"CCC", b"-BB", b"-0M")}

    def filled(self, chance: random.Random, numbers: np.random.Generator, starts_ns: npt.NDArray[np.int64]) -> bytes:
        """The request of one process with other traces."""
        data = self._plain.copy()
        commit = chance.randrange(500)
        values = {
            b"-SS": b"-%02d" % chance.randrange(30),
            b".VV.": b".%02d." % (commit * 40 // 500),
            b"EEE": chance.choice(ENVIRONMENTS).encode(),
            b"CCC": b"%03x" % commit,
            b"-BB": b"-%02d" % chance.randrange(20),
            b"-0M": b"-0%d" % chance.randrange(5),
        }
        for name, value in values.items():
            data[self._process[name] : self._process[name] + len(value)] = np.frombuffer(value, np.uint8)
        _fill(data, self._traces, numbers.integers(0, 256, (TRACES, 16), np.uint8))
        _fill(data, self._spans, numbers.integers(0, 256, (TRACES * SPANS, 8), np.uint8))
        starts = np.repeat(starts_ns, SPANS) + np.tile(np.arange(SPANS), TRACES) * 1000
        _fill(data, self._starts, _as_bytes(starts))
        _fill(data, self._ends, _as_bytes(starts + numbers.integers(10**6, 9 * 10**8, TRACES * SPANS)))
        for places, most in ((self._users, 50_000), (self._sessions, 200_000), (self._deployments, 1000)):
            texts = b"".join(b"%07d" % number for number in numbers.integers(0, most, TRACES))
            _fill(data, places, np.frombuffer(texts, np.uint8).reshape(TRACES, 7))
        data[self._codes] = np.where(numbers.integers(0, 20, TRACES) == 0, 2, 1)
        return data.tobytes()


def _span(trace: int, number: int, parent: bytes, flags: int) -> Span:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o-2026-08-06",
        "gen_ai.usage.input_tokens": 1000 + number,
        "gen_ai.usage.output_tokens": 200 + number,
    }
    if not parent:
        attributes = {"user.id": f"user-{trace:07}", "session.id": f"session-{trace:07}"}
        attributes["mlflow.traceMetadata.deployment_id"] = f"deployment-{trace:07}"
    made = span(
        "chat gpt-4o" if parent else "POST /v1/chat", trace_id=b"trace-id-%07d" % trace, span_id=b"i%07d" % number, parent=parent, flags=flags
    )
    made.start_time_unix_nano = int.from_bytes(b"b%07d" % number, "little")
    made.end_time_unix_nano = int.from_bytes(b"e%07d" % number, "little")
    made.attributes.extend(key_values(attributes))
    if not parent:
        made.status.message, made.status.code = f"status-{trace:07}", 1  # type: ignore[assignment]
    return made


def _places(text: bytes, pattern: bytes, *, skip: int = 0) -> tuple[_Bytes, npt.NDArray[np.int64]]:
    """Positions of each byte of what a pattern finds, all but the first ``skip`` of them, and the numbers that stand there."""
    found = list(re.finditer(pattern, text))
    length = len(found[0][0]) - skip
    positions = np.array([one.start() + skip for one in found])[:, None] + np.arange(length)
    return positions, np.array([int(one[1]) for one in found])  # type: ignore[return-value]


def _fill(data: _Bytes, places: tuple[Any, npt.NDArray[np.int64]], values: Any) -> None:
    positions, numbers = places
    data[positions] = values[numbers]


def _as_bytes(times_ns: Any) -> Any:
    return np.ascontiguousarray(times_ns, "<u8").view(np.uint8).reshape(-1, 8)

"""The untidy load: agent traces as they really come, with the standard load's attributes, about 640 bytes a span.

Traces of 6 to 12 spans run through two services with versions of their own. A Collector mixes them: a request has several resources. Sessions and
users stand on spans, on the root of some traces only. In pieces, four of five traces come in three exports that land in three inserts, children
first and the root last; one in a hundred never gets its root, and one span in a hundred comes twice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.otlp import key_values, span
from tests.support.standard_load import RESOURCE

REQUEST_SPANS: Final = 512
ROUND_SPANS: Final = 12_000
"""Spans between two exports of a trace: more than an insert takes while the receiver is not behind."""
_SERVICES: Final = ("edge", "pay")
_VERSIONS: Final = 4
_PIECES: Final = 0.8
_ROOTLESS: Final = 0.01
_REPEATED: Final = 0.01


_Owned = tuple[int, int, Span]
"""Number of the service, its version, and a span of it."""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests, in the order in which they are sent, and what is in them.

    Attributes:
        bodies: serialised requests.
        spans: distinct spans.
        traces: distinct traces.
        sent: spans, repeated ones included.
    """

    bodies: Sequence[bytes]
    spans: int
    traces: int
    sent: int


def untidy_load(spans: int, *, flags: int, pieces: bool, now_ns: int, seed: int = 0, round_spans: int = ROUND_SPANS) -> Load:
    """Make a load of about so many spans.

    Args:
        spans: how many, about.
        flags: of every span: 0x101 as today's SDKs send them, 0 as older ones do.
        pieces: whether traces come in several exports.
        now_ns: about when the first trace starts, Unix nanoseconds.
        seed: of all that is chosen by chance.
        round_spans: spans between two exports of a trace, about.
    """
    chance = random.Random(seed)
    rounds: list[list[_Owned]] = [[] for _ in range(spans // round_spans + 4)]
    distinct = traces = 0
    while distinct < spans:
        made = _trace(chance, flags, now_ns + traces * 1_000_000, traces % _VERSIONS)
        traces += 1
        distinct += len(made)
        begin = distinct // round_spans
        if pieces and chance.random() < _ROOTLESS:
            made = made[1:]
            distinct -= 1
        third = len(made) // 3
        cut = [made[1 : 1 + third], made[1 + third : 1 + 2 * third], [*made[1 + 2 * third :], made[0]]]
        for place, some in enumerate(cut if pieces and chance.random() < _PIECES else [made]):
            rounds[begin + place].extend(some)
        if pieces:
            rounds[begin + 1].extend(one for one in made if chance.random() < _REPEATED)
    bodies = [body for some in rounds for body in _requests(some)]
    return Load(bodies, distinct, traces, sum(map(len, rounds)))


def _trace(chance: random.Random, flags: int, start_ns: int, version: int) -> list[_Owned]:
    """The spans of a trace, its root first."""
    trace_id, count = chance.randbytes(16), chance.randint(6, 12)
    ids = [chance.randbytes(8) for _ in range(count)]
    session, user = f"session-{chance.randrange(20_000):05}", f"user-{chance.randrange(5_000):05}"
    inner = chance.random() < 0.5
    made = []
    for number in range(count):
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-2026-08-06",
            "gen_ai.response.id": f"chatcmpl-{chance.getrandbits(116):029x}",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": chance.randint(10, 5000),
            "gen_ai.usage.output_tokens": chance.randint(10, 900),
            "gen_ai.request.temperature": 0.7,
            "gen_ai.request.stream": True,
            "customer.question": f"where is order {chance.getrandbits(64):x}, I have been waiting for it since last week",
        }
        if number == 0 or inner:
            attributes |= {"session.id": session, "user.id": user}
        one = span(
            "chat gpt-4o" if number else "POST /v1/chat",
            trace_id=trace_id,
            span_id=ids[number],
            parent=ids[0 if number < 4 else number // 2] if number else b"",
            start_ns=start_ns + number * 1000,
            duration_ns=chance.randint(10**6, 10**9),
            kind=3 if number else 2,
            flags=flags,
            error=chance.random() < 0.05,
            attributes=attributes,
        )
        if chance.random() < 0.2:
            one.events.add(name="gen_ai.choice", time_unix_nano=one.start_time_unix_nano, attributes=key_values({"index": 0}))
        made.append((int(number % 3 == 2), version, one))
    return made


def _requests(spans: Sequence[_Owned]) -> Iterator[bytes]:
    for first in range(0, len(spans), REQUEST_SPANS):
        made = ExportTraceServiceRequest()
        for service, version in sorted({(service, version) for service, version, _ in spans[first : first + REQUEST_SPANS]}):
            some = [one for *owner, one in spans[first : first + REQUEST_SPANS] if owner == [service, version]]
            process = {key: value.format(version=version, commit=version * 7919 + 1) for key, value in RESOURCE.items() if isinstance(value, str)}
            resource_spans = made.resource_spans.add()
            resource_spans.resource.attributes.extend(key_values({**RESOURCE, **process, "service.name": _SERVICES[service]}))
            resource_spans.scope_spans.add(spans=some).scope.name = "opentelemetry.instrumentation.openai"
        yield made.SerializeToString()

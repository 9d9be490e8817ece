"""Traces as strangers send them: several processes, lost roots, clocks apart, circles, and spans that come again with other content."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.otlp import key_values, new_trace_id, span
from tests.support.untidy_attributes import attributes, exceptions, message, name

HOUR = 3600 * 10**9
TODAY = 1_790_000_000 * 10**9


@dataclass(frozen=True, slots=True)
class Sent:
    """A span as one request sends it."""

    span: Span
    resource: Mapping[str, str]


def untidy_trace(rng: random.Random) -> list[Sent]:
    """Return all spans of one trace, the copies of repeated ones too, in no order. Its id is a new one; all else follows from ``rng``."""
    resources = [_resource(rng) for _ in range(rng.choice([1, 1, 2, 3, 4]))]
    clocks = [rng.choice([0, 0, 0, rng.randint(-5, 5) * HOUR]) for _ in resources]
    flags = rng.choice([(0,), (0x100, 0x101), (0, 0x100, 0x101, 0x300, 0x301)])
    made = _tree(rng, flags)
    sent = []
    for one in made:
        place = rng.randrange(len(resources))
        _shift(one, clocks[place])
        sent.append(Sent(one, resources[place]))
        sent.extend(_copies(rng, sent[-1], resources))
    rng.shuffle(sent)
    return sent


def _tree(rng: random.Random, flags: tuple[int, ...]) -> list[Span]:
    trace_id, begin = new_trace_id()[:8] + rng.randbytes(8), TODAY - rng.randrange(3) * 24 * HOUR
    if rng.random() < 0.02:
        begin = 0
    talks = rng.choice([0.05, 0.3, 0.8])
    made: list[Span] = []
    for number in range(rng.randint(1, 14)):
        parent = rng.choice(made).span_id if made and rng.random() < 0.97 else b""
        if rng.random() < 0.08:
            parent = b"missing!"
        made.append(
            span(
                name(rng, number),
                trace_id=trace_id,
                span_id=_span_id(rng),
                parent=parent,
                start_ns=begin + rng.randint(0, 20) * 1000,
                attributes={key: value for key, value in attributes(rng) if rng.random() < talks},
                error=rng.random() < 0.2,
                flags=rng.choice(flags),
            )
        )
        _fail(rng, made[-1])
        made[-1].end_time_unix_nano = max(0, made[-1].start_time_unix_nano + rng.choice([0, -5000, rng.randint(1, 10**5), rng.randint(1, 10**10)]))
        if made[-1].parent_span_id and len(flags) == 2 and rng.random() < 0.15:
            made[-1].flags |= 0x300
    if rng.random() < 0.15:
        made[0].parent_span_id = rng.choice(made).span_id
    if rng.random() < 0.05:
        rng.choice(made).parent_span_id = rng.choice(made).span_id
    if len(made) > 1 and rng.random() < 0.4:
        del made[0]
    return made


def _fail(rng: random.Random, one: Span) -> None:
    """Add events to a span, whether it failed or caught what was raised."""
    if one.status.code:
        one.status.message = message(rng)
    for told in exceptions(rng) if one.status.code or rng.random() < 0.1 else ():
        one.events.add(name="exception", time_unix_nano=one.start_time_unix_nano, attributes=key_values(told))


def _span_id(rng: random.Random) -> bytes:
    return rng.randbytes(7) + b"\x01"


def _shift(one: Span, by: int) -> None:
    if one.start_time_unix_nano + by > 0:
        one.start_time_unix_nano += by
        one.end_time_unix_nano = max(0, one.end_time_unix_nano + by)


def _copies(rng: random.Random, first: Sent, resources: list[dict[str, str]]) -> Iterator[Sent]:
    """Give further copies of a span, each with a duration of its own: so their content orders them."""
    for number in range(rng.choice([0, 0, 0, 0, 0, 1, 1, 2])):
        if rng.random() < 0.4:
            yield first
            continue
        again = Span()
        again.CopyFrom(first.span)
        if rng.random() < 0.3:
            again.start_time_unix_nano += rng.randint(1, 5000)
        again.end_time_unix_nano = again.start_time_unix_nano + 20 * 10**9 + number
        if rng.random() < 0.3:
            again.name = f"again {number}"
        if rng.random() < 0.3:
            again.status.code = rng.choice([0, 1, 2])  # type: ignore[assignment]
        if rng.random() < 0.2:
            _fail(rng, again)
        if rng.random() < 0.3:
            again.attributes.extend(_missing(again, {key: value for key, value in attributes(rng) if rng.random() < 0.3}))
        if rng.random() < 0.2:
            again.parent_span_id = rng.choice([again.span_id, b"", b"missing!", _span_id(rng)])
        yield Sent(again, rng.choice([first.resource, *resources, {**first.resource, "mlflow.source.name": "app.py"}]))


def _missing(one: Span, attributes: Mapping[str, Any]) -> list[KeyValue]:
    there = {attribute.key for attribute in one.attributes}
    return key_values({key: value for key, value in attributes.items() if key not in there})


def _resource(rng: random.Random) -> dict[str, str]:
    optional = {
        "service.version": rng.choice(["1.0", "2.0", "LOCAL"]),
        "app_version": rng.choice(["1.1", "2.0"]),
        "mlflow.source.name": "app.py",
        "mlflow.source.type": rng.choice(["LOCAL", "NOTEBOOK", "JOB", "LOCAL", "production"]),
        "deployment.environment.name": rng.choice(["staging", "production", "LOCAL"]),
        "deployment.environment": rng.choice(["old", "JOB"]),
        "mlflow.source.git.commit": rng.choice(["a" * 40, "b" * 40]),
        "vcs.ref.head.revision": "c" * 40,
        "vcs.repository.ref.revision": "d" * 40,
        "vcs.ref.head.name": rng.choice(["main", "JOB"]),
        "mlflow.source.git.branch": "feature",
        "mlflow.source.git.dirty": "true",
        "mlflow.modelId": "m-process",
        "vcs.repository.url.full": "https://github.com/a/b",
        "host.name": "é 漢字",
        "mlflow.trace.session": "of the process",
        "openinference.project.name": "project",
        "langfuse.environment": rng.choice(["preview", "NOTEBOOK"]),
        "langfuse.release": "r-9",
        "k": "of the process",
    }
    rare = {"mlflow.trace.session"}
    named = {"service.name": rng.choice(["chat", "search", "billing", "unknown_service", "unknown_service:node"])} if rng.random() < 0.95 else {}
    share = rng.choice([0.1, 0.4])
    return named | {key: value for key, value in optional.items() if rng.random() < (0.02 if key in rare else share)}

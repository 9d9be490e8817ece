"""Requests for the fuzzer, good and damaged, each made of its number alone, so that one can be made again."""

from __future__ import annotations

import copy
import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.faults.fuzzing import head
from tests.support.mutation import mutate_bytes, mutate_fields, whole_request
from tests.support.otlp import request, span
from tests.support.otlp_json import as_json

PROTOBUF, JSON = "application/x-protobuf", "application/json"
SENTINEL: Final = "sentinel"
"""Name of the spans that are sent undamaged."""

_PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "deflate": lambda data: zlib.compress(data, 1),
    "zstd": lambda data: zstandard.ZstdCompressor(level=1).compress(data),
}
_BODIES: Final = [whole_request(nested=False), whole_request(nested=True), b""]
_OBJECTS: Final = [as_json(ExportTraceServiceRequest.FromString(body)) for body in _BODIES[:2]]
_ODD_VALUES: Final[list[Any]] = [
    *(None, True, 0, -1, 2**31, 2**63, 2**64, 10**30, 0.5, 1e308, "", "x", "NaN", "1e5", "-5", "AA==", "\ud800", "\x00", "k" * 5000),
    *([], [[]], {}, [None], {"arrayValue": {}}, {"kvlistValue": {"values": [{"key": "k"}]}}, {"stringValue": "a", "intValue": 1}),
]
_ODD_TEXTS: Final = [b"null", b"[", b"]", b"{", b"}", b'"', b"\\", b",", b"1e999", b"NaN", b"-", b"\xff", b"[" * 2000, b'{"a":' * 2000, b"9" * 5000]
_METHODS: Final = [
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Other",
    "/x.Y/Z",
]


@dataclass(frozen=True, slots=True)
class Case:
    """One request.

    Attributes:
        number: what it was made of.
        grpc: over gRPC, else over HTTP.
        body: as it is sent.
        sentinel: the span id of an undamaged request, which has to be acknowledged and stored once; '' for others.
        raw: an HTTP head that is damaged itself; empty for none. Any answer that is HTTP will do then, and none.
    """

    number: int
    grpc: bool
    body: bytes
    sentinel: str = ""
    method: str = ""
    path: str = "/v1/traces"
    headers: dict[str, str] = field(default_factory=dict)
    packing: str = "identity"
    raw: bytes = b""


def make(number: int, seed: int) -> Case:
    """The request of a number."""
    chance = random.Random(seed << 64 | number)
    over_grpc = chance.random() < 0.3
    kind = chance.random()
    if kind < 0.05:
        return _sentinel(chance, number, over_grpc)
    if over_grpc:
        method = chance.choice(_METHODS) if kind < 0.07 else ""
        return Case(number, grpc=True, body=_protobuf(chance), method=method, packing=chance.choice(["identity", "gzip", "deflate"]))
    encoding = chance.choice([PROTOBUF, PROTOBUF, JSON])
    body = _protobuf(chance) if encoding == PROTOBUF else _json(chance)
    headers = {"content-type": encoding}
    packing = chance.choice(["identity", "identity", *_PACKERS])
    if packing in _PACKERS:
        headers["content-encoding"] = packing
        body = _PACKERS[packing](body)
        if chance.random() < 0.3:
            body = mutate_bytes(chance, body)
    if chance.random() < 0.05:
        headers[chance.choice(["content-type", "content-encoding", "expect", "authorization"])] = chance.choice(
            ["", "text/plain", "br", "gzip, zstd", "100-continue", "Bearer x", PROTOBUF + ";charset=utf-8", "\xff"]
        )
    path = chance.choice(["/", "/v1/traces/", "/v1/logs", "/v1/traces?x=%00", "/%2e%2e/v1/traces"]) if chance.random() < 0.03 else "/v1/traces"
    method = chance.choice(["GET", "PUT", "OPTIONS", "HEAD", "PATCH"]) if chance.random() < 0.02 else "POST"
    case = Case(number, grpc=False, body=body, method=method, path=path, headers=headers)
    if chance.random() < 0.03:
        return Case(number, grpc=False, body=body, raw=mutate_bytes(chance, head(method, path, headers, body)) or b"\0")
    return case


def _sentinel(chance: random.Random, number: int, over_grpc: bool) -> Case:
    made = request([span(SENTINEL, trace_id=b"\x01" + chance.randbytes(15), span_id=b"\x01" + chance.randbytes(7))])
    span_id = made.resource_spans[0].scope_spans[0].spans[0].span_id.hex()
    if over_grpc:
        return Case(number, grpc=True, body=made.SerializeToString(), sentinel=span_id)
    encoding = chance.choice([PROTOBUF, JSON])
    body = made.SerializeToString() if encoding == PROTOBUF else json.dumps(as_json(made)).encode()
    return Case(number, grpc=False, body=body, sentinel=span_id, method="POST", headers={"content-type": encoding})


def _protobuf(chance: random.Random) -> bytes:
    body = chance.choice(_BODIES)
    for _ in range(chance.randint(1, 4)):
        body = mutate_bytes(chance, body) if chance.random() < 0.2 else mutate_fields(chance, body)
    return body


def _json(chance: random.Random) -> bytes:
    made = copy.deepcopy(chance.choice(_OBJECTS))
    for _ in range(chance.randint(0, 3)):
        _change(chance, made)
    body = json.dumps(made, allow_nan=False).encode()
    if chance.random() < 0.2:
        at = chance.randint(0, len(body))
        body = body[:at] + chance.choice(_ODD_TEXTS) + body[at:]
    return mutate_bytes(chance, body) if chance.random() < 0.2 else body


def _change(chance: random.Random, value: Any) -> None:
    """Change something inside a JSON object or array."""
    while True:
        places = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not places:
            return
        place = chance.choice(places)
        if isinstance(value[place], dict | list) and chance.random() < 0.8:
            value = value[place]
            continue
        if chance.random() < 0.2:
            del value[place]
        elif isinstance(value, dict) and chance.random() < 0.2:
            value[chance.choice(["trace_id", "traceId", "kind", "value", "", "x" * 100])] = value.pop(place)
        else:
            value[place] = copy.deepcopy(chance.choice(_ODD_VALUES))
        return

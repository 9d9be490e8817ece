"""What it costs to check a request before it is acknowledged, CPU µs a span: ``python -m tests.benchmarks.checks``.

Least of many turns, each of which takes every case once, so that a busy machine is the same to all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.mutation import field
from tests.support.otlp import key_values
from tests.support.otlp_json import as_json
from tests.support.standard_load import standard_request

from spanhouse.exporter.otlp.check import check
from spanhouse.exporter.otlp.from_json import to_protobuf

SPANS, TURNS = 512, 30


def by_another_writer(request: ExportTraceServiceRequest) -> bytes:
    """The request with a zero in each span that protobuf leaves out, as JavaScript's and the Collector's writers have them."""
    (resource,) = request.resource_spans
    (scope,) = resource.scope_spans
    spans = b"".join(field(2, span.SerializeToString() + b"\x50\x00") for span in scope.spans)
    return field(1, field(1, resource.resource.SerializeToString()) + field(2, field(1, scope.scope.SerializeToString()) + spans))


def with_nested_values(body: bytes) -> bytes:
    """The request with a map of 4 values in each span."""
    request = ExportTraceServiceRequest.FromString(body)
    spans: list[Span] = [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
    for span in spans:
        span.attributes.extend(key_values({"tool.arguments": {"a": 1, "b": ["x", {"c": True}]}}))
    return request.SerializeToString()


def main() -> None:
    """Measure and print."""
    body = standard_request(SPANS, 1)
    request = ExportTraceServiceRequest.FromString(body)
    other, nested = by_another_writer(request), with_nested_values(body)
    text, plain = json.dumps(as_json(request)).encode(), MessageToDict(request, use_integers_for_enums=True)
    assert check(other).body == body == to_protobuf(text)
    cases: dict[str, Callable[[], object]] = {
        "protobuf's parser alone": lambda: ExportTraceServiceRequest.FromString(body),
        "check of the standard load": lambda: check(body),
        "check of the same by a writer that writes zeros": lambda: check(other),
        "check of the same with a map in each span": lambda: check(nested),
        "JSON to protobuf": lambda: to_protobuf(text),
        "JSON to protobuf by json_format, ids as base64": lambda: ParseDict(plain, ExportTraceServiceRequest(), ignore_unknown_fields=True),
    }
    least = dict.fromkeys(cases, float("inf"))
    for _ in range(TURNS):
        for name, run in cases.items():
            # The first of each turn finds the memory as the case before it has left it.
            for _ in range(3):
                begun = time.process_time()
                run()
                least[name] = min(least[name], (time.process_time() - begun) / SPANS * 1e6)
    for name, cost in least.items():
        print(f"| {name} | {cost:.2f} |")


if __name__ == "__main__":
    main()

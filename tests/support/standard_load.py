"""The standard load: GenAI spans as services send them, about 630 bytes each."""

from __future__ import annotations

import random
import time

from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.otlp import LOCAL, key_values, request, span

RESOURCE = {
    "service.name": "checkout-assistant",
    "service.namespace": "shop",
    "service.version": "1.{version}.0",
    "service.instance.id": "9f0d3a52-7c1b-4e64-8d55-{version:012}",
    "deployment.environment.name": "production",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.language": "python",
    "telemetry.sdk.version": "1.45.2",
    "host.name": "checkout-7d9f8b6c5-x2x7p",
    "process.pid": 4711,
    "mlflow.source.name": "services/checkout/main.py",
    "mlflow.source.type": "production",
    "mlflow.source.git.commit": "{commit:040x}",
    "mlflow.source.git.branch": "main",
    "mlflow.source.git.repoURL": "https://github.com/example/checkout.git",
}
"""15 attributes; ``version`` and ``commit`` are filled in per request."""


def standard_request(spans: int, seed: int, *, now_ns: int | None = None) -> bytes:
    """A serialised request with so many spans in traces of 6 to 12, different for every seed."""
    chance = random.Random(seed)
    version = seed % 20
    resource = {key: value.format(version=version, commit=version * 7919 + 1) if isinstance(value, str) else value for key, value in RESOURCE.items()}
    begin = (time.time_ns() if now_ns is None else now_ns) - 1_000_000_000
    made: list[Span] = []
    while len(made) < spans:
        trace_id = chance.randbytes(16)
        root = b""
        for number in range(min(chance.randint(6, 12), spans - len(made))):
            one = span(
                "chat gpt-4o" if number else "POST /v1/chat",
                trace_id=trace_id,
                span_id=chance.randbytes(8),
                parent=root,
                start_ns=begin + len(made) * 1000,
                duration_ns=chance.randint(10**6, 10**9),
                kind=3 if number else 2,
                flags=LOCAL,
                error=chance.random() < 0.05,
                attributes={
                    "gen_ai.operation.name": "chat",
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.model": "gpt-4o-2026-08-06",
                    "gen_ai.response.id": f"chatcmpl-{chance.getrandbits(116):029x}",
                    "gen_ai.response.finish_reasons": ["stop"],
                    "gen_ai.usage.input_tokens": chance.randint(10, 5000),
                    "gen_ai.usage.output_tokens": chance.randint(10, 900),
                    "gen_ai.request.temperature": 0.7,
                    "gen_ai.request.stream": True,
                    "gen_ai.agent.description": "answers questions on orders, returns and invoices of the shop",
                    "customer.question": f"where is order {chance.getrandbits(64):x}, I have been waiting for it since last week",
                },
            )
            root = root or one.span_id
            if chance.random() < 0.2:
                one.events.add(name="gen_ai.choice", time_unix_nano=one.start_time_unix_nano, attributes=key_values({"index": 0}))
            made.append(one)
    return request(made, resource=resource, scope="opentelemetry.instrumentation.openai").SerializeToString()

"""Requests of one span, known by its name, for clients that send bytes."""

from __future__ import annotations

import json
import secrets

import clickhouse_connect
from tests.support.otlp import request, span
from tests.support.serve import Serve

PROTOBUF, JSON = "application/x-protobuf", "application/json"


def body_of(name: str, content_type: str) -> bytes:
    """Encode a request with one span."""
    if content_type == PROTOBUF:
        return request([span(name)]).SerializeToString()
    told = {"traceId": secrets.token_hex(16), "spanId": secrets.token_hex(8), "name": name, "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [told]}]}]}).encode()


def stored(server: Serve, name: str) -> int:
    """Count the spans of a name."""
    server.stored()
    client = clickhouse_connect.get_client(dsn=server.dsn)
    ((count,),) = client.query("SELECT count() FROM otel_traces WHERE SpanName = {name:String}", parameters={"name": name}).result_rows
    client.close()
    return int(count)

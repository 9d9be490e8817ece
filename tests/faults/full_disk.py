"""A real server whose spool's disk fills up. Run in a mount namespace of its own: unshare --map-root-user --mount python -m ... DIRECTORY."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path

import clickhouse_connect
import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from tests.support.otlp import request, span
from tests.support.receiver import EXPORT
from tests.support.serve import Serve


def post(serve: Serve, body: bytes) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection(serve.http, timeout=60)
    connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.getheader("retry-after")


def over_grpc(serve: Serve, body: bytes) -> tuple[str, float]:
    """The status code and the seconds after which to try again."""
    with grpc.insecure_channel(serve.grpc) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
        try:
            call(body, timeout=60)
        except grpc.RpcError as error:
            (details,) = [item.value for item in error.trailing_metadata() if item.key == "grpc-status-details-bin"]
            info = RetryInfo()
            assert Status.FromString(bytes(details)).details[0].Unpack(info)
            return error.code().name, info.retry_delay.ToMilliseconds() / 1000
    return "OK", 0


def large(name: str) -> bytes:
    """A request of two megabytes."""
    return request([span(f"{name}/{number}", attributes={"text": "x" * 20_000}) for number in range(100)]).SerializeToString()


def main() -> None:
    directory = Path(sys.argv[1])
    spool = directory / "spool"
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(spool)], check=True)
    with Serve(directory, "--spool", str(spool), "--spool-free-bytes", "0") as serve:
        found: dict[str, object] = {"before": post(serve, request([span("before")]).SerializeToString())}
        found["http"] = [post(serve, large("http")) for _ in range(3)]
        found["grpc"] = [over_grpc(serve, large("grpc")) for _ in range(3)]
        found["meanwhile"] = [post(serve, request([span(f"meanwhile {number}")]).SerializeToString()) for number in range(5)]
        subprocess.run(["mount", "-o", "remount,size=64m", str(spool)], check=True)
        found["http after"] = post(serve, large("http"))
        found["grpc after"] = over_grpc(serve, large("grpc"))
        serve.drained()
        client = clickhouse_connect.get_client(dsn=serve.dsn)
        rows = client.query("SELECT splitByChar('/', SpanName)[1], count(), uniqExact(SpanName) FROM otel_traces GROUP BY 1").result_rows
        found["stored"] = {str(name): [int(times), int(names)] for name, times, names in rows}
        client.close()
        found["log"] = serve.log.read_text()
    print(json.dumps(found))


if __name__ == "__main__":
    main()

"""A receiver of OTLP that keeps what it is sent."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


class Sink:
    """An OTLP receiver, over gRPC and HTTP, that keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self._grpc = grpc.server(futures.ThreadPoolExecutor(2))
        handler = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=ExportTraceServiceRequest.FromString,
            response_serializer=ExportTraceServiceResponse.SerializeToString,
        )
        self._grpc.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("opentelemetry.proto.collector.trace.v1.TraceService", {"Export": handler})]
        )
        self.grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.http_port = self._http.server_port
        Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._grpc.stop(None).wait()
        self._http.shutdown()
        self._http.server_close()

    def _export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        self.headers.append({name: str(value) for name, value in context.invocation_metadata()})
        self.requests.append(request)
        return ExportTraceServiceResponse()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                sink.paths.append(self.path)
                sink.headers.append({name.lower(): value for name, value in self.headers.items()})
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                if "/traces" in self.path:  # the tools that send here have logs and metrics, too
                    sink.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the tests' output clean."""

        return Handler

    def spans(self) -> list[tuple[str, dict[str, str], dict[str, str]]]:
        """Name, resource attributes and own attributes of every span that arrived."""
        return [
            (span.name, texts(part.resource.attributes), texts(span.attributes))
            for request in self.requests
            for part in request.resource_spans
            for scope in part.scope_spans
            for span in scope.spans
        ]

    def resource(self) -> dict[str, str]:
        """The resource of the one span that arrived."""
        ((_, resource, _),) = self.spans()
        return resource


def texts(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """Attributes with text values."""
    return {pair.key: pair.value.string_value for pair in attributes}

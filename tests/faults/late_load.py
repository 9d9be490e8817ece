"""A load in pieces without end, of which one span in a hundred comes later than the window, sent to two receivers in turn.

Usage: python -m tests.faults.late_load FIRST SECOND RATE, with addresses of OTLP over HTTP and spans a second. Prints ``begun``, then a line for each
request with late spans when it is acknowledged: the time by the monotonic clock, and the ids of the traces. At SIGTERM it ends with the number of
spans that were acknowledged and the seconds that it took.

A load of some seconds is made once, and sent again and again with other trace ids and later times. Each late span says so in a tag of its trace.
"""

from __future__ import annotations

import http.client
import json
import random
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.faults.short_windows import WINDOW_SECONDS
from tests.support.otlp import key_values, request
from tests.support.untidy_load import untidy_load

_LATE: Final = 0.01
_LATE_SECONDS: Final = WINDOW_SECONDS + 4
_SECOND_ROOTS: Final = 0.02
"""Share of requests in which a span claims to be a root as well, an earlier one."""
_ROUND_SECONDS: Final = 10
_ROUND_BYTES: Final = 4
"""So many bytes of a trace id say which round of the load it is of."""
_SENDERS: Final = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """A request of the load, its places that change from round to round, and spans that come later."""

    body: bytes
    places: Sequence[tuple[int, int, int, int]]
    """Of each span: where its trace id is, where its start is, both times in Unix nanoseconds."""
    late: Sequence[Span]

    def in_round(self, number: int, shift_ns: int) -> bytes:
        changed = bytearray(self.body)
        of_round = number.to_bytes(_ROUND_BYTES, "big")
        for trace_id, start, start_ns, end_ns in self.places:
            changed[trace_id : trace_id + _ROUND_BYTES] = of_round
            changed[start : start + 8] = (start_ns + shift_ns).to_bytes(8, "little")
            changed[start + 9 : start + 17] = (end_ns + shift_ns).to_bytes(8, "little")
        return bytes(changed)

    def late_in_round(self, number: int, shift_ns: int) -> Iterator[Span]:
        for span in self.late:
            changed = Span()
            changed.CopyFrom(span)
            changed.trace_id = number.to_bytes(_ROUND_BYTES, "big") + span.trace_id[_ROUND_BYTES:]
            changed.start_time_unix_nano += shift_ns
            changed.end_time_unix_nano += shift_ns
            yield changed


def pieces(rate: int) -> list[Piece]:
    """Make a load of some seconds, the exports of a trace half a second apart."""
    chance = random.Random(7)
    load = untidy_load(_ROUND_SECONDS * rate, flags=0, pieces=True, now_ns=time.time_ns(), round_spans=rate // 2)
    return [_piece(body, chance) for body in load.bodies]


def _piece(body: bytes, chance: random.Random) -> Piece:
    message = ExportTraceServiceRequest.FromString(body)
    late: list[Span] = []
    for resource_spans in message.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            kept: list[Span] = []
            for span in map(_copied, scope_spans.spans):
                (late if chance.random() < _LATE else kept).append(span)
            if kept and chance.random() < _SECOND_ROOTS:
                kept[0].parent_span_id = b""
                kept[0].start_time_unix_nano -= 10**9
            del scope_spans.spans[:]
            scope_spans.spans.extend(kept)
    for span in late:
        span.attributes.extend(key_values({"mlflow.traceTag.late": "yes"}))
    changed = message.SerializeToString()
    return Piece(changed, list(_places(message, changed)), late)


def _copied(span: Span) -> Span:
    copy = Span()
    copy.CopyFrom(span)
    return copy


def _places(message: ExportTraceServiceRequest, body: bytes) -> Iterator[tuple[int, int, int, int]]:
    place = 0
    for resource_spans in message.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                times = b"\x39%b\x41%b" % (span.start_time_unix_nano.to_bytes(8, "little"), span.end_time_unix_nano.to_bytes(8, "little"))
                trace_id = body.index(b"\x0a\x10" + span.trace_id, place) + 2
                place = body.index(times, trace_id)
                yield trace_id, place + 1, span.start_time_unix_nano, span.end_time_unix_nano


class Sender:
    """Sends requests to receivers, the next one in turn, and counts the spans that were acknowledged."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.spans = 0
        self._addresses = addresses
        self._one = threading.Lock()
        self._own = threading.local()

    def send(self, number: int, body: bytes, spans: int) -> float:
        """Send a request to the receiver whose turn it is, until it is acknowledged, and return the time of that."""
        address = self._addresses[number % len(self._addresses)]
        connections = self._own.__dict__.setdefault("connections", {})
        while True:
            connection = connections.setdefault(address, http.client.HTTPConnection(address, timeout=60))
            connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                break
            time.sleep(0.1)
        with self._one:
            self.spans += spans
        return time.monotonic()


class Load:
    """The load without end."""

    def __init__(self, sender: Sender, rate: int) -> None:
        self._sender = sender
        self._rate = rate
        self._pieces = pieces(rate)
        self._waiting: deque[tuple[float, Span]] = deque()

    def run(self, stopping: threading.Event) -> None:
        begun, spans, number = time.monotonic(), 0, 0
        with ThreadPoolExecutor(_SENDERS) as threads:
            room = threading.Semaphore(2 * _SENDERS)
            while True:
                of_round, place = divmod(number, len(self._pieces))
                piece = self._pieces[place]
                shift_ns = of_round * _ROUND_SECONDS * 10**9
                if stopping.wait(max(0.0, begun + spans / self._rate - time.monotonic())):
                    return
                room.acquire()
                body = piece.in_round(of_round, shift_ns)
                threads.submit(self._sender.send, number, body, len(piece.places)).add_done_callback(lambda _: room.release())
                self._waiting.extend((time.monotonic() + _LATE_SECONDS, span) for span in piece.late_in_round(of_round, shift_ns))
                spans += len(piece.places)
                number += 1
                if self._waiting and self._waiting[0][0] + 1 < time.monotonic():
                    threads.submit(self._send_late, number, self._due())

    def _due(self) -> list[Span]:
        now, due = time.monotonic(), []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(self._waiting.popleft()[1])
        return due

    def _send_late(self, number: int, spans: Sequence[Span]) -> None:
        at = self._sender.send(number, request(spans, resource={"service.name": "edge"}).SerializeToString(), len(spans))
        print(json.dumps([at, sorted({span.trace_id.hex() for span in spans})]), flush=True)


def main() -> None:
    *addresses, rate = sys.argv[1:]
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    sender = Sender(addresses)
    load = Load(sender, int(rate))
    print("begun", flush=True)
    begun = time.monotonic()
    load.run(stopping)
    print(json.dumps({"spans": sender.spans, "seconds": time.monotonic() - begun}), flush=True)


if __name__ == "__main__":
    main()

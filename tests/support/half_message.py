"""A gRPC client that sends the beginning of a message and then nothing: gRPC's own libraries send whole ones."""

from __future__ import annotations

import socket
import struct

from tests.support.receiver import EXPORT

_FRAME_BYTES = 16_384
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = 1
_END_HEADERS = 4
_INITIAL_WINDOW_SIZE = 4


class HalfMessage:
    """A call of ``Export`` whose message does not end (HTTP/2, RFC 9113; header block without compression, RFC 7541).

    Args:
        address: ``HOST:PORT`` of the server.
        size: bytes that the message is said to have.
    """

    def __init__(self, address: str, size: int) -> None:
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=120)
        self._received = b""
        self._windows = {0: 65_535, 1: 65_535}
        self._initial = 65_535
        self.ended = False
        """The server ended the call."""
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _END_HEADERS, 1, _head()))
        self._send(b"\0" + struct.pack(">I", size))

    def send(self, size: int) -> None:
        """Send so many bytes of the message, as the server has room for them, unless it ends the call."""
        piece = bytes(_FRAME_BYTES)
        while size > 0 and not self.ended:
            room = min(size, *self._windows.values(), _FRAME_BYTES)
            if room <= 0:
                self._read()
                continue
            self._send(piece[:room])
            size -= room

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(_frame(_DATA, 0, 1, data))
        except OSError:
            self.ended = True
        for stream in self._windows:
            self._windows[stream] -= len(data)

    def _read(self) -> None:
        head = self._take(9)
        if not head:
            return
        kind, flags, stream = struct.unpack(">xxxBBI", head)
        payload = self._take(int.from_bytes(head[:3], "big"))
        if kind == _WINDOW_UPDATE:
            self._windows[stream] = self._windows.get(stream, 0) + struct.unpack(">I", payload)[0]
        elif kind == _SETTINGS and not flags & _ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack_from(">HI", payload, at)
                if name == _INITIAL_WINDOW_SIZE:
                    self._windows[1] += value - self._initial
                    self._initial = value
            self._socket.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._socket.sendall(_frame(_PING, _ACK, 0, payload))
        elif kind in {_RST_STREAM, _GOAWAY, _HEADERS}:
            self.ended = True

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            try:
                more = self._socket.recv(65_536)
            except OSError:
                more = b""
            if not more:
                self.ended = True
                return b""
            self._received += more
        taken, self._received = self._received[:size], self._received[size:]
        return taken


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _head() -> bytes:
    def text(value: str) -> bytes:
        return bytes([len(value)]) + value.encode()

    method_post, scheme_http, path, authority, literal = b"\x83", b"\x86", b"\x04", b"\x01", b"\x00"
    named = (("content-type", "application/grpc"), ("te", "trailers"))
    return method_post + scheme_http + path + text(EXPORT) + authority + text("localhost") + b"".join(literal + text(k) + text(v) for k, v in named)

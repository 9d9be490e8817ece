"""HTTP's content encodings, unpacked piece by piece: no more is unpacked than a request may have."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

import lz4.frame
import zstandard

from spanhouse.exporter.errors import InvalidRequestError, UnsupportedMediaTypeError

_GZIP: Final = 31
"""zlib's window bits for a gzip header and trailer."""
_ZLIB: Final = 15
_RAW: Final = -15
_ZSTD_WINDOW_BYTES: Final = 8 * 2**20
"""Largest window of a zstd body (RFC 9659)."""
_STEP_BYTES: Final = 1024
"""Packed bytes that are unpacked at once. They give 32 MiB at the most (zstd; a megabyte in gzip and deflate, 4 in lz4)."""


class _Part(Protocol):
    """Unpacker of one gzip member, zlib stream, zstd or lz4 frame, as ``zlib``, ``zstandard`` and ``lz4`` have it."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _gzip(_: bytes) -> _Part:
    return zlib.decompressobj(_GZIP)


def _deflate(begin: bytes) -> _Part:
    """A zlib stream (RFC 9110, section 8.4.1.2) or, as some clients have it, deflate data alone, which no writer begins as one."""
    return zlib.decompressobj(_ZLIB if begin[0] & 0x0F == zlib.DEFLATED else _RAW)


def _zstd(_: bytes) -> _Part:
    return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()


def _lz4(_: bytes) -> _Part:
    part: _Part = lz4.frame.LZ4FrameDecompressor()
    return part


_Codings = Mapping[str, Callable[[bytes], _Part]]
CODINGS: Final[_Codings] = {"gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "zstd": _zstd}
"""OTLP's."""
QUERY_CODINGS: Final[_Codings] = {**CODINGS, "lz4": _lz4}
"""ClickHouse's."""


class Unpacker:
    """Unpacks a body that comes in pieces.

    It may be of several parts, one after the other: gzip members (RFC 1952, section 2.2), zstd frames (RFC 8878, section 3.1) or lz4 frames.

    Args:
        coding: value of the content-encoding header.
        codings: those that are read.

    Attributes:
        complete: whether what came so far is a whole body; an empty one is.

    Raises:
        UnsupportedMediaTypeError: it is none of the codings that are read, or several of them.
    """

    def __init__(self, coding: str, codings: _Codings = CODINGS) -> None:
        self._coding = coding.strip().lower()
        self._new_part = codings.get(self._coding)
        if self._new_part is None and self._coding not in {"", "identity", "none"}:
            raise UnsupportedMediaTypeError(f"content-encoding {coding[:60]!r} is not supported: send one of gzip, deflate, zstd, or none")
        self._part: _Part | None = None
        self.complete = True

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        """The piece unpacked, step by step, for the caller to stop when it is too much.

        Raises:
            InvalidRequestError: it is not what the coding says.
        """
        if self._new_part is None:
            yield piece
            return
        for begin in range(0, len(piece), _STEP_BYTES):
            step = piece[begin : begin + _STEP_BYTES]
            while step:
                yield self._unpack_step(self._new_part, step)
                step = self._part.unused_data if self._part is not None and self._part.eof else b""

    def _unpack_step(self, new_part: Callable[[bytes], _Part], step: bytes) -> bytes:
        try:
            if self._part is None or self._part.eof:
                self._part = new_part(step)
            unpacked = self._part.decompress(step)
        except (zlib.error, zstandard.ZstdError, RuntimeError):  # the last is lz4's
            raise InvalidRequestError(f"the body is not {self._coding}, as its content-encoding says") from None
        self.complete = self._part.eof
        return unpacked

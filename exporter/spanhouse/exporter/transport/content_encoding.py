"""Streaming decompression of HTTP content encodings, in steps small enough to stop at a limit."""

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
"""Compressed bytes per step. They decompress to at most 32 MiB (zstd), 4 MiB (lz4) or 1 MiB (gzip, deflate)."""


class _Part(Protocol):
    """Decompressor of one gzip member, zlib stream, zstd or lz4 frame: the interface that ``zlib``, ``zstandard`` and ``lz4`` share."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _gzip(_: bytes) -> _Part:
    return zlib.decompressobj(_GZIP)


def _deflate(begin: bytes) -> _Part:
    """Return the decompressor of a zlib stream (RFC 9110, section 8.4.1.2), or of raw deflate, which some clients send and never begins alike."""
    return zlib.decompressobj(_ZLIB if begin[0] & 0x0F == zlib.DEFLATED else _RAW)


def _zstd(_: bytes) -> _Part:
    return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()


def _lz4(_: bytes) -> _Part:
    part: _Part = lz4.frame.LZ4FrameDecompressor()
    return part


_Codings = Mapping[str, Callable[[bytes], _Part]]
CODINGS: Final[_Codings] = {"gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "zstd": _zstd}
"""Content encodings of OTLP requests."""
QUERY_CODINGS: Final[_Codings] = {**CODINGS, "lz4": _lz4}
"""Content encodings of queries, as ClickHouse accepts them."""


class Decompressor:
    """Streaming decompressor of one body.

    A body may have several parts, one after the other: gzip members (RFC 1952, section 2.2), zstd frames (RFC 8878, section 3.1) or lz4 frames.

    Args:
        coding: value of the content-encoding header.
        codings: the supported encodings.

    Attributes:
        complete: True if the input so far is a whole body; an empty one is.

    Raises:
        UnsupportedMediaTypeError: the encoding is not supported, or the header names several.
    """

    def __init__(self, coding: str, codings: _Codings = CODINGS) -> None:
        self._coding = coding.strip().lower()
        self._new_part = codings.get(self._coding)
        if self._new_part is None and self._coding not in {"", "identity", "none"}:
            raise UnsupportedMediaTypeError(f"content-encoding {coding[:60]!r} is not supported: send one of gzip, deflate, zstd, or none")
        self._part: _Part | None = None
        self.complete = True

    def decompress(self, piece: bytes) -> Iterator[bytes]:
        """Yield the decompressed piece step by step, so that the caller can stop at its limit.

        Raises:
            InvalidRequestError: the data does not match the encoding.
        """
        if self._new_part is None:
            yield piece
            return
        for begin in range(0, len(piece), _STEP_BYTES):
            step = piece[begin : begin + _STEP_BYTES]
            while step:
                yield self._decompress_step(self._new_part, step)
                step = self._part.unused_data if self._part is not None and self._part.eof else b""

    def _decompress_step(self, new_part: Callable[[bytes], _Part], step: bytes) -> bytes:
        try:
            if self._part is None or self._part.eof:
                self._part = new_part(step)
            decompressed = self._part.decompress(step)
        except (zlib.error, zstandard.ZstdError, RuntimeError):  # RuntimeError is lz4's
            raise InvalidRequestError(f"the body is not valid {self._coding}, which its content-encoding names") from None
        self.complete = self._part.eof
        return decompressed

"""ClickHouse's framing of compressed data, as native and JDBC-style clients use it over HTTP and the engine in ``.bin`` files.

The format is a sequence of blocks: checksum (CityHash128 of version 1.0.2, 16 bytes, low half first), method (1 byte), size of the compressed
data with its nine bytes of header (4 bytes, little endian), decompressed size (4 bytes, little endian), compressed data.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from typing import Final

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from spanhouse.exporter.clickhouse_http.engine_errors import CANNOT_DECOMPRESS, CHECKSUM_DOESNT_MATCH, UNKNOWN_COMPRESSION_METHOD, EngineError

_BLOCK_BYTES: Final = 1 << 20
"""Decompressed size of a written block; ClickHouse's own."""
_CHECKSUM: Final = Struct("<QQ")
_HEADER: Final = Struct("<BII")
_ZSTD_WINDOW_BYTES: Final = 8 * 2**20


class Method(IntEnum):
    """Compression method of a block (ClickHouse's CompressionMethodByte)."""

    NONE = 0x02
    LZ4 = 0x82
    ZSTD = 0x90


def compress(data: bytes) -> bytes:
    """Compress bytes into blocks; no bytes give no block."""
    return b"".join(_block(data[begin : begin + _BLOCK_BYTES]) for begin in range(0, len(data), _BLOCK_BYTES))


def _block(data: bytes) -> bytes:
    compressed: bytes = lz4.block.compress(data, store_size=False)
    hashed = _HEADER.pack(Method.LZ4, _HEADER.size + len(compressed), len(data)) + compressed
    return _checksum(hashed) + hashed


def _checksum(hashed: bytes) -> bytes:
    # The package returns the two halves in the other order than ClickHouse writes them.
    low, high = divmod(CityHash128(hashed), 1 << 64)
    return _CHECKSUM.pack(low, high)


def decompress(body: bytes, limit_bytes: int, too_large: Callable[[], EngineError]) -> bytes:
    """Decompress blocks.

    Args:
        body: the blocks.
        limit_bytes: maximum decompressed size.
        too_large: makes the error for a larger body.

    Raises:
        EngineError: the body is too large, corrupt, or compressed by an unsupported method.
    """
    pieces: list[bytes] = []
    size = at = 0
    while at < len(body):
        begin = at + _CHECKSUM.size
        if begin + _HEADER.size > len(body):
            raise _corrupt()
        method, compressed_bytes, decompressed_bytes = _HEADER.unpack_from(body, begin)
        at = begin + compressed_bytes
        if compressed_bytes < _HEADER.size or at > len(body):
            raise _corrupt()
        size += decompressed_bytes
        if size > limit_bytes:
            raise too_large()
        hashed = body[begin:at]
        if _checksum(hashed) != body[begin - _CHECKSUM.size : begin]:
            raise EngineError(CHECKSUM_DOESNT_MATCH, "Checksum doesn't match: the request's body is damaged, or not in ClickHouse's blocks")
        pieces.append(_decompressed(method, hashed[_HEADER.size :], decompressed_bytes))
    return b"".join(pieces)


def _decompressed(method: int, compressed: bytes, size: int) -> bytes:
    try:
        match method:
            case Method.LZ4:
                data: bytes = lz4.block.decompress(compressed, uncompressed_size=size) if size else b""
            case Method.ZSTD:
                # One byte more than announced, to detect a longer frame; other calls trust the size in the frame.
                with zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).stream_reader(compressed) as reader:
                    data = reader.read(size + 1)
            case Method.NONE:
                data = compressed
            case _:
                raise EngineError(UNKNOWN_COMPRESSION_METHOD, f"Unknown compression method 0x{method:02x} of a block: use LZ4, ZSTD or none")
    except (lz4.block.LZ4BlockError, zstandard.ZstdError, ValueError, MemoryError):
        raise _corrupt() from None
    if len(data) != size:
        raise _corrupt()
    return data


def _corrupt() -> EngineError:
    return EngineError(CANNOT_DECOMPRESS, "The request's body is not in ClickHouse's blocks, which decompress=1 announces")

"""ClickHouse's own framing of compressed data, which its native clients and JDBC-style ones use over HTTP, too.

Blocks follow one another, each of a checksum (CityHash128 as of version 1.0.2, the low half first), a byte for the method, the size of the
packed data with its nine bytes of header, the size unpacked (both 4 bytes, little endian), and the data. The same stands in the engine's
``.bin`` files.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from typing import Final

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from spanhouse.exporter.clickhouse_http.errors import CANNOT_DECOMPRESS, CHECKSUM_DOESNT_MATCH, UNKNOWN_COMPRESSION_METHOD, EngineError

_BLOCK_BYTES: Final = 1 << 20
"""Of a block that is written, unpacked; ClickHouse's own."""
_CHECKSUM: Final = Struct("<QQ")
_HEADER: Final = Struct("<BII")
_ZSTD_WINDOW_BYTES: Final = 8 * 2**20


class Method(IntEnum):
    """How a block is packed (ClickHouse's CompressionMethodByte)."""

    NONE = 0x02
    LZ4 = 0x82
    ZSTD = 0x90


def pack(data: bytes) -> bytes:
    """Bytes as blocks; no bytes are no block."""
    return b"".join(_block(data[begin : begin + _BLOCK_BYTES]) for begin in range(0, len(data), _BLOCK_BYTES))


def _block(data: bytes) -> bytes:
    packed: bytes = lz4.block.compress(data, store_size=False)
    hashed = _HEADER.pack(Method.LZ4, _HEADER.size + len(packed), len(data)) + packed
    return _checksum(hashed) + hashed


def _checksum(hashed: bytes) -> bytes:
    # The package puts the half that ClickHouse calls low above the other one.
    low, high = divmod(CityHash128(hashed), 1 << 64)
    return _CHECKSUM.pack(low, high)


def unpack(body: bytes, limit_bytes: int, too_large: Callable[[], EngineError]) -> bytes:
    """What blocks hold.

    Args:
        body: the blocks.
        limit_bytes: more is not unpacked.
        too_large: makes the error for that.

    Raises:
        EngineError: it is too large, broken, or packed by a method that is not read here.
    """
    pieces: list[bytes] = []
    size = at = 0
    while at < len(body):
        begin = at + _CHECKSUM.size
        if begin + _HEADER.size > len(body):
            raise _broken()
        method, packed_bytes, unpacked_bytes = _HEADER.unpack_from(body, begin)
        at = begin + packed_bytes
        if packed_bytes < _HEADER.size or at > len(body):
            raise _broken()
        size += unpacked_bytes
        if size > limit_bytes:
            raise too_large()
        hashed = body[begin:at]
        if _checksum(hashed) != body[begin - _CHECKSUM.size : begin]:
            raise EngineError(CHECKSUM_DOESNT_MATCH, "Checksum doesn't match: the request's body was damaged, or is not of ClickHouse's blocks")
        pieces.append(_unpacked(method, hashed[_HEADER.size :], unpacked_bytes))
    return b"".join(pieces)


def _unpacked(method: int, packed: bytes, size: int) -> bytes:
    try:
        match method:
            case Method.LZ4:
                data: bytes = lz4.block.decompress(packed, uncompressed_size=size) if size else b""
            case Method.ZSTD:
                # One byte more than there should be, so that more is seen; what the frame says of its size would be believed elsewhere.
                with zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).stream_reader(packed) as reader:
                    data = reader.read(size + 1)
            case Method.NONE:
                data = packed
            case _:
                raise EngineError(UNKNOWN_COMPRESSION_METHOD, f"Unknown compression method 0x{method:02x} of a block: use LZ4, ZSTD or none")
    except (lz4.block.LZ4BlockError, zstandard.ZstdError, ValueError, MemoryError):
        raise _broken() from None
    if len(data) != size:
        raise _broken()
    return data


def _broken() -> EngineError:
    return EngineError(CANNOT_DECOMPRESS, "The request's body is not of ClickHouse's blocks, as decompress=1 says")

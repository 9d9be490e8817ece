"""ClickHouse's own framing of compressed data, against what the engine itself writes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import zstandard
from clickhouse_cityhash.cityhash import CityHash128
from hypothesis import given
from hypothesis import strategies as st
from tests.support.store import TestStore

from spanhouse.exporter.clickhouse_http import compressed_blocks
from spanhouse.exporter.clickhouse_http.engine_errors import EngineError
from spanhouse.exporter.clickhouse_http.request_body import too_large

LIMIT = 1 << 22


def unpack(body: bytes) -> bytes:
    return compressed_blocks.decompress(body, LIMIT, too_large)


def framed(method: int, packed: bytes, size: int) -> bytes:
    hashed = struct.pack("<BII", method, 9 + len(packed), size) + packed
    return struct.pack("<QQ", *divmod(CityHash128(hashed), 1 << 64)) + hashed


@pytest.mark.parametrize("codec", ["NONE", "LZ4", "ZSTD"])
def test_blocks_that_the_engine_wrote_are_read(codec: str) -> None:
    store = TestStore()
    store.client.command(f"CREATE TABLE packed (text String CODEC({codec})) ENGINE = MergeTree ORDER BY ()")
    store.client.command("INSERT INTO packed SELECT repeat('abc', 20) || toString(number) FROM numbers(30000)")
    ((path,),) = store.execute("SELECT path FROM system.parts WHERE table = 'packed' AND database = currentDatabase() AND active")
    written = (Path(path) / "data.bin").read_bytes()
    store.close()
    assert b"abc" * 20 + b"29999" in unpack(written)


def test_what_is_packed_has_the_engines_checksum_and_header() -> None:
    assert compressed_blocks.compress(b"") == b""
    body = compressed_blocks.compress(b"x" * 3_000_000)
    method, packed, size = struct.unpack_from("<BII", body, 16)
    assert (method, size) == (0x82, 1 << 20)
    assert body[: 16 + packed] == framed(method, body[25 : 16 + packed], size)
    assert unpack(body) == b"x" * 3_000_000


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_what_is_packed_is_unpacked(pieces: list[bytes]) -> None:
    assert unpack(b"".join(map(compressed_blocks.compress, pieces))) == b"".join(pieces)


@given(st.binary(min_size=1, max_size=300), st.integers(0, 400), st.integers(1, 255))
def test_a_damaged_block_is_refused_whatever_was_damaged(data: bytes, place: int, change: int) -> None:
    body = bytearray(compressed_blocks.compress(data))
    body[place % len(body)] ^= change
    with pytest.raises(EngineError):
        unpack(bytes(body))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"SELECT 1", 271),
        (compressed_blocks.compress(b"SELECT 1")[:-1], 271),
        (compressed_blocks.compress(b"SELECT 1") + b"\0", 271),
        (framed(0x02, b"abc", 4), 271),
        (framed(0x82, b"abc", 1000), 271),
        (framed(0x90, b"abc", 3), 271),
        (framed(0x90, zstandard.compress(b"x" * 1000), 10), 271),
        (framed(0x55, b"abc", 3), 89),
        (framed(0x82, b"", 2**32 - 1), 229),
        (framed(0x02, b"x" * LIMIT, LIMIT) + framed(0x02, b"y", 1), 229),
        (bytes(16) + framed(0x02, b"abc", 3)[16:], 40),
    ],
    ids=["text", "cut", "rest", "short", "lz4", "zstd", "zstd larger", "method", "bomb", "sum", "checksum"],
)
def test_what_is_no_block_or_too_large_is_refused_with_its_number(body: bytes, code: int) -> None:
    with pytest.raises(EngineError) as caught:
        unpack(body)
    assert caught.value.code == code

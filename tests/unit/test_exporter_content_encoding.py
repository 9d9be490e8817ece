"""Packed bodies are unpacked by the letter of their formats, and never to more than a step beyond what is asked for."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from spanhouse.exporter.errors import InvalidRequestError, UnsupportedMediaTypeError
from spanhouse.exporter.transport.content_encoding import Decompressor


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def identity(data: bytes) -> bytes:
    return data


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("zstd", zstd),
    ("identity", identity),
    ("none", identity),
    ("", identity),
    (" GZip ", gzip.compress),
]
packers = pytest.mark.parametrize(("coding", "pack"), PACKERS)
REAL = [(coding, pack) for coding, pack in PACKERS if pack is not identity]


def unpack(coding: str, *pieces: bytes) -> bytes:
    decompressor = Decompressor(coding)
    unpacked = b"".join(step for piece in pieces for step in decompressor.decompress(piece))
    assert decompressor.complete
    return unpacked


@packers
@given(data=st.binary(max_size=5000), cut=st.integers(0, 5000))
def test_a_body_in_two_pieces_is_what_was_packed(coding: str, pack: Callable[[bytes], bytes], data: bytes, cut: int) -> None:
    packed = pack(data)
    assert unpack(coding, packed[:cut], packed[cut:]) == data


@packers
def test_a_body_that_comes_byte_by_byte_is_what_was_packed(coding: str, pack: Callable[[bytes], bytes]) -> None:
    data = bytes(range(256)) * 40
    assert unpack(coding, *(bytes([byte]) for byte in pack(data))) == data


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("zstd", zstd)])
def test_all_parts_of_a_body_are_read(coding: str, pack: Callable[[bytes], bytes]) -> None:
    assert unpack(coding, b"".join(map(pack, (b"one", b"", b"two" * 10_000, b"three")))) == b"one" + b"two" * 10_000 + b"three"


def test_a_skippable_frame_of_zstd_is_skipped() -> None:
    assert unpack("zstd", b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + zstd(b"data")) == b"data"


@pytest.mark.parametrize(("coding", "pack"), REAL)
def test_a_body_that_is_cut_short_is_not_complete(coding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(b"data" * 100)
    for size in range(1, len(packed)):
        decompressor = Decompressor(coding)
        list(decompressor.decompress(packed[:size]))
        assert not decompressor.complete


@pytest.mark.parametrize(("coding", "pack"), REAL)
def test_what_follows_the_end_and_is_no_further_part_is_refused(coding: str, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(InvalidRequestError, match="content-encoding"):
        unpack(coding, pack(b"data") + b"\xffrest")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@given(body=st.binary(min_size=1, max_size=200))
def test_random_bytes_are_refused_or_unpacked(coding: str, body: bytes) -> None:
    with suppress(InvalidRequestError):
        list(Decompressor(coding).decompress(body))


@pytest.mark.parametrize("coding", ["br", "gzip, deflate", "gzip,gzip", "identity, gzip", "compress", "gzip;q=1"])
def test_other_codings_and_several_at_once_are_refused_by_name(coding: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="send one of gzip, deflate, zstd, or none"):
        Decompressor(coding)


@pytest.mark.parametrize(("coding", "pack"), REAL)
def test_a_bomb_is_unpacked_in_steps_that_leave_time_to_stop_it(coding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(bytes(2**27))
    steps = Decompressor(coding).decompress(packed)
    assert len(next(steps)) <= 2**25
    sizes = list(map(len, steps))
    assert max(sizes) <= 2**25
    assert sum(sizes) >= 2**27 - 2**25


def test_a_zstd_body_with_a_window_beyond_8_mib_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=25, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(InvalidRequestError):
        unpack("zstd", packer.compress(b"data") + packer.flush())

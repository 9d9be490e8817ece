"""Bodies of queries, in pieces as they arrive."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import lz4.frame
import pytest
import zstandard

from spanhouse.exporter.clickhouse_http import compressed_blocks
from spanhouse.exporter.clickhouse_http.engine_errors import EngineError
from spanhouse.exporter.clickhouse_http.request_body import MAX_BODY_BYTES, read_query_body
from spanhouse.exporter.transport.memory_budget import MemoryBudget

LONGEST = 1000
PIECE = 65_536
FORM = {"content-type": "multipart/form-data; boundary=b"}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
}


def read(
    body: bytes, headers: Mapping[str, str] | None = None, fields: Mapping[str, str] | None = None, *, budget_bytes: int = 2**30
) -> tuple[bytes | None, int]:
    """A body as it is read, and the most that it held in memory by its own account."""
    budget, held = MemoryBudget(budget_bytes), 0
    pieces = [body[begin : begin + PIECE] for begin in range(0, len(body), PIECE)] or [b""]
    messages = iter([{"type": "http.request", "body": piece, "more_body": True} for piece in pieces] + [{"type": "http.request"}])

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def ask() -> bytes | None:
        nonlocal held
        with budget.request() as take:
            try:
                return await read_query_body(receive, fields or {}, headers or {}, statement_bytes=LONGEST, take=take)
            finally:
                held = budget.used_bytes

    return asyncio.run(ask()), held


def code(*arguments: Any, **options: Any) -> int:
    with pytest.raises(EngineError) as caught:
        read(*arguments, **options)
    return caught.value.code


@pytest.mark.parametrize("coding", PACKERS)
def test_a_packed_body_is_unpacked_and_one_that_is_cut_off_is_an_error(coding: str) -> None:
    packed = PACKERS[coding](b"SELECT 1")
    assert read(packed, {"content-encoding": coding})[0] == b"SELECT 1"
    assert code(packed[:-3], {"content-encoding": coding}) == 271
    assert code(b"SELECT 1", {"content-encoding": coding}) == 271


def test_a_body_of_very_many_gzip_members_is_read() -> None:
    packed = gzip.compress(b"") * 200_000 + gzip.compress(b"SELECT 1")
    assert read(packed, {"content-encoding": "gzip"})[0] == b"SELECT 1"


@pytest.mark.parametrize("coding", ["", *PACKERS])
def test_no_more_is_read_of_a_statement_than_shows_that_it_is_too_long(coding: str) -> None:
    statement = b"SELECT " + b" " * 2**26
    packed = PACKERS[coding](statement) if coding else statement
    assert read(packed, {"content-encoding": coding}) == (statement[: LONGEST + 1], LONGEST + 1)


@pytest.mark.parametrize("coding", ["", *PACKERS])
def test_no_more_is_read_of_a_form_than_a_body_may_have(coding: str) -> None:
    body = bytes(2**26)
    packed = PACKERS[coding](body) if coding else body
    assert code(packed, {"content-encoding": coding, **FORM}) == 229
    fitting = bytes(MAX_BODY_BYTES)
    assert read(PACKERS[coding](fitting) if coding else fitting, {"content-encoding": coding, **FORM})[0] == fitting


def test_no_more_is_unpacked_of_blocks_than_a_body_may_have() -> None:
    assert read(compressed_blocks.compress(b"SELECT 1"), fields={"decompress": "1"})[0] == b"SELECT 1"
    assert code(compressed_blocks.compress(bytes(2**26)), fields={"decompress": "1"}) == 229
    assert code(bytes(2**26), fields={"decompress": "1"}) == 229


def test_packed_data_that_unpacks_to_nothing_is_not_read_for_ever() -> None:
    assert code(gzip.compress(b"") * 1_000_000, {"content-encoding": "gzip"}) == 229


def test_a_body_for_which_there_is_no_memory_is_to_come_again() -> None:
    assert code(b"SELECT 1", budget_bytes=4) == 202

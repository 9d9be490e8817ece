"""The writer decides by the engine's error whether a batch is retried, or one of its requests is a dead letter."""

from __future__ import annotations

from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from tests.support.otlp import request, span

from spanhouse.exporter.errors import ExportError, InvalidRequestError, UnavailableError
from spanhouse.exporter.otlp.check import check
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.store import writer as writer_module
from spanhouse.exporter.store.writer import Batch, Writer
from spanhouse.schema.tables.error_codes import ClickHouseErrorCode


class Engine:
    """Client of an engine that has no spans, and refuses inserts that hold a text; empty ones too if the store is to blame."""

    def __init__(self, code: int, refused: bytes = b"poison", *, refuses_empty: bool = False) -> None:
        self.inserted: list[bytes] = []
        self._code = code
        self._refused = refused
        self._refuses_empty = refuses_empty

    def query(self, sql: str, **_: Any) -> Any:
        class Result:
            result_rows = [[0]] if "system.processes" in sql else []

        return Result()

    def raw_insert(self, _: str, insert_block: bytes, **__: Any) -> None:
        if self._refused in insert_block or (self._refuses_empty and not insert_block):
            error = DatabaseError("refused")
            error.code = self._code
            raise error
        if insert_block:
            self.inserted.append(insert_block)


def inserted(engine: Engine) -> list[type[ExportError] | None]:
    """Insert a good request, one that the engine refuses and another good one; the class of each outcome."""
    batch = Batch.of([check(request([span(name)]).SerializeToString()) for name in ("first", "poison", "last")])
    outcomes = Writer(engine, SeenRequests()).insert(batch)  # type: ignore[arg-type]
    return [None if outcome is None else type(outcome) for outcome in outcomes]


def test_no_code_blames_both_the_bytes_and_the_store() -> None:
    assert not writer_module._DATA_ERRORS & writer_module._STORE_ERRORS


@pytest.mark.parametrize("code", sorted(writer_module._STORE_ERRORS))
def test_an_error_of_the_store_has_the_batch_retried(code: int) -> None:
    engine = Engine(code)
    assert inserted(engine) == [UnavailableError] * 3
    assert engine.inserted == []


@pytest.mark.parametrize("code", sorted(writer_module._DATA_ERRORS))
def test_an_error_of_the_bytes_costs_the_one_request_that_has_it(code: int) -> None:
    engine = Engine(code)
    assert inserted(engine) == [None, InvalidRequestError, None]
    assert len(engine.inserted) == 2


@pytest.mark.parametrize("code", [ClickHouseErrorCode.UNKNOWN_FORMAT, ClickHouseErrorCode.BAD_ARGUMENTS, 9999])
def test_any_other_error_blames_the_store_if_it_refuses_an_empty_request_too_else_the_bytes(code: int) -> None:
    assert inserted(Engine(code)) == [None, InvalidRequestError, None]
    assert inserted(Engine(code, refuses_empty=True)) == [None, UnavailableError, None]

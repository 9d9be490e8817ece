"""A driver's client runs statements, and its errors are told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.support.store import TestStore

from spanhouse.schema.tables.driver import execute_of, first_line
from spanhouse.schema.tables.error_codes import ClickHouseErrorCode


@pytest.fixture(scope="module")
def store() -> Iterator[TestStore]:
    with closing(TestStore()) as opened:
        yield opened


def test_statements_run_with_and_without_parameters(store: TestStore) -> None:
    execute = execute_of(store.client)
    assert [list(row) for row in execute("SELECT 1")] == [[1]]
    assert [list(row) for row in execute("SELECT {text:String}", {"text": "it's"})] == [["it's"]]


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("one\ntwo"), "one"), (ValueError("  \n one"), "one"), (ValueError(), "ValueError"), (ValueError("x" * 400), "x" * 300)],
)
def test_an_error_is_told_in_one_line(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_error_codes_have_the_engines_names(store: TestStore) -> None:
    execute = execute_of(store.client)
    names = {code: execute("SELECT errorCodeToName({code:UInt32})", {"code": int(code)})[0][0] for code in ClickHouseErrorCode}
    assert names == {code: code.name for code in ClickHouseErrorCode}

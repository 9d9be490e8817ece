"""`spanhouse store`: what a store takes on disk, whether it is whole, and its parts merged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.otlp import trace
from tests.support.store import TestStore

from spanhouse.cli import main

START = 1_790_000_000_000_000_000
DAY_NS = 86_400 * 10**9

Spanhouse = Callable[..., tuple[int, str, str]]


@pytest.fixture
def spanhouse(store: TestStore, capsys: pytest.CaptureFixture[str]) -> Spanhouse:
    """The command on an empty store: its exit code, output and error line."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["store", *words, "--store", store.dsn])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_size_says_what_each_partition_takes_and_compact_merges_its_parts(store: TestStore, spanhouse: Spanhouse) -> None:
    for day in (0, 0, 1):
        store.ingest(trace(start_ns=START + day * DAY_NS))
    code, out, _ = spanhouse("size", "--format", "json")
    assert code == 0
    rows = [row for row in json.loads(out) if row["table"] == "otel_traces"]
    assert [(row["partition"], row["parts"], row["rows"]) for row in rows] == [("2026-09-21", 2, 6), ("2026-09-22", 1, 3)]
    assert {row["oldest"] for row in rows} == {"2026-09-21 14:13:20", "2026-09-22 14:13:20"}
    assert all(row["bytes"] > 0 for row in rows)
    code, out, _ = spanhouse("compact")
    assert code == 0
    assert "otel_traces 2026-09-21: 2 parts" in out
    _, out, _ = spanhouse("size")
    lines = [line.split() for line in out.splitlines()]
    assert [line[2] for line in lines if line[0] == "otel_traces"] == ["1", "1"]
    assert "9 spans of" in out
    assert "about 3 traces of" in out


def test_check_finds_nothing_wrong_with_a_store_that_is_whole(store: TestStore, spanhouse: Spanhouse) -> None:
    store.ingest(trace(start_ns=START))
    code, out, err = spanhouse("check")
    assert (code, err) == (0, "")
    assert "every part is whole" in out


def test_check_names_spans_that_traces_lack_and_a_partition_that_is_damaged(store: TestStore, spanhouse: Spanhouse) -> None:
    store.ingest(trace(start_ns=START))
    store.client.command("TRUNCATE TABLE trace_carriers")
    store.ingest(trace(start_ns=START))
    (found,) = store.rows("SELECT path FROM system.parts WHERE active AND database = currentDatabase() AND table = 'trace_carriers'")
    data = Path(found["path"]) / "data.bin"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 0xFF
    store.client.command("SYSTEM DROP MARK CACHE")
    store.client.command("SYSTEM STOP MERGES")
    try:
        _, out, _ = spanhouse("check")
        assert "3 spans of otel_traces are not counted there; `spanhouse backfill`" in out
        data.write_bytes(content)
        code, out, err = spanhouse("check")
    finally:
        store.client.command("SYSTEM START MERGES")
    assert code == 3
    assert "trace_carriers: what is on disk of partition 202609 is damaged" in out
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("shrink",), "'shrink' is none of size"),
        (("pusch",), "do you mean push?"),
        (("size", "x"), "'x' is too much"),
        (("push",), "the DSN of a server is missing"),
        (("push", "chdb:///elsewhere"), "is an embedded store"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], said: str, spanhouse: Spanhouse) -> None:
    code, out, err = spanhouse(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err

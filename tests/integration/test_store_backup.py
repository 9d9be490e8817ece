"""A store written into a directory and read from there: the same counts and hashes, or one line that says why not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.test_resent_requests import post
from tests.support.otlp import trace
from tests.support.serve import Serve
from tests.support.standard_load import standard_request

SPANS = "SELECT count() AS n, sum(cityHash64(*)) AS hash FROM otel_traces"


def spanhouse(data_dir: Path, *words: str, store: str = "") -> subprocess.CompletedProcess[str]:
    store = store or f"chdb://{data_dir / 'store'}"
    return subprocess.run([sys.executable, "-m", "spanhouse.cli", *words, "--store", store], capture_output=True, text=True, timeout=120)


def refused(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The data directory of a server that has ended, and a backup of its store."""
    directory = tmp_path_factory.mktemp("kept")
    with Serve(directory / "data") as serve:
        for number in range(4):
            post(serve, standard_request(500, number))
        serve.drained()
        assert spanhouse(directory / "data", "prices", "set", "kept", "--input", "1", "--output", "2").returncode == 0
    done = spanhouse(directory / "data", "store", "backup", str(directory / "backup"))
    assert done.returncode == 0, done.stderr
    assert "2,000 spans" in done.stdout
    return directory / "data", directory / "backup"


def test_a_backup_is_restored_into_a_database_of_another_name_and_served_from_there(kept: tuple[Path, Path], tmp_path: Path) -> None:
    data, backup = kept
    store = f"chdb://{tmp_path / 'store'}?database=again"
    done = subprocess.run(
        [sys.executable, "-m", "spanhouse.cli", "store", "restore", str(backup), "--store", store], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "2,000 spans are in" in done.stdout

    def rows(where: str, sql: str) -> object:
        asked = [sys.executable, "-m", "spanhouse.cli", "sql", sql, "--format", "json", "--store", where]
        return json.loads(subprocess.run(asked, capture_output=True, text=True, check=True, timeout=120).stdout)

    assert rows(store, SPANS) == rows(f"chdb://{data / 'store'}", SPANS)
    assert rows(store, "SELECT Version, Model FROM spanhouse_prices") == [{"Version": 1, "Model": "kept"}]
    with Serve(tmp_path, "--store", store) as serve:
        post(serve, trace().SerializeToString())
        serve.drained()
        assert rows(f"{serve.dsn}/again", "SELECT sum(SpanCount) AS n FROM traces") == [{"n": 2003}]


def test_what_is_not_empty_is_neither_written_nor_read_into(kept: tuple[Path, Path]) -> None:
    data, backup = kept
    assert "is not empty" in refused(spanhouse(data, "store", "backup", str(backup)), 2)
    assert "there are tables already" in refused(spanhouse(data, "store", "restore", str(backup)), 3)


def test_a_backup_that_was_not_finished_or_is_not_what_was_written_is_refused(kept: tuple[Path, Path], tmp_path: Path) -> None:
    _, backup = kept
    (tmp_path / "unfinished").mkdir()
    assert "no backup that was finished" in refused(spanhouse(tmp_path / "new", "store", "restore", str(tmp_path / "unfinished")), 3)
    file = backup / "spanhouse-backup.json"
    whole = file.read_text()
    try:
        file.write_text(whole.replace('"otel_traces": [2000', '"otel_traces": [2001'))
        assert "the restored rows differ from the backup: otel_traces" in refused(spanhouse(tmp_path / "other", "store", "restore", str(backup)), 3)
    finally:
        file.write_text(whole)


def test_a_backup_of_a_pre_release_is_refused(tmp_path: Path) -> None:
    old = {"database": "default", "contents": {"otel_traces": [1, 2], "trace_carriers": [1, 2], "trace_tags FINAL": [0, 0]}}
    (tmp_path / "spanhouse-backup.json").write_text(json.dumps(old))
    said = refused(spanhouse(tmp_path / "new", "store", "restore", str(tmp_path)), 3)
    assert "is of a pre-release: restore it with that, and carry its spans over by `spanhouse store push`" in said


def test_a_restored_store_has_the_rows_of_traces_that_waited_when_it_was_written(tmp_path: Path) -> None:
    store, again = f"chdb://{tmp_path / 'store'}", f"chdb://{tmp_path / 'again'}"
    assert spanhouse(tmp_path, "migrate").returncode == 0
    insert = (
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, SpanName) SELECT now64(9), lower(hex(sipHash128(number))), 'a', 'op' FROM numbers(5)"
    )
    code = f"import clickhouse_connect; clickhouse_connect.get_client(dsn={store!r}).command({insert!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert spanhouse(tmp_path, "store", "backup", str(tmp_path / "backup")).returncode == 0
    for where, traces in ((store, 0), (again, 5)):
        if where == again:
            done = spanhouse(tmp_path, "store", "restore", str(tmp_path / "backup"), store=again)
            assert (done.returncode, done.stderr) == (0, "")
        counted = spanhouse(tmp_path, "sql", "SELECT count() AS n FROM traces", "--format", "json", store=where)
        assert json.loads(counted.stdout) == [{"n": traces}]

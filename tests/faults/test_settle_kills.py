"""Killed anywhere between an acknowledged request and its trace's row, the next start leads to the same rows as without a kill: merges of spans."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.faults.settle_kills import ROWS, merged
from tests.support.arrivals import different

MODULE = "tests.faults.settle_kills"


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", MODULE, str(directory), *arguments], capture_output=True, text=True, timeout=120, check=False)


def rows_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(ROWS))
    return {row.pop("TraceId"): row for row in json.loads(line.removeprefix(ROWS))}


def kind(point: str) -> str:
    return point.partition(" ")[2]


def copied(prepared: Path, directory: Path) -> Path:
    directory.mkdir()
    for name in ("store", "store-spool"):
        shutil.copytree(prepared / name, directory / name, symlinks=True)
    return directory / "store"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("prepared")
    made = run(directory / "store", "--prepare")
    assert made.returncode == 0, made.stderr
    return directory


def test_a_kill_at_any_call_of_the_engine_changes_no_row(prepared: Path, tmp_path: Path) -> None:
    whole = run(copied(prepared, tmp_path / "whole"))
    expected = rows_of(whole)
    points = [line for line in whole.stdout.splitlines() if not line.startswith(ROWS)]
    reference = merged()
    assert expected.keys() == reference.keys()
    assert [different(row, reference[trace_id]) for trace_id, row in expected.items()] == [{}] * 7
    assert any("otlp_requests" in point for point in points)
    assert any("spanhouse_trace_rows" in point for point in points)
    # Calls of one kind are killed at once here; `make faults` kills at all of them.
    kinds = [point for place, point in enumerate(points) if os.environ.get("ALL_KILLS") or kind(point) not in map(kind, points[:place])]
    for point in kinds:
        number = point.partition(" ")[0]
        store = copied(prepared, tmp_path / f"killed-{number}")
        killed = run(store, "--kill-after", number)
        assert killed.returncode == -signal.SIGKILL, (point, killed.stderr)
        assert rows_of(run(store)) == expected, point
        shutil.rmtree(store.parent)

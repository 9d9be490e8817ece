"""No reader beside two receivers of one store sees a trace twice: a short run of what `make faults` does at length."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.two_receivers import run


def test_readers_beside_two_receivers_see_each_trace_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_WINDOW_SECONDS", "4")
    outcome = run(tmp_path, queries=300, rate=1000, embedded=False)
    assert outcome.queries >= 300
    assert outcome.late > 0
    assert (outcome.wrong, outcome.different, outcome.unseen) == ([], 0, 0)

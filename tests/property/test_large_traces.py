"""The row of a trace with very many spans, which is made without a list of them, says the same as any other."""

from __future__ import annotations

import random

import pytest
from tests.support.arrivals import Arrivals
from tests.support.store import TestStore

from spanhouse.schema.settle import remake


def test_a_row_that_is_made_without_a_list_of_spans_is_the_merge_of_its_spans(store: TestStore, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    arrivals = Arrivals(store, [chance.randrange(2**32) for _ in range(60)], chance, pieces=3)
    for action in ("insert", "settle_all", "insert", "edit", "delete"):
        arrivals.act(action)
    arrivals.finish()
    store.execute("TRUNCATE TABLE spanhouse_trace_rows")
    monkeypatch.setattr(remake, "_MOST_LISTED", 0)
    remake.remake_traces(store.execute, sorted(arrivals.stored), quiet=True)
    differences = list(arrivals.differences(large=True))
    assert not differences, "\n".join(differences)

"""A settled row is the merge of its trace's spans, whatever order they come in and whatever happens to those who settle."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.support.arrivals import Arrivals
from tests.support.store import TestStore

EXAMPLES: Final = int(os.environ.get("SPANHOUSE_TEST_EXAMPLES", "10"))
"""`make settled` runs many more, others each time; here they are the same ones."""
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def engine() -> Iterator[TestStore]:
    made = TestStore()
    yield made
    made.close()


# A trace is drawn as the seed that makes it: so a failure names few numbers, and shrinking leaves traces out and nothing else.
@settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES == 10,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    st.lists(SEEDS, min_size=30, max_size=30),
    st.lists(st.sampled_from([*Arrivals.ACTIONS, "insert", "insert", "settle"]), min_size=6, max_size=16),
    st.integers(1, 8),
    SEEDS,
)
def test_each_trace_has_one_row_that_is_the_merge_of_its_spans(
    engine: TestStore, seeds: Sequence[int], actions: Sequence[str], pieces: int, order: int
) -> None:
    arrivals = Arrivals(engine, seeds, random.Random(order), pieces=pieces)
    for action in actions:
        arrivals.act(action)
    arrivals.finish()
    differences = arrivals.differences()
    assert not differences, "\n".join(differences)

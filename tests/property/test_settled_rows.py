"""A settled row is the merge of its trace's spans, whatever order they come in and whatever happens to those who settle."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.support import reference_words
from tests.support.arrivals import Arrivals
from tests.support.store import TestStore

from spanhouse.schema import conventions

EXAMPLES: Final = int(os.environ.get("SPANHOUSE_TEST_EXAMPLES", "6"))
"""Others each time; `make settled` runs many more."""
SEEDS = st.integers(0, 2**32 - 1)


# A trace is drawn as the seed that makes it: so a failure names few numbers, and shrinking leaves traces out and nothing else.
@settings(
    max_examples=EXAMPLES,
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
    module_store: TestStore, seeds: Sequence[int], actions: Sequence[str], pieces: int, order: int
) -> None:
    arrivals = Arrivals(module_store, seeds, random.Random(order), pieces=pieces)
    for action in actions:
        arrivals.act(action)
    arrivals.finish()
    differences = list(arrivals.differences())
    assert not differences, "\n".join(differences)


def test_the_reference_knows_all_words_of_the_vocabulary() -> None:
    """Random spans have the attributes that the reference knows: one that only the SQL knows would never be tried."""
    fields = {
        "model": reference_words.MODEL,
        "type": (reference_words.MLFLOW_TYPE, *reference_words.TYPE),
        "tool": reference_words.TOOL,
        "finish_reasons": reference_words.FINISH_REASONS,
        "session": reference_words.SESSIONS,
        "user": reference_words.USERS,
        "request": reference_words.REQUEST,
        "response": reference_words.RESPONSE,
        "usage": reference_words.USAGE,
        "costs": reference_words.COSTS,
    }
    names = {
        "InputTokens": "input_tokens",
        "OutputTokens": "output_tokens",
        "CachedTokens": "cached_tokens",
        "ReasoningTokens": "reasoning_tokens",
        "Cost": "cost",
    }
    fields |= {names[column]: keys for column, (keys, _, _) in reference_words.NUMBERS.items()}
    alone = {"entity", "error_type", "linked_prompts", "prompt_name", "prompt_version", "template", "template_version"}
    assert {name: keys for name, keys in conventions.FIELDS.items() if name not in alone} == fields
    assert conventions.SPAN_TYPES == reference_words.TYPES
    assert conventions.METADATA_PREFIXES == reference_words.OF_TOOLS
    assert conventions.TAG_LISTS == reference_words.TAG_LISTS

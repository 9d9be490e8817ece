"""What data can do to a terminal: nothing."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse.cli.output import to_json
from spanhouse.cli.text import duration, escape_unsafe, milliseconds, one_line

ANY = st.text(st.characters())


@given(ANY)
def test_escaped_text_has_no_control_character_and_no_direction_mark(text: str) -> None:
    escaped = escape_unsafe(text)
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in escaped)
    assert not any(unicodedata.bidirectional(character) in {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"} for character in escaped)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_text_without_such_characters_is_left_as_it_is(text: str) -> None:
    assert escape_unsafe(text) == text


def test_an_escape_code_is_shown_instead_of_obeyed() -> None:
    assert escape_unsafe("\x1b[31mred\x9b0m\u202e") == "\\x1b[31mred\\x9b0m\\u202e"


@given(st.recursive(ANY | st.integers() | st.booleans() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(ANY, inner), max_leaves=8))
def test_json_is_one_line_without_control_characters_that_reads_back_as_the_value(value: object) -> None:
    text = to_json(value)
    assert json.loads(text) == value
    assert escape_unsafe(text) == text


def test_json_has_null_for_what_json_has_no_number_for() -> None:
    assert to_json([float("nan"), float("inf"), 1.5]) == "[null, null, 1.5]"


@given(ANY)
def test_a_message_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0 µs"),
        (999_999, "999 µs"),
        (1_000_000, "1.0 ms"),
        (1_599_999, "1.5 ms"),
        (142_999_999, "142 ms"),
        (9_999_000_000, "9999 ms"),
        (12_340_000_000, "12.3 s"),
    ],
)
def test_a_duration_is_in_the_unit_that_reads_best(nanoseconds: int, shown: str) -> None:
    assert duration(nanoseconds) == shown


def test_a_duration_that_is_not_known_is_a_dash() -> None:
    assert milliseconds(None) == "-"

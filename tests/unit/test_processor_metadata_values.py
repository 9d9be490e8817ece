"""How metadata values become text."""

from __future__ import annotations

import enum
from types import MappingProxyType

import pytest

from spanhouse.processor.metadata_values import Value, given, to_text
from spanhouse.schema.trace_attributes import TraceState


class Colour(str, enum.Enum):  # noqa: UP042  the older kind of text enum, whose str() is its name
    RED = "red"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is ", "as it is "),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (1.5, "1.5"),
        (float("nan"), "nan"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff", "�"),
        (["a", 1, None, True], '["a",1,null,true]'),
        (("a",), '["a"]'),
        ({"b": {"c": {2, 1}}}, '{"b":{"c":[1,2]}}'),
        (MappingProxyType({"é": 1}), '{"é":1}'),
        ({1: Colour.RED}, '{"1":"red"}'),
        (Colour.RED, "red"),
        (TraceState.OK, "OK"),
        ("lone \udcff", "lone ?"),
        (None, None),
        (Unprintable(), None),
    ],
)
def test_a_value_becomes_text_by_one_rule(value: object, text: str | None) -> None:
    assert to_text(value) == text


def test_a_container_that_holds_itself_has_no_text() -> None:
    looped: list[object] = []
    looped.append(looped)
    assert to_text(looped) is None


def test_blank_values_and_none_count_as_not_given() -> None:
    assert given({"a": "  ", "b": None, "": "x", "c": " v ", "d": 0}, "here") == {"c": Value("v", "here"), "d": Value("0", "here")}

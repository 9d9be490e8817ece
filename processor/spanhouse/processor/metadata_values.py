"""Metadata values: conversion to text, and the origin of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias


class Value:
    """A metadata value and its source, for the report."""

    __slots__ = ("origin", "text")

    def __init__(self, text: str, origin: str) -> None:
        self.text = text
        self.origin = origin

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and (self.text, self.origin) == (other.text, other.origin)

    def __hash__(self) -> int:
        return hash((self.text, self.origin))

    def __repr__(self) -> str:
        return f"Value({self.text!r}, {self.origin!r})"


Found: TypeAlias = Mapping[str, Value]
"""Values of one source by resource-attribute key, in any of the key's spellings."""


def to_text(value: object) -> str | None:
    """Convert a metadata value to text; None for None, and for a value whose own conversion fails. Callers skip None.

    Text stays as it is, bytes are read as UTF-8; a boolean becomes ``true`` or ``false``; a mapping, list, tuple or set becomes compact
    JSON (sets sorted; items unknown to JSON are converted by this same rule); anything else, numbers too, is ``str(value)``. Text from a
    file name or a variable that the locale could not read is read as UTF-8. Characters outside UTF-8 become ``?``, so that a value never
    costs its span.
    """
    try:
        match value:
            case None:
                return None
            case str():
                text = str.__str__(value)  # the text of a member of an enum, not its name
            case bool():
                return "true" if value else "false"
            case bytes() | bytearray():
                return value.decode("utf-8", "replace")
            case dict() | list() | tuple() | set() | frozenset() | Mapping():
                text = _json(value)
            case _:
                text = str(value)
        return text if text.isascii() else printable(text)
    except Exception:  # noqa: BLE001  a value's own __str__ may fail in any way, and metadata must not break the application
        return None


def printable(text: str) -> str:
    """Replace surrogates in ``text``: those that stand for bytes are read as UTF-8, others become ``?``."""
    try:
        # Python decodes file names and variables by the locale, which may be ASCII, and keeps undecodable bytes as surrogates.
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "replace")  # half a pair of surrogates, which stands for no byte
    return raw.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode("utf-8")


def _json(value: object) -> str:
    import json  # the processor's start-up is measured; few values are containers

    def plain(item: object) -> object:
        match item:
            case Mapping():
                return {to_text(key) or "": plain(inner) for key, inner in item.items()}
            case list() | tuple():
                return [plain(inner) for inner in item]
            case set() | frozenset():
                return sorted((plain(inner) for inner in item), key=str)
            case None | bool() | int() | float() | str():
                return item
            case _:
                return to_text(item)

    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))


def given(values: Mapping[str, object], origin: str) -> dict[str, Value]:
    """Convert ``values`` found at ``origin``; None and blank values count as absent."""
    found = {}
    for key, value in values.items():
        text = to_text(value)
        if text is not None and text.strip() and key.strip():
            found[key.strip()] = Value(text.strip(), origin)
    return found

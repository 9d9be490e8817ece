"""Texts that are put in order by what they say: versions and times. The patterns are RE2's as well, so that the engine reads values alike.

A version is ``1.2.3``, with or without ``v``, perhaps followed by a stage: ``-rc.1``, ``rc1``, ``.dev3``, ``-14-gabc123``, ``.post1``; what
follows ``+`` does not count. Releases compare part by part as numbers, missing parts as 0. A stage comes before its release, a ``post`` after
it. Stages compare by their runs of digits and of letters: digits as numbers and before letters, letters in any case.

A time is ISO 8601's ``2026-01-31``, ``2026-01-31T10:00``, ``2026-01-31 10:00:00.5+02:00``; without an offset it is UTC, and the place after
the microseconds does not count.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_RELEASE: Final = r"^[vV]?([0-9]{1,18}(?:\.[0-9]{1,18}){0,15})"
VERSION: Final = (
    _RELEASE + r"(-[0-9A-Za-z.-]{1,40}|\.?(?:alpha|beta|preview|pre|post|dev|rc|a|b|c)[0-9]{0,18}(?:\.(?:dev|post)[0-9]{0,18})?|)(?:\+.*)?$"
)
"""A whole version; the groups hold its release and its stage."""
_DIGITS: Final = 40
VERSION_STEPS: Final = (
    (VERSION, r"\1 \2"),
    # What follows the release sorts before a further part of it, as a space does before a dot.
    (r"(?:\.0+)+ ", " "),
    (r" $", " 1"),
    (r" [.-]?post", " 2post"),
    (r" ([^12])", r" 0\1"),
    (r"[.-]+", "."),
    (r"([a-z])([0-9])", r"\1.\2"),
    (r"([0-9])([a-z])", r"\1.\2"),
    (r"\.$", ""),
    (r"([0-9]+)", "0" * _DIGITS + r"\1"),
    (rf"[0-9]*([0-9]{{{_DIGITS}}})", r"\1"),
)
"""Patterns, and what each match of one is replaced by: step by step they make of a version, in lower case, the text that sorts as it does."""
TIME: Final = (
    r"^(19|2[0-2])[0-9]{2}-[0-9]{2}-[0-9]{2}"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
)

_VERSION: Final = re.compile(VERSION.removesuffix("$") + r"\Z")
_TIME: Final = re.compile(TIME.removesuffix("$") + r"\Z")
_BEYOND_MICROSECONDS: Final = re.compile(r"(\.[0-9]{6})[0-9]+")


def version_key(text: str) -> str | None:
    """What sorts as the version does: its numbers, filled up; 0 for a stage before the release, 1 for the release, 2 for after it; the stage's runs.

    Returns:
        None if the text is not a version.
    """
    if not _VERSION.match(text):
        return None
    key = text.lower()
    for pattern, replacement in VERSION_STEPS:
        key = re.sub(pattern, replacement, key)
    return key


def unix_us(text: str) -> int | None:
    """The Unix time in microseconds that a text says; None if it says none."""
    if not _TIME.match(text):
        return None
    try:
        time = datetime.fromisoformat(_BEYOND_MICROSECONDS.sub(r"\1", text))
    except ValueError:
        return None
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime.fromtimestamp(0, UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

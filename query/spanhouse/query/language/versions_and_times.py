"""Order of texts that are versions or times. The patterns are valid in Python and in RE2, so that the engine reads values alike.

A version is ``1.2.3``, with or without ``v``, and with an optional stage: ``-rc.1``, ``rc1``, ``.dev3``, ``-14-gabc123``, ``.post1``; the part
after ``+`` is ignored. Releases compare part by part as numbers, missing parts as 0. A stage comes before its release, a ``post`` after it.
Stages compare by their runs of digits and of letters: digits as numbers and before letters, letters in any case.

A time is ISO 8601's ``2026-01-31``, ``2026-01-31T10:00``, ``2026-01-31 10:00:00.5+02:00``; without an offset it is UTC, and digits after the
microseconds are ignored.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_RELEASE: Final = r"^[vV]?([0-9]{1,18}(?:\.[0-9]{1,18}){0,15})"
VERSION: Final = (
    _RELEASE + r"(-[0-9A-Za-z.-]{1,40}|\.?(?:alpha|beta|preview|pre|post|dev|rc|a|b|c)[0-9]{0,18}(?:\.(?:dev|post)[0-9]{0,18})?|)(?:\+.*)?$"
)
"""Pattern of a whole version; the groups are its release and its stage."""
_DIGITS: Final = 40
VERSION_STEPS: Final = (
    (VERSION, r"\1 \2"),
    # A stage sorts before a further part of the release, as a space sorts before a dot.
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
"""Patterns and their replacements: applied in order to a version in lower case, they make a text that sorts as the version."""
TIME: Final = (
    r"^(19|2[0-2])[0-9]{2}-[0-9]{2}-[0-9]{2}"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
)

_VERSION: Final = re.compile(VERSION.removesuffix("$") + r"\Z")
_TIME: Final = re.compile(TIME.removesuffix("$") + r"\Z")
_BEYOND_MICROSECONDS: Final = re.compile(r"(\.[0-9]{6})[0-9]+")


def version_key(text: str) -> str | None:
    """Return a text that sorts as the version; None if the text is not a version.

    It has the release's numbers, zero-padded; 0 for a stage before the release, 1 for the release, 2 for a stage after it; and the stage's runs.
    """
    if not _VERSION.match(text):
        return None
    key = text.lower()
    for pattern, replacement in VERSION_STEPS:
        key = re.sub(pattern, replacement, key)
    return key


def unix_us(text: str) -> int | None:
    """Return the Unix time of a text, in microseconds; None if the text is no time."""
    if not _TIME.match(text):
        return None
    try:
        time = datetime.fromisoformat(_BEYOND_MICROSECONDS.sub(r"\1", text))
    except ValueError:
        return None
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime.fromtimestamp(0, UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

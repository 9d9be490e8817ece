"""Data made fit for a terminal: nothing in it can move the cursor, change colours or reverse the reading direction."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), line and paragraph separators, marks of writing direction, and halves of surrogate pairs."""
_SPACE: Final = re.compile(r"\s+")


def escape_unsafe(text: str) -> str:
    r"""Each unsafe character as ``\xNN`` or ``\uNNNN``."""
    return _UNSAFE.sub(lambda found: _escape(found.group()), text)


def escape_unsafe_json(text: str) -> str:
    r"""As ``escape_unsafe``, for JSON text: ``\u00NN`` also for the first 256."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def one_line(text: str) -> str:
    """The text with its line breaks and runs of spaces as one space each, and nothing unsafe in it."""
    return escape_unsafe(_SPACE.sub(" ", text).strip())


def duration(nanoseconds: int | None) -> str:
    """A length of time in the unit in which it has one to three digits before the point; '-' for None."""
    if nanoseconds is None:
        return "-"
    if nanoseconds < 1_000_000:
        return f"{nanoseconds / 1000:.0f} µs"
    if nanoseconds < 10_000_000:
        return f"{nanoseconds / 1_000_000:.1f} ms"
    if nanoseconds < 10_000_000_000:
        return f"{nanoseconds / 1_000_000:.0f} ms"
    return f"{nanoseconds / 1_000_000_000:.1f} s"


def milliseconds(count: int | None) -> str:
    """A length of time that is known to the millisecond; '-' for None."""
    if count is None:
        return "-"
    return f"{count} ms" if count < 10_000 else f"{count / 1000:.1f} s"


def local_time(milliseconds: int) -> str:
    """A time, given in milliseconds since 1970, in the user's time zone."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")

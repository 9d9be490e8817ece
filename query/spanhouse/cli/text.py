"""Text for a terminal: no data can move the cursor, change colours or reverse the reading direction."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), line and paragraph separators, marks of writing direction, and halves of surrogate pairs."""
_SPACE: Final = re.compile(r"\s+")
_BYTE_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_BYTE_STEP: Final = 1024


def escape_unsafe(text: str) -> str:
    r"""Escape each unsafe character as ``\xNN`` or ``\uNNNN``."""
    return _UNSAFE.sub(lambda found: _escape(found.group()), text)


def escape_unsafe_json(text: str) -> str:
    r"""Escape as ``escape_unsafe`` does, for JSON text: ``\u00NN`` also for the first 256."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def one_line(text: str) -> str:
    """Return the text with line breaks and runs of spaces as one space each, and unsafe characters escaped."""
    return escape_unsafe(_SPACE.sub(" ", text).strip())


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like an unknown one."""
    return get_close_matches(name, sorted(known), n=1, cutoff=0)[0]


def binary_size(count: float) -> str:
    """Return a number of bytes in a unit that suits it."""
    for unit in _BYTE_UNITS[:-1]:
        if count < _BYTE_STEP:
            return f"{count:.0f} {unit}" if unit == _BYTE_UNITS[0] else f"{count:.1f} {unit}"
        count /= _BYTE_STEP
    return f"{count:.1f} {_BYTE_UNITS[-1]}"


def duration(nanoseconds: int) -> str:
    """Return a length of time in a unit that suits it. Less than the last digit is cut off, as in ``execution_time_ms``."""
    if nanoseconds < 1_000_000:
        return f"{nanoseconds // 1000} µs"
    if nanoseconds < 10_000_000:
        return f"{nanoseconds // 100_000 / 10} ms"
    return milliseconds(nanoseconds // 1_000_000)


def milliseconds(count: int | None) -> str:
    """Return a length of time that is known to the millisecond; '-' for None."""
    if count is None:
        return "-"
    return f"{count} ms" if count < 10_000 else f"{count / 1000:.1f} s"


def local_time(milliseconds: int) -> str:
    """Return a time, given in milliseconds since 1970, in the user's time zone."""
    return _local(milliseconds).strftime("%Y-%m-%d %H:%M:%S")


def brief_time(milliseconds: int) -> str:
    """Return the time as ``local_time`` does, without the date if that is today's, without the year if it is this year's."""
    time, now = _local(milliseconds), datetime.now(UTC).astimezone()
    if time.date() == now.date():
        return time.strftime("%H:%M:%S")
    return time.strftime("%m-%d %H:%M:%S") if time.year == now.year else local_time(milliseconds)


def _local(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone()

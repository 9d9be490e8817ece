"""Pace of work with a fixed cost: at once for the first requests after a quiet time, then at regular intervals (a token bucket)."""

from __future__ import annotations

from typing import Final

_BURST: Final = 4
"""Steps that need no pause after a quiet time."""


class Pace:
    """Token bucket: a step takes a token; tokens come back one per interval.

    Args:
        interval_seconds: time between two steps of steady work; 0 for none.
    """

    def __init__(self, interval_seconds: float) -> None:
        self._interval = interval_seconds
        self._full_at = float("-inf")
        """Time when all tokens are back."""

    def wait(self, now: float) -> float:
        """Return the seconds until the next step may begin; 0 if it may begin at once."""
        return max(0.0, self._full_at - now - (_BURST - 1) * self._interval)

    def step(self, now: float) -> None:
        """Count a step that begins."""
        self._full_at = min(max(now, self._full_at) + self._interval, now + _BURST * self._interval)

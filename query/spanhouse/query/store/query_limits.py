"""Limits of a statement, and its measured cost."""

from __future__ import annotations

from dataclasses import dataclass

from spanhouse.query.errors import FilterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one statement; None leaves a limit to the store.

    Attributes:
        timeout_seconds: time limit; a whole number above 0.
        memory_bytes: limit of the engine's memory; a whole number above 0.
    """

    timeout_seconds: int | None = None
    memory_bytes: int | None = None

    def settings(self) -> dict[str, int]:
        """Return the engine's settings for the limits.

        Raises:
            FilterError: a limit is invalid.
        """
        found = {}
        for name, setting in (("timeout_seconds", "max_execution_time"), ("memory_bytes", "max_memory_usage")):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**63:
                raise FilterError(f"{name} is a whole number above 0, not {value!r}")
            found[setting] = value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Measured cost of a statement.

    Attributes:
        rows: number of result rows.
        read_rows: number of rows read.
        read_bytes: number of bytes read, uncompressed.
        seconds: time from sending the statement to receiving its rows.
    """

    rows: int
    read_rows: int
    read_bytes: int
    seconds: float

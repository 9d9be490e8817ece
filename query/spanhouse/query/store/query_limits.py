"""What a statement may take, and what it took."""

from __future__ import annotations

from dataclasses import dataclass

from spanhouse.query.errors import FilterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one statement may take; None leaves it to the store.

    Attributes:
        timeout_seconds: time; a whole number above 0.
        memory_bytes: memory of the engine; likewise.
    """

    timeout_seconds: int | None = None
    memory_bytes: int | None = None

    def settings(self) -> dict[str, int]:
        """The engine's settings.

        Raises:
            FilterError: a limit that is none.
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
    """What a statement took.

    Attributes:
        rows: of its result.
        read_rows: read for it.
        read_bytes: likewise, uncompressed.
        seconds: from when it was sent until its rows were here.
    """

    rows: int
    read_rows: int
    read_bytes: int
    seconds: float

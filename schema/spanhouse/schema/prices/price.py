"""Price of a model: its values, parsed and validated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from spanhouse.schema.prices.model_names import name_key

UNKNOWN: Final = -1.0
"""Value of an unknown price."""
ALWAYS: Final = date(1970, 1, 1)
"""First day of prices that are valid at all times."""
LAST_DAY: Final = date(2149, 6, 6)
"""Last day in the range of the engine's Date."""
MOST_CHARACTERS: Final = 200
"""Longest model name, and longest source."""
MOST_USD: Final = 1e6
"""Highest price, in USD per million tokens."""
FIELDS: Final = ("model", "from", "input", "output", "cached", "reasoning", "source", "deleted")
"""Names of a price's values in CSV and JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Prices of a model from a day on, in USD per million tokens.

    Attributes:
        model: name of the model, in lower case.
        valid_from: first day, in UTC.
        input, output: price of input and output tokens.
        cached: price of input tokens from a cache; ``UNKNOWN`` if not known.
        reasoning: price of reasoning tokens in the output; ``UNKNOWN`` if not known.
        source: origin of the prices.
        deleted: True if the model has no prices from that day on.
        version: number of the write in the store; 0 for the shipped table.
        added: date on which the row was added to the shipped table; '' for a store's rows.
    """

    model: str
    valid_from: date = ALWAYS
    input: float = 0.0
    output: float = 0.0
    cached: float = UNKNOWN
    reasoning: float = UNKNOWN
    source: str = ""
    deleted: bool = False
    version: int = 0
    added: str = ""

    @classmethod
    def read(cls, values: Mapping[str, object]) -> Price:
        """Read a price from a row of CSV or an object of JSON.

        Args:
            values: values by the names of ``FIELDS``; a missing one is unknown, or has its default.

        Raises:
            ValueError: the price is invalid; in one line.
        """
        if unknown := sorted(str(name) for name in values if name not in FIELDS):
            raise ValueError(f"unknown field {unknown[0]!r}; there are {', '.join(FIELDS)}")
        deleted = values.get("deleted", False)
        if not isinstance(deleted, bool):
            raise ValueError("deleted is neither true nor false")  # noqa: TRY004 a mistake in data
        price = cls(
            model=str(values.get("model") or "").strip().lower(),
            valid_from=_day(values.get("from")),
            input=_usd(values, "input", needed=not deleted),
            output=_usd(values, "output", needed=not deleted),
            cached=_usd(values, "cached"),
            reasoning=_usd(values, "reasoning"),
            source=str(values.get("source") or ""),
            deleted=deleted,
        )
        if (wrong := fault(price)) is not None:
            raise ValueError(wrong)
        return price

    @property
    def fields(self) -> dict[str, object]:
        """Values by the names of ``FIELDS``, in the form for ``read``."""
        usd = {"input": self.input, "output": self.output, "cached": self.cached, "reasoning": self.reasoning}
        known = {name: None if value == UNKNOWN else value for name, value in usd.items()}
        return {"model": self.model, "from": self.valid_from.isoformat(), **known, "source": self.source, "deleted": self.deleted}

    @property
    def valid_from_ns(self) -> int:
        """First moment, in Unix nanoseconds."""
        return midnight_ns(self.valid_from)

    @property
    def key(self) -> tuple[str, date]:
        """Identity of a price: the compared form of the name, and the first day."""
        return name_key(self.model), self.valid_from


def repeated(rows: Iterable[Price]) -> str | None:
    """Name in one line a model that has two prices from the same day on; None if there is none."""
    seen: set[tuple[str, date]] = set()
    for row in rows:
        if row.key in seen:
            return f"{row.model} has two prices from {row.valid_from} on: which one holds?"
        seen.add(row.key)
    return None


def fault(price: Price) -> str | None:
    """Return the reason why a price is invalid, in one line; None if it is valid."""
    if not _is_text(price.model) or price.model != price.model.strip().lower() or not price.model:
        return f"model {price.model[:64]!r}: a name has 1 to {MOST_CHARACTERS} characters that can be printed"
    if not _is_text(price.source):
        return f"source {price.source[:64]!r}: it has at most {MOST_CHARACTERS} characters, all of which can be printed"
    if not ALWAYS <= price.valid_from <= LAST_DAY:
        return f"{price.model}: {price.valid_from} is no day from {ALWAYS} to {LAST_DAY}"
    for name, value, optional in (
        ("input", price.input, False),
        ("output", price.output, False),
        ("cached input", price.cached, True),
        ("reasoning", price.reasoning, True),
    ):
        if not 0 <= value <= MOST_USD and not (optional and value == UNKNOWN):
            return f"{price.model}: {value} is no price of {name} tokens; it is 0 to {MOST_USD:,.0f} USD per million"
    return None


def _day(value: object) -> date:
    try:
        return date.fromisoformat(str(value)) if value else ALWAYS
    except ValueError:
        raise ValueError(f"{value!r} is no day; write it as 2026-01-31") from None


def _usd(values: Mapping[str, object], name: str, *, needed: bool = False) -> float:
    value = values.get(name)
    if value is None or value == "":
        if needed:
            raise ValueError(f"{name} is missing")
        return UNKNOWN if name in {"cached", "reasoning"} else 0.0
    try:
        return float(str(value))
    except ValueError:
        raise ValueError(f"{name} {value!r} is no price in USD per million tokens") from None


def _is_text(value: str) -> bool:
    return len(value) <= MOST_CHARACTERS and value.isprintable()


def midnight_ns(day: date) -> int:
    """Return the first moment of a day in UTC, in Unix nanoseconds."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9

"""Price table of a version: the shipped prices and a store's, and the lookup of a model's price by its name in spans.

The shipped table is an append-only CSV file; each row has the date on which it was added. A store's table is append-only as well, each write under a
number. So a ``PriceVersion``, the date of the shipped table and the number of the store's last write, identifies the current prices for ever.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from spanhouse.schema.prices.model_names import names
from spanhouse.schema.prices.price import ALWAYS, UNKNOWN, Price

_FILE: Final = "prices.csv"


class ResolvedPrice(NamedTuple):
    """Prices of a model, in the form of SQL parameters.

    Attributes:
        model: name as sent.
        valid_from_ns: first moment of validity, in Unix nanoseconds.
        input, output, cached, reasoning: USD per million tokens; ``UNKNOWN`` if not known.
    """

    model: str
    valid_from_ns: int
    input: float
    output: float
    cached: float
    reasoning: float


class PriceVersion(NamedTuple):
    """Version of both tables. Its text is the shipped table's date and, if the store has prices, ``+`` and the number of their last write."""

    shipped: str
    stored: int

    def __str__(self) -> str:
        return f"{self.shipped}+{self.stored}" if self.stored else self.shipped

    @classmethod
    def parse(cls, text: str) -> PriceVersion:
        """Read the text of a version.

        Raises:
            ValueError: the text is no version.
        """
        day, plus, write = text.partition("+")
        return cls(date.fromisoformat(day).isoformat(), int(write) if plus else 0)


class PriceTable:
    """Prices as of a version; the same in every process that has the same stored rows.

    Args:
        stored: all rows of the store, later versions included.
        version: text of a ``PriceVersion``; '' for the current one.

    Attributes:
        version: text of the table's version.

    Raises:
        ValueError: ``version`` is no version.
    """

    def __init__(self, stored: Iterable[Price] = (), version: str = "") -> None:
        rows = tuple(stored)
        as_of = PriceVersion.parse(version) if version else PriceVersion(shipped_on(), max((row.version for row in rows), default=0))
        self.version = str(as_of)
        self._levels = (
            _by_name(row for row in rows if row.version <= as_of.stored),
            _by_name(row for row in shipped() if row.added <= as_of.shipped),
        )
        self._found: dict[str, tuple[Price, ...]] = {}

    def __iter__(self) -> Iterator[Price]:
        """Yield all prices, the store's first, by model; each model's latest first."""
        for level in self._levels:
            for _, prices in sorted(level.items()):
                yield from prices

    def stored(self, price: Price) -> Price | None:
        """Return the store's price for the same model and day, None without one.

        Args:
            price: price to look up.
        """
        name, first = price.key
        return next((one for one in self._levels[0].get(name, ()) if one.valid_from == first), None)

    def find(self, model: str) -> tuple[Price, ...]:
        """Return the prices of a model, the latest first; empty without any.

        Args:
            model: name as in spans.
        """
        if (found := self._found.get(model)) is None:
            found = self._found[model] = self._find(model)
        return found

    def _find(self, model: str) -> tuple[Price, ...]:
        found: list[Price] = []
        forms = names(model)
        for price in (price for level in self._levels for form in forms for price in level.get(form, ())):
            if not found or price.valid_from < found[-1].valid_from:
                found.append(price)
        return tuple(found)

    def resolve(self, models: Iterable[str]) -> list[ResolvedPrice]:
        """Return the prices of some models in the order of their names, each model's latest first.

        Args:
            models: names as in spans.
        """
        return [
            ResolvedPrice(model, price.valid_from_ns, price.input, price.output, price.cached, price.reasoning)
            for model in sorted(set(models))
            for price in self.find(model)
        ]


def resolve(models: Iterable[str], rows: Iterable[Price], version: str = "") -> list[ResolvedPrice]:
    """Return the prices of some models as of a version.

    Args:
        models: names as in spans.
        rows: all rows of the store, see ``read``.
        version: version of prices in a row of ``traces``; '' for the current one.

    Raises:
        ValueError: ``version`` is no version.
    """
    return PriceTable(rows, version).resolve(models)


def current_version(rows: Iterable[Price]) -> str:
    """Return the text of the current version: the shipped table's and that of a store's rows."""
    return PriceTable(rows).version


def _by_name(rows: Iterable[Price]) -> Mapping[str, tuple[Price, ...]]:
    """Return the prices in effect after all writes, by name, each name's latest first."""
    left = {row.key: row for row in sorted(rows, key=lambda row: (row.version, row.added, row.model))}
    found: dict[str, list[Price]] = {}
    for (name, _), row in sorted(left.items(), key=lambda item: item[0][1], reverse=True):
        if not row.deleted:
            found.setdefault(name, []).append(row)
    return {name: tuple(prices) for name, prices in found.items()}


@cache
def shipped() -> tuple[Price, ...]:
    """Return the rows of the shipped table, in their order."""
    return read_shipped((resources.files(__package__) / _FILE).read_text(encoding="utf-8"))


def read_shipped(text: str) -> tuple[Price, ...]:
    """Read the text of a shipped table.

    Args:
        text: CSV with a header line; lines that begin with ``#`` are comments.
    """
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        Price(
            model=row["model"],
            valid_from=date.fromisoformat(row["valid_from"] or ALWAYS.isoformat()),
            input=float(row["input"]),
            output=float(row["output"]),
            cached=float(row["cached"] or UNKNOWN),
            reasoning=float(row["reasoning"] or UNKNOWN),
            source=row["source"],
            added=row["added"],
        )
        for row in csv.DictReader(lines)
    )


def shipped_on() -> str:
    """Return the date of the shipped table: the date of its last rows."""
    return max(row.added for row in shipped())

"""Cache of the prices for statements that merge parts: parameters with the prices of the parts' models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from spanhouse.schema.prices import price_store
from spanhouse.schema.prices.price_table import PriceTable, ResolvedPrice
from spanhouse.schema.tables.driver import Execute

_MOST_MODELS: Final = 1_000
"""Models kept in the cache, at most: senders can make up any number of names that have a price."""


@dataclass(slots=True)
class PriceCache:
    """Cache of a store's prices, for one thread at a time.

    Attributes:
        execute: runs a statement on the store.
    """

    execute: Execute
    _table: PriceTable | None = None
    _newest: int = 0
    _known: dict[str, list[ResolvedPrice]] = field(default_factory=dict)

    def renew(self) -> PriceTable:
        """Reload the prices if new ones were written, and return the current table."""
        newest = price_store.newest(self.execute)
        if self._table is not None and newest == self._newest:
            return self._table
        self._newest, self._table = newest, PriceTable(price_store.read(self.execute))
        self._known = {model: self._table.resolve([model]) for model in self._known}
        return self._table

    def parameters(self, models: Iterable[str]) -> Mapping[str, object]:
        """Return the parameters of a statement for these models and all models of earlier calls.

        Args:
            models: names as in spans.
        """
        table = self._table or self.renew()
        if len(self._known) > _MOST_MODELS:
            self._known.clear()
        for model in models:
            if model not in self._known and (found := table.resolve([model])):
                self._known[model] = found
        return parameters(table.version, [price for found in self._known.values() for price in found])

    def as_of(self, version: str, models: Iterable[str]) -> Mapping[str, object]:
        """Return the parameters of a statement with the prices of a version.

        Args:
            version: text of a version; '' for the current one.
            models: names as in spans.
        """
        table = PriceTable(price_store.read(self.execute), version)
        return parameters(table.version, table.resolve(models))


def parameters(version: str = "", found: Iterable[ResolvedPrice] = ()) -> Mapping[str, object]:
    """Return the price parameters of a statement that merges parts; without arguments no cost is computed."""
    return {"price_version": version, "prices": [tuple(price) for price in found]}

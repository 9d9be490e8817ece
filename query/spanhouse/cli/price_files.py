"""Lists of prices that can be imported: files of CSV or JSON, and the package ``genai-prices``."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spanhouse.cli.errors import CommandError
from spanhouse.schema.prices.price import ALWAYS, FIELDS, UNKNOWN, Price

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

GENAI_PRICES: Final = "genai-prices"
MAKERS: Final = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "cohere",
    "deepseek",
    "x-ai",
    "meta",
    "voyageai",
    "moonshotai",
    "minimax",
    "zai",
    "perplexity",
)
"""Providers in ``genai-prices`` whose names of models stand for themselves; of the same name the first one counts."""
LISTED: Final = ("prices_of", "version")
"""Columns that ``prices list`` adds, and an import passes over."""
_DAY: Final = timedelta(days=1)


def read_file(path: Path) -> list[Price]:
    """Read the prices in a file: CSV with a head line, or a JSON array of objects, with the columns of ``spanhouse prices list --format``.

    Raises:
        CommandError: it can't be read, or a line of it is no price.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = json.loads(text) if path.suffix.lower() == ".json" else list(csv.DictReader(text.splitlines()))
    except OSError as error:
        raise CommandError(f"prices import: {path}: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, csv.Error) as error:
        raise CommandError(f"prices import: {path}: neither CSV in UTF-8 nor, named *.json, JSON: {error}") from None
    if not isinstance(rows, list) or not rows:
        raise CommandError(f"prices import: {path}: no prices in it; it has a row for each, with {', '.join(FIELDS)}")
    return [_read(row, f"{path}, price {place}", path.name) for place, row in enumerate(rows, start=1)]


def _read(row: object, where: str, source: str) -> Price:
    if not isinstance(row, Mapping):
        raise CommandError(f"prices import: {where}: no object with {', '.join(FIELDS)}")
    values = {str(name): value for name, value in row.items() if name not in LISTED}
    try:
        return Price.read({**values, "source": values.get("source") or source})
    except ValueError as error:
        raise CommandError(f"prices import: {where}: {error}") from None


def read_package() -> list[Price]:
    """Return the prices of the models' makers in the installed ``genai-prices``.

    Raises:
        CommandError: it is not installed.
    """
    try:
        from genai_prices.data import providers
    except ImportError:
        raise CommandError(f"prices import: {GENAI_PRICES} is not installed: pip install 'spanhouse[prices]'") from None
    found: dict[str, list[Price]] = {}
    by_id = {provider.id: provider for provider in providers}
    for maker in MAKERS:
        for model in by_id[maker].models:
            for name in _names(model):
                found.setdefault(name, list(prices_of(model, name, maker)))
    return [price for prices in found.values() for price in prices]


def _names(model: ModelInfo) -> list[str]:
    """Return the names by which a model is known for certain."""
    clauses: list[Any] = [model.match, *getattr(model.match, "or_", ())]
    return [name.lower() for name in (model.id, *(clause.equals for clause in clauses if hasattr(clause, "equals"))) if "/" not in name]


def prices_of(model: ModelInfo, name: str, provider: str) -> Iterator[Price]:
    """Give the prices of a model in ``genai-prices`` that have a dollar for tokens, by their first days.

    Of prices that depend on the time of day, those for most of it count; of those that depend on the size of the prompt, those for small ones.
    Tokens out that have no price, as those of embeddings, cost nothing.

    Args:
        model: as the package has it.
        name: that the prices get.
        provider: its id there.
    """
    last: Price | None = None
    for first, price in sorted(_by_day(model).items()):
        if price.input_mtok is None:
            continue
        one = Price(
            model=name,
            valid_from=first,
            input=_base(price.input_mtok),
            output=_base(price.output_mtok or 0),
            cached=UNKNOWN if price.cache_read_mtok is None else _base(price.cache_read_mtok),
            source=f"{GENAI_PRICES} {version(GENAI_PRICES)}, {provider}",
        )
        if last is None or replace(one, valid_from=last.valid_from) != last:
            yield one
        last = one


def _by_day(model: ModelInfo) -> dict[date, ModelPrice]:
    if not isinstance(model.prices, list):
        return {ALWAYS: model.prices}
    found: dict[date, ModelPrice] = {}
    hours: list[tuple[timedelta, ModelPrice]] = []
    for one in model.prices:
        begin, end = getattr(one.constraint, "start_time", None), getattr(one.constraint, "end_time", None)
        if begin is None or end is None:
            found[getattr(one.constraint, "start_date", ALWAYS)] = one.prices
        else:
            hours.append((_length(begin, end), one.prices))
    longest = max(hours, key=lambda one: one[0], default=None)
    if longest is not None and longest[0] > _DAY - sum((length for length, _ in hours), timedelta()):
        found[max(found, default=ALWAYS)] = longest[1]
    return found


def _length(begin: time, end: time) -> timedelta:
    first, last = (datetime.combine(ALWAYS, at.replace(tzinfo=UTC)) for at in (begin, end))
    return (last - first) % _DAY


def _base(price: Any) -> float:
    """Return a price; of one in tiers the first."""
    return float(Decimal(getattr(price, "base", price)))


def without_repeats(prices: Iterable[Price]) -> list[Price]:
    """Return the prices, of those for the same model and day the first."""
    found: dict[tuple[str, date], Price] = {}
    for price in prices:
        found.setdefault(price.key, price)
    return list(found.values())

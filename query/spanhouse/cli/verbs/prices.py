"""``spanhouse prices``: prices of models, by which costs are computed where none was sent."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.output import show_rows
from spanhouse.cli.price_files import GENAI_PRICES, read_file, read_package, without_repeats
from spanhouse.cli.progress import show_window, waiting
from spanhouse.cli.store_access import editor, given_cluster, given_store, run_maintenance
from spanhouse.query.compare.question import read_since
from spanhouse.schema.maintenance import actions
from spanhouse.schema.prices.price import FIELDS, Price, midnight_ns, repeated
from spanhouse.schema.prices.price_store import MOST_PRICES
from spanhouse.schema.prices.price_table import PriceTable, PriceVersion

_COLUMNS: Final = ("model", "prices_of", *(name for name in FIELDS if name not in {"model", "deleted"}), "version")


def run(arguments: Namespace) -> int:
    """Run one action."""
    return _ACTIONS[arguments.action](arguments)


def _list(arguments: Namespace) -> int:
    with waiting(), editor(arguments.store) as connection:
        table = PriceTable(connection.read_prices())
    names = [arguments.model] if arguments.model else sorted({price.model for price in table})
    rows = [_row(name, price) for name in names for price in table.find(name)]
    if not rows:
        raise CommandError(f"there are no prices of {arguments.model!r}; `spanhouse prices set` sets them")
    show_rows(arguments.format, _COLUMNS, rows)
    return Exit.DONE


def _row(name: str, price: Price) -> list[object]:
    """Return a line: the name that was asked for, the one that has the prices, and the prices."""
    values = {**price.fields, "prices_of": price.model, "model": name, "version": PriceVersion(price.added, price.version)}
    return [str(values[column]) if column == "version" else values[column] for column in _COLUMNS]


def _set(arguments: Namespace) -> int:
    model = arguments.model
    first = _day(vars(arguments)["from"])
    if arguments.delete:
        return _delete(arguments, model, first)
    values = {"model": model, "source": "prices set"} | {name: getattr(arguments, name) for name in ("input", "output", "cached", "reasoning")}
    try:
        price = Price.read({**values, "from": first})
    except ValueError as error:
        raise CommandError(f"prices set: {error}") from None
    return _write(arguments, [price])


def _delete(arguments: Namespace, model: str, first: date | None) -> int:
    with editor(arguments.store) as connection:
        table = PriceTable(connection.read_prices())
        found = [price for price in table if price.version and price.model == model.strip().lower() and first in {None, price.valid_from}]
        if not found:
            since = "" if first is None else f" from {first} on"
            raise CommandError(f"the store has no prices of {model!r}{since}; `spanhouse prices list` says which it has")
        version = connection.write_prices([replace(price, deleted=True) for price in found])
    print(f"prices of {model} that are deleted: {len(found)}, as version {version}")
    return Exit.DONE


def _import(arguments: Namespace) -> int:
    package = vars(arguments)["from"]
    if not package:
        if not arguments.file:
            raise CommandError("prices import: the file, or --from genai-prices is missing (see `spanhouse prices import --help`)")
        path = Path(arguments.file)
        prices = read_file(path)
        if (wrong := repeated(prices)) is not None:
            raise CommandError(f"prices import: {path}: {wrong}")
        return _write(arguments, prices)
    if arguments.file or package != GENAI_PRICES:
        raise CommandError(f"prices import: --from takes {GENAI_PRICES}, and no file beside it")
    return _write(arguments, without_repeats(read_package()))


def _write(arguments: Namespace, prices: Iterable[Price]) -> int:
    """Write the prices that the store lacks."""
    with editor(arguments.store) as connection:
        table = PriceTable(connection.read_prices())
        new = [price for price in prices if not _same(price, table.stored(price))]
        versions = [connection.write_prices(new[first : first + MOST_PRICES]) for first in range(0, len(new), MOST_PRICES)]
    if not versions:
        print("the store has these prices already")
        return Exit.DONE
    later = f"versions {versions[0]} to {versions[-1]}" if len(versions) > 1 else f"version {versions[0]}"
    print(f"new prices: {len(new):,}, as {later}; `spanhouse prices apply --since DATE` applies them to traces that are there")
    return Exit.DONE


def _same(price: Price, other: Price | None) -> bool:
    return other is not None and replace(price, version=other.version) == other


def _apply(arguments: Namespace) -> int:
    if not arguments.since:
        raise CommandError("prices apply: --since is missing, such as 2026-01-31 or 7d")
    try:
        since_ns = midnight_ns(date.fromisoformat(arguments.since))
    except ValueError:
        since_ns = read_since(arguments.since)
    steps = partial(actions.reprice, since_ns=since_ns, cluster=given_cluster(arguments.cluster))
    with run_maintenance(arguments.store, "prices", steps, {"since_ns": since_ns}) as events:
        for event in events:
            show_window(event)
    done = f"{event['remade']} windows"
    print(f"{given_store(arguments.store)}: the rows of traces since {arguments.since} are made anew by prices {event['prices']} ({done})")
    return Exit.DONE


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise CommandError(f"--from: {text!r} is no day; write it as 2026-01-31") from None


_ACTIONS: Final[Mapping[str, Callable[[Namespace], int]]] = {"list": _list, "set": _set, "import": _import, "apply": _apply}

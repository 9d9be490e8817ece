"""Price table of a store: append-only, each write under a version number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from spanhouse.schema.prices.price import Price, fault, repeated
from spanhouse.schema.tables.driver import Execute, MigrationError, number

MOST_PRICES: Final = 500
"""Prices of one write, at most: the statement holds them, and some drivers send it in a URL."""
_TRIES: Final = 100

_READ: Final = (
    "SELECT Version, Model, toString(ValidFrom), Input, Output, Cached, Reasoning, Source, Deleted "
    "FROM spanhouse_prices ORDER BY Version, Model, ValidFrom"
)
_NEWEST: Final = "SELECT max(Version) FROM spanhouse_prices"
_EXISTS: Final = "EXISTS TABLE spanhouse_prices"
_WRITE: Final = """INSERT INTO spanhouse_prices (Version, Model, ValidFrom, Input, Output, Cached, Reasoning, Source, Deleted)
SETTINGS insert_deduplicate = 1, async_insert = 0, insert_deduplication_token = 'prices {version}'
SELECT {{version:UInt64}}, Model, toDate(ValidFrom), Input, Output, Cached, Reasoning, Source, Deleted
FROM system.one
ARRAY JOIN
    {{models:Array(String)}} AS Model,
    {{days:Array(String)}} AS ValidFrom,
    {{inputs:Array(Float64)}} AS Input,
    {{outputs:Array(Float64)}} AS Output,
    {{cached:Array(Float64)}} AS Cached,
    {{reasoning:Array(Float64)}} AS Reasoning,
    {{sources:Array(String)}} AS Source,
    {{deleted:Array(UInt8)}} AS Deleted"""


def read(execute: Execute) -> tuple[Price, ...]:
    """Return all rows of a store, of all versions.

    Args:
        execute: runs a statement on the store; need not write.
    """
    return tuple(_row(row) for row in execute(_READ))


def newest(execute: Execute) -> int:
    """Return the number of the last write; 0 without any. Cheaper than ``read``, to learn whether a read is due."""
    return number(execute(_NEWEST)[0][0])


def _row(row: Sequence[object]) -> Price:
    version, model, day, *four, source, deleted = row
    values = [float(str(value)) for value in four]
    return Price(
        model=str(model),
        valid_from=date.fromisoformat(str(day)),
        input=values[0],
        output=values[1],
        cached=values[2],
        reasoning=values[3],
        source=str(source),
        deleted=bool(number(deleted)),
        version=number(version),
    )


def write(execute: Execute, rows: Sequence[Price]) -> int:
    """Write prices under the next version, and return its number. Concurrent writers get a version each.

    Args:
        execute: runs a statement on the store.
        rows: 1 to ``MOST_PRICES`` prices, no two of the same model and day; their own versions are ignored.

    Raises:
        MigrationError: there are none or too many, two are of the same model and day, or other writers were faster each time.
    """
    _check(rows)
    version = 0
    for _ in range(_TRIES):
        version = max(version, newest(execute)) + 1
        if write_as(execute, version, rows):
            return version
    raise MigrationError("prices can't be written: other writers were faster each time")


def write_as(execute: Execute, version: int, rows: Sequence[Price]) -> bool:
    """Write prices under a version unless the version has others; return True if it has these now.

    The engine stores only the first block with a version's token.
    """
    rows = sorted((replace(row, version=version, added="") for row in rows), key=lambda row: (row.model, row.valid_from))
    parameters = {
        "version": version,
        "models": [row.model for row in rows],
        "days": [row.valid_from.isoformat() for row in rows],
        "inputs": [row.input for row in rows],
        "outputs": [row.output for row in rows],
        "cached": [row.cached for row in rows],
        "reasoning": [row.reasoning for row in rows],
        "sources": [row.source for row in rows],
        "deleted": [int(row.deleted) for row in rows],
    }
    execute(_WRITE.format(version=version), parameters)
    return [row for row in read(execute) if row.version == version] == rows


def _check(rows: Sequence[Price]) -> None:
    if not 1 <= len(rows) <= MOST_PRICES:
        raise MigrationError(f"a write of prices has 1 to {MOST_PRICES} of them, not {len(rows)}")
    wrong = next(filter(None, map(fault, rows)), None) or repeated(rows)
    if wrong is not None:
        raise MigrationError(wrong)


def push(source: Execute, target: Execute) -> int:
    """Copy a store's prices into another one under their versions, and return the number of rows; -1 if the target has prices of its own, which stay.

    Args:
        source: runs a statement on the store that is copied; need not write, and may be a store of a pre-release.
        target: runs a statement on the target.

    Raises:
        MigrationError: prices are written into the target meanwhile.
    """
    here = read(source) if number(source(_EXISTS)[0][0]) else ()
    there = read(target)
    if set(there) - set(here):
        return -1
    missing = sorted({row.version for row in here} - {row.version for row in there})
    for version in missing:
        if not write_as(target, version, [row for row in here if row.version == version]):
            raise MigrationError("prices were written into the target meanwhile: run it again")
    return len(here)

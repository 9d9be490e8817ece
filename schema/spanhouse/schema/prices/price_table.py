"""Prices of models: those that come with this version, those of a store, and the choice between them for a model's name as spans have it.

The shipped table is a CSV file whose rows are never changed, only added to, each with the date on which it was added. A store's table is append-only
as well, each write under a number. So a ``PriceVersion``, the date of the one and the number of the other, says for ever what was current.

Names are compared in lower case and with ``.`` between digits as ``-``. A name has shorter forms: without what names its vendor or host, then without
dates and revisions at its end. The longest form that has a price counts, of a store's prices first; earlier days than its first are left to the next.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from spanhouse.schema.tables.driver import Execute, MigrationError, number

UNKNOWN: Final = -1.0
"""Stands for a price that is not known."""
ALWAYS: Final = date(1970, 1, 1)
"""First day of prices that hold for all times."""
LAST_DAY: Final = date(2149, 6, 6)
"""The last that the engine's Date holds."""
MOST_PRICES: Final = 500
"""Prices of a write: where a statement goes in a URL, it holds them."""
MOST_CHARACTERS: Final = 200
"""Of a model's name, and of a source."""
MOST_USD: Final = 1e6
"""Per million tokens."""
FIELDS: Final = ("model", "from", "input", "output", "cached", "reasoning", "source", "deleted")
"""Names of a price's values in CSV and JSON."""
_FILE: Final = "prices.csv"
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

_VENDORS: Final = (
    "openai|azure|azure_ai|azure_openai|anthropic|google|google-gla|google-vertex|gemini|vertex|vertex_ai|vertexai|bedrock|bedrock_converse|"
    "aws|amazon|mistral|mistralai|cohere|cohere_chat|deepseek|xai|x-ai|groq|together|together_ai|fireworks|fireworks_ai|voyage|voyageai|"
    "openrouter|litellm|litellm_proxy|models|publishers|converse|invoke|us|eu|global"
)
_PREFIX: Final = re.compile(rf"(?:(?:{_VENDORS}|[a-z]{{2}}(?:-gov)?-[a-z]+-\d)[/:]|arn:[^/]*/|projects/[^/]+/locations/[^/]+/)")
"""A vendor, a host that charges the vendor's price, a gateway, or a region, before a name; or the begin of a path at AWS or Google."""
_BEDROCK: Final = re.compile(
    r"(?:(?:us|us-gov|eu|apac|jp|au|ca|global)\.)?(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen)\.(?=[a-z])"
)
"""A region and a vendor before a name of Amazon Bedrock."""
_BEDROCK_REVISION: Final = re.compile(r"(?:-v\d+|-\d(?=:))?(?::\d+)?(?::\d+k)?\Z")
"""A revision, and the size of a context, at the end of such a name."""
_SUFFIX: Final = re.compile(
    r"(?:"
    r"-20\d\d-\d\d-\d\d|-20\d{6}|-\d\d-20\d\d"  # 2024-08-06, 20241022, 08-2024
    r"|@20\d{6}|@\d{3}|@latest|@default"
    r"|(?:(?<=-preview)|(?<=-exp))-\d\d-\d\d"
    r"|-\d{3,4}"  # 002, 0613, 2411
    r"|-latest|-preview|-exp|-experimental|-beta"
    r"|-v\d+:\d+(?::\d+k)?"
    r")\Z"
)
"""A date, a revision or a stage of release at the end of a name."""
_TUNED: Final = "ft:"
"""Begins the name of a tuned model, whose price is not that of the model it was made from; owner and name of the tuned one follow after colons."""
_POINT: Final = re.compile(r"(?<=\d)\.(?=\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Prices of a model from a day on, in USD per million tokens.

    Attributes:
        model: its name, in lower case.
        valid_from: the first day, in UTC.
        input, output: of tokens in and out.
        cached: of tokens in that came from a cache; ``UNKNOWN`` if not known.
        reasoning: of tokens out that were reasoning; ``UNKNOWN`` if not known.
        source: where the prices come from.
        deleted: True if there are none any more.
        version: number of the write in the store; 0 for the shipped table.
        added: of the shipped table, the date on which the row was added; '' for a store's.
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
            values: by the names of ``FIELDS``; what is left out is not known, or has its default.

        Raises:
            ValueError: it is none that can be written; in one line.
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
        """Values by the names of ``FIELDS``, as ``read`` takes them."""
        usd = {"input": self.input, "output": self.output, "cached": self.cached, "reasoning": self.reasoning}
        known = {name: None if value == UNKNOWN else value for name, value in usd.items()}
        return {"model": self.model, "from": self.valid_from.isoformat(), **known, "source": self.source, "deleted": self.deleted}

    @property
    def valid_from_ns(self) -> int:
        """The first moment, in Unix nanoseconds."""
        return midnight_ns(self.valid_from)

    @property
    def key(self) -> tuple[str, date]:
        """Tell it from others: two names that are compared as one have the same."""
        return _key(self.model), self.valid_from


class ResolvedPrice(NamedTuple):
    """Prices of a model, as SQL takes them.

    Attributes:
        model: its name as it was sent.
        valid_from_ns: the first moment at which they hold, in Unix nanoseconds.
        input, output, cached, reasoning: USD per million tokens; ``UNKNOWN`` where not known.
    """

    model: str
    valid_from_ns: int
    input: float
    output: float
    cached: float
    reasoning: float


class PriceVersion(NamedTuple):
    """State of both tables. Its text is the date of the shipped one and, if the store has prices, ``+`` and the number of their last write."""

    shipped: str
    stored: int

    def __str__(self) -> str:
        return f"{self.shipped}+{self.stored}" if self.stored else self.shipped

    @classmethod
    def parse(cls, text: str) -> PriceVersion:
        """Read the text of a version.

        Raises:
            ValueError: it is none.
        """
        day, plus, write = text.partition("+")
        return cls(date.fromisoformat(day).isoformat(), int(write) if plus else 0)


class PriceTable:
    """Prices as of a version. It answers the same in each process that has the same stored rows.

    Args:
        stored: all rows of the store, of later versions too.
        version: text of a ``PriceVersion``; '' for the current one.

    Attributes:
        version: text of the version that it has.

    Raises:
        ValueError: the version is none.
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
        """Give all prices, the store's first, by model; each model's latest first."""
        for level in self._levels:
            for _, prices in sorted(level.items()):
                yield from prices

    def stored(self, price: Price) -> Price | None:
        """Return what the store has for the same model and day, if anything.

        Args:
            price: any.
        """
        name, first = price.key
        return next((one for one in self._levels[0].get(name, ()) if one.valid_from == first), None)

    def find(self, model: str) -> tuple[Price, ...]:
        """Return the prices of a model, the latest first; none if there are no prices for it.

        Args:
            model: its name as spans have it.
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
            models: names as spans have them.
        """
        return [
            ResolvedPrice(model, price.valid_from_ns, price.input, price.output, price.cached, price.reasoning)
            for model in sorted(set(models))
            for price in self.find(model)
        ]


def resolve(models: Iterable[str], rows: Iterable[Price], version: str = "") -> list[ResolvedPrice]:
    """Return the prices of some models as of a version.

    Args:
        models: names as spans have them.
        rows: all rows of the store, see ``read``.
        version: that of a row of ``traces``; '' for the current one.

    Raises:
        ValueError: the version is none.
    """
    return PriceTable(rows, version).resolve(models)


def current_version(rows: Iterable[Price]) -> str:
    """Return the text of the version that the shipped table and a store's rows come to."""
    return PriceTable(rows).version


def names(model: str) -> tuple[str, ...]:
    """Return the forms of a model's name, the longest first, as prices are found by them.

    Args:
        model: its name as spans have it.
    """
    forms: dict[str, None] = {}
    form = model.strip().lower()
    stems = [form]
    if form.startswith(_TUNED):
        form = ":".join(form.split(":")[:2])
        stems.append(form)
    while found := _PREFIX.match(form):
        form = form[found.end() :]
        stems.append(form)
    if found := _BEDROCK.match(form):
        form = form[found.end() :]
        stems += [form, _BEDROCK_REVISION.sub("", form)]
    for stem in stems:
        forms[_key(stem)] = None
    form = stems[-1]
    while found := _SUFFIX.search(form):
        form = form[: found.start()]
        forms[_key(form)] = None
    return tuple(one for one in forms if one)


def _key(name: str) -> str:
    return _POINT.sub("-", name)


def _by_name(rows: Iterable[Price]) -> Mapping[str, tuple[Price, ...]]:
    """Return the prices that are left after all writes, by name, each name's latest first."""
    left = {row.key: row for row in sorted(rows, key=lambda row: (row.version, row.added, row.model))}
    found: dict[str, list[Price]] = {}
    for (name, _), row in sorted(left.items(), key=lambda item: item[0][1], reverse=True):
        if not row.deleted:
            found.setdefault(name, []).append(row)
    return {name: tuple(prices) for name, prices in found.items()}


@cache
def shipped() -> tuple[Price, ...]:
    """Return the rows of the table that comes with this version, in their order."""
    return read_shipped((resources.files(__package__) / _FILE).read_text(encoding="utf-8"))


def read_shipped(text: str) -> tuple[Price, ...]:
    """Read the text of such a table.

    Args:
        text: CSV with a head line; lines that begin with ``#`` are for people.
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
    """Return the date of the shipped table: that of its last rows."""
    return max(row.added for row in shipped())


def read(execute: Execute) -> tuple[Price, ...]:
    """Return all rows of a store, of all versions.

    Args:
        execute: runs a statement on the store; need not write.
    """
    return tuple(_row(row) for row in execute(_READ))


def newest(execute: Execute) -> int:
    """Return the number of the last write; 0 without any. It costs less than ``read``, and says whether that is due."""
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
    """Write prices, all of them under the next version, and return its number. Of several writers at a time each gets a version of its own.

    Args:
        execute: runs a statement on the store.
        rows: 1 to ``MOST_PRICES``, no two of the same model and day; their own versions don't count.

    Raises:
        MigrationError: there are none or too many, two are of the same model and day, or the store takes none.
    """
    _check(rows)
    version = 0
    for _ in range(_TRIES):
        version = max(version, newest(execute)) + 1
        if write_as(execute, version, rows):
            return version
    raise MigrationError("prices can't be written: other writers were faster each time")


def write_as(execute: Execute, version: int, rows: Sequence[Price]) -> bool:
    """Write prices under a version, unless others were written under it; return whether it has these now.

    The engine takes one block under a version's token, whoever comes first.
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


def repeated(rows: Iterable[Price]) -> str | None:
    """Return in one line which model has two prices from the same day on; None if none has."""
    seen: set[tuple[str, date]] = set()
    for row in rows:
        if row.key in seen:
            return f"{row.model} has two prices from {row.valid_from} on: which one holds?"
        seen.add(row.key)
    return None


def fault(price: Price) -> str | None:
    """Return in one line why a price can't be written; None if it can."""
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


def push(source: Execute, target: Execute) -> int:
    """Copy a store's prices into another one under their versions, and return the number of rows; -1 if the target has prices of its own, which stay.

    Args:
        source: runs a statement on the store that is copied; need not write, and may be a store of a pre-release.
        target: runs a statement on the other one.

    Raises:
        MigrationError: somebody writes prices there meanwhile.
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


def midnight_ns(day: date) -> int:
    """Return the first moment of a day in UTC, in Unix nanoseconds."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9

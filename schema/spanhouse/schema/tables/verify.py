"""Verification of a store's tables: compared, column by column, with the same tables created in an empty database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spanhouse.schema.tables.driver import Execute

_SHOWN: Final = 60
_BEFORE: Final = 20
_DATABASE: Final = "SELECT currentDatabase()"
_TABLES: Final = (
    "SELECT name, engine, partition_key, sorting_key, if(engine IN ('View', 'MaterializedView'), toValidUTF8(create_table_query), ''), comment "
    "FROM system.tables WHERE database = currentDatabase() ORDER BY name"
)
_COLUMNS: Final = (
    "SELECT table, name, type, default_kind, default_expression, compression_codec, comment "
    "FROM system.columns WHERE database = currentDatabase() ORDER BY table, position"
)
_INDEXES: Final = (
    "SELECT table, name, type_full, expr, granularity FROM system.data_skipping_indices WHERE database = currentDatabase() ORDER BY table, name"
)


def differences(store: Execute, made_anew: Execute) -> Iterator[str]:
    """Yield one line for each thing that the store lacks or has in another form. Other tables are the user's own, and ignored.

    Args:
        store: runs a statement on the store.
        made_anew: runs a statement in a database whose tables were all just created.
    """
    missing: set[str] = set()
    for kind, query, parts in (
        ("table", _TABLES, ("engine", "partition key", "sorting key", "text", "comment")),
        ("column", _COLUMNS, ("type", "default", "default", "codec", "comment")),
        ("index", _INDEXES, ("type", "expression", "granularity")),
    ):
        names = 1 if kind == "table" else 2
        there, wanted = _read(store, query, names), _read(made_anew, query, names)
        for name, values in wanted.items():
            table = name.partition(".")[0]
            if name not in there:
                if table not in missing:
                    yield f"{kind} {name} is missing"
                missing.add(name)
                continue
            for part, value, other in zip(parts, values, there[name], strict=True):
                if value != other:
                    yield f"{kind} {name} has another {part}: {_shown(other, value)} instead of {_shown(value, other)}"


def _read(execute: Execute, query: str, names: int) -> dict[str, tuple[str, ...]]:
    """Read rows by the name in their first cells. The engine writes the database before each table in a view's text; it is removed."""
    database = str(execute(_DATABASE)[0][0])
    rows = [[str(cell).replace(f"{database}.", "") for cell in row] for row in execute(query)]
    return {".".join(row[:names]): tuple(row[names:]) for row in rows}


def _shown(value: str, other: str) -> str:
    """Return a value, or its part around the first difference."""
    same = next((index for index, pair in enumerate(zip(value, other, strict=False)) if len(set(pair)) > 1), min(len(value), len(other)))
    begin = max(0, same - _BEFORE) if len(value) > _SHOWN else 0
    text = " ".join(value[begin : begin + _SHOWN].split())
    return repr(f"{'...' if begin else ''}{text}{'...' if begin + _SHOWN < len(value) else ''}")

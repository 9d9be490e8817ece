"""The closed list of substitutions in migration files, rendered from the vocabulary.

A file may hold the names in ``SUBSTITUTIONS`` in braces and nothing else; the runner refuses any other name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from spanhouse.schema import vocabulary
from spanhouse.schema.hot_keys import FEW_VALUES, HOT_COLUMNS, own_bit

_SCALARS: Final = "kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64"
_ELEMENT: Final = f"Tuple({_SCALARS}, bytes_value String)"
_ANY_VALUE: Final = f"Tuple({_SCALARS}, array_value Tuple(values Array({_ELEMENT})), bytes_value String)"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _first_of(names: tuple[str, ...]) -> str:
    """SQL that gives the first value of map ``own`` that is not '', in the order of ``names``."""
    *rest, last = (f"own[{_literal(name)}]" for name in names)
    return "".join(f"if({value} != '', {value}, " for value in rest) + last + ")" * len(rest)


def _process_metadata() -> str:
    """SQL over a row of otel_traces: its resource attributes, what its span says of the process, and each alias under its MLflow key."""
    names = ", ".join(_literal(name) for name in vocabulary.process_key_names())
    aliases = ", ".join(f"{_literal(key.mlflow)}, {_first_of(key.aliases)}" for key in vocabulary.PROCESS_KEYS if key.aliases)
    own = (
        "mapUpdate(CAST(ResourceAttributes, 'Map(String, String)'), "
        f"mapFilter((k, v) -> k IN ({names}), CAST(SpanAttributes, 'Map(String, String)')))"
    )
    return f"arrayMap(own -> mapUpdate(mapFilter((k, v) -> v != '', map({aliases})), own), [{own}])[1]"


def _carrier_metadata() -> str:
    """The same over a span that was gathered with its maps, as ``carrier``."""
    gathered = {
        "CAST(ResourceAttributes, 'Map(String, String)')": "carrier.resource",
        "CAST(SpanAttributes, 'Map(String, String)')": "carrier.attributes",
    }
    sql = _process_metadata()
    for row, carrier in gathered.items():
        sql = sql.replace(row, carrier)
    return sql


def _hot_columns() -> str:
    """Definitions of the columns for hot keys, and of ``Own``."""
    lines = []
    for key, column in HOT_COLUMNS.items():
        name = _literal(key)
        column_type, codec = ("LowCardinality(String)", "LZ4") if key in FEW_VALUES else ("String", "ZSTD(1)")
        value = f"if(mapContains(TraceMetadata, {name}), TraceMetadata, ProcessMetadata)[{name}]"
        lines.append(f"    {column} {column_type} MATERIALIZED {value} CODEC({codec}),")
    bits = " + ".join(f"{1 << own_bit(key)} * mapContains(TraceMetadata, {_literal(key)})" for key in HOT_COLUMNS)
    return "\n".join([*lines, f"    Own UInt8 MATERIALIZED {bits} CODEC(LZ4),"])


def _hot_columns_of_metadata() -> str:
    """Commands of an ALTER by which the columns for hot keys, and ``Own``, follow from ``Metadata`` and ``TraceKeys``."""
    columns = [f"{column} MATERIALIZED Metadata[{_literal(key)}]" for key, column in HOT_COLUMNS.items()]
    bits = " + ".join(f"{1 << own_bit(key)} * has(TraceKeys, {_literal(key)})" for key in HOT_COLUMNS)
    return ",\n".join(f"    MODIFY COLUMN {column}" for column in (*columns, f"Own MATERIALIZED {bits}"))


SUBSTITUTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "attribute_map": f"Map(String, {_ANY_VALUE})",
        "process_metadata": _process_metadata(),
        "carrier_metadata": _carrier_metadata(),
        "hot_columns": _hot_columns(),
        "hot_columns_of_metadata": _hot_columns_of_metadata(),
    }
)

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


def substitute(sql: str) -> str:
    """Fill in the placeholders of a migration's text.

    Raises:
        KeyError: it names a substitution that is not in the list.
    """
    return _PLACEHOLDER.sub(lambda found: SUBSTITUTIONS[found.group(1)], sql)

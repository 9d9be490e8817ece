"""The closed list of substitutions in SQL files, rendered from the vocabulary.

A file may hold the names in ``SUBSTITUTIONS`` in braces, some with an argument in parentheses, and nothing else; the runner refuses any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from spanhouse.schema import vocabulary

_SCALARS: Final = "kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64"
_ELEMENT: Final = f"Tuple({_SCALARS}, bytes_value String)"
_ANY_VALUE: Final = f"Tuple({_SCALARS}, array_value Tuple(values Array({_ELEMENT})), bytes_value String)"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _literals(names: Iterable[str]) -> str:
    return ", ".join(map(_literal, names))


def _first_of(attributes: str, names: tuple[str, ...]) -> str:
    """Render SQL that gives the first value of a map that is not '', in the order of ``names``."""
    *rest, last = (f"{attributes}[{_literal(name)}]" for name in names)
    return "".join(f"if({value} != '', {value}, " for value in rest) + last + ")" * len(rest)


def _effective(process: str) -> str:
    """Render SQL over a map of process metadata: the map, and each alias under its MLflow key. A detected environment yields to a named one."""
    keys = [key for key in vocabulary.PROCESS_KEYS if key.aliases]
    names = ", ".join(f"[{_literals((key.mlflow, *key.aliases))}]" for key in keys)
    detected = f"names[1] = {_literal(vocabulary.SOURCE_TYPE.mlflow)} AND v IN ({_literals(vocabulary.DETECTED_SOURCE_TYPES)})"
    named = f"arraySort(v -> {detected}, arrayFilter(v -> v != '', arrayMap(name -> {process}[name], names)))[1]"
    values = f"mapFromArrays([{_literals(key.mlflow for key in keys)}], arrayMap(names -> {named}, [{names}]))"
    return f"mapUpdate({process}, mapFilter((k, v) -> v != '', {values}))"


SUBSTITUTIONS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "attribute_map": lambda _: f"Map(String, {_ANY_VALUE})",
        "process_keys": lambda _: _literals(vocabulary.process_key_names()),
        "session": lambda attributes: _first_of(attributes, vocabulary.SESSION_ATTRIBUTES),
        "user": lambda attributes: _first_of(attributes, vocabulary.USER_ATTRIBUTES),
        "effective": _effective,
    }
)
"""Name -> what renders it of the argument, '' for a name without one."""

_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?:\(([\w.]+)\))?\}")
_FILLED_LATER: Final = frozenset({"parts", "settled", "columns", "placed", "first"})
"""Names that stay: pieces of statements, which ``settle`` fills in."""


def substitute(sql: str) -> str:
    """Fill in the placeholders of a file's text.

    Raises:
        KeyError: it names a substitution that is not in the list.
    """
    return _PLACEHOLDER.sub(lambda found: found[0] if found[1] in _FILLED_LATER else SUBSTITUTIONS[found[1]](found[2] or ""), sql)

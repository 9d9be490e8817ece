"""Substitutions in SQL files, a closed list, rendered from the vocabulary.

A file may have the names in ``SUBSTITUTIONS`` in braces, some with an argument in parentheses; the runner refuses any other name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from spanhouse.schema import conventions, vocabulary
from spanhouse.schema.conventions import literal, literals

_SCALARS: Final = "kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64"
_ELEMENT: Final = f"Tuple({_SCALARS}, bytes_value String)"
_ANY_VALUE: Final = f"Tuple({_SCALARS}, array_value Tuple(values Array({_ELEMENT})), bytes_value String)"


def _codes(attributes: str) -> str:
    """Render SQL for the code of each attribute in a span's map, 0 for attributes without meaning here."""
    keys, codes = zip(*conventions.codes(), strict=True)
    code = f"transform(k, [{literals(keys)}], [{', '.join(map(str, codes))}], toUInt16(0))"
    said = f"v != '' AND NOT startsWith(v, {literal(conventions.SCRUBBED)})"
    no_type = f"({code} AS code) NOT IN ({conventions.codes_of(conventions.FIELDS['type'][1:])})"
    known = f"{said} AND ({no_type} OR lower(v) IN ({literals(conventions.SPAN_TYPES)}))"
    return f"arrayMap((k, v) -> if({known}, code, 0), mapKeys({attributes}), mapValues({attributes}))"


def _sorted(attributes: str) -> str:
    """Render SQL for the values with a code in a span's map, sorted by their codes; over the map and ``codes``."""
    said = f"arrayFilter((v, code) -> code > 0, mapValues({attributes}), codes)"
    return f"arraySort((v, code) -> code, {said}, arrayFilter(code -> code > 0, codes))"


def _effective(process: str) -> str:
    """Render SQL that adds to a map of process metadata the value of each key from its aliases. A named value outranks a detected one."""
    keys = {key.mlflow: key.names for key in vocabulary.PROCESS_KEYS if key.aliases}
    keys[vocabulary.SERVICE_NAME] = (vocabulary.SERVICE_NAME, vocabulary.PROJECT_NAME)
    names = ", ".join(f"[{literals(names)}]" for names in keys.values())
    environment = f"names[1] = {literal(vocabulary.SOURCE_TYPE.mlflow)} AND v IN ({literals(vocabulary.DETECTED_SOURCE_TYPES)})"
    service = f"names[1] = {literal(vocabulary.SERVICE_NAME)} AND startsWith(v, {literal(vocabulary.UNNAMED_SERVICE)})"
    named = f"arraySort(v -> {environment} OR {service}, arrayFilter(v -> v != '', arrayMap(name -> {process}[name], names)))[1]"
    values = f"mapFromArrays([{literals(keys)}], arrayMap(names -> {named}, [{names}]))"
    return f"mapUpdate({process}, mapFilter((k, v) -> v != '', {values}))"


SUBSTITUTIONS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "attribute_map": lambda _: f"Map(String, {_ANY_VALUE})",
        "process_keys": lambda _: literals(vocabulary.process_key_names()),
        "codes": _codes,
        "sorted": _sorted,
        "keys": lambda name: literals(conventions.FIELDS[name]),
        "field": lambda name: str(conventions.field_number(name)),
        "said": conventions.said_sql,
        "numbers": lambda _: conventions.numbers_sql(),
        "number": conventions.number_sql,
        "words": lambda _: conventions.words_sql(),
        "words_of": conventions.words_of_sql,
        "letter": lambda name: literal(conventions.letter(name)),
        "type": conventions.type_sql,
        "tells": conventions.tells_sql,
        "told": conventions.told_sql,
        "tool_metadata": lambda _: literal(conventions.TOOL_METADATA),
        "messages": lambda raw: conventions.messages_sql(f"{raw}.1", f"{raw}.2"),
        "preview": lambda raw: conventions.preview_sql(f"{raw}.1", f"{raw}.2"),
        "preview_characters": lambda _: str(conventions.PREVIEW_CHARACTERS),
        "template": conventions.template_sql,
        "tag_lists": lambda _: literals(conventions.TAG_LISTS),
        "effective": _effective,
    }
)
"""Name -> function that renders it from the argument, which is '' for a name without one."""

_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?:\(([\w.]+)\))?\}")
_FILLED_LATER: Final = frozenset({"parts", "settled", "columns", "placed", "first", "spans", "owners"})
"""Names that stay: ``settle`` fills in these pieces of statements."""


def substitute(sql: str) -> str:
    """Fill in the placeholders of a file's text.

    Raises:
        KeyError: the text has a name that is not in the list.
    """
    return _PLACEHOLDER.sub(lambda found: found[0] if found[1] in _FILLED_LATER else SUBSTITUTIONS[found[1]](found[2] or ""), sql)

"""Parsing of statements by the engine itself, without running them.

The text is a bound value, so it can only be data. The engine's formatter returns it as one statement without comments; the syntax tree is made
from that text, and the same text runs: the checked statement is the executed one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from spanhouse.exporter.clickhouse_http.engine_connection import Connection, escape
from spanhouse.exporter.clickhouse_http.engine_errors import (
    BAD_ARGUMENTS,
    NOT_IMPLEMENTED,
    READONLY,
    TOO_DEEP_RECURSION,
    EngineError,
    QueryRefusedError,
)

Node = Mapping[str, Any]
"""Node of the syntax tree: ``type`` and fields."""

TOO_DEEP: Final = "The statement is nested too deeply for this endpoint"

_SELECT: Final = "SELECT * FROM "
# Statements without a JSON syntax tree; their keywords are followed by a table as after FROM, and parsed as that.
_PREFIXES: Final = ("DESCRIBE TABLE ", "EXISTS TABLE ", "EXISTS VIEW ", "SHOW CREATE TABLE ", "SHOW CREATE VIEW ")

# formatQuerySingleLine refuses more than one statement.
_PARSE: Final = "WITH formatQuerySingleLine({statement:String}) AS text SELECT text, normalizeQuery(text), parseQueryToJSON(text)"
_FORMAT: Final = "WITH formatQuerySingleLine({statement:String}) AS text SELECT text, normalizeQuery(text)"
_PRINT: Final = "SELECT formatQueryFromJSON({tree:String})"

_NO_TREE: Final = "does not support JSON serialization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Parsed statement.

    Attributes:
        text: the statement as the engine formats it.
        shape: the same with ``?`` for numbers and strings.
        prefix: leading keywords that the tree has as ``SELECT * FROM``; '' for none.
        tree: its syntax tree.
    """

    text: str
    shape: str
    prefix: str
    tree: Node

    @property
    def asks_existence(self) -> bool:
        """True for EXISTS, which has an answer for a missing table."""
        return self.prefix.startswith("EXISTS ")


def parse(connection: Connection, text: str) -> Statement:
    """Parse a text that must be one statement.

    Raises:
        EngineError: the text is no statement, or several.
        QueryRefusedError: the statement is of a kind without a syntax tree to check.
    """
    try:
        return _parse_select(connection, text)
    except EngineError as error:
        if error.code != BAD_ARGUMENTS:
            raise
        if _NO_TREE not in error.message:
            raise QueryRefusedError(NOT_IMPLEMENTED, "This endpoint can't check this statement: the engine has no syntax tree for it") from None
    ((canonical, shape),) = connection.rows(_FORMAT, {"statement": escape(text)})
    prefix = next((prefix for prefix in _PREFIXES if canonical.startswith(prefix)), None)
    if prefix is None:
        raise QueryRefusedError(READONLY, "This endpoint runs SELECT, EXPLAIN, SHOW, DESCRIBE and EXISTS, not this kind of statement")
    return replace(_parse_select(connection, _SELECT + canonical.removeprefix(prefix)), text=canonical, shape=shape, prefix=prefix)


def _parse_select(connection: Connection, text: str) -> Statement:
    ((canonical, shape, tree),) = connection.rows(_PARSE, {"statement": escape(text)})
    try:
        return Statement(text=canonical, shape=shape, prefix="", tree=json.loads(tree))
    except RecursionError:
        raise QueryRefusedError(TOO_DEEP_RECURSION, TOO_DEEP) from None


def hoist_settings(connection: Connection, statement: Statement) -> tuple[Statement, dict[str, str]]:
    """Remove the SETTINGS of the whole statement; those of subqueries stay.

    Returns:
        The statement without them, parsed again, and their values by name.

    Raises:
        QueryRefusedError: a value is not a plain number or string.
    """
    settings: dict[str, str] = {}
    tree = _without_settings(statement.tree, settings)
    if tree == statement.tree:
        return statement, {}
    ((printed,),) = connection.rows(_PRINT, {"tree": escape(json.dumps(tree))})
    text = statement.prefix + printed.removeprefix(_SELECT) if statement.prefix else printed
    return parse(connection, text), settings


def without_format(text: str) -> str:
    """Return a formatted statement without the FORMAT at its end."""
    return text[: text.rindex(" FORMAT ")]


def _without_settings(tree: Node, settings: dict[str, str]) -> Node:
    tree = _without(tree, "settings_ast", settings)
    match tree:
        case {"type": "ExplainQuery", "query": query}:
            return {**tree, "query": _without_settings(query, settings)}
        case {"type": "SelectWithUnionQuery", "list_of_selects": selects}:
            members = [_without(select, "settings", settings) if select["type"] == "SelectQuery" else select for select in selects["children"]]
            return {**tree, "list_of_selects": {**selects, "children": members}}
    return tree


def _without(node: Node, key: str, settings: dict[str, str]) -> Node:
    if key not in node:
        return node
    clause = node[key]
    if clause.keys() - {"type", "changes"}:
        raise QueryRefusedError(READONLY, "Only SETTINGS name = value is supported, not DEFAULT or parameters")
    for change in clause["changes"]:
        value = change["value"]
        if value["field_type"] not in {"UInt64", "Int64", "Float64", "String", "Bool"}:
            raise QueryRefusedError(READONLY, f"The value of setting {change['name']!r} must be a number or a string")
        settings[change["name"]] = str(int(value["value"])) if isinstance(value["value"], bool) else str(value["value"])
    return {name: field for name, field in node.items() if name != key}

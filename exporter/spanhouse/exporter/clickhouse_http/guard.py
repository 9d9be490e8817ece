"""SQL guard: checks a statement's syntax tree against the allow-lists, node by node, and refuses anything else.

``readonly = 1`` is the other half: with it the engine itself refuses writes. It does not stop INTO OUTFILE, the function ``file``, a file's path
as a table's name, or ``sleep``; the guard does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from spanhouse.exporter.clickhouse_http import allowlist
from spanhouse.exporter.clickhouse_http.catalogue import Catalogue
from spanhouse.exporter.clickhouse_http.engine_errors import (
    ACCESS_DENIED,
    BAD_ARGUMENTS,
    READONLY,
    TOO_DEEP_RECURSION,
    UNKNOWN_FUNCTION,
    UNKNOWN_QUERY_PARAMETER,
    UNKNOWN_TABLE,
    QueryRefusedError,
)
from spanhouse.exporter.clickhouse_http.output_formats import format_named
from spanhouse.exporter.clickhouse_http.syntax_tree import TOO_DEEP, Node, Statement

_NO_NAMES: Final[frozenset[str]] = frozenset()


def check_kind(statement: Statement) -> None:
    """Refuse a statement of a kind that does not only read.

    Raises:
        QueryRefusedError: the statement may write.
    """
    if statement.tree.get("type") not in allowlist.STATEMENTS:
        raise QueryRefusedError(READONLY, "This endpoint only reads: it runs SELECT, EXPLAIN, SHOW, DESCRIBE and EXISTS")


def output_format(statement: Statement) -> str | None:
    """Return the output format that a statement names, None without one.

    Raises:
        QueryRefusedError: the endpoint does not write this format.
    """
    return _output(statement.tree)[1]


def check(statement: Statement, *, catalogue: Catalogue, database: str, parameters: Mapping[str, str]) -> str | None:
    """Refuse a statement, its SETTINGS already removed, that is not permitted.

    Args:
        statement: as the engine parsed it.
        catalogue: existing tables and functions.
        database: default database of tables.
        parameters: values of the query's parameters; those of type Identifier are names in the statement.

    Returns:
        The output format that the statement names, None without one.

    Raises:
        QueryRefusedError: the statement may not run.
    """
    check_kind(statement)
    try:
        tree, named = _output(statement.tree)
        _TreeCheck(catalogue, database, parameters, frozenset(_lambdas(tree))).node(tree, _NO_NAMES)
    except RecursionError:
        raise QueryRefusedError(TOO_DEEP_RECURSION, TOO_DEEP) from None
    return named


def _output(tree: Node) -> tuple[Node, str | None]:
    """Return a statement without its FORMAT, and that format."""
    if "out_file" in tree:
        raise QueryRefusedError(ACCESS_DENIED, "INTO OUTFILE writes a file on the server: read the response instead")
    if "format_ast" not in tree:
        return tree, None
    named = format_named(str(tree["format_ast"].get("name", "")))
    return {name: field for name, field in tree.items() if name != "format_ast"}, named


class _TreeCheck:
    """Check of one syntax tree. ``ctes``, passed down, are the names that WITH has given to subqueries so far."""

    def __init__(self, catalogue: Catalogue, database: str, parameters: Mapping[str, str], lambdas: frozenset[str]) -> None:
        self._catalogue = catalogue
        self._database = database
        self._parameters = parameters
        self._lambdas = lambdas
        self._declared: set[str] = set()

    def node(self, node: Node, ctes: frozenset[str]) -> None:
        kind = node.get("type")
        fields = allowlist.NODES.get(str(kind))
        if kind == "SetQuery":
            raise QueryRefusedError(READONLY, "SETTINGS are read at the end of the whole statement only")
        if fields is None:
            raise QueryRefusedError(ACCESS_DENIED, f"This endpoint does not run statements with {kind}")
        for name, field in node.items():
            if name in allowlist.OUTPUT_FLAGS and field is not False:
                raise QueryRefusedError(ACCESS_DENIED, "INTO OUTFILE writes a file on the server: read the response instead")
            if name != "type" and name not in fields:
                raise QueryRefusedError(ACCESS_DENIED, f"This endpoint does not run statements with {name} in {kind}")
        match kind:
            case "Literal":
                pass
            case "SelectWithUnionQuery":
                self._union(node, ctes)
            case "SelectQuery":
                self._select(node, ctes)
            case "TableExpression":
                self._table_expression(node, ctes)
            case "Function":
                self._function(node, ctes)
            case "Identifier":
                self._identifier(self._parts(node))
            case "QueryParameter":
                # A parameter that is a name belongs to an Identifier, which is checked as a whole.
                if str(node["param_type"]).strip().lower() == "identifier":
                    raise QueryRefusedError(ACCESS_DENIED, "An Identifier parameter is not allowed here")
            case "ColumnsApplyTransformer":
                if "func_name" in node:
                    self._function_name(node["func_name"])
                self._fields(node, ctes)
            case "ExplainQuery":
                self._explain(node, ctes)
            case "ShowTablesQuery" | "ShowColumnsQuery" | "ShowIndexesQuery" | "UseQuery":
                self._show(node, ctes)
            case _:
                self._fields(node, ctes)

    def _fields(self, node: Node, ctes: frozenset[str], *, without: str = "") -> None:
        for name, field in node.items():
            if name != without:
                self._field(field, ctes)

    def _field(self, field: Any, ctes: frozenset[str]) -> None:
        if isinstance(field, dict):
            self.node(field, ctes)
        elif isinstance(field, list):
            for item in field:
                self._field(item, ctes)

    def _union(self, node: Node, ctes: frozenset[str]) -> None:
        # The WITH of the first SELECT applies to the others too (enable_global_with_statement).
        for position, select in enumerate(node["list_of_selects"]["children"]):
            if position == 0 and select.get("type") == "SelectQuery":
                self.node(select, ctes)
                ctes |= _cte_names(select)
            else:
                self.node(select, ctes)

    def _select(self, node: Node, ctes: frozenset[str]) -> None:
        for element in node.get("with", {}).get("children", ()):
            if element.get("type") != "WithElement":
                self.node(element, ctes)
                continue
            name = str(element.get("name", ""))
            # Inside a subquery that is being resolved, its name means a table again. With unique names of which none could be a file's, no
            # order of resolution reaches an unchecked table.
            if name in self._declared or not _is_plain(name):
                raise QueryRefusedError(BAD_ARGUMENTS, f"WITH must give each subquery a plain, unique name, not {name[:64]!r}")
            self._declared.add(name)
            self.node(element, ctes | {name} if node.get("recursive_with") else ctes)
            ctes |= {name}
        self._fields(node, ctes, without="with")

    def _table_expression(self, node: Node, ctes: frozenset[str]) -> None:
        if "database_and_table_name" in node:
            table = node["database_and_table_name"]
            self._table(table, ctes)
        if "table_function" in node:
            self._table_function(node["table_function"], ctes)
        for name, field in node.items():
            if name not in {"database_and_table_name", "table_function"}:
                self._field(field, ctes)

    def _table_function(self, node: Node, ctes: frozenset[str]) -> None:
        name = str(node.get("name"))
        if name.lower() not in allowlist.TABLE_FUNCTIONS:
            raise QueryRefusedError(ACCESS_DENIED, f"Table function {name[:64]!r} is not available here")
        if unknown := node.keys() - allowlist.NODES["Function"] - {"type"}:
            raise QueryRefusedError(ACCESS_DENIED, f"This endpoint does not run statements with {min(unknown)} in a table function")
        arguments = node.get("arguments", {}).get("children", ())
        if name.lower() == allowlist.STRUCTURED_FUNCTION and arguments and not _is_row(arguments[0]):
            raise QueryRefusedError(ACCESS_DENIED, "VALUES with a structure is not available here: write (VALUES (1, 'a')) AS v (x, y)")
        self._fields(node, ctes)

    def _table(self, node: Node, ctes: frozenset[str]) -> None:
        parts = self._parts(node)
        if len(parts) == 1 and parts[0] in ctes:
            return
        table = parts[-1]
        database = self._catalogue.check_database(parts[0] if len(parts) == 2 else self._database)
        if len(parts) > 2 or (database == self._catalogue.database and table not in self._catalogue.tables):
            raise QueryRefusedError(UNKNOWN_TABLE, f"Unknown table {'.'.join(parts)[:128]!r} in database {self._catalogue.database!r}")
        if database == "system" and table not in allowlist.SYSTEM_TABLES:
            raise QueryRefusedError(ACCESS_DENIED, f"Table system.{table[:64]} is not available here")

    def _parts(self, node: Node) -> list[str]:
        """Return the parts of a name, Identifier parameters filled in."""
        values = iter([self._parameter(child) for child in node.get("children", ())])
        return [part or next(values, "") for part in node.get("name_parts") or [node.get("name", "")]]

    def _parameter(self, node: Node) -> str:
        name = str(node.get("name"))
        if name not in self._parameters:
            raise QueryRefusedError(UNKNOWN_QUERY_PARAMETER, f"Parameter {name[:64]!r} is not given")
        value = self._parameters[name]
        if node.get("type") != "QueryParameter" or "\\" in value:
            raise QueryRefusedError(BAD_ARGUMENTS, f"Parameter {name[:64]!r} must be a plain name, without a backslash")
        return value

    def _identifier(self, parts: list[str]) -> None:
        # A function can be passed to another one by its bare name: arrayMap(file, ...).
        if len(parts) == 1 and parts[0].lower() in self._catalogue.refused:
            raise QueryRefusedError(ACCESS_DENIED, f"Function {parts[0][:64]!r} is not available here, and no column may have this name")

    def _function(self, node: Node, ctes: frozenset[str]) -> None:
        if "kind" in node and node["kind"] not in allowlist.FUNCTION_KINDS:
            raise QueryRefusedError(ACCESS_DENIED, f"This endpoint does not run statements with {node['kind']}")
        self._function_name(node["name"])
        if str(node["name"]).lower() in allowlist.IN_FUNCTIONS:
            for argument in node.get("arguments", {}).get("children", ())[1:]:
                if argument.get("type") == "Identifier":
                    self._table(argument, ctes)
        self._fields(node, ctes)

    def _function_name(self, name: str) -> None:
        lowered = name.lower()
        if lowered in self._catalogue.refused:
            raise QueryRefusedError(ACCESS_DENIED, f"Function {name[:64]!r} is not available here")
        if not self._catalogue.has_function(lowered) and lowered not in self._lambdas:
            raise QueryRefusedError(UNKNOWN_FUNCTION, f"Unknown function {name[:64]!r}")

    def _explain(self, node: Node, ctes: frozenset[str]) -> None:
        query = node.get("query", {})
        if node.get("kind") not in allowlist.EXPLAIN_KINDS or query.get("type") != "SelectWithUnionQuery":
            raise QueryRefusedError(READONLY, "This endpoint explains SELECT only")
        for change in node.get("settings", {}).get("changes", ()):
            if change["name"] not in allowlist.EXPLAIN_SETTINGS:
                raise QueryRefusedError(ACCESS_DENIED, f"EXPLAIN setting {change['name'][:64]!r} is not available here")
        self.node(_output(query)[0], ctes)

    def _show(self, node: Node, ctes: frozenset[str]) -> None:
        for key in ("from", "database"):
            named = node.get(key) or self._database
            self._catalogue.check_database(named if isinstance(named, str) else ".".join(self._parts(named)))
        if "table" in node:
            self._table({"name_parts": [node.get("database") or self._database, node["table"]]}, ctes)
        self._fields(node, ctes)


def _cte_names(select: Node) -> frozenset[str]:
    elements = select.get("with", {}).get("children", ())
    return frozenset(str(element["name"]) for element in elements if element.get("type") == "WithElement")


def _is_row(argument: Node) -> bool:
    """Tell whether an argument is a number or a row, and so can't become a string."""
    if argument.get("type") == "Literal":
        return bool(argument["value"]["field_type"] != "String")
    return argument.get("type") == "Function" and argument.get("name") == "tuple"


def _lambdas(field: Any) -> Iterator[str]:
    """Yield the names that the statement gives to lambdas, lower case: these can be called too."""
    if isinstance(field, dict):
        if field.get("is_lambda_function") and "alias" in field:
            yield str(field["alias"]).lower()
        for inner in field.values():
            yield from _lambdas(inner)
    elif isinstance(field, list):
        for inner in field:
            yield from _lambdas(inner)


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isidentifier()

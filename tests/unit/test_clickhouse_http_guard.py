"""The guard's verdicts on syntax trees, without an engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from spanhouse.exporter.clickhouse_http import allowlist, query_settings
from spanhouse.exporter.clickhouse_http.catalogue import Catalogue
from spanhouse.exporter.clickhouse_http.engine_errors import QueryRefusedError
from spanhouse.exporter.clickhouse_http.guard import check
from spanhouse.exporter.clickhouse_http.output_formats import format_named
from spanhouse.exporter.clickhouse_http.syntax_tree import Statement

CATALOGUE = Catalogue(
    database="store",
    tables=frozenset({"traces"}),
    functions=frozenset({"plus", "sum", "quantile", "in", "tuple"}),
    refused=frozenset({"file", "sleep"}),
    aggregates=frozenset({"sum", "quantile"}),
    combinators=("if", "ornull", "state"),
)


def literal() -> dict[str, Any]:
    return {"type": "Literal", "value": {"field_type": "UInt64", "value": 1}}


def select(*columns: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    query = {"type": "SelectQuery", "select": {"type": "ExpressionList", "children": list(columns or [literal()])}, **fields}
    return {"type": "SelectWithUnionQuery", "list_of_selects": {"type": "ExpressionList", "children": [query]}}


def from_table(*parts: str) -> dict[str, Any]:
    table = {"type": "TableIdentifier", "name": ".".join(parts), **({"name_parts": list(parts)} if len(parts) > 1 else {})}
    element = {"type": "TablesInSelectQueryElement", "table_expression": {"type": "TableExpression", "database_and_table_name": table}}
    return {"type": "TablesInSelectQuery", "children": [element]}


def call(name: str, *arguments: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "Function", "name": name, "arguments": {"type": "ExpressionList", "children": list(arguments)}, **fields}


def verdict(tree: Mapping[str, Any], parameters: Mapping[str, str] | None = None) -> int | None:
    """The error's number; None if the statement may run."""
    try:
        check(Statement(text="", shape="", prefix="", tree=tree), catalogue=CATALOGUE, database="store", parameters=parameters or {})
    except QueryRefusedError as refused:
        return refused.code
    return None


def test_what_is_known_may_run() -> None:
    assert verdict(select(call("plus", literal(), literal()), tables=from_table("traces"))) is None
    assert verdict(select(tables=from_table("store", "traces"))) is None
    assert verdict(select(tables=from_table("system", "one"))) is None
    assert verdict(select(tables=from_table("information_schema", "tables"))) is None


@pytest.mark.parametrize("kind", ["InsertQuery", "CreateQuery", "DropQuery", "SetQuery", "SystemQuery", "AlterQuery", "SomethingNew", None])
def test_a_statement_of_another_kind_is_refused(kind: str | None) -> None:
    assert verdict({"type": kind}) == 164


def test_a_node_that_is_not_known_is_refused_wherever_it_stands() -> None:
    new = {"type": "SomethingNew"}
    assert verdict(select(new)) == 497
    assert verdict(select(call("plus", new))) == 497
    assert verdict(select(where=new)) == 497


def test_a_field_that_is_not_known_is_refused_in_every_node() -> None:
    assert verdict(select(something_new=True)) == 497
    assert verdict(select({**literal(), "something_new": 1})) == 497
    assert verdict(select(call("plus", something_new={}))) == 497


def test_output_into_a_file_is_refused_however_it_is_written() -> None:
    assert verdict({**select(), "out_file": literal()}) == 497
    for flag in allowlist.OUTPUT_FLAGS:
        assert verdict({**select(), flag: True}) == 497
        assert verdict({**select(), flag: False}) is None


@pytest.mark.parametrize("name", ["sum", "sumIf", "SUMIF", "sumIfOrNull", "quantileState", "plus", "lambda", "exists"])
def test_a_function_may_be_called_in_any_case_and_with_combinators(name: str) -> None:
    assert verdict(select(call(name, literal()))) is None


@pytest.mark.parametrize(("name", "code"), [("file", 497), ("FILE", 497), ("sleep", 497), ("unknown", 46), ("plusIf", 46), ("If", 46), ("", 46)])
def test_a_function_that_is_refused_or_unknown_may_not(name: str, code: int) -> None:
    assert verdict(select(call(name, literal()))) == code


def test_a_lambda_may_be_called_by_its_name_but_not_hide_a_refused_function() -> None:
    assert verdict(select(call("lambda", literal(), alias="twice", is_lambda_function=True), call("twice", literal()))) is None
    assert verdict(select(call("lambda", literal(), alias="file", is_lambda_function=True), call("file", literal()))) == 497


def test_a_refused_function_may_not_be_handed_on_by_name() -> None:
    assert verdict(select(call("plus", {"type": "Identifier", "name": "file"}))) == 497
    parameter = {"type": "QueryParameter", "name": "p", "param_type": "Identifier"}
    assert verdict(select({"type": "Identifier", "name": "", "children": [parameter]}), {"p": "File"}) == 497
    assert verdict(select({"type": "Identifier", "name": "", "children": [parameter]}), {"p": "a"}) is None
    assert verdict(select(parameter), {"p": "a"}) == 497
    assert verdict(select({**parameter, "param_type": "String"}), {"p": "file"}) is None
    assert verdict(select({"type": "Identifier", "name": "t.file", "name_parts": ["t", "file"]})) is None


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (("nothing",), 60),
        (("store", "nothing"), 60),
        (("default", "traces"), 81),
        (("", "traces"), 81),
        (("system", "users"), 497),
        (("/etc/passwd",), 60),
    ],
)
def test_a_table_elsewhere_is_refused(parts: tuple[str, ...], code: int) -> None:
    assert verdict(select(tables=from_table(*parts))) == code
    right = {"type": "Identifier", "name": ".".join(parts), "name_parts": list(parts)}
    assert verdict(select(call("in", literal(), right))) == code
    assert verdict(select(call("tuple", literal(), {"type": "Identifier", "name": "nothing"}))) is None


def from_function(name: str, *arguments: Mapping[str, Any]) -> dict[str, Any]:
    element = {"type": "TablesInSelectQueryElement", "table_expression": {"type": "TableExpression", "table_function": call(name, *arguments)}}
    return {"type": "TablesInSelectQuery", "children": [element]}


def test_only_table_functions_that_make_rows_of_their_arguments_may_be_read() -> None:
    assert verdict(select(tables=from_function("NUMBERS", literal()))) is None
    for name in ("file", "url", "s3", "remote", "executable", "python", "null", "format", "loop", "eval", "merge", "something_new"):
        assert verdict(select(tables=from_function(name, literal()))) == 497


def test_values_take_rows_and_no_structure() -> None:
    text = {"type": "Literal", "value": {"field_type": "String", "value": "a String ALIAS 1"}}
    assert verdict(select(tables=from_function("values", literal()))) is None
    assert verdict(select(tables=from_function("values", call("tuple", text)))) is None
    assert verdict(select(tables=from_function("SQLStandardValues", text))) is None
    parameter = {"type": "QueryParameter", "name": "p", "param_type": "String"}
    for structure in (text, parameter, {"type": "Identifier", "name": "s"}, call("sum", text), {"type": "Subquery", "children": [select(text)]}):
        assert verdict(select(tables=from_function("VALUES", structure, literal()))) == 497


def with_element(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "WithElement", "name": name, "subquery": {"type": "Subquery", "children": [body]}}


def with_list(*elements: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "ExpressionList", "children": list(elements)}


def test_a_name_of_with_is_known_after_it_and_not_before_or_within() -> None:
    one = with_element("one", select())
    assert verdict(select(tables=from_table("one"), **{"with": with_list(one)})) is None
    assert verdict(select(**{"with": with_list(one, with_element("two", select(tables=from_table("one"))))})) is None
    assert verdict(select(**{"with": with_list(with_element("two", select(tables=from_table("one"))), one)})) == 60
    assert verdict(select(**{"with": with_list(with_element("one", select(tables=from_table("one"))))})) == 60
    assert verdict(select(recursive_with=True, **{"with": with_list(with_element("one", select(tables=from_table("one"))))})) is None


@pytest.mark.parametrize("name", ["/etc/passwd", "a.csv", "http://x", "a b", "", "é"])
def test_with_must_give_plain_names(name: str) -> None:
    assert verdict(select(**{"with": with_list(with_element(name, select()))})) == 36


def test_with_must_not_give_a_name_twice() -> None:
    assert verdict(select(**{"with": with_list(with_element("one", select()), with_element("one", select()))})) == 36
    assert verdict(select(**{"with": with_list(with_element("one", select(**{"with": with_list(with_element("one", select()))})))})) == 36


def test_explain_explains_select_only_and_with_its_own_settings_only() -> None:
    assert verdict({"type": "ExplainQuery", "kind": "EXPLAIN", "query": select()}) is None
    assert verdict({"type": "ExplainQuery", "kind": "EXPLAIN", "query": {"type": "InsertQuery"}}) == 164
    assert verdict({"type": "ExplainQuery", "kind": "EXPLAIN SOMETHING NEW", "query": select()}) == 164
    settings = {"type": "SetQuery", "changes": [{"name": "readonly", "value": {}}]}
    assert verdict({"type": "ExplainQuery", "kind": "EXPLAIN", "query": select(), "settings": settings}) == 497


def test_a_tree_deeper_than_the_interpreter_follows_is_refused() -> None:
    tree = literal()
    for _ in range(5000):
        tree = call("plus", tree)
    assert verdict(select(tree)) == 306


def test_formats_are_known_in_any_case_and_those_that_read_files_are_not() -> None:
    assert format_named("jsoneachrow") == "JSONEachRow"
    for name in (
        "Template",
        "Protobuf",
        "ProtobufSingle",
        "ProtobufList",
        "CapnProto",
        "AvroConfluent",
        "MySQLWire",
        "PostgreSQLWire",
        "Dataframe",
        "",
    ):
        with pytest.raises(QueryRefusedError):
            format_named(name)


def test_no_setting_that_a_client_may_set_names_a_file_or_lifts_a_limit() -> None:
    for name in query_settings.APPLIED:
        assert not any(word in name for word in ("path", "file", "schema", "template", "url", "readonly", "allow", "max_execution", "memory")), name
    assert not query_settings.APPLIED & query_settings.LOWERED

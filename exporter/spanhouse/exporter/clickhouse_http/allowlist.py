"""Allow-lists of SQL: statements, syntax nodes, functions, tables and engines. A statement with anything else does not run.

Syntax nodes and their fields have the names of ClickHouse's ``parseQueryToJSON``.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = frozenset({"SelectWithUnionQuery", "ExplainQuery", "ShowTablesQuery", "ShowColumnsQuery", "ShowIndexesQuery", "UseQuery"})

OUTPUT_FLAGS: Final = frozenset({"is_outfile_append", "is_outfile_truncate", "is_into_outfile_with_stdout"})
"""Flags of INTO OUTFILE; false without it."""

NODES: Final = {
    "ArrayJoin": {"kind", "expression_list"},
    "Asterisk": {"expression", "transformers"},
    "ColumnsApplyTransformer": {"func_name", "parameters", "lambda", "lambda_arg", "column_name_prefix"},
    "ColumnsExceptTransformer": {"children", "is_strict", "pattern"},
    "ColumnsListMatcher": {"column_list", "expression", "transformers"},
    "ColumnsRegexpMatcher": {"pattern", "expression", "transformers"},
    "ColumnsReplaceTransformer": {"children", "is_strict"},
    "ColumnsReplaceTransformerReplacement": {"name", "children"},
    "ColumnsTransformerList": {"children"},
    "ExplainQuery": {"kind", "query", "settings", *OUTPUT_FLAGS},
    "ExpressionList": {"children", "separator"},
    "Function": {
        "name",
        "alias",
        "arguments",
        "parameters",
        "kind",
        "is_operator",
        "is_lambda_function",
        "is_window_function",
        "no_empty_args",
        "nulls_action",
        "window_name",
        "window_definition",
    },
    "Identifier": {"name", "name_parts", "alias", "children"},
    "InterpolateElement": {"column", "expr"},
    "Literal": {"value", "alias"},
    "OrderByElement": {
        "direction",
        "nulls_direction",
        "nulls_direction_was_explicitly_specified",
        "expression",
        "collation",
        "with_fill",
        "fill_from",
        "fill_to",
        "fill_step",
        "fill_staleness",
    },
    "QualifiedAsterisk": {"qualifier", "transformers"},
    "QualifiedColumnsListMatcher": {"qualifier", "column_list", "transformers"},
    "QualifiedColumnsRegexpMatcher": {"qualifier", "pattern", "transformers"},
    "QueryParameter": {"name", "param_type", "alias"},
    "SampleRatio": {"numerator", "denominator"},
    "SelectQuery": {
        "with",
        "recursive_with",
        "select",
        "distinct",
        "tables",
        "prewhere",
        "where",
        "group_by",
        "group_by_all",
        "group_by_with_cube",
        "group_by_with_grouping_sets",
        "group_by_with_rollup",
        "group_by_with_totals",
        "having",
        "window",
        "qualify",
        "order_by",
        "order_by_all",
        "interpolate",
        "limit_by",
        "limit_by_all",
        "limit_by_length",
        "limit_by_offset",
        "limit_length",
        "limit_offset",
        "limit_with_ties",
    },
    "SelectWithUnionQuery": {"union_mode", "list_of_modes", "list_of_selects", *OUTPUT_FLAGS},
    "ShowColumnsQuery": {
        "database",
        "table",
        "extended",
        "full",
        "like",
        "not_like",
        "case_insensitive_like",
        "where_expression",
        "limit_length",
        *OUTPUT_FLAGS,
    },
    "ShowIndexesQuery": {"database", "table", "extended", "where_expression", *OUTPUT_FLAGS},
    "ShowTablesQuery": {
        "from",
        "databases",
        "settings",
        "changed",
        "full",
        "like",
        "not_like",
        "case_insensitive_like",
        "where_expression",
        "limit_length",
        *OUTPUT_FLAGS,
    },
    "Subquery": {"children", "alias"},
    "TableExpression": {
        "database_and_table_name",
        "table_function",
        "subquery",
        "final",
        "sample_size",
        "sample_offset",
        "column_aliases",
    },
    "TableIdentifier": {"name", "name_parts", "alias", "children"},
    "TableJoin": {"kind", "strictness", "locality", "is_natural", "on_expression", "using_expression_list"},
    "TablesInSelectQuery": {"children"},
    "TablesInSelectQueryElement": {"table_expression", "table_join", "array_join"},
    "UseQuery": {"database"},
    "WindowDefinition": {
        "parent_window_name",
        "partition_by",
        "order_by",
        "frame_is_default",
        "frame_type",
        "frame_begin_type",
        "frame_begin_offset",
        "frame_begin_preceding",
        "frame_end_type",
        "frame_end_offset",
        "frame_end_preceding",
    },
    "WindowListElement": {"name", "definition"},
    "WithElement": {"name", "subquery", "is_materialized"},
}

FUNCTION_KINDS: Final = frozenset({"LAMBDA_FUNCTION", "WINDOW_FUNCTION"})

EXPLAIN_KINDS: Final = frozenset({"EXPLAIN", "EXPLAIN AST", "EXPLAIN SYNTAX", "EXPLAIN QUERY TREE", "EXPLAIN PIPELINE", "EXPLAIN ESTIMATE"})

EXPLAIN_SETTINGS: Final = frozenset(
    {
        "actions",
        "compact",
        "description",
        "dump_ast",
        "dump_passes",
        "dump_tree",
        "graph",
        "header",
        "indexes",
        "json",
        "oneline",
        "optimize",
        "passes",
        "pretty",
        "projections",
        "query_tree_passes",
        "run_passes",
        "run_query_tree_passes",
        "sorting",
    }
)

IN_FUNCTIONS: Final = frozenset(
    name + suffix
    for name in ("in", "notin", "globalin", "globalnotin", "nullin", "notnullin", "globalnullin", "globalnotnullin")
    for suffix in ("", "ignoreset")
)
"""Lower case. A bare name on their right side may be a table."""

SYNTAX_FUNCTIONS: Final = frozenset({"exists", "grouping", "lambda"})
"""Functions of the parser, absent from ``system.functions``."""

# Functions that read files, wait, open connections, inspect the host, read tables named by a string, or take a format's name; and functions of
# which one call takes unbounded time (the engine checks its limit between blocks) or memory (which it does not count).
_REFUSED_FUNCTIONS: Final = frozenset(
    {
        "addresstoline",
        "addresstolinewithinlines",
        "addresstosymbol",
        "arraysimilarity",
        "catboostevaluate",
        "currentrequesturl",
        "demangle",
        "editdistance",
        "editdistanceutf8",
        "evalmlmethod",
        "file",
        "filesystemavailable",
        "filesystemcapacity",
        "filesystemunreserved",
        "formatrow",
        "formatrownonewline",
        "generateserialid",
        "getclienthttpheader",
        "getmacro",
        "getserverport",
        "getserversetting",
        "hascolumnintable",
        "joinget",
        "joingetornull",
        "logtrace",
        "naivebayesclassifier",
        "naivebayesclassifierwithallprobs",
        "naivebayesclassifierwithprob",
        "pointinpolygon",
        "printf",
        "reversednsquery",
        "showcertificate",
        "sleep",
        "sleepeachrow",
        "tid",
        "trap",
        "zookeepersessionuptime",
    }
)
_REFUSED_PREFIXES: Final = ("_", "ai", "arraylevenshtein", "dict", "geometry", "h3polygon", "multifuzzymatch", "polygon")
"""Internal functions, calls to language models, dictionaries (their sources are files and hosts); unbounded geometry and distances."""


def is_refused_function(name: str) -> bool:
    """Tell whether a function, by its lower-case name, must not be called."""
    return name in _REFUSED_FUNCTIONS or name.startswith(_REFUSED_PREFIXES)


TABLE_FUNCTIONS: Final = frozenset(
    {"generate_series", "generateseries", "numbers", "numbers_mt", "sqlstandardvalues", "values", "view", "zeros", "zeros_mt"}
)
"""Lower case. None takes a table's structure as a string, whose DEFAULT and ALIAS expressions would be code outside the syntax tree."""

STRUCTURED_FUNCTION: Final = "values"
"""Table function that takes a structure if its first argument is a string."""

TABLE_ENGINES: Final = ("%MergeTree", "View", "MaterializedView", "Memory", "Null")
"""LIKE patterns of the engines whose tables hold their own rows."""

SYSTEM_TABLES: Final = frozenset(
    {
        "aggregate_function_combinators",
        "build_options",
        "collations",
        "columns",
        "contributors",
        "data_skipping_indices",
        "data_type_families",
        "databases",
        "events",
        "formats",
        "functions",
        "keywords",
        "licenses",
        "merges",
        "metrics",
        "mutations",
        "numbers",
        "numbers_mt",
        "one",
        "parts",
        "parts_columns",
        "projections",
        "settings",
        "settings_changes",
        "table_engines",
        "table_functions",
        "tables",
        "time_zones",
        "zeros",
        "zeros_mt",
    }
)

INFORMATION_SCHEMA: Final = frozenset({"information_schema", "INFORMATION_SCHEMA"})

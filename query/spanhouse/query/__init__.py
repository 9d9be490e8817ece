"""Search of traces with MLflow's filter language, and comparison of versions. Importing this imports no driver."""

from spanhouse.query.async_client import AsyncMatches, AsyncTraceClient
from spanhouse.query.client import TraceClient, search_traces
from spanhouse.query.compare.comparison import Bisection, Change, Comparison, Finding, Interval, Table, Verdict
from spanhouse.query.compare.plot import plot_comparison
from spanhouse.query.compare.trace_diff import SpanPair, TraceDiff
from spanhouse.query.errors import FilterError, StoreUnavailableError
from spanhouse.query.language.redact import redact_filter
from spanhouse.query.models import Event, Link, ServicePart, Span, Trace, TraceData, TraceInfo
from spanhouse.query.search.analyze import Step, explain
from spanhouse.query.search.plan import Planned
from spanhouse.query.search.results import Matches, Page
from spanhouse.query.search.span_tree import SpanNode
from spanhouse.query.sql.metadata_keys import MetadataKey
from spanhouse.query.sql.selects import compile_filter
from spanhouse.query.sql.statement import Statement
from spanhouse.query.store.query_limits import Cost

__all__ = [
    "AsyncMatches",
    "AsyncTraceClient",
    "Bisection",
    "Change",
    "Comparison",
    "Cost",
    "Event",
    "FilterError",
    "Finding",
    "Interval",
    "Link",
    "Matches",
    "MetadataKey",
    "Page",
    "Planned",
    "ServicePart",
    "Span",
    "SpanNode",
    "SpanPair",
    "Statement",
    "Step",
    "StoreUnavailableError",
    "Table",
    "Trace",
    "TraceClient",
    "TraceData",
    "TraceDiff",
    "TraceInfo",
    "Verdict",
    "compile_filter",
    "explain",
    "plot_comparison",
    "redact_filter",
    "search_traces",
]

"""Search traces with MLflow's filter language, and compare versions. Importing this imports no driver."""

from spanhouse.query.analyze import Step, explain
from spanhouse.query.anonymous import anonymous
from spanhouse.query.async_client import AsyncMatches, AsyncTraceClient
from spanhouse.query.client import TraceClient, search_traces
from spanhouse.query.compare.plot import plot_comparison
from spanhouse.query.compare.report import Bisection, Change, Comparison, Finding, Interval, Table, Verdict
from spanhouse.query.compare.trees import SpanPair, TraceDiff
from spanhouse.query.compile_ import compile_filter
from spanhouse.query.errors import FilterError, StoreUnavailableError
from spanhouse.query.keys import MetadataKey
from spanhouse.query.limits import Cost
from spanhouse.query.models import Event, Link, ServicePart, Span, Trace, TraceData, TraceInfo
from spanhouse.query.plan import Planned
from spanhouse.query.results import Matches, Page
from spanhouse.query.statement import Statement
from spanhouse.query.tree import SpanNode

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
    "anonymous",
    "compile_filter",
    "explain",
    "plot_comparison",
    "search_traces",
]

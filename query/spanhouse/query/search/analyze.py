"""Statements of a search: the plan, and the measured cost of each statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanhouse.query.search.arguments import read_arguments
from spanhouse.query.search.executor import read_rows
from spanhouse.query.search.page_token import check_max_results
from spanhouse.query.search.plan import Planned, plan
from spanhouse.query.sql.resolved_search import Search
from spanhouse.query.sql.rows import Row
from spanhouse.query.sql.statement import Statement
from spanhouse.query.store.connection import Connection
from spanhouse.query.store.query_limits import Cost


@dataclass(frozen=True, slots=True)
class Step:
    """A statement of a search, and its cost."""

    statement: Statement
    cost: Cost


class _Measured:
    """A connection that records its statements with their costs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.steps: list[Step] = []

    def run(self, statement: Statement) -> Sequence[Row]:
        rows, cost = self._connection.measure(statement)
        self.steps.append(Step(statement, cost))
        return rows


def analyze(connection: Connection, search: Search, *, limit: int) -> Sequence[Step]:
    """Search for the first ``limit`` rows, and return the statements in the order in which they ran."""
    measured = _Measured(connection)
    read_rows(measured, search, limit=limit)
    return measured.steps


def explain(filter_string: str | None = None, max_results: int = 100, order_by: Sequence[str] | None = None) -> Sequence[Planned]:
    """Plan a search without a store, and return its statements, each with its reason. Arguments as of ``search_traces``.

    Raises:
        FilterError: a mistake in the arguments.
    """
    limit = check_max_results(max_results) + 1
    search = read_arguments(experiment_ids=None, filter_string=filter_string, order_by=order_by)
    return plan(search, limit=limit).statements()

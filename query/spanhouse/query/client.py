"""Search client, with MLflow's names and arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from spanhouse.query.compare.comparison import Bisection, Comparison, Table
from spanhouse.query.compare.question import Question, read_question
from spanhouse.query.compare.trace_diff import TraceDiff, diff
from spanhouse.query.errors import FilterError, StoreUnavailableError
from spanhouse.query.language.resolver import bare_trace_id
from spanhouse.query.models import Trace
from spanhouse.query.search.analyze import Step, analyze
from spanhouse.query.search.arguments import read_arguments, read_key, text_of
from spanhouse.query.search.executor import check_patterns, count, read_rows, read_trace, spans_of, to_traces
from spanhouse.query.search.frame import check_format, to_frame
from spanhouse.query.search.page_token import check_max_results, read_token, write_token
from spanhouse.query.search.results import Matches, Page
from spanhouse.query.search.service_names import Services
from spanhouse.query.search.span_tree import SpanNode, to_tree
from spanhouse.query.sql.metadata_keys import MetadataKey, compile_keys, compile_values
from spanhouse.query.sql.resolved_search import Search
from spanhouse.query.sql.rows import read_keys
from spanhouse.query.sql.selects import compile_groups
from spanhouse.query.store.connection import connect
from spanhouse.query.store.query_limits import Limits


class TraceClient:
    """Client that searches and reads traces of one store. Close it, or use it in a ``with`` block. Threads may share it; they take turns.

    Args:
        dsn: ``http://user:password@host:8123/database``, ``https://...`` or ``chdb:///absolute/directory``; None for the server that
            runs on this machine, else the default embedded store.
        timeout_seconds: time limit of one statement (a search runs a few); None for the store's own, in `serve` at most 30 s.
        memory_bytes: limit of the engine's memory for one statement; None for the store's own, in `serve` at most 1 GiB.

    Raises:
        FilterError: a limit is no whole number above 0.
        StoreError: the DSN is invalid, or there is no server and no store.
        StoreUnavailableError: the store cannot be reached.
    """

    def __init__(self, dsn: str | None = None, *, timeout_seconds: int | None = None, memory_bytes: int | None = None) -> None:
        self._connection = connect(dsn, Limits(timeout_seconds=timeout_seconds, memory_bytes=memory_bytes))
        self._services = Services()

    def search_traces(  # noqa: PLR0917  MLflow's arguments, in MLflow's order
        self,
        experiment_ids: Sequence[str] | None = None,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
        run_id: str | None = None,
        *,
        model_id: str | None = None,
        include_spans: bool = False,
        locations: Sequence[str] | None = None,
        service: str | None = None,
    ) -> Page | Matches:
        """Search traces.

        Args:
            experiment_ids: names of services (``service.name``) that the traces began in; None for all, an empty list for none.
            filter_string: filter in MLflow's language; None and '' for all traces.
            max_results: rows of a page, 1 to 50000; None for all matches, read lazily.
            order_by: keys such as ``["metadata.app_version ASC"]``; ties are ordered by ``timestamp_ms DESC, request_id ASC``.
            page_token: ``token`` of the page before; needs ``max_results``.
            run_id: MLflow run that the traces belong to.
            model_id: MLflow model that the traces belong to.
            include_spans: read the spans with the traces; otherwise a trace's spans are read at the first access to ``data.spans``.
            locations: the same as ``experiment_ids``.
            service: name of a service that took part, also below others: version, commit, branch, environment, status (ERROR if one of its spans
                failed) and execution time (its self time) in the filter are then the service's own; None for the trace's.

        Returns:
            A page (a list with ``token``), or without ``max_results`` a sequence of all matches (``token`` is None).

        Raises:
            FilterError: a mistake in the arguments.
            StoreUnavailableError: the store failed.
        """
        if max_results is None and page_token:
            raise FilterError("page_token needs max_results", hint="without it all matches come at once")
        limit = 0 if max_results is None else check_max_results(max_results)
        search = read_arguments(
            experiment_ids=experiment_ids,
            filter_string=filter_string,
            order_by=order_by,
            run_id=run_id,
            model_id=model_id,
            locations=locations,
            service=service,
        )
        search = search.beginning(read_token(search, page_token))
        self._check(search, service)
        if max_results is None:
            return Matches(self._connection, search, include_spans=include_spans)
        rows = read_rows(self._connection, search, limit=limit + 1)
        token = write_token(search, read_keys(rows[limit - 1])) if len(rows) > limit else None
        return Page(to_traces(self._connection, rows[:limit], include_spans=include_spans), token)

    def count(
        self,
        filter_string: str | None = None,
        *,
        experiment_ids: Sequence[str] | None = None,
        locations: Sequence[str] | None = None,
        service: str | None = None,
    ) -> int:
        """Count the matching traces in the engine; arguments as of ``search_traces``.

        Raises:
            FilterError: a mistake in the arguments.
            StoreUnavailableError: the store failed.
        """
        return count(self._connection, self._search(filter_string, experiment_ids, locations, service=service))

    def group_by(
        self,
        key: str,
        filter_string: str | None = None,
        *,
        experiment_ids: Sequence[str] | None = None,
        locations: Sequence[str] | None = None,
        limit: int = 1000,
    ) -> Mapping[str | int | float | None, int]:
        """Count the matching traces by the value of a key, in the engine.

        Args:
            key: field of a trace as in a filter, such as ``metadata.app_version``, ``status`` or ``tag.team``; not of a span.
            filter_string: filter of the traces; None and '' for all.
            experiment_ids: names of services, as of ``search_traces``.
            locations: the same as ``experiment_ids``.
            limit: most values to return, 1 to 50000.

        Returns:
            Value to number of traces, the most frequent first, then by value; the value None means traces without the key, or with
            an empty value.

        Raises:
            FilterError: a mistake in the arguments.
            StoreUnavailableError: the store failed.
        """
        field = read_key(key)
        most = check_max_results(limit, "limit")
        rows = self._connection.run(compile_groups(self._search(filter_string, experiment_ids, locations), field, limit=most))
        return {value: int(traces) for value, traces in rows}

    def analyze(self, filter_string: str | None = None, max_results: int = 100, order_by: Sequence[str] | None = None) -> Sequence[Step]:
        """Run a search, and return its statements with the cost of each. Arguments and errors as of ``search_traces``."""
        limit = check_max_results(max_results) + 1
        return analyze(self._connection, self._search(filter_string, order_by=order_by), limit=limit)

    def _search(
        self,
        filter_string: str | None,
        experiment_ids: Sequence[str] | None = None,
        locations: Sequence[str] | None = None,
        order_by: Sequence[str] | None = None,
        *,
        service: str | None = None,
    ) -> Search:
        search = read_arguments(experiment_ids=experiment_ids, filter_string=filter_string, order_by=order_by, locations=locations, service=service)
        self._check(search, service)
        return search

    def _check(self, search: Search, service: str | None) -> None:
        """Check the parts of a search that only the store can check: regular expressions, and names of services."""
        check_patterns(self._connection, search.written)
        self._services.check(self._connection, (*(search.services or ()), *(() if service is None else (service,))))

    def get_trace(self, trace_id: str) -> Trace | None:
        """Read one trace with its spans; None if there is none with that id.

        Args:
            trace_id: 32 hex digits, with or without ``tr-``.

        Raises:
            FilterError: the id is no text.
            StoreUnavailableError: the store failed.
        """
        return read_trace(self._connection, bare_trace_id(text_of("trace_id", trace_id)))

    def get_span_tree(self, trace_id: str) -> tuple[SpanNode, ...]:
        """Read the spans of one trace as a tree: the spans without a stored parent, usually only the root; () if there is no such trace.

        Args:
            trace_id: 32 hex digits, with or without ``tr-``.
        """
        return to_tree(spans_of(self._connection, bare_trace_id(text_of("trace_id", trace_id))))

    def keys(self) -> list[MetadataKey]:
        """List the metadata keys that traces have had, by name."""
        return [MetadataKey(*row) for row in self._connection.run(compile_keys())]

    def values(self, key: str) -> Mapping[str, int | None]:
        """List the values of a metadata key.

        Args:
            key: without ``metadata.`` before it.

        Returns:
            Value to number of traces, the most frequent first, for the hot keys: version, commit, branch, environment and model. For other
            keys, value to None, the most recently used first; counting them takes reading all metadata, which ``group_by`` does.
        """
        return {str(value): traces for value, traces in self._connection.run(compile_values(text_of("key", key)))}

    def set_trace_tag(self, trace_id: str, key: str, value: str) -> None:
        """Set a tag of a trace; it replaces a tag from the trace's spans or from an earlier edit. Returns when the tag is on the server's disk.

        Args:
            trace_id: 32 hex digits, with or without ``tr-``; the trace may be stored later.
            key: 1 to 250 characters.
            value: at most 8000 characters.

        Raises:
            FilterError: an argument is invalid.
            StoreUnavailableError: the store refuses edits from here, or does not answer.
        """
        self._connection.edit_tag(text_of("trace_id", trace_id), text_of("key", key), text_of("value", value))

    def delete_trace_tag(self, trace_id: str, key: str) -> None:
        """Delete a tag of a trace, also a tag from its spans; as ``set_trace_tag``. Deleting a missing tag changes nothing."""
        self._connection.edit_tag(text_of("trace_id", trace_id), text_of("key", key), None)

    def search_frame(  # noqa: PLR0917  as search_traces
        self,
        experiment_ids: Sequence[str] | None = None,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
        run_id: str | None = None,
        *,
        model_id: str | None = None,
        locations: Sequence[str] | None = None,
        service: str | None = None,
        format: str = "pandas",  # noqa: A002  the public argument's name
    ) -> Any:
        """Search traces as ``search_traces``, and return them as a table of the library ``format``: pandas, arrow or polars.

        Raises:
            FilterError: a mistake in the arguments.
            StoreUnavailableError: the store failed, or the format's library is not installed.
        """
        name = check_format(format)
        words = (experiment_ids, filter_string, max_results, order_by, page_token, run_id)
        traces = self.search_traces(*words, model_id=model_id, locations=locations, service=service)
        return to_frame((trace.info for trace in traces), name)

    def compare(
        self,
        by: str,
        base: str | None = None,
        new: str | None = None,
        where: str | None = None,
        *,
        since: str | None = None,
        per: str | None = None,
        metrics: Sequence[str] = (),
        stratify: str | None = "name",
        series: bool = False,
        service: str | None = None,
    ) -> Table | Comparison:
        """Compare versions. The engine aggregates; no trace is fetched.

        Args:
            by: key of the versions: a metadata key, ``metadata.K``, ``tag.K``, ``name``, ``service``, ``model``, ``error.type``, or, with at
                most 1,000 values, ``resource.K`` or ``span.attributes.K`` of some span; short names of the usual keys are ``version``,
                ``commit``, ``branch``, ``model_id``, ``environment`` and ``source``. A trace counts for each value that it has.
            base: value to compare against; without it and ``new``, the result is a table of all values.
            new: value to judge.
            where: filter of the traces; None and '' for all.
            since: age of the oldest traces, such as ``7d``; None for everything.
            per: key by which the traces are split, to locate a change: ``name``, ``service``, ``model``, a metadata key.
            metrics: further numbers: metadata keys, ``tag.K``, ``span.attributes.K`` (the mean over a trace's spans that have it), numbers of
                the trace such as ``tokens.total``, and ``first-token``; ``KEY:higher`` if more is better.
            stratify: key of the strata, within which traces are compared; None to compare all traces together.
            series: also read the data for ``plot_comparison``: the distribution of the latencies, and the numbers over time.
            service: compare the part that this service took, also below others: version, commit, branch, environment, errors and time are
                its own, and numbers of the whole trace are shown beside them; None for whole traces.

        Returns:
            A ``Comparison`` with a verdict, or without two values a ``Table``, in order of first appearance.

        Raises:
            FilterError: a mistake in the arguments, or a value that no trace has.
            StoreUnavailableError: the store failed, or the library of statistics is not installed.
        """
        question = read_question(by, base, new, where, since=since, per=per, metrics=metrics, stratify=stratify, series=series, service=service)
        self._check_question(question)
        found: Table | Comparison = _comparing().run(self._connection, question)
        return found

    def bisect(
        self, by: str, where: str | None = None, *, since: str | None = None, repository: str | Path | None = None, service: str | None = None
    ) -> Bisection:
        """Find the version at which the error rate or the latency changed.

        Args:
            by: key of the versions, as in ``compare``.
            where: filter of the traces; None and '' for all.
            since: age of the oldest traces, such as ``7d``; None for everything.
            repository: directory of a git clone whose history orders the commits; None, or a clone without these commits, for the order of
                their first traces, in which all other keys are ordered.
            service: examine the part that this service took, as in ``compare``; None for whole traces.

        Raises:
            FilterError: a mistake in the arguments.
            StoreUnavailableError: the store failed, or the library of statistics is not installed.
        """
        question = read_question(by, where=where, since=since, service=service)
        self._check_question(question)
        found: Bisection = _comparing().run_bisection(self._connection, question, None if repository is None else Path(repository))
        return found

    def _check_question(self, question: Question) -> None:
        check_patterns(self._connection, question.written)
        self._services.check(self._connection, () if question.service is None else (question.service,))

    def diff(self, base: str, new: str) -> TraceDiff:
        """Align the spans of two traces, to show which spans took the time.

        Args:
            base: id of the trace to compare against, with or without ``tr-``.
            new: id of the other trace.

        Raises:
            FilterError: one of the traces does not exist.
            StoreUnavailableError: the store failed.
        """
        traces = []
        for trace_id in (base, new):
            found = self.get_trace(trace_id)
            if found is None or not found.data.spans:
                raise FilterError(f"no trace {trace_id}", hint="a search lists what there is")
            traces.append(found)
        return diff(*traces)

    def cancel(self) -> None:
        """Cancel the running statement from another thread; the call that waits for it raises ``StoreUnavailableError``."""
        self._connection.cancel()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _comparing() -> ModuleType:
    """Import the comparison at its first use, since it needs the library of statistics.

    Raises:
        StoreUnavailableError: the library is not installed.
    """
    try:
        from spanhouse.query.compare import run
    except ModuleNotFoundError as error:
        raise StoreUnavailableError(f"comparing needs the module {error.name}: pip install 'spanhouse[compare]'") from error
    return run


def search_traces(*args: Any, dsn: str | None = None, **kwargs: Any) -> Page | Matches:
    """Search traces by ``TraceClient(dsn).search_traces(...)``; the client lives as long as the result."""
    return TraceClient(dsn).search_traces(*args, **kwargs)

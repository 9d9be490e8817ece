"""Runs a comparison on a connection: a few statements, and everything else in Python on some hundred numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from spanhouse.query.compare.aggregate import (
    MOST_VALUES,
    Counts,
    Sample,
    Thresholds,
    compile_counts,
    compile_extent,
    compile_newest,
    compile_samples,
    compile_values,
    read_counts,
    read_samples,
)
from spanhouse.query.compare.bisect import changes
from spanhouse.query.compare.comparison import Bisection, Comparison, Finding, Series, Table
from spanhouse.query.compare.confounds import confounds
from spanhouse.query.compare.history import history, in_order
from spanhouse.query.compare.measures import Metric, metrics_of, timing
from spanhouse.query.compare.question import COMMIT, FIRST_TOKEN_FIELD, Question, name_of
from spanhouse.query.compare.series import MOST_DRAWN, compile_bins, compile_periods, read_series, width_of
from spanhouse.query.compare.span_measures import compile_first_token, read_first_token
from spanhouse.query.compare.statistics import threshold
from spanhouse.query.compare.verdict import Measured, findings, overall, slice_findings
from spanhouse.query.errors import FilterError
from spanhouse.query.language.predicate import MapField, SpanField, TraceField
from spanhouse.query.sql.statement import Statement
from spanhouse.query.store.connection import Connection
from spanhouse.schema.vocabulary import GIT_COMMIT

_BEGINNING: Final = "SELECT DISTINCT Commit FROM ({commits}) WHERE startsWith(Commit, {{given:String}}) ORDER BY 1 LIMIT 2"
_COMMITS: Final = "SELECT GitCommit AS Commit FROM traces"
_COMMITS_OF_SERVICE: Final = "SELECT Commit FROM traces ARRAY JOIN `Services.Name` AS Name, `Services.Commit` AS Commit WHERE Name = {service:String}"
MOST_DIFFERENT: Final = 1000
"""So many values of spans tell versions apart; a key with more, such as an id, does not."""
_SHA_DIGITS: Final = 40


def run(connection: Connection, question: Question) -> Table | Comparison:
    """Return the table of all values, or the comparison of two.

    Raises:
        FilterError: no trace has one of the two values.
        StoreUnavailableError: the store failed.
    """
    question = _with_spans(connection, _whole_commits(connection, question))
    if question.base is None or question.new is None:
        return _table(connection, question)
    base, new = str(question.base), str(question.new)
    metrics = metrics_of(question)
    samples = _samples(connection, question, metrics)
    for value in (base, new):
        if value not in samples:
            looked_at = " among those that the filter and the time allow" if question.where or question.since_ns is not None else ""
            raise FilterError(
                f"no trace has {name_of(question.by)} = {value!r}{looked_at}", hint="without two values, a comparison lists all there are"
            )
    thresholds = _thresholds(metrics, samples.values())
    measured = _measured(connection, question, metrics, samples, thresholds)
    found = findings(question, metrics, measured[base], measured[new], thresholds)
    verdict, reason = overall(found)
    return Comparison(
        by=name_of(question.by),
        where=question.where,
        base=measured[base].side(),
        new=measured[new].side(),
        findings=found,
        verdict=verdict,
        reason=reason,
        confounds=list(confounds(question, measured[base], measured[new])),
        per="" if question.per is None else name_of(question.per),
        slices=[] if question.per is None else _slices(connection, question, question.per, (base, new)),
        series=_series(connection, question, [measured[base].sample, measured[new].sample], (base, new)) if question.series else None,
        service=question.service or "",
    )


def run_bisection(connection: Connection, question: Question, repository: Path | None) -> Bisection:
    """Find where the error rate and the latency changed in the sequence of all values.

    Args:
        connection: connection to the store.
        question: question without two values.
        repository: a clone whose history gives commits their order; None for that of their first traces.

    Raises:
        StoreUnavailableError: the store failed.
    """
    if isinstance(question.by, SpanField):
        question = _with_extent(connection, question)
    time = timing(question)
    versions, thresholds = _all(connection, question, (time,))
    limits = {level: thresholds[time.name, level] for level in time.tested if (time.name, level) in thresholds}
    seen = {version.value: version for version in versions}
    known = [] if repository is None or not _tells_commits(question) else history(tuple(seen), repository)
    versions = [seen[value] for value in in_order(tuple(seen), known)]
    return Bisection(
        by=name_of(question.by),
        where=question.where,
        versions=[version.value for version in versions],
        history=str(repository.resolve()) if known and repository is not None else "",
        strangers=[value for value in seen if value not in known] if known else [],
        changes=changes(question, versions, limits),
        service=question.service or "",
    )


def _table(connection: Connection, question: Question) -> Table:
    versions, _ = _all(connection, question, metrics_of(question))
    series = None
    if question.series and versions:
        shown = sorted(versions, key=lambda version: (-version.sample.traces, -version.sample.first_ms))[:MOST_DRAWN]
        series = _series(connection, question, [version.sample for version in shown], [version.value for version in shown])
    return Table(
        by=name_of(question.by),
        where=question.where,
        sides=[side.side() for side in versions],
        complete=len(versions) < MOST_VALUES,
        series=series,
        service=question.service or "",
    )


def _series(connection: Connection, question: Question, samples: Sequence[Sample], values: Sequence[str]) -> Series:
    """Read the data for pictures of some versions."""
    question = replace(question, metrics=())
    first_ms, last_ms = min(sample.first_ms for sample in samples), max(sample.last_ms for sample in samples)
    width_ms = width_of(first_ms, last_ms, sum(sample.traces for sample in samples), len(samples))
    bins = connection.run(compile_bins(question, values))
    return read_series(bins, connection.run(compile_periods(question, values, first_ms, width_ms)), first_ms, width_ms)


def _all(connection: Connection, question: Question, metrics: Sequence[Metric]) -> tuple[list[Measured], dict[tuple[str, float], float]]:
    """Return all values in the order of their first traces, and the thresholds that they were counted by."""
    samples = _samples(connection, question, metrics)
    thresholds = _thresholds(metrics, samples.values())
    measured = _measured(connection, question, metrics, samples, thresholds)
    return sorted(measured.values(), key=lambda side: (side.sample.first_ms, side.value)), thresholds


def _with_spans(connection: Connection, question: Question) -> Question:
    """Add to the question the time to the first token where spans tell of it, and the time between which spans are to be looked at."""
    newest = connection.run(compile_newest(question))
    if not newest:
        return question
    ids, first, last = zip(*newest, strict=True)
    (row,) = connection.run(compile_first_token(ids, (min(first), max(last))))
    if (told := read_first_token(row)) is not None:
        question = replace(question, metrics=(told, *(one for one in question.metrics if one.field != FIRST_TOKEN_FIELD)))
    if isinstance(question.by, SpanField) or any(isinstance(one.field, SpanField) for one in question.metrics):
        return _with_extent(connection, question)
    return question


def _with_extent(connection: Connection, question: Question) -> Question:
    """Add to the question the time between which spans are to be looked at.

    Raises:
        FilterError: spans tell versions apart, and there are too many.
    """
    (spans_ns,) = connection.run(compile_extent(question))
    question = replace(question, spans_ns=tuple(spans_ns))
    if isinstance(question.by, SpanField) and question.base is None:
        ((different,),) = connection.run(compile_values(question, most=MOST_DIFFERENT + 1))
        if different > MOST_DIFFERENT:
            name = name_of(question.by)
            raise FilterError(
                f"{name} has more than {MOST_DIFFERENT:,} values: it tells no versions apart", hint="name two values, or narrow by where"
            )
    return question


def _samples(connection: Connection, question: Question, metrics: Sequence[Metric]) -> dict[str, Sample]:
    rows = connection.run(compile_samples(question, metrics))
    return {value: sample for (value, _), sample in read_samples(rows, metrics).items()}


def _measured(
    connection: Connection, question: Question, metrics: Sequence[Metric], samples: Mapping[str, Sample], thresholds: Thresholds
) -> dict[str, Measured]:
    """Return all figures of each value, and of its strata if two are compared."""
    split = None if question.base is None else question.stratify
    counts = read_counts(connection.run(compile_counts(question, metrics, thresholds, split=split)), thresholds)
    strata: dict[str, dict[str, Counts]] = {}
    for (value, name), found in counts.items():
        if name is not None:
            strata.setdefault(value, {})[name] = found
    return {
        value: Measured(value=value, sample=sample, counts=counts[value, None], strata=strata.get(value, {}))
        for value, sample in samples.items()
        if (value, None) in counts  # values that appeared or vanished between the two statements are not shown
    }


def _slices(connection: Connection, question: Question, per: TraceField, values: tuple[str, str]) -> list[Finding]:
    sliced = (timing(question),)
    samples = read_samples(connection.run(compile_samples(question, sliced, split=per)), sliced)
    names = [name for value, name in samples if name and value == values[1] and (values[0], name) in samples]
    limits = {name: _thresholds(sliced, [samples[value, name] for value in values]) for name in names}
    thresholds: Thresholds = {
        (metric.name, level): {name: found[metric.name, level] for name, found in limits.items() if (metric.name, level) in found}
        for metric in sliced
        for level in metric.tested
    }
    counts = read_counts(connection.run(compile_counts(question, sliced, thresholds, split=per)), thresholds)
    slices = {}
    for name in names:
        if all((value, name) in counts for value in values):
            base, new = (Measured(value=value, sample=samples[value, name], counts=counts[value, name], strata={}) for value in values)
            slices[name] = (base, new)
    return slice_findings(question, slices, thresholds)


def _whole_commits(connection: Connection, question: Question) -> Question:
    """Replace abbreviated SHAs in the question by whole ones.

    Raises:
        FilterError: several commits begin so.
    """
    if question.by != COMMIT or question.base is None or question.new is None:
        return question
    commits = _COMMITS if question.service is None else _COMMITS_OF_SERVICE
    whole = []
    for given in (question.base, question.new):
        statement = Statement(
            _BEGINNING.format(commits=commits), {"given": given.lower(), **({} if question.service is None else {"service": question.service})}
        )
        found = [given] if len(given) == _SHA_DIGITS else [commit for (commit,) in connection.run(statement)]
        if len(found) > 1:
            raise FilterError(f"several commits begin with {given}", hint=" and ".join(found))
        whole += found or [given]
    return replace(question, base=whole[0], new=whole[1])


def _tells_commits(question: Question) -> bool:
    by = question.by.of if isinstance(question.by, SpanField) else question.by
    return isinstance(by, MapField) and by.key in GIT_COMMIT.names


def _thresholds(metrics: Sequence[Metric], samples: Collection[Sample]) -> dict[tuple[str, float], float]:
    """Return for each metric and level that is shown a value that so much of all traces is below."""
    found: dict[tuple[str, float], float] = {}
    for metric in metrics:
        numbers = [sample.numbers[metric.name] for sample in samples if metric.name in sample.numbers]
        if quantiles := [(one.n, one.quantiles) for one in numbers if one.quantiles]:
            found |= {(metric.name, level): threshold(level, quantiles) for level in metric.shown}
    return found

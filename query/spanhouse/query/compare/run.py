"""Runs a comparison on a connection: two statements, and everything else in Python on a few hundred numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from spanhouse.query.compare.aggregate import Sample, Thresholds, compile_counts, compile_samples, read_counts, read_samples
from spanhouse.query.compare.confounds import confounds
from spanhouse.query.compare.metrics import metrics_of
from spanhouse.query.compare.question import COMMIT, Question, name_of
from spanhouse.query.compare.report import Comparison, Table
from spanhouse.query.compare.statistics import LEVELS, threshold
from spanhouse.query.compare.verdict import Measured, findings, overall
from spanhouse.query.connection import Connection
from spanhouse.query.errors import FilterError
from spanhouse.query.statement import Statement

_BEGINNING: Final = "SELECT DISTINCT GitCommit FROM trace_carriers WHERE startsWith(GitCommit, {given:String}) ORDER BY 1 LIMIT 2"
_SHA_DIGITS: Final = 40


def run(connection: Connection, question: Question) -> Table | Comparison:
    """The table of all values, or the comparison of two.

    Raises:
        FilterError: no trace has one of the two values.
        StoreUnavailableError: the store failed.
    """
    question = _whole_commits(connection, question)
    samples = {value: sample for (value, _), sample in read_samples(connection.run(compile_samples(question)), question).items()}
    for value in (question.base, question.new):
        if value is not None and value not in samples:
            looked_at = " among those that the filter and the time allow" if question.where or question.since_ns is not None else ""
            hint = "without two values, a comparison lists all there are"
            raise FilterError(f"no trace has {name_of(question.by)} = {value!r}{looked_at}", hint=hint)
    thresholds = _thresholds(list(samples.values()))
    split = None if question.base is None else question.stratify
    counts = read_counts(connection.run(compile_counts(question, thresholds, split=split)), thresholds)
    measured = {
        value: Measured(
            value=value,
            sample=sample,
            counts=counts[value, None],
            strata={name: found for (of, name), found in counts.items() if of == value and name is not None},
        )
        for value, sample in samples.items()
        if (value, None) in counts
    }
    by = name_of(question.by)
    if question.base is None or question.new is None:
        return Table(by=by, where=question.where, sides=[side.side() for side in measured.values()])
    base, new = measured[question.base], measured[question.new]
    found = findings(question, metrics_of(question.metrics), base, new, thresholds)
    verdict, reason = overall(found)
    return Comparison(
        by=by,
        where=question.where,
        base=base.side(),
        new=new.side(),
        findings=found,
        verdict=verdict,
        reason=reason,
        confounds=list(confounds(question, base, new)),
    )


def _whole_commits(connection: Connection, question: Question) -> Question:
    """The question with whole SHAs where it has their beginnings.

    Raises:
        FilterError: several commits begin so.
    """
    if question.by != COMMIT or question.base is None or question.new is None:
        return question
    whole = []
    for given in (question.base, question.new):
        statement = Statement(_BEGINNING, {"given": given.lower()})
        found = [given] if len(given) == _SHA_DIGITS else [commit for (commit,) in connection.run(statement)]
        if len(found) > 1:
            raise FilterError(f"several commits begin with {given}", hint=" and ".join(found))
        whole += found or [given]
    return replace(question, base=whole[0], new=whole[1])


def _thresholds(samples: list[Sample]) -> Thresholds:
    """For each metric and level a value that so much of all traces is below."""
    names = {name: None for sample in samples for name in sample.numbers}
    return {
        (name, level): threshold(level, [(sample.numbers[name].n, sample.numbers[name].quantiles) for sample in samples if name in sample.numbers])
        for name in names
        for level in LEVELS
    }

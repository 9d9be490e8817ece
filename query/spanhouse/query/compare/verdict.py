"""Figures -> findings: tests, verdicts, and their reasons in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from spanhouse.query.compare import number_format, statistics
from spanhouse.query.compare.aggregate import Counts, Sample, Thresholds
from spanhouse.query.compare.comparison import Finding, Interval, Side, Verdict
from spanhouse.query.compare.measures import SLICED, Metric
from spanhouse.query.compare.question import Question, clause, filter_of, version_clause, where_of
from spanhouse.query.compare.statistics import ALPHA, LEVELS, Sums

LEAST: Final = 30
"""Fewest (effective) traces on each side for a verdict."""
ERROR_RATE: Final = "error rate"
UNFINISHED_RATE: Final = "unfinished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All figures of one version."""

    value: str
    sample: Sample
    counts: Counts
    strata: Mapping[str, Counts]

    def quantile(self, metric: str, level: float) -> Interval | None:
        """Return a quantile of a metric with its interval; None where too few traces tell of it."""
        # A design effect is underestimated where hits are few, as above a p95 of long sessions: the greatest one of the metric is taken.
        sums = max((found for (name, _), found in self.counts.above.items() if name == metric), key=lambda found: found.design_effect, default=None)
        numbers = self.sample.numbers.get(metric)
        return None if numbers is None or sums is None else statistics.quantile(level, numbers.quantiles, sums)

    def side(self) -> Side:
        """Return the version's figures for a report."""
        quantiles = {
            metric: {level: found for level in LEVELS if (found := self.quantile(metric, level)) is not None} for metric in self.sample.numbers
        }
        return Side(
            value=self.value,
            traces=self.sample.traces,
            errors=self.sample.errors,
            error_rate=statistics.proportion(self.counts.errors),
            first_ms=self.sample.first_ms,
            last_ms=self.sample.last_ms,
            mean_execution_time_ms=self.sample.whole_ms,
            means={name: numbers.mean for name, numbers in self.sample.numbers.items()},
            quantiles=quantiles,
            unfinished=self.sample.unfinished,
            unfinished_rate=statistics.proportion(self.counts.unfinished),
            trace_errors=self.sample.trace_errors,
        )


def findings(
    question: Question, metrics: Sequence[Metric], base: Measured, new: Measured, thresholds: Mapping[tuple[str, float], float]
) -> list[Finding]:
    """Return the findings on the error rate and on all metrics, the p-values corrected together."""
    found = [_errors(question, base, new)]
    if base.sample.unfinished or new.sample.unfinished:
        found.append(_failures(question, (base, new), UNFINISHED_RATE, "unfinished = 'true'", lambda counts: counts.unfinished))
    if question.service is not None:
        found.append(_of_whole_traces(base, new))
    for metric in metrics:
        if metric.name in base.sample.numbers and metric.name in new.sample.numbers:
            found += [_quantile(question, metric, level, (base, new), thresholds[metric.name, level]) for level in metric.shown]
    return _judged(found, [f"{metric.name} p50" for metric in metrics if metric.higher_is_better])


def slice_findings(question: Question, slices: Mapping[str, tuple[Measured, Measured]], thresholds: Thresholds) -> list[Finding]:
    """Return the findings on error rate and latency within slices, corrected together; the greatest contribution to a change for the worse first.

    Args:
        question: question of the comparison.
        slices: base and new of each.
        thresholds: of each slice, where both sides have the metric.
    """
    found = []
    total = sum(new.sample.traces for _, new in slices.values())
    for name, (base, new) in slices.items():
        pairs = [(_errors(question, base, new), base.counts.errors, new.counts.errors)]
        for key, limits in thresholds.items():
            if isinstance(limits, Mapping) and name in limits:
                (metric,) = (metric for metric in SLICED if metric.name == key[0])
                pairs.append((_quantile(question, metric, key[1], (base, new), limits[name]), base.counts.above[key], new.counts.above[key]))
        for finding, before, after in pairs:
            examples = filter_of(clause(question.per, name), finding.examples) if question.per and finding.examples else ""
            contribution = (after.share - before.share) * after.n / total
            found.append(replace(finding, slice=name, contribution=contribution, examples=examples))
    return sorted(_judged(found, ()), key=lambda finding: (finding.verdict is not Verdict.WORSE, -(finding.contribution or 0)))


def _judged(found: Sequence[Finding], higher: Sequence[str]) -> list[Finding]:
    """Add verdicts to findings, the p-values corrected together; of metrics in ``higher`` more is better."""
    corrected = iter(statistics.corrected([one.p_value for one in found if one.p_value is not None]))
    return [_judge(one, None if one.p_value is None else next(corrected), better_up=one.metric in higher) for one in found]


def _errors(question: Question, base: Measured, new: Measured) -> Finding:
    return _failures(question, (base, new), ERROR_RATE, "status = 'ERROR'", lambda counts: counts.errors)


def _failures(question: Question, sides: tuple[Measured, Measured], name: str, examples: str, of: Callable[[Counts], Sums]) -> Finding:
    """Return the finding on the share of traces that failed in one way."""
    base, new = sides
    pair = (of(base.counts), of(new.counts))
    finding = _share(name, *pair, filter_of(where_of(question), version_clause(question, new.value), examples))
    return _tested(finding, pair, [(of(base.strata[name]), of(new.strata[name])) for name in base.strata if name in new.strata])


def _of_whole_traces(base: Measured, new: Measured) -> Finding:
    """Return the share of whole traces that failed, which is shown beside a service's own errors and not judged."""
    return _share(f"trace {ERROR_RATE}", base.counts.trace_errors, new.counts.trace_errors)


def _share(name: str, base: Sums, new: Sums, examples: str = "") -> Finding:
    return Finding(
        metric=name,
        unit=number_format.SHARE,
        base=statistics.proportion(base),
        new=statistics.proportion(new),
        change=statistics.difference(base, new),
        examples=examples,
    )


def _quantile(question: Question, metric: Metric, level: float, sides: tuple[Measured, Measured], limit: float) -> Finding:
    key = (metric.name, level)
    base, new = sides
    before, after = base.quantile(*key), new.quantile(*key)
    finding = Finding(
        metric=f"{metric.name} p{level * 100:g}",
        unit=metric.unit,
        base=before,
        new=after,
        change=None if before is None or after is None else statistics.quantile_difference(before, after),
        examples=filter_of(where_of(question), version_clause(question, new.value), _beyond(metric, limit)),
    )
    if level not in metric.tested:
        return finding
    pair = (base.counts.above[key], new.counts.above[key])
    return _tested(finding, pair, [(base.strata[name].above[key], new.strata[name].above[key]) for name in base.strata if name in new.strata])


def _beyond(metric: Metric, limit: float) -> str:
    """Return the filter of traces on the wrong side of a metric's threshold; '' where filters can't tell them."""
    if not metric.filter_key:
        return ""
    return f"{metric.filter_key} {'<=' if metric.higher_is_better else '>'} {number_format.plain(limit * metric.scale)}"


def _tested(finding: Finding, pair: tuple[Sums, Sums], strata: Sequence[tuple[Sums, Sums]]) -> Finding:
    """Add a p-value to a finding, like compared with like where there are strata; where there is too little to test, add that verdict."""
    if min(sums.effective for sums in pair) < LEAST or finding.change is None:
        few, side = min((sums.n, side) for sums, side in zip(pair, ("the base", "the new one"), strict=True))
        return replace(finding, verdict=Verdict.TOO_LITTLE_DATA, reason=f"{few:,} traces of {side} are too few")
    adjusted = statistics.stratified(strata)
    p_value = statistics.p_value(*pair) if adjusted is None else adjusted[1]
    if adjusted is not None and adjusted[0] * finding.change.value < 0:
        p_value = 1.0  # within the strata it went the other way: the change is one of their mix
    return replace(finding, p_value=p_value, effect=statistics.effect_size(*pair))


def _judge(finding: Finding, corrected: float | None, *, better_up: bool) -> Finding:
    if corrected is None:
        return finding
    before, now, change = finding.base, finding.new, finding.change
    assert before is not None and now is not None and change is not None  # noqa: S101, PT018 (a finding that is tested has all three)
    moved = f"{number_format.number(before.value, finding.unit)} before, {number_format.number(now.value, finding.unit)} now"
    spread = f"{number_format.change(change.value, finding.unit)}, 95 % interval {number_format.interval(change, finding.unit)}"
    chance = f"{number_format.p_text(corrected)} after correction"
    if corrected >= ALPHA or not change.value:
        return replace(finding, corrected_p=corrected, verdict=Verdict.NO_EVIDENCE, reason=f"{moved}: {spread}; {chance}, which chance alone gives")
    worse = (change.value > 0) is not better_up
    return replace(finding, corrected_p=corrected, verdict=Verdict.WORSE if worse else Verdict.BETTER, reason=f"{moved}: {spread}; {chance}")


def overall(found: Sequence[Finding]) -> tuple[Verdict, str]:
    """Return the verdict on all findings, with its reason."""
    for verdict in (Verdict.WORSE, Verdict.BETTER):
        if named := [finding for finding in found if finding.verdict is verdict]:
            return verdict, "; ".join(f"{finding.metric}: {finding.reason}" for finding in named)
    if any(finding.verdict is Verdict.NO_EVIDENCE for finding in found):
        return Verdict.NO_EVIDENCE, "no number differs by more than chance alone would give; that is no proof that nothing changed"
    return Verdict.TOO_LITTLE_DATA, next(finding.reason for finding in found if finding.verdict)

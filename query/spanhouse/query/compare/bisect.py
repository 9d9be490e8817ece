"""Bisection: the version at which the error rate, unfinished traces or the time changed."""

from __future__ import annotations

from collections.abc import Sequence

from spanhouse.query.compare import number_format, statistics
from spanhouse.query.compare.changepoint import ChangePoint, change_point
from spanhouse.query.compare.comparison import Change, Verdict
from spanhouse.query.compare.measures import timing
from spanhouse.query.compare.question import Question, filter_of, version_clause, where_of
from spanhouse.query.compare.statistics import ALPHA, Sums
from spanhouse.query.compare.verdict import ERROR_RATE, UNFINISHED_RATE, Measured


def changes(question: Question, versions: Sequence[Measured], limits: dict[float, float]) -> list[Change]:
    """Find for error rate, unfinished traces and time the version at which it most likely changed, the p-values corrected together.

    Args:
        question: question of the bisection.
        versions: in order.
        limits: threshold of the time for each level that is looked at.
    """
    looked_at = [(ERROR_RATE, "status = 'ERROR'", [version.counts.errors for version in versions])]
    if any(version.sample.unfinished for version in versions):
        looked_at.append((UNFINISHED_RATE, "unfinished = 'true'", [version.counts.unfinished for version in versions]))
    time = timing(question)
    above_what = "traces above" if question.service is None else f"{time.name} above"
    for level, limit in limits.items():
        above = [version.counts.above.get((time.name, level)) for version in versions]
        slow = f"{time.filter_key} > {number_format.plain(limit)}"
        looked_at.append(
            (f"{above_what} {number_format.number(limit, 'ms')} (p{level * 100:g} of all)", slow, [one for one in above if one is not None])
        )
    points = [(name, examples, sums, change_point(sums)) for name, examples, sums in looked_at]
    corrected = iter(statistics.corrected([point.p_value for *_, point in points if point is not None]))
    return [_change(question, versions, name, examples, sums, point, next(corrected)) for name, examples, sums, point in points if point is not None]


def _change(  # noqa: PLR0917 (all of one row)
    question: Question, versions: Sequence[Measured], metric: str, examples: str, sums: Sequence[Sums], point: ChangePoint, corrected: float
) -> Change:
    before, after = (statistics.proportion(statistics.total(part)) for part in (sums[: point.at], sums[point.at :]))
    value, previous = versions[point.at].value, versions[point.at - 1].value
    verdict = Verdict.NO_EVIDENCE if corrected >= ALPHA else Verdict.WORSE if after.value > before.value else Verdict.BETTER
    moved = (
        f"{number_format.number(before.value, number_format.SHARE)} before, {number_format.number(after.value, number_format.SHARE)} from there on"
    )
    return Change(
        metric=metric,
        value=value,
        previous=previous,
        before=before,
        after=after,
        p_value=point.p_value,
        corrected_p=corrected,
        confidence=point.confidence,
        candidates=[versions[place].value for place in point.candidates],
        verdict=verdict,
        reason=f"{moved}; {number_format.p_text(corrected)} after correction",
        examples=filter_of(where_of(question), version_clause(question, value), examples),
    )

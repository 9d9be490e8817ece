"""Confounds: differences between the traces of two versions other than the version, reported as warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from spanhouse.query.compare import number_format
from spanhouse.query.compare.question import Question, name_of
from spanhouse.query.compare.verdict import Measured

_MIX: Final = 0.05
"""Part of the traces that would have to be of another stratum for the mix to be the same, from which on it is said."""
_HOURS: Final = 0.5
"""Part of the traces for hours of the day."""


def confounds(question: Question, base: Measured, new: Measured) -> Iterator[str]:
    """Yield a line for each confound."""
    if question.stratify is not None:
        yield from _mix(name_of(question.stratify), base, new)
    yield from _times(base, new)
    yield from _processes(base, new)


def _processes(base: Measured, new: Measured) -> Iterator[str]:
    for side, other in ((base.sample, new.sample), (new.sample, base.sample)):
        value = base.value if side is base.sample else new.value
        if side.hosts == 1 and other.hosts and (other.hosts, other.host) != (1, side.host):
            yield f"{value} ran on one host alone, {side.host}: the host may be the difference"
        if side.dirty:
            part = number_format.number(side.dirty / side.traces, number_format.SHARE)
            yield f"{part} of the traces of {value} ran code with uncommitted changes (mlflow.source.git.dirty): the commit does not say what ran"


def _mix(name: str, base: Measured, new: Measured) -> Iterator[str]:
    shares = [_shares({key: counts.errors.n for key, counts in side.strata.items()}) for side in (base, new)]
    moved = {key: shares[1].get(key, 0) - shares[0].get(key, 0) for key in (*shares[0], *shares[1])}
    if moved and sum(map(abs, moved.values())) / 2 >= _MIX:
        key = max(moved, key=lambda key: abs(moved[key]))
        before, after = (number_format.number(side.get(key, 0), number_format.SHARE) for side in shares)
        said = f"{key} has {before} of the traces of {base.value} and {after} of {new.value}"
        yield f"the mix of {name} differs: {said}; the tests compare like with like"


def _times(base: Measured, new: Measured) -> Iterator[str]:
    shares = [_shares(dict(enumerate(side.sample.hours))) for side in (base, new)]
    apart = sum(abs(shares[0][hour] - shares[1][hour]) for hour in range(24)) / 2
    if apart >= _HOURS:
        said = " and ".join(f"{side.value} from {_time(side.sample.first_ms)} to {_time(side.sample.last_ms)}" for side in (base, new))
        yield f"they ran at different times of the day (UTC): {said}; load and what they call may have differed"


def _shares(counts: Mapping[object, int]) -> dict[object, float]:
    total = sum(counts.values()) or 1
    return {key: count / total for key, count in counts.items()}


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M")

"""Results of a comparison: values that programs read, and that are printed as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """Verdict on a change."""

    WORSE = "worse"
    BETTER = "better"
    NO_EVIDENCE = "no evidence"
    """The data are compatible with no change; that does not prove that nothing changed."""
    TOO_LITTLE_DATA = "too little data"


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the limits of its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Finding on one number.

    Attributes:
        metric: such as ``error rate`` or ``latency p95``.
        unit: of ``base``, ``new`` and ``change``: ``share`` (0 to 1), ``ms``, ``USD`` or '' for a bare number.
        base: the number in the base version with its 95 % interval; None where it has too few traces for it.
        new: in the new version.
        change: new less base, with its interval.
        effect: Cohen's h of the shares that are tested: 0.2 is small, 0.5 medium, 0.8 large; None if nothing is tested.
        p_value: how likely so great a difference is when nothing changed; None for a number that is shown and not tested.
        corrected_p: the same, corrected for the number of tests.
        verdict: None for a number that is not tested.
        reason: the verdict's, in words.
        examples: filter that lists traces of it; '' where filters can't ask for it.
        slice: value of the key that splits the traces; None for all traces.
        contribution: of a slice: additional traces that fail, or that are above the threshold, for each trace of the new version.
    """

    metric: str
    unit: str
    base: Interval | None
    new: Interval | None
    change: Interval | None
    effect: float | None = None
    p_value: float | None = None
    corrected_p: float | None = None
    verdict: Verdict | None = None
    reason: str = ""
    examples: str = ""
    slice: str | None = None
    contribution: float | None = None

    @property
    def relative(self) -> float | None:
        """The change as a part of the base; None where that is 0 or unknown."""
        return self.change.value / self.base.value if self.change and self.base and self.base.value else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the versions.

    Attributes:
        value: name of the version.
        traces: how many it has.
        errors: how many of them failed.
        error_rate: their share with its interval.
        first_ms: its earliest trace's start, in Unix milliseconds.
        last_ms: its latest one's.
        mean_execution_time_ms: mean of ``execution_time_ms``, which is cut to whole ms and 0 for a trace without a root: as MLflow's guide has it.
        means: mean of each metric that its traces have.
        unfinished: how many never got a root: their process crashed, or was killed.
        unfinished_rate: their share with its interval.
        trace_errors: how many failed as a whole, which a service's errors need not make them.
        quantiles: of the latency (of a service its self time) and, where two are compared, of each metric, by level, with intervals; one that
            too few traces tell of is missing.
    """

    value: str
    traces: int
    errors: int
    error_rate: Interval
    first_ms: int
    last_ms: int
    mean_execution_time_ms: float
    means: Mapping[str, float]
    quantiles: Mapping[str, Mapping[float, Interval]]
    unfinished: int
    unfinished_rate: Interval
    trace_errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Bin of a latency histogram: the traces of a version between ``low_ms`` and ``high_ms``."""

    value: str
    low_ms: float
    high_ms: float
    traces: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Traces of a version that began within one period.

    Attributes:
        value: the version.
        start_ms: when the period begins, in Unix milliseconds.
        traces: how many began in it.
        errors: how many of these failed.
        p50_ms: median of their latency; None where none has a root.
        p95_ms: its 95th percentile.
    """

    value: str
    start_ms: int
    traces: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Further data for pictures of a comparison; bins and periods without traces are missing.

    Attributes:
        width_ms: length of a period.
        bins: of each version's latency, twenty a decade.
        periods: of each version.
    """

    width_ms: int
    bins: Sequence[Bin]
    periods: Sequence[Period]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All values of a key, in the order of their first traces.

    Attributes:
        by: the key, as filters write it.
        where: filter of the traces that were looked at.
        sides: a version each.
        complete: whether these are all; otherwise they are those with the most traces.
        series: data for a picture, if requested.
        service: the service whose part in traces was looked at; '' for whole traces.
    """

    by: str
    where: str
    sides: Sequence[Side]
    complete: bool
    series: Series | None = None
    service: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return all values as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A new version against a base.

    Attributes:
        by: the key that tells them apart, as filters write it.
        where: filter of the traces that were looked at.
        base: the version compared against.
        new: the version judged.
        findings: of all numbers.
        verdict: the whole: worse if anything is, else better if anything is.
        reason: the verdict's, in words.
        confounds: other differences between the two that may be behind a difference.
        per: the key that splits the traces; '' for none.
        slices: error rate, p50 and p95 of the latency of each of its values, corrected together; the greatest contribution comes first.
        series: data for a picture, if requested.
        service: the service whose part in traces was looked at; '' for whole traces.
    """

    by: str
    where: str
    base: Side
    new: Side
    findings: Sequence[Finding]
    verdict: Verdict
    reason: str
    confounds: Sequence[str]
    per: str = ""
    slices: Sequence[Finding] = ()
    series: Series | None = None
    service: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return all values as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The version at which something most likely changed.

    Attributes:
        metric: changed number: the error rate, or the share of traces above a latency.
        value: the first version after the change.
        previous: the last one before it.
        before: the share in all versions before, with its interval.
        after: in all versions from there on.
        p_value: how likely a change as clear as this one is, at any version, when nothing changed.
        corrected_p: the same, corrected for the number of tests.
        confidence: the chance that it is this version, if there is one change.
        candidates: versions that hold the change with 95 %, the likeliest first.
        verdict: worse, better, or no evidence that anything changed.
        reason: the verdict's, in words.
        examples: filter that lists traces of it.
    """

    metric: str
    value: str
    previous: str
    before: Interval
    after: Interval
    p_value: float
    corrected_p: float
    confidence: float
    candidates: Sequence[str]
    verdict: Verdict
    reason: str
    examples: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisection:
    """Change points of a sequence of versions.

    Attributes:
        by: the key that tells them apart, as filters write it.
        where: filter of the traces that were looked at.
        versions: all of them, in order.
        history: the clone whose history is that order; '' where it is that of their first traces.
        strangers: versions that the clone does not have: they follow the one that was seen last before them.
        changes: one for each thing that is looked at and can be told apart.
        service: the service whose part in traces was looked at; '' for whole traces.
    """

    by: str
    where: str
    versions: Sequence[str]
    history: str
    strangers: Sequence[str]
    changes: Sequence[Change]
    service: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return all values as a JSON object."""
        return asdict(self)

"""Statistics of a comparison. Everything is a proportion: of traces that failed, or of traces whose value is above a threshold.

So no distribution is assumed, heavy tails and ties do no harm, and all that is needed of millions of traces are a few sums. Traces of one
session are not independent; each proportion's design effect, by which they count for less, is estimated from the sums over sessions.
Intervals and tests are those of statsmodels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from scipy.special import stdtr
from scipy.stats import fisher_exact
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportion_effectsize, proportions_ztest

from spanhouse.query.compare.comparison import Interval

ALPHA: Final = 0.05
"""The chance that anything at all is called worse or better while nothing changed; intervals hold the true value with 95 %."""
FEW: Final = 5
"""With fewer expected on one side than this, the exact test is used, and a threshold is no basis for a quantile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums over clusters (sessions; a trace without one is its own) of traces ``n`` and, among them, hits ``k``.

    Attributes:
        clusters: how many.
        n: traces.
        k: hits.
        nn: sum of n².
        kk: sum of k².
        kn: sum of k times n.
    """

    clusters: int
    n: int
    k: int
    nn: int
    kk: int
    kn: int

    @property
    def share(self) -> float:
        """The proportion of hits; 0 without traces."""
        return self.k / self.n if self.n else 0.0

    @property
    def design_effect(self) -> float:
        """Variance of the proportion divided by that of independent traces; at least 1."""
        binomial = self.share * (1 - self.share) * self.n
        if self.clusters < 2 or not binomial:
            return 1.0
        between = (self.kk - 2 * self.share * self.kn + self.share**2 * self.nn) * self.clusters / (self.clusters - 1)
        return max(1.0, between / binomial)

    @property
    def effective(self) -> float:
        """Effective sample size: number of independent traces with the same variance."""
        return self.n / self.design_effect


def proportion(sums: Sums) -> Interval:
    """Return the proportion of hits with its Wilson interval."""
    low, high = proportion_confint(sums.share * sums.effective, sums.effective, ALPHA, method="wilson")
    return Interval(sums.share, float(low), float(high))


def difference(base: Sums, new: Sums) -> Interval:
    """Return the new proportion less the base's, with Newcombe's interval (from the two Wilson intervals)."""
    sides = [number for side in (new, base) for number in (side.share * side.effective, side.effective)]
    low, high = confint_proportions_2indep(*sides, method="newcomb", compare="diff", alpha=ALPHA)
    return Interval(new.share - base.share, float(low), float(high))


def p_value(base: Sums, new: Sums) -> float:
    """Return the p-value of a difference: score test, Fisher's exact test where hits are few.

    Counts are whole, so p-values come in steps; without the continuity correction up to 6.4 of 100 would be below 0.05, not 5.
    """
    hits = base.k + new.k
    if hits in {0, base.n + new.n}:
        return 1.0
    if _few(base, new):
        return float(fisher_exact(np.rint([_cells(new), _cells(base)])).pvalue)
    sizes = [new.effective, base.effective]
    counts = [new.share * new.effective, base.share * base.effective]
    beyond = counts[0] - sum(counts) * sizes[0] / sum(sizes)
    nearer = math.copysign(min(0.5, abs(beyond)), beyond)  # Yates' correction: half a trace nearer to the expected number
    z, _ = proportions_ztest([counts[0] - nearer, counts[1] + nearer], sizes)
    return float(2 * stdtr(base.clusters + new.clusters - 2, -abs(z)))


def stratified(strata: Sequence[tuple[Sums, Sums]]) -> tuple[float, float] | None:
    """Compare like with like: the difference of proportions within strata, and its p-value by Cochran, Mantel and Haenszel's test.

    Args:
        strata: base and new of each.

    Returns:
        The mean difference, strata weighted by how much they tell, and the p-value; None where fewer than two strata have traces on both sides.
    """
    both = [(base, new) for base, new in strata if base.n and new.n]
    if len(both) < 2:
        return None
    telling = [(base, new) for base, new in both if 0 < base.k + new.k < base.n + new.n]
    if not telling:
        return 0.0, 1.0
    weights = [base.effective * new.effective / (base.effective + new.effective) for base, new in telling]
    change = sum(weight * (new.share - base.share) for weight, (base, new) in zip(weights, telling, strict=True)) / sum(weights)
    base, new = (total([pair[side] for pair in telling]) for side in (0, 1))
    if _few(base, new) or len(telling) == 1:
        return change, p_value(base, new)
    z = math.sqrt(StratifiedTable([np.array([_cells(after), _cells(before)]) for before, after in telling]).test_null_odds(correction=True).statistic)
    return change, float(2 * stdtr(max(1, base.clusters + new.clusters - 2 * len(telling)), -z))


def total(parts: Sequence[Sums]) -> Sums:
    """Add the sums of several strata; a cluster in two of them counts as two."""
    return Sums(**{field.name: sum(getattr(part, field.name) for part in parts) for field in fields(Sums)})


def _few(base: Sums, new: Sums) -> bool:
    """Tell whether hits, or misses, are too few for anything but an exact test."""
    smaller = min(base.effective, new.effective)
    pooled = (base.share * base.effective + new.share * new.effective) / (base.effective + new.effective)
    return smaller * min(pooled, 1 - pooled) < FEW


def _cells(sums: Sums) -> tuple[float, float]:
    return sums.share * sums.effective, (1 - sums.share) * sums.effective


def effect_size(base: Sums, new: Sums) -> float:
    """Return Cohen's h of two proportions: 0.2 is small, 0.5 medium, 0.8 large."""
    return float(proportion_effectsize(new.share, base.share))


def corrected(p_values: Sequence[float]) -> tuple[float, ...]:
    """Correct p-values by Holm's method: the chance that any of them is below ``ALPHA`` while nothing changed is at most ``ALPHA``.

    As ``multipletests`` has it, which collects garbage at every call, for seconds in a process with a large heap.
    """
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values)
    result = np.empty_like(values)
    result[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1)
    return tuple(result.tolist())


def grid() -> tuple[float, ...]:
    """Return the levels at which quantiles are read: close around each of ``LEVELS``, so that ends of intervals can be found between them."""
    steps = [0.0002 * 1.25**step for step in range(36)]
    near = {level + side * step for level in LEVELS for side in (-1, 1) for step in (0.0, *steps)}
    return tuple(sorted(round(level, 6) for level in near if 0.00001 < level < 0.99999))


LEVELS: Final = (0.5, 0.9, 0.95, 0.99)
"""The quantiles that are reported."""
GRID: Final = grid()


def quantile(level: float, values: Sequence[float], sums: Sums) -> Interval | None:
    """Return a quantile with its interval by order statistics: the quantiles at the ends of the level's own interval. None if there are too few.

    Args:
        level: one of ``LEVELS``.
        values: quantiles at ``GRID``.
        sums: of traces above a threshold near the quantile; tells the design effect.
    """
    if sums.effective * min(level, 1 - level) < FEW:
        return None
    low, high = proportion_confint(level * sums.effective, sums.effective, ALPHA, method="wilson")
    ends = np.interp([low, high], GRID, values)
    return Interval(values[GRID.index(level)], float(ends[0]), float(ends[1]))


def quantile_difference(base: Interval, new: Interval) -> Interval:
    """Return the new quantile less the base's; limits from those of both (MOVER, of which Newcombe's is a case)."""
    value = new.value - base.value
    low = value - math.hypot(new.value - new.low, base.high - base.value)
    high = value + math.hypot(new.high - new.value, base.value - base.low)
    return Interval(value, low, high)


def threshold(level: float, samples: Sequence[tuple[int, Sequence[float]]]) -> float:
    """Return a value that about the part ``1 - level`` of all traces exceeds: of the samples' quantiles the nearest one.

    Args:
        level: one of ``LEVELS``.
        samples: of each side the number of values and its quantiles at ``GRID``. Which side is which makes no difference.
    """
    total = sum(n for n, _ in samples)
    candidates = np.unique(np.concatenate([values for _, values in samples]))
    levels = np.array((0.0, *GRID))
    below = sum(n * levels[np.searchsorted(values, candidates, side="right")] for n, values in samples)
    return float(candidates[np.argmin(np.abs(below - level * total))])

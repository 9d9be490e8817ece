"""The stated rates of false alarms and of detection hold, over thousands of simulated experiments with fresh random numbers.

An observed rate is judged by its Clopper-Pearson interval with a confidence of 1 - ``DOUBT``: all assertions here together fail by chance in
less than one of 10,000 runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from spanhouse.query.compare.statistics import ALPHA, GRID, Sums, corrected, p_value, proportion, quantile, stratified, threshold

Values = NDArray[np.float64]
EXPERIMENTS = 2000
DOUBT = 1e-6
random = np.random.default_rng()


def lognormal(count: int) -> Values:
    return random.lognormal(4, 0.6, (EXPERIMENTS, count))


def bimodal(count: int) -> Values:
    """One in five misses a cache."""
    return np.where(random.random((EXPERIMENTS, count)) < 0.2, 10, 1) * random.lognormal(3, 0.3, (EXPERIMENTS, count))


def heavy_tailed(count: int) -> Values:
    """Neither mean nor variance exists."""
    return random.pareto(0.9, (EXPERIMENTS, count)) + 1


def tied(count: int) -> Values:
    """Whole milliseconds, of which there are few."""
    return np.floor(random.lognormal(1.5, 0.5, (EXPERIMENTS, count)))


SESSIONS = np.repeat(np.arange(240), np.tile([1, 2, 5, 12], 60))
"""Session of each of 1,200 traces: 240 sessions of 1 to 12 traces."""


def by_session(_: int) -> Values:
    """Half of the variance is that between sessions."""
    sessions = random.normal(0, 0.5, (EXPERIMENTS, SESSIONS[-1] + 1))
    return np.exp(4 + sessions[:, SESSIONS] + random.normal(0, 0.5, (EXPERIMENTS, len(SESSIONS))))


@dataclass(frozen=True)
class Group:
    """One version in all experiments: a row an experiment, a column a trace."""

    values: Values
    clusters: NDArray[np.int64] | None = None

    def quantiles(self) -> Values:
        """As the engine reads them: of n sorted values the one at place floor(n * level)."""
        places = np.floor(np.array(GRID) * self.values.shape[1]).astype(int)
        return np.sort(self.values, axis=1)[:, places]

    def sums(self, hits: NDArray[np.bool_]) -> list[Sums]:
        count = self.values.shape[1]
        starts = np.arange(count) if self.clusters is None else np.flatnonzero(np.diff(self.clusters, prepend=-1))
        n = np.diff(starts, append=count)
        k = np.add.reduceat(hits.astype(int), starts, axis=1)
        figures = zip(k.sum(axis=1), (k * k).sum(axis=1), (k * n).sum(axis=1), strict=True)
        return [Sums(clusters=len(n), n=count, k=int(all_k), nn=int((n * n).sum()), kk=int(kk), kn=int(kn)) for all_k, kk, kn in figures]


def quantile_p_values(base: Group, new: Group, level: float) -> Values:
    quantiles = [(group.values.shape[1], group.quantiles()) for group in (base, new)]
    limits = np.array([threshold(level, [(count, rows[number]) for count, rows in quantiles]) for number in range(EXPERIMENTS)])
    pairs = zip(*(group.sums(group.values > limits[:, None]) for group in (base, new)), strict=True)
    return np.array([known_p_value(before, after) for before, after in pairs])


def rate_p_values(base: float, new: float, count: int) -> Values:
    """P-values of error rates when so many independent traces fail with these probabilities."""
    hits = [random.binomial(count, rate, EXPERIMENTS) for rate in (base, new)]
    return np.array(
        [known_p_value(*(Sums(clusters=count, n=count, k=int(k), nn=count, kk=int(k), kn=int(k)) for k in pair)) for pair in zip(*hits, strict=True)]
    )


def session_error_pairs() -> list[tuple[Sums, Sums]]:
    """Two versions alike, in which one session in ten fails again and again."""

    def version() -> list[Sums]:
        failing = random.random((EXPERIMENTS, SESSIONS[-1] + 1)) < 0.1
        hits = random.random((EXPERIMENTS, len(SESSIONS))) < np.where(failing[:, SESSIONS], 0.6, 0.01)
        return Group(hits.astype(float), SESSIONS).sums(hits)

    return list(zip(version(), version(), strict=True))


known_p_value = cache(p_value)
"""Many experiments have the same counts."""
LEAST_RATE = 0.6 * ALPHA
"""Counts are whole, so that the rate is below the stated one; far below it, the tests would find too little."""


def said(alarms: NDArray[np.bool_]) -> tuple[float, float, str]:
    """The interval of the observed rate, and what to print of it."""
    interval = binomtest(int(alarms.sum()), len(alarms)).proportion_ci(1 - DOUBT, method="exact")
    return interval.low, interval.high, f"observed {alarms.mean():.4f}, between {interval.low:.4f} and {interval.high:.4f}"


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("draw", [lognormal, bimodal, heavy_tailed])
def test_a_quantile_that_did_not_change_is_called_changed_in_at_most_5_of_100_cases(draw: Callable[[int], Values], level: float) -> None:
    low, high, text = said(quantile_p_values(Group(draw(1000)), Group(draw(1500)), level) < ALPHA)
    print(text)
    assert low <= ALPHA, text
    assert high >= LEAST_RATE, text


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("draw", [tied, by_session])
def test_with_ties_and_with_alike_traces_in_sessions_it_is_in_at_most_5_of_100(draw: Callable[[int], Values], level: float) -> None:
    clusters = SESSIONS if draw is by_session else None
    low, _, text = said(quantile_p_values(Group(draw(1200), clusters), Group(draw(1200), clusters), level) < ALPHA)
    print(text)
    assert low <= ALPHA, text


def test_sessions_that_are_taken_for_independent_traces_would_give_false_alarms() -> None:
    """So the test above can fail: without the design effect the rate is far beyond the stated one."""
    low, _, text = said(quantile_p_values(Group(by_session(1200)), Group(by_session(1200)), 0.5) < ALPHA)
    assert low > 2 * ALPHA, text


def test_an_error_rate_that_did_not_change_is_called_changed_in_at_most_5_of_100_cases() -> None:
    low, high, text = said(rate_p_values(0.05, 0.05, 2000) < ALPHA)
    print(text)
    assert low <= ALPHA, text
    assert high >= LEAST_RATE, text
    low, _, text = said(rate_p_values(0.002, 0.002, 1000) < ALPHA)
    print(text)
    assert low <= ALPHA, text


def test_the_correction_is_holm_s_as_statsmodels_has_it() -> None:
    for count in (1, 2, 30):
        p_values = random.random(count) ** 4
        assert corrected(list(p_values)) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert corrected([]) == ()


def test_over_many_slices_anything_at_all_is_called_changed_in_at_most_5_of_100_cases() -> None:
    """Of 12 slices, three tests each as ``--per`` makes them: an error rate, common in some and rare in others, p50 and p95 of what has no mean."""
    tests = []
    for number in range(12):
        tests.append(rate_p_values(0.05 if number % 2 else 0.005, 0.05 if number % 2 else 0.005, 300))
        pair = Group(heavy_tailed(300)), Group(heavy_tailed(200))
        tests += [quantile_p_values(*pair, level) for level in (0.5, 0.95)]
    alarms = np.array([min(corrected(list(row))) < ALPHA for row in np.array(tests).T])
    low, _, text = said(alarms)
    print(text)
    assert low <= ALPHA, text


def test_errors_that_come_in_whole_sessions_are_called_changed_in_at_most_5_of_100_cases() -> None:
    low, _, text = said(np.array([p_value(*pair) < ALPHA for pair in session_error_pairs()]))
    print(text)
    assert low <= ALPHA, text


def test_another_mix_of_endpoints_is_called_a_change_in_at_most_5_of_100_cases() -> None:
    strata = [(0.01, 800, 200), (0.2, 200, 800)]
    alarms = []
    for _ in range(EXPERIMENTS):
        pairs = [[Sums(clusters=n, n=n, k=k, nn=n, kk=k, kn=k) for n in counts for k in (int(random.binomial(n, rate)),)] for rate, *counts in strata]
        found = stratified([(base, new) for base, new in pairs])
        assert found is not None
        alarms.append(found[1] < ALPHA)
    low, high, text = said(np.array(alarms))
    print(text)
    assert low <= ALPHA, text
    assert high >= LEAST_RATE, text


MOST_TESTS = 9
"""Error rate, p50 and p95, spans, tokens in and out, cost, p50 and p95 of the time to the first token: Holm's correction of the least p-value."""


def test_ten_percent_more_latency_are_found_in_80_of_100_cases_with_5000_traces_a_side() -> None:
    """At the 95th percentile, of a lognormal latency whose p95 is 2.7 times its median."""
    _, high, text = said(quantile_p_values(Group(lognormal(5000)), Group(1.1 * lognormal(5000)), 0.95) < ALPHA / MOST_TESTS)
    print(text)
    assert high >= 0.8, text


def test_a_doubled_error_rate_of_one_percent_is_found_in_80_of_100_cases_with_4000_traces_a_side() -> None:
    _, high, text = said(rate_p_values(0.01, 0.02, 4000) < ALPHA / MOST_TESTS)
    print(text)
    assert high >= 0.8, text


TRUE = {heavy_tailed: {0.5: 2 ** (1 / 0.9), 0.95: 20 ** (1 / 0.9)}, by_session: {0.5: np.exp(4), 0.95: np.exp(4 + 1.644854 * 0.5**0.5)}}


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize(("draw", "clusters"), [(heavy_tailed, None), (by_session, SESSIONS)])
def test_intervals_hold_the_true_quantile_in_at_least_95_of_100_cases(
    draw: Callable[[int], Values], clusters: NDArray[np.int64] | None, level: float
) -> None:
    group = Group(draw(1200), clusters)
    rows, true = group.quantiles(), TRUE[draw][level]
    limits = [np.array([threshold(at, [(1200, row)]) for row in rows]) for at in (0.5, 0.95)]
    missed = []
    for row, *sums in zip(rows, *(group.sums(group.values > limit[:, None]) for limit in limits), strict=True):
        found = quantile(level, tuple(row), max(sums, key=lambda one: one.design_effect))
        missed.append(found is None or not found.low <= true <= found.high)
    low, _, text = said(np.array(missed))
    print(text)
    assert low <= ALPHA, text


def test_a_wilson_interval_holds_the_true_rate_in_95_of_100_cases() -> None:
    counts = random.binomial(1000, 0.02, EXPERIMENTS)
    intervals = [proportion(Sums(clusters=1000, n=1000, k=int(k), nn=1000, kk=int(k), kn=int(k))) for k in counts]
    low, high, text = said(np.array([not found.low <= 0.02 <= found.high for found in intervals]))
    print(text)
    assert low <= ALPHA <= high, text

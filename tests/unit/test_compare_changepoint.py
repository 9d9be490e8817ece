"""Change points: a known one is found, and where nothing changed one is reported in 5 of 100 cases."""

from __future__ import annotations

import numpy as np
from scipy.stats import binomtest

from spanhouse.query.compare.changepoint import change_point
from spanhouse.query.compare.statistics import ALPHA, Sums

random = np.random.default_rng()
DOUBT = 1e-6


def sequence(rates: list[float], totals: list[int]) -> list[Sums]:
    found = []
    for rate, n in zip(rates, totals, strict=True):
        k = int(random.binomial(n, rate))
        found.append(Sums(clusters=n, n=n, k=k, nn=n, kk=k, kn=k))
    return found


def test_where_nothing_changed_a_change_is_reported_in_5_of_100_cases() -> None:
    totals = [400, 30, 900, 200, 50, 400, 700, 100]
    p_values = [found.p_value for _ in range(2000) if (found := change_point(sequence([0.05] * 8, totals), draws=199)) is not None]
    interval = binomtest(sum(p_value <= ALPHA for p_value in p_values), len(p_values)).proportion_ci(1 - DOUBT, method="exact")
    text = f"between {interval.low:.4f} and {interval.high:.4f}"
    print(text)
    assert interval.low <= ALPHA <= interval.high, text


def test_a_known_change_is_found_at_its_place_and_the_confidence_is_as_often_right_as_it_says() -> None:
    places, confidences, held = [], [], []
    for _ in range(300):
        found = change_point(sequence([0.02] * 5 + [0.06] * 4, [500] * 9), draws=199)
        assert found is not None
        places.append(found.at)
        confidences.append(found.confidence)
        held.append(5 in found.candidates)
    right = sum(place == 5 for place in places)
    assert right > 240
    assert binomtest(sum(held), len(held)).proportion_ci(1 - DOUBT, method="exact").high >= 1 - ALPHA
    assert abs(right / 300 - np.mean(confidences)) < 0.15


def test_there_is_nothing_to_tell_apart_in_one_version_or_without_a_hit() -> None:
    assert change_point(sequence([0.5], [100])) is None
    assert change_point(sequence([0.0, 0.0], [100, 100])) is None
    assert change_point(sequence([0.0, 1.0], [0, 100])) is None


def test_sessions_count_by_what_they_tell() -> None:
    """Each session fails as a whole: 20 sessions of 50 traces say as much as 20 traces."""
    alike = [Sums(clusters=20, n=1000, k=50 * k, nn=20 * 2500, kk=k * 2500, kn=k * 2500) for k in (2, 6)]
    apart = [Sums(clusters=1000, n=1000, k=50 * k, nn=1000, kk=50 * k, kn=50 * k) for k in (2, 6)]
    together, alone = change_point(alike), change_point(apart)
    assert together is not None
    assert alone is not None
    assert alone.p_value < 0.001 < ALPHA < together.p_value

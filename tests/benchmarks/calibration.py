"""Rates of false alarms and of detection over more experiments than a test has time for, each with its 95 % interval. No seed is set.

Usage: python -m tests.benchmarks.calibration [--rounds N]    a round is 2,000 experiments of each kind
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from tests.unit.test_compare_calibration import (
    EXPERIMENTS,
    MOST_TESTS,
    SESSIONS,
    Group,
    bimodal,
    by_session,
    heavy_tailed,
    lognormal,
    quantile_p_values,
    rate_p_values,
    session_error_pairs,
    tied,
)

from spanhouse.query.compare.statistics import ALPHA, p_value

Alarms = NDArray[np.bool_]


def unchanged(draw: Callable[[int], NDArray[np.float64]], level: float) -> Alarms:
    clusters = SESSIONS if draw is by_session else None
    return quantile_p_values(Group(draw(1200), clusters), Group(draw(1200), clusters), level) < ALPHA


KINDS: Mapping[str, Callable[[], Alarms]] = {
    **{
        f"unchanged: {draw.__name__}, p{level * 100:g}": lambda draw=draw, level=level: unchanged(draw, level)  # type: ignore[misc]
        for draw in (lognormal, bimodal, heavy_tailed, tied, by_session)
        for level in (0.5, 0.95)
    },
    "unchanged: 5 % of 2,000 fail": lambda: rate_p_values(0.05, 0.05, 2000) < ALPHA,
    "unchanged: 0.2 % of 1,000 fail": lambda: rate_p_values(0.002, 0.002, 1000) < ALPHA,
    "unchanged: errors in sessions": lambda: np.array([p_value(*pair) < ALPHA for pair in session_error_pairs()]),
    "found: 10 % more at p95, 5,000 a side": lambda: (
        quantile_p_values(Group(lognormal(5000)), Group(1.1 * lognormal(5000)), 0.95) < ALPHA / MOST_TESTS
    ),
    "found: 1 % to 2 % fail, 4,000 a side": lambda: rate_p_values(0.01, 0.02, 4000) < ALPHA / MOST_TESTS,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    print(f"{rounds * EXPERIMENTS:,} experiments of each kind\n\n| what | rate | 95 % interval |\n| --- | --- | --- |")
    for name, kind in KINDS.items():
        alarms = sum(int(kind().sum()) for _ in range(rounds))
        interval = binomtest(alarms, rounds * EXPERIMENTS).proportion_ci(0.95, method="exact")
        print(f"| {name} | {alarms / rounds / EXPERIMENTS:.4f} | {interval.low:.4f} to {interval.high:.4f} |", flush=True)


if __name__ == "__main__":
    main()

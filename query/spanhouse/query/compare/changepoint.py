"""Change point of a proportion in a sequence of versions: one change, found by its likelihood, with an exact test and a confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, xlogy

from spanhouse.query.compare.statistics import ALPHA, Sums

DRAWS: Final = 9999
"""Sequences without a change that the found one is compared with: p-values are told from one another down to 1 in 10,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """Likeliest change point of a sequence.

    Attributes:
        at: place of the first version after the change.
        p_value: how likely a change as clear as this one is, anywhere, when nothing changed.
        confidence: the chance that it is at this place, if there is one change.
        candidates: places that hold the change with 95 %, the likeliest first.
    """

    at: int
    p_value: float
    confidence: float
    candidates: tuple[int, ...]


def change_point(sequence: Sequence[Sums], *, draws: int = DRAWS) -> ChangePoint | None:
    """Find the likeliest change in a sequence of proportions; None where there is nothing to tell apart.

    The test is exact: when nothing changed, the hits are spread over all (effective) traces by chance, and the greatest likelihood ratio
    over all places is compared with that of so many sequences in which they are. The confidence is the posterior of the place, all places
    alike before and Jeffreys' prior for both proportions.
    """
    totals = np.array([round(sums.effective) for sums in sequence])
    hits = np.array([min(total, round(sums.share * sums.effective)) for sums, total in zip(sequence, totals, strict=True)])
    if len(totals) < 2 or totals[0] == totals.sum() or not 0 < hits.sum() < totals.sum():
        return None
    found = _likelihood_ratios(hits[None, :], totals)[0]
    drawn = np.random.default_rng().multivariate_hypergeometric(totals, int(hits.sum()), size=draws, method="marginals")
    p_value = (1 + int((_likelihood_ratios(drawn, totals).max(axis=1) >= found.max() * (1 - 1e-12)).sum())) / (1 + draws)
    before, after, hits_before, hits_after = _sides(hits[None, :], totals)
    weights = sum(betaln(k + 0.5, n - k + 0.5) for n, k in ((before, hits_before[0]), (after, hits_after[0])))
    chances = np.exp(weights - weights.max())
    chances /= chances.sum()
    order = np.argsort(-chances)
    enough = int(np.searchsorted(np.cumsum(chances[order]), 1 - ALPHA)) + 1
    return ChangePoint(
        at=int(order[0]) + 1,
        p_value=p_value,
        confidence=float(chances[order[0]]),
        candidates=tuple(int(place) + 1 for place in order[:enough]),
    )


def _sides(hits: NDArray[Any], totals: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Sum traces and hits before and after each place, a row a sequence."""
    before, hits_before = np.cumsum(totals)[:-1], np.cumsum(hits, axis=1)[:, :-1]
    return before, totals.sum() - before, hits_before, hits.sum(axis=1, keepdims=True) - hits_before


def _likelihood_ratios(hits: NDArray[Any], totals: NDArray[Any]) -> NDArray[Any]:
    """Compute the log likelihood ratio of each sequence with a change at each place to the sequence without one."""
    before, after, hits_before, hits_after = _sides(hits, totals)
    whole = _log_likelihood(hits.sum(axis=1, keepdims=True), totals.sum())
    return np.asarray(_log_likelihood(hits_before, before) + _log_likelihood(hits_after, after) - whole)


def _log_likelihood(hits: NDArray[Any], totals: Any) -> NDArray[Any]:
    shares = hits / np.maximum(totals, 1)
    return np.asarray(xlogy(hits, shares) + xlogy(totals - hits, 1 - shares))

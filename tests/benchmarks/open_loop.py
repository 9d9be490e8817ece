"""Load that comes when it comes, whether the receiver keeps up or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import TypeVar

_T = TypeVar("_T")
_THREADS = 256
"""Requests under way at once; with more than that unanswered, one waits for its turn and its time goes on."""


def offer(send: Callable[[bytes], _T], bodies: Sequence[bytes], *, per_second: float, seconds: float) -> list[tuple[float, _T]]:
    """Send so many requests a second, over and over the same ones.

    Returns:
        For each request the seconds from when it was due until it was answered, and what ``send`` gave.
    """
    begun = time.monotonic()

    def one(numbered: tuple[int, bytes]) -> tuple[float, _T]:
        answer = send(numbered[1])
        return time.monotonic() - begun - numbered[0] / per_second, answer

    with ThreadPoolExecutor(_THREADS) as senders:
        answers = []
        for number, body in enumerate(islice(cycle(bodies), round(per_second * seconds))):
            time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
            answers.append(senders.submit(one, (number, body)))
        return [answer.result() for answer in answers]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

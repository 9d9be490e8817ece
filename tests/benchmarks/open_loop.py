"""Load that comes when it comes, whether the receiver keeps up or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_THREADS = 256
"""Requests under way at once; with more than that unanswered, one waits for its turn and its time goes on."""


def offer(send: Callable[[int], _T], *, per_second: float, seconds: float, late: bool = True) -> list[tuple[float, _T]]:
    """Call ``send`` so many times a second, with 0, 1, 2 and so on.

    Args:
        send: is given the number of the call.
        per_second: calls.
        seconds: for how long.
        late: make the calls that still wait for their turn at the end.

    Returns:
        For each call that was made the seconds from when it was due until it returned, and what it gave.
    """
    begun = time.monotonic()

    def one(number: int) -> tuple[float, _T]:
        answer = send(number)
        return time.monotonic() - begun - number / per_second, answer

    with ThreadPoolExecutor(_THREADS) as senders:
        answers = []
        for number in range(round(per_second * seconds)):
            time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
            answers.append(senders.submit(one, number))
        made = [answer for answer in answers if late or not answer.cancel()]
        return [answer.result() for answer in made]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

"""A pace lets a few steps begin at once after a quiet time, then one per interval."""

from __future__ import annotations

from spanhouse.exporter.pace import Pace


def starts(pace: Pace, begin: float, steps: int) -> list[float]:
    """Begin steps as early as the pace lets them, and return their times."""
    found, now = [], begin
    for _ in range(steps):
        now += pace.wait(now)
        pace.step(now)
        found.append(now)
    return found


def test_four_steps_begin_at_once_and_the_others_one_per_interval() -> None:
    assert starts(Pace(2), 100, 7) == [100, 100, 100, 100, 102, 104, 106]


def test_a_quiet_time_gives_the_steps_back() -> None:
    pace = Pace(2)
    assert starts(pace, 100, 5)[-1] == 102
    assert starts(pace, 106, 3) == [106, 106, 108]
    assert starts(pace, 200, 5) == [200, 200, 200, 200, 202]


def test_steps_that_are_forced_do_not_delay_later_ones_without_bound() -> None:
    pace = Pace(2)
    for _ in range(100):
        pace.step(100)
    assert pace.wait(100) == 2


def test_without_an_interval_every_step_begins_at_once() -> None:
    assert starts(Pace(0), 100, 9) == [100] * 9

"""The settling thread: keeps the rows of traces up to date, a second behind the inserts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from spanhouse.exporter.metrics import FAILED_SETTLES, REMADE_TRACES, SETTLE_SECONDS, UNSETTLED_TRACES
from spanhouse.exporter.pace import Pace
from spanhouse.exporter.store.open_store import OpenStore
from spanhouse.exporter.store.thread_priority import lower_priority
from spanhouse.schema.settle.settle import Settler
from spanhouse.schema.settle.turns import Turns
from spanhouse.schema.tables.driver import Execute, execute_of

_log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 1.4
"""Time between two rounds of steady traffic: a small round costs as much as one of medium size."""
_IDLE_SECONDS: Final = 2.0
"""Pause between two looks for parts of other writers: another receiver, or a Collector."""
_REMAKE_SECONDS: Final = 5.0
_LARGE_SECONDS: Final = 120.0
_LARGE_TIMES: Final = 30.0
"""Pause after large traces were remade, in multiples of the time that took: at most a thirtieth of a core goes there."""
_FEED_SECONDS: Final = 10.0
_SWEEP_SECONDS: Final = 20.0
_EVERYTHING_SECONDS: Final = 60.0
_BACK_OFF_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 3.0


class Settling:
    """Thread that settles a store, with a connection of its own.

    Args:
        store: the store, open.
    """

    def __init__(self, store: OpenStore) -> None:
        self._store = store
        self._came = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spanhouse-settle", daemon=True)

    def start(self) -> None:
        """Begin with all parts that wait."""
        self._thread.start()

    def notify(self) -> None:
        """Wake the thread after an insert."""
        self._came.set()

    def stop(self) -> None:
        """Settle the last inserts, and end. Work that takes too long is left to the next start."""
        self._stopping.set()
        self._came.set()
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            _log.warning("traces are still being settled; the rest is settled at the next start")

    def _run(self) -> None:
        lower_priority()
        while True:
            try:
                with self._store.another_client() as client:
                    self._settle(self._rounds(execute_of(client)))
            except Exception:  # noqa: BLE001 a thread that ends would settle nothing for as long as the server runs
                FAILED_SETTLES.inc()
                _log.exception("the store can't be reached to settle traces; it is tried again")
                if self._stopping.wait(_BACK_OFF_SECONDS):
                    return
            else:
                return

    def _rounds(self, execute: Execute) -> _Rounds:
        if self._store.store.embedded:
            return _Rounds(Settler(execute), self._store.settling)
        turns = Turns(execute)
        return _Rounds(Settler(turns.execute), self._store.settling, turns)

    def _settle(self, rounds: _Rounds) -> None:
        while not self._stopping.is_set():
            pause = rounds.run()
            self._came.wait(pause)
            self._came.clear()
            self._stopping.wait(rounds.rest())
        rounds.run()


class _Rounds:
    """Schedule of a settler's rounds.

    Args:
        settler: settles the store.
        alone: lock held during a round, so that nothing else in this process writes rows of traces.
        turns: turns of a store that other processes settle, too; None for an embedded one.
        clock: returns seconds, monotonic.
    """

    def __init__(self, settler: Settler, alone: threading.Lock, turns: Turns | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._settler = settler
        self._alone = alone
        self._turns = turns
        self._clock = clock
        self._due = dict.fromkeys(("everything", "remake", "large", "feed", "sweep"), 0.0)
        self._pace = Pace(_EVERY_SECONDS)
        self._unfed = False
        self._trouble = ""

    def run(self) -> float:
        """Do the work that is due, and return the seconds until the next round if no notice comes before."""
        self._pace.step(self._clock())
        try:
            with self._alone:
                waiting = self._round() if self._turns is None else self._round_in_turn(self._turns)
        except Exception as error:  # noqa: BLE001 on any error the parts stay and are settled later
            FAILED_SETTLES.inc()
            if str(error) != self._trouble:
                _log.exception("traces were not settled; it is tried again")
            self._trouble = str(error)
            return _BACK_OFF_SECONDS
        if self._trouble:
            _log.warning("traces are settled again")
            self._trouble = ""
        if waiting:
            return 0.0
        # Only this process inserts into an embedded store, and each insert gives notice.
        nothing_left = self._turns is None and not (self._settler.due or self._settler.large or self._unfed)
        return _SWEEP_SECONDS if nothing_left else _IDLE_SECONDS

    def rest(self) -> float:
        """Return the seconds until the next round may begin."""
        return self._pace.wait(self._clock())

    def _round_in_turn(self, turns: Turns) -> bool:
        """Run a round if it is this process's turn; in its turn another process settles this one's inserts too."""
        with turns.taken() as mine:
            return not mine or self._round()

    def _round(self) -> bool:
        with SETTLE_SECONDS.time():
            settled = self._settler.settle(everything=self._is_due("everything", _EVERYTHING_SECONDS))
        self._unfed = self._unfed or settled.arrivals > 0
        if self._unfed and self._is_due("feed", _FEED_SECONDS):
            self._settler.feed()
            self._unfed = False
        if self._is_due("sweep", _SWEEP_SECONDS):
            self._settler.sweep()
        # Last: a trace that can't be remade raises each time, and nothing after it would run.
        if self._settler.due and self._is_due("remake", _REMAKE_SECONDS):
            REMADE_TRACES.inc(self._settler.remake_due(large=False))
        if self._settler.large and self._is_due("large", _LARGE_SECONDS):
            begun = self._clock()
            REMADE_TRACES.inc(self._settler.remake_due())
            self._due["large"] = max(self._due["large"], begun + _LARGE_TIMES * (self._clock() - begun))
        for trace_id in self._settler.culprits:
            UNSETTLED_TRACES.inc()
            _log.error("trace %s can't be settled; its spans are stored", trace_id)
        self._settler.culprits.clear()
        return settled.waiting

    def _is_due(self, work: str, seconds: float) -> bool:
        now = self._clock()
        if now < self._due[work]:
            return False
        self._due[work] = now + seconds
        return True


@contextmanager
def settling(store: OpenStore) -> Iterator[Settling]:
    """Settle a store as long as the block runs."""
    thread = Settling(store)
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()

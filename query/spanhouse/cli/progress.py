"""Progress of long work: one line for each window, or the seconds for which an answer has been waited for."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from spanhouse.schema.maintenance.actions import Event
from spanhouse.schema.maintenance.windows import Step, Window

_CLEAR: Final = "\r\x1b[K"
"""Back to the begin of the line, and nothing in it."""


def show_step(step: Step) -> None:
    """Print the first time of a window, its number of spans, and how many windows of how many are done."""
    begin = datetime.fromtimestamp(step.window.first_ns // 10**9, UTC)
    print(f"{step.done}/{step.windows}  {begin:%Y-%m-%d %H:%M} UTC  {step.window.spans:,} spans", flush=True)


def show_window(event: Event) -> None:
    """Print the same for an event of maintenance that tells of a window."""
    if "done" in event:
        show_step(Step(Window(event["first_ns"], event["first_ns"], event["spans"]), event["done"], event["windows"]))


@contextmanager
def waiting() -> Iterator[None]:
    """Show on a terminal, each second, for how long the block has waited for a store, and let Ctrl-C end it at once.

    The embedded engine keeps Python from hearing of a Ctrl-C until it has its answer. As nothing is written, the process may just end.
    """
    heard = signal.signal(signal.SIGINT, signal.SIG_DFL) if threading.current_thread() is threading.main_thread() else None
    ended = threading.Event()
    teller = threading.Thread(target=_tell, args=(ended,), name="progress", daemon=True)
    if sys.stderr.isatty():
        teller.start()
    try:
        yield
    finally:
        ended.set()
        if teller.is_alive():
            teller.join()
        if heard is not None:
            signal.signal(signal.SIGINT, heard)


def _tell(ended: threading.Event) -> None:
    begun = time.monotonic()
    told = False
    while not ended.wait(1):
        print(f"{_CLEAR}{time.monotonic() - begun:.0f} s, Ctrl-C ends it", end="", file=sys.stderr, flush=True)
        told = True
    if told:
        print(_CLEAR, end="", file=sys.stderr, flush=True)

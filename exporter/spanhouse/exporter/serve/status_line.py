"""The status line on the terminal of `serve`: spans per second, size of the spool, lag, refused requests."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from spanhouse.exporter import metrics

_SECONDS: Final = 1.0


@asynccontextmanager
async def status_line() -> AsyncIterator[None]:
    """Show the line as long as the block runs; show nothing where standard error is no terminal, or one that can't rewrite a line."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield
        return
    task = asyncio.create_task(_show(), name="status line")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _show() -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    # Log lines go to standard error meanwhile, and rich writes them above the line.
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True, redirect_stdout=False) as live:
        loop = asyncio.get_running_loop()
        now = _Numbers(loop.time())
        while True:
            before, now = now, _Numbers(loop.time())
            live.update(Text(now.line(before), no_wrap=True, overflow="ellipsis"), refresh=True)
            await asyncio.sleep(_SECONDS)


class _Numbers:
    """Counts of all processes at one moment."""

    def __init__(self, time: float) -> None:
        self.time = time
        self._sums: defaultdict[str, float] = defaultdict(float)
        for family in metrics.registry().collect():
            for sample in family.samples:
                self._sums[sample.name] += sample.value  # over all labels
        self._lag_seconds: float | None = None

    def line(self, before: _Numbers) -> str:
        def grown(name: str) -> float:
            return self._sums[name] - before._sums[name]

        rate = grown("spanhouse_spans_total") / (self.time - before.time) if self.time > before.time else 0.0
        stored = grown("spanhouse_lag_seconds_count")
        self._lag_seconds = grown("spanhouse_lag_seconds_sum") / stored if stored else before._lag_seconds
        lag = "-" if self._lag_seconds is None else f"{self._lag_seconds:.1f} s"
        spool, refused = self._sums["spanhouse_spool_bytes"], self._sums["spanhouse_refused_requests_total"]
        return f"{rate:,.0f} spans/s   spool {spool / 1e6:,.1f} MB   lag {lag}   refused {refused:,.0f}"

"""One line on the terminal where `serve` runs, kept up to date: how much comes in, what waits, what was refused."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from spanhouse.exporter import metrics

_SECONDS: Final = 1.0


@asynccontextmanager
async def status_line() -> AsyncIterator[None]:
    """Show the line as long as the block runs; nothing where standard error is no terminal, or one that can't go back in a line."""
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

    # What is logged meanwhile goes to standard error, which rich writes above the line.
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True, redirect_stdout=False) as live:
        now = _Numbers()
        while True:
            before, now = now, _Numbers()
            live.update(Text(now.line(before), no_wrap=True, overflow="ellipsis"), refresh=True)
            await asyncio.sleep(_SECONDS)


class _Numbers:
    """The counts at one moment."""

    def __init__(self) -> None:
        self.time = asyncio.get_running_loop().time()
        self.spans = self.refused = self.spool_bytes = self.lag_sum = self.lag_count = 0.0
        for family in metrics.registry().collect():
            for sample in family.samples:
                match sample.name:
                    case "spanhouse_spans_total":
                        self.spans += sample.value
                    case "spanhouse_refused_requests_total":
                        self.refused += sample.value
                    case "spanhouse_spool_bytes":
                        self.spool_bytes += sample.value
                    case "spanhouse_lag_seconds_sum":
                        self.lag_sum += sample.value
                    case "spanhouse_lag_seconds_count":
                        self.lag_count += sample.value
        self.lag_seconds: float | None = None

    def line(self, before: _Numbers) -> str:
        rate = (self.spans - before.spans) / (self.time - before.time) if self.time > before.time else 0.0
        stored = self.lag_count - before.lag_count
        self.lag_seconds = (self.lag_sum - before.lag_sum) / stored if stored else before.lag_seconds
        lag = "-" if self.lag_seconds is None else f"{self.lag_seconds:.1f} s"
        return f"{rate:,.0f} spans/s   spool {self.spool_bytes / 1e6:,.1f} MB   lag {lag}   refused {self.refused:,.0f}"

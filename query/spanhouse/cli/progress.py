"""How far long work is, one line for each window of it."""

from __future__ import annotations

from datetime import UTC, datetime

from spanhouse.schema.windows import Step


def show_step(step: Step) -> None:
    """Print from when on spans were finished, and how many windows of how many."""
    begin = datetime.fromtimestamp(step.window.first_ns // 10**9, UTC)
    print(f"{step.done}/{step.windows}  {begin:%Y-%m-%d %H:%M} UTC  {step.window.spans:,} spans", flush=True)

"""View of one trace on the terminal: its head line, the tree of its spans, its maps."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from spanhouse.cli.output import Column, safe, show, show_table
from spanhouse.cli.span_tree import show_tree
from spanhouse.cli.text import local_time, milliseconds
from spanhouse.cli.trace_list import state
from spanhouse.query import Trace


def show_trace(trace: Trace, *, indent: int = 0) -> None:
    """Print a line about the whole trace, and the tree of its spans."""
    info = trace.info
    head = [safe(info.trace_id, "bold"), state(info.state), safe(milliseconds(info.execution_time_ms)), safe(local_time(info.timestamp_ms))]
    if tokens := [f"{count} tokens {way}" for count, way in ((info.input_tokens, "in"), (info.output_tokens, "out")) if count]:
        head.append(safe(", ".join(tokens)))
    if info.cost is not None:
        head.append(safe(f"{info.cost:.4f} USD"))
    show(Text("  ").join(head), indent=indent)
    show_tree(trace.data.spans, indent=indent)


def show_map(title: str, values: Mapping[str, str], *, indent: int = 0) -> None:
    """Print keys and values below a title; nothing if there are none."""
    if values:
        print()
        show_table((Column(title=title, style="dim"), Column(title="", whole=True)), sorted(values.items()), indent=indent)

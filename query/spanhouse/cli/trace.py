"""``spanhouse trace``: one trace, its spans as a tree, and what is known of it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import fields as dataclass_fields

from rich.text import Text

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.output import Column, print_for_programs, safe, show, show_table
from spanhouse.cli.stores import reader
from spanhouse.cli.text import local_time, milliseconds
from spanhouse.cli.traces import fields, state
from spanhouse.cli.tree import show_tree
from spanhouse.query import Span, Trace


def run(arguments: Namespace) -> int:
    """Print the trace, for programs as JSON or as a row for each span; exit with 1 if there is none."""
    with reader(arguments.store) as client:
        found = client.get_trace(arguments.trace_id)
    if found is None:
        raise CommandError(f"no trace {arguments.trace_id}; `spanhouse search` lists the newest", Exit.NOTHING)
    spans = [asdict(span) for span in found.data.spans]
    rows = [tuple(span.values()) for span in spans]
    if not print_for_programs(arguments.format, [field.name for field in dataclass_fields(Span)], rows, {**fields(found), "spans": spans}):
        show_trace(found)
        show_map("metadata", found.info.trace_metadata)
        show_map("tags", found.info.tags)
    return Exit.DONE


def show_trace(trace: Trace, *, indent: int = 0) -> None:
    """Print a line of what is known of the trace as a whole, and the tree of its spans."""
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

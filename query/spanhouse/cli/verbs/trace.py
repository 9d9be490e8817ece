"""``spanhouse trace``: one trace: its spans as a tree, its metadata and tags."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from dataclasses import fields as dataclass_fields

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.output import print_for_programs
from spanhouse.cli.store_access import reader
from spanhouse.cli.trace_list import fields
from spanhouse.cli.trace_view import show_map, show_trace
from spanhouse.query import Span


def run(arguments: Namespace) -> int:
    """Print the trace, for programs as JSON or as a row for each span; refuse an id that no trace has."""
    with reader(arguments.store) as client:
        found = client.get_trace(arguments.trace_id)
    if found is None:
        raise CommandError(f"no trace {arguments.trace_id}; `spanhouse search` lists the newest")
    spans = [asdict(span) for span in found.data.spans]
    rows = [tuple(span.values()) for span in spans]
    if not print_for_programs(arguments.format, [field.name for field in dataclass_fields(Span)], rows, {**fields(found), "spans": spans}):
        show_trace(found)
        show_map("metadata", found.info.trace_metadata)
        show_map("tags", found.info.tags)
    return Exit.DONE

"""``spanhouse store size``: space on disk."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Final

from spanhouse.cli.errors import Exit
from spanhouse.cli.output import Column, show_rows, show_table
from spanhouse.cli.store_access import readable_store, whole
from spanhouse.cli.text import binary_size
from spanhouse.schema.address.dsn import Store
from spanhouse.schema.maintenance import table_sizes
from spanhouse.schema.maintenance.table_sizes import Partition, Size
from spanhouse.schema.tables.driver import execute_of

_COLUMNS: Final = (
    Column(title="table"),
    Column(title="partition", whole=True),
    Column(title="parts", right=True, whole=True),
    Column(title="rows", right=True, whole=True),
    Column(title="size", right=True, whole=True),
    Column(title="oldest (UTC)", whole=True, spare=2),
    Column(title="newest (UTC)", whole=True, spare=1),
)


def run(arguments: Namespace) -> int:
    """Print the size of each partition."""
    store = readable_store(arguments.store)
    with whole(store) as client:
        found = table_sizes.size(execute_of(client))
    if arguments.format != "table":
        show_rows(arguments.format, [field.name for field in fields(Partition)], [astuple(one) for one in found.partitions])
    else:
        _show(store, found)
    return Exit.DONE


def _show(store: Store, found: Size) -> None:
    show_table(_COLUMNS, [_row(one) for one in found.partitions])
    spans = f"{found.spans:,} spans of {found.bytes_per_span:.0f} bytes in otel_traces"
    print(f"{store}: {binary_size(found.bytes)}; {spans}; {found.traces:,} traces of {found.bytes_per_trace:.0f} bytes in all other tables")


def _row(one: Partition) -> Sequence[object]:
    return one.table, "" if one.partition == "tuple()" else one.partition, one.parts, f"{one.rows:,}", binary_size(one.bytes), one.oldest, one.newest

"""``spanhouse store compact``: merge of parts."""

from __future__ import annotations

from argparse import Namespace

from spanhouse.cli.errors import Exit
from spanhouse.cli.store_access import given_store, run_maintenance
from spanhouse.cli.text import binary_size
from spanhouse.schema.maintenance import actions


def run(arguments: Namespace) -> int:
    """Merge the parts of each partition."""
    with run_maintenance(arguments.store, "compact", actions.compact) as events:
        for event in events:
            if "place" in event:
                name = event["table"] if event["partition"] == "tuple()" else f"{event['table']} {event['partition']}"
                print(f"{event['place']}/{event['of']}  {name}: {event['parts']} parts, {binary_size(event['bytes'])}", flush=True)
    sizes = f"{binary_size(event['bytes_before'])} are {binary_size(event['bytes_after'])} now"
    print(f"{given_store(arguments.store)}: {event['merged']} partitions merged, {sizes}")
    return Exit.DONE

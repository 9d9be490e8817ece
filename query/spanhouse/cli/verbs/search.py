"""``spanhouse search``: traces that a filter finds, newest first unless told otherwise."""

from __future__ import annotations

import sys
from argparse import Namespace

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.output import print_csv, print_json, print_markdown, safe, show
from spanhouse.cli.store_access import reader
from spanhouse.cli.trace_list import FIELDS, fields, show_traces
from spanhouse.query import compile_filter
from spanhouse.query.language.order_by import read_order
from spanhouse.query.search.page_token import MAX_RESULTS


def run(arguments: Namespace) -> int:
    """Print the traces that the filter finds."""
    if not 1 <= arguments.limit <= MAX_RESULTS:
        raise CommandError(f"--limit {arguments.limit}: from 1 to {MAX_RESULTS}")
    order = [arguments.order_by] if arguments.order_by else None
    compile_filter(arguments.filter)  # a mistake in it, or in the order, is told before anything is connected to
    read_order(order)
    with reader(arguments.store) as client:
        found = client.search_traces(filter_string=arguments.filter, max_results=arguments.limit, order_by=order, service=arguments.service or None)
    if arguments.format == "json":
        # Services are read where a search asks for one: left out, so that unread services are not taken for none.
        print_json({name: value for name, value in fields(trace).items() if name != "services" or value} for trace in found)
    elif arguments.format == "csv":
        print_csv(FIELDS, (tuple(fields(trace).values()) for trace in found))
    elif arguments.format == "markdown":
        print_markdown(FIELDS, (tuple(fields(trace).values()) for trace in found))
    elif found:
        show_traces(found, service=arguments.service)
        if unfinished := sum(trace.info.unfinished for trace in found):
            show(
                safe(
                    f"{unfinished} of these {'is' if unfinished == 1 else 'are'} unfinished: the root never came, as of a process that crashed", "dim"
                )
            )
    else:
        print("no trace matches", file=sys.stderr)
    return Exit.GATE if arguments.fail_if_empty and not found else Exit.DONE

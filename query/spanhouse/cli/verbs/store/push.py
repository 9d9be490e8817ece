"""``spanhouse store push``: copy of all spans into another store."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from clickhouse_connect.driver.client import Client

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.progress import show_step
from spanhouse.cli.second_engine import second_engine
from spanhouse.cli.store_access import given_cluster, given_store, opened, readable_store, whole
from spanhouse.schema.address.dsn import Store
from spanhouse.schema.maintenance.push import Read, push
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import Execute, execute_of, number


def run(arguments: Namespace) -> int:
    """Copy the spans, tags and prices that the target lacks."""
    source, target = readable_store(arguments.store), given_store(arguments.target)
    with _spans_of(source, target) as (execute, read), _made(target) as there:

        def write(table: str, columns: Sequence[str], rows: bytes, settings: Mapping[str, object]) -> None:
            there.raw_insert(table, column_names=list(columns), insert_block=rows, fmt="Native", settings=dict(settings))

        done = push(
            execute,
            read,
            execute_of(there),
            write,
            report=show_step,
            report_compared=lambda step: print(f"compared {step.done}/{step.windows}", flush=True),
            cluster=given_cluster(arguments.cluster),
        )
    print(
        f"all {done.spans:,} spans of {source} are in {target}, {done.equal:,} of them with the same values; "
        f"{done.copied:,} were copied now; so are its {done.tags:,} edited tags"
    )
    if done.prices > 0:
        print(f"its {done.prices:,} prices of models are there, too")
    elif done.prices < 0:
        print(f"{target} has prices of its own, which stay; those of {source} were not copied", file=sys.stderr)
    if done.equal != done.spans:
        print(f"{done.spans - done.equal:,} spans were there before with other values, and stay as they were", file=sys.stderr)
    return Exit.DONE


@contextmanager
def _spans_of(source: Store, target: Store) -> Iterator[tuple[Execute, Read]]:
    """Open a store of this version or a pre-release to read its spans; where this process opens the target's engine, in another process.

    Raises:
        CommandError: it has no spans, can't be reached, or is the target itself.
    """
    if source.embedded and (source.directory, source.database) == (target.directory, target.database):
        raise CommandError(f"store push: {source} would be copied into itself")
    with ExitStack() as stack:
        if source.embedded and target.embedded and source.directory != target.directory:
            second = stack.enter_context(second_engine(source))
            found: tuple[Execute, Read] = second.execute, second.read
        elif (client := stack.enter_context(opened(source))) is None:
            raise CommandError(f"{source}: there is no store", Exit.STORE)
        else:
            found = execute_of(client), _read_by(client)
        if not number(found[0]("EXISTS TABLE otel_traces")[0][0]):
            raise CommandError(f"{source}: there is no store", Exit.STORE)
        yield found


def _read_by(client: Client) -> Read:
    return lambda sql, parameters: client.raw_query(sql, parameters=dict(parameters), fmt="Native")


@contextmanager
def _made(target: Store) -> Iterator[Client]:
    """Open a store to write into it; an embedded one is made where it is missing, as `serve` does.

    Raises:
        CommandError: it lacks tables of this version, or can't be reached.
    """
    if not target.embedded:
        with whole(target) as client:
            yield client
        return
    with opened(target, create=True) as made:
        if made is None:
            raise CommandError(f"{target} can't be made", Exit.STORE)
        migrations.apply(execute_of(made))
        yield made

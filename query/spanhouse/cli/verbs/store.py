"""``spanhouse store``: upkeep of a store as a whole. Retention is ``spanhouse migrate --ttl``."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, fields
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.client import Client

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.output import Column, show_rows, show_table
from spanhouse.cli.progress import show_step, show_window
from spanhouse.cli.second_engine import second_engine
from spanhouse.cli.store_access import given_store, opened, readable_store, run_maintenance, server_maintenance, whole
from spanhouse.exporter.owned_directory import make
from spanhouse.exporter.spool import file_names
from spanhouse.exporter.store.backup_files import finish, move
from spanhouse.schema.address.dsn import Store, default_spool
from spanhouse.schema.maintenance import actions, backup, table_sizes
from spanhouse.schema.maintenance.actions import Event
from spanhouse.schema.maintenance.push import Read, push
from spanhouse.schema.maintenance.table_sizes import Partition, Size
from spanhouse.schema.settle import settle
from spanhouse.schema.settle.turns import Turns
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import Execute, execute_of, number

_TURN_SECONDS: Final = 30
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024
_SIZE_COLUMNS: Final = (
    Column(title="table"),
    Column(title="partition", whole=True),
    Column(title="parts", right=True, whole=True),
    Column(title="rows", right=True, whole=True),
    Column(title="size", right=True, whole=True),
    Column(title="oldest (UTC)", whole=True, spare=2),
    Column(title="newest (UTC)", whole=True, spare=1),
)


def run(arguments: Namespace) -> int:
    """Do what is asked for."""
    action = _ACTIONS.get(arguments.action)
    if action is None:
        near = get_close_matches(arguments.action, _ACTIONS, n=1)
        raise CommandError(f"store: {arguments.action!r} is none of {', '.join(_ACTIONS)}" + (f"; do you mean {near[0]}?" if near else ""))
    takes = _TARGETS.get(arguments.action, "")
    if takes and not arguments.target:
        raise CommandError(f"store {arguments.action}: {takes} is missing (see `spanhouse store --help`)")
    if arguments.all and arguments.action != "settle":
        raise CommandError(f"store {arguments.action}: --all is for settle alone")
    if arguments.target and not takes:
        raise CommandError(f"store {arguments.action}: {arguments.target!r} is too much")
    return action(arguments)


def _size(arguments: Namespace) -> int:
    store = readable_store(arguments.store)
    with whole(store) as client:
        found = table_sizes.size(execute_of(client))
    if arguments.format != "table":
        show_rows(arguments.format, [field.name for field in fields(Partition)], [astuple(one) for one in found.partitions])
    else:
        _show(store, found)
    return Exit.DONE


def _show(store: Store, found: Size) -> None:
    show_table(_SIZE_COLUMNS, [_row(one) for one in found.partitions])
    spans = f"{found.spans:,} spans of {found.bytes_per_span:.0f} bytes in otel_traces"
    print(f"{store}: {_bytes(found.bytes)}; {spans}; {found.traces:,} traces of {found.bytes_per_trace:.0f} bytes in all other tables")


def _row(one: Partition) -> Sequence[object]:
    return one.table, "" if one.partition == "tuple()" else one.partition, one.parts, f"{one.rows:,}", _bytes(one.bytes), one.oldest, one.newest


def _bytes(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < _STEP:
            return f"{count:.0f} {unit}" if unit == _UNITS[0] else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} {_UNITS[-1]}"


def _check(arguments: Namespace) -> int:
    store = given_store(arguments.store)
    with run_maintenance(arguments.store, "check", actions.check) as events:
        for event in events:
            if "problem" in event:
                print(event["problem"], flush=True)
    if event["problems"]:
        raise CommandError(f"{store}: {event['problems']} problems", Exit.STORE)
    print(f"{store}: every part is whole, and each trace says what its spans do; `spanhouse migrate --verify` compares the tables' definitions")
    return Exit.DONE


def _compact(arguments: Namespace) -> int:
    with run_maintenance(arguments.store, "compact", actions.compact) as events:
        for event in events:
            if "place" in event:
                name = event["table"] if event["partition"] == "tuple()" else f"{event['table']} {event['partition']}"
                print(f"{event['place']}/{event['of']}  {name}: {event['parts']} parts, {_bytes(event['bytes'])}", flush=True)
    sizes = f"{_bytes(event['bytes_before'])} are {_bytes(event['bytes_after'])} now"
    print(f"{given_store(arguments.store)}: {event['merged']} partitions merged, {sizes}")
    return Exit.DONE


def _settle(arguments: Namespace) -> int:
    store = given_store(arguments.store)
    if arguments.all:
        steps = partial(actions.remake, cluster=arguments.cluster or None)
        with run_maintenance(arguments.store, "settle", steps) as events:
            for event in events:
                show_window(event)
        print(f"{store}: the rows of all traces are made anew ({event['remade']} windows)")
        return Exit.DONE
    with server_maintenance(arguments.store, "settle") as told:
        if told is not None:
            print(f"{store}: the server that has it open settles it by itself")
            return Exit.DONE
    with whole(store) as client:
        turns = Turns(execute_of(client))
        with turns.taken(_TURN_SECONDS) as mine:
            if not mine:
                raise CommandError(f"{store}: a server settles it by itself, and has done so for {_TURN_SECONDS} s")
            done = settle.settle_all(turns.execute)
    print(f"{store}: all that waited is settled ({done.arrivals} inserts; {done.remade} traces were made anew from their spans)")
    return Exit.DONE


def _push(arguments: Namespace) -> int:
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
            cluster=arguments.cluster or None,
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
        CommandError: it has not the tables of this version, or can't be reached.
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


def _backup(arguments: Namespace) -> int:
    store, directory = given_store(arguments.store), Path(arguments.target).absolute()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CommandError(f"store backup: {directory} is not empty; name a new directory")
    with server_maintenance(arguments.store, "backup") as told:
        if told is not None:
            (done,) = told
            return _take_over(done, directory)
    if not store.embedded:
        raise CommandError(f"store backup: {store} is a server; use its own BACKUP")
    waiting = sum(path.stat().st_size for path in file_names.sealed(default_spool(store)))
    with whole(store, backups=directory) as client:
        make(directory)
        written = backup.backup(execute_of(client), store.database)
    finish(directory, written)
    if waiting:
        print(f"{waiting} bytes wait in the spool beside the store, and are not in the backup: `spanhouse serve` stores them", file=sys.stderr)
    _show_backup(directory, written.spans)
    return Exit.DONE


def _take_over(done: Event, directory: Path) -> int:
    """Put the backup that the server has written beside its store where it is wanted."""
    written = Path(done["directory"])
    if not written.is_dir():
        print(f"the backup is on the server's machine, in {written}, {done['spans']:,} spans", file=sys.stderr)
        return Exit.DONE
    try:
        move(written, directory)
    except OSError as error:
        raise CommandError(f"store backup: it is in {written}, and can't be put into {directory}: {(error.strerror or str(error)).lower()}") from None
    _show_backup(directory, done["spans"])
    return Exit.DONE


def _show_backup(directory: Path, spans: int) -> None:
    print(f"{spans:,} spans are in {directory}; `spanhouse store restore {directory} --store chdb:///new/directory` reads it")


def _restore(arguments: Namespace) -> int:
    store, directory = given_store(arguments.store), Path(arguments.target).absolute()
    if not store.embedded:
        raise CommandError(f"store restore: {store} is a server; restore into a directory, and `spanhouse store push` it there")
    found = backup.Backup.read(directory)
    with opened(store, create=True, backups=directory) as client:
        if client is None:
            raise CommandError(f"{store} can't be made", Exit.STORE)
        execute = execute_of(client)
        backup.restore(execute, store.database, found)
        pending = migrations.plan(execute)
    print(f"{found.spans:,} spans are in {store} again, with the counts and hashes that were written")
    if pending:
        print("the backup is of an earlier version: `spanhouse serve` brings its tables up to date when it starts", file=sys.stderr)
    return Exit.DONE


_ACTIONS: Final[Mapping[str, Callable[[Namespace], int]]] = {
    "size": _size,
    "check": _check,
    "compact": _compact,
    "settle": _settle,
    "backup": _backup,
    "restore": _restore,
    "push": _push,
}
_TARGETS: Final = {"backup": "the directory", "restore": "the directory", "push": "the DSN of a store"}
"""Actions that take a second word, and its meaning."""

"""Lock of migrations, so that one migration runs at a time: a table, since a table can be created only once."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from spanhouse.schema.tables.driver import Execute, MigrationError

_NAME: Final = "spanhouse_migrating"
_HOLDER: Final = "SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = 'spanhouse_migrating'"
_TAKEN: Final = "TABLE_ALREADY_EXISTS"
_POLL_SECONDS: Final = 0.2


@contextmanager
def held(execute: Execute, *, take_over: bool, wait_seconds: float, where: str = "", report: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of the store.

    Args:
        execute: runs a statement on the store.
        take_over: take the lock from its holder; right if that process ended without releasing it.
        wait_seconds: longest time to wait for another holder.
        where: ``ON CLUSTER '...'`` for a lock of all servers; '' for one server.
        report: called once with a line of text if another process is waited for.

    Raises:
        MigrationError: another process holds the lock and does not release it in time.
    """
    if take_over:
        execute(f"DROP TABLE IF EXISTS {_NAME} {where}")
    deadline = time.monotonic() + wait_seconds
    reported = False
    while not _take(execute, where):
        holder = _holder(execute)
        if time.monotonic() >= deadline:
            raise MigrationError(f"{holder} migrates this store; if it does not run any more, `spanhouse migrate --resume` goes on where it ended")
        if not reported:
            report(f"{holder} migrates this store; waiting for it")
            reported = True
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        execute(f"DROP TABLE IF EXISTS {_NAME} {where}")


def _take(execute: Execute, where: str) -> bool:
    me = f"process {os.getpid()} on {socket.gethostname()}".replace("\\", "").replace("'", "")
    try:
        execute(f"CREATE TABLE {_NAME} {where} (nothing UInt8) ENGINE = Memory COMMENT '{me}'")
    except Exception as error:
        # Each driver has its own exceptions; all texts have the name of the engine's error.
        if _TAKEN not in str(error):
            raise
        return False
    return True


def _holder(execute: Execute) -> str:
    found = execute(_HOLDER)
    return str(found[0][0]) if found else "another process"

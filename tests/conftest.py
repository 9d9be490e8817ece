"""For all tests: where their files go, what this machine can not run, and the real engine, in this process or in a server of its own."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.support import machine
from tests.support.checkout import Checkout
from tests.support.engine_marker import starts_something
from tests.support.serve import Serve
from tests.support.sink import Sink
from tests.support.store import TestStore

MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    # Spool and store sync whatever they write, which a disk takes its time for. Who wants to see the files of a failed test sets TMPDIR.
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="spanhouse-tests-", dir=MEMORY)
    atexit.register(shutil.rmtree, tempfile.tempdir, ignore_errors=True)

# The processes that tests are dealt out to have to agree about their names, so a set of parameters has one order in all of them.
os.environ.setdefault("PYTHONHASHSEED", str(random.randrange(2**32)))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and every program that a test starts and interrupts would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the machine's other work and nothing of the behaviour that is tested.
settings.register_profile("spanhouse", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("spanhouse")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes do not name a test: some are another second's, compressed or signed."""
    return argname if isinstance(val, bytes) else None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what this machine can not run."""
    return True if machine.lacks(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the engine, a server process or git."""
    for item in items:
        if starts_something(item.path):
            item.add_marker("engine")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out."""
    for what in machine.left_out([Path(word.partition("::")[0]).resolve() for word in terminalreporter.config.args]):
        terminalreporter.write_line(f"left out: {what}")


@pytest.fixture
def store() -> Iterator[TestStore]:
    """An empty database of the engine in this process."""
    made = TestStore()
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_store() -> Iterator[TestStore]:
    """A database that the tests of a file share, empty for the first of them."""
    made = TestStore()
    yield made
    made.close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A receiver of OTLP that keeps what it is sent."""
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A git repository without a commit. A file that needs more of it has a fixture of the same name that adds to this one."""
    return Checkout(tmp_path / "shop")


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """One `spanhouse serve` process for all tests that keep to names of their own. It makes its tables itself, as a first start does."""
    with Serve(tmp_path_factory.mktemp("serve"), prepared=False) as running:
        yield running

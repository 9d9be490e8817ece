"""Fixtures for all tests: the real engine, in this process or in a server of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.support.serve import Serve
from tests.support.store import TestStore

MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    # Spool and store sync whatever they write, which a disk takes its time for. Who wants to see the files of a failed test sets TMPDIR.
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="spanhouse-tests-", dir=MEMORY)
    atexit.register(shutil.rmtree, tempfile.tempdir, ignore_errors=True)


# How long an example takes says something of the machine's other work and nothing of the behaviour that is tested.
settings.register_profile("spanhouse", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("spanhouse")


@pytest.fixture
def store() -> Iterator[TestStore]:
    """An empty database of the engine in this process."""
    made = TestStore()
    yield made
    made.close()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """One `spanhouse serve` process for all tests that keep to names of their own. It makes its tables itself, as a first start does."""
    with Serve(tmp_path_factory.mktemp("serve"), prepared=False) as running:
        yield running

"""Fixtures for all tests: the real engine, in this process or in a server of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.serve import Serve
from tests.support.store import TestStore


@pytest.fixture
def store() -> Iterator[TestStore]:
    """An empty database of the engine in this process."""
    made = TestStore()
    yield made
    made.close()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """One `spanhouse serve` process for all tests that keep to names of their own."""
    with Serve(tmp_path_factory.mktemp("serve")) as running:
        yield running

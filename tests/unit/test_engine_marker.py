"""Tests are marked `engine` by what their files import."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.engine_marker import starts_something


@pytest.mark.parametrize(
    ("code", "starts"),
    [
        ("import subprocess", True),
        ("def test() -> None:\n    import chdb", True),
        ("import clickhouse_connect", True),
        ("from tests.support.store import TestStore", True),
        ("from tests.support import arrivals", True),
        ("from tests.support.filters import random_cases", True),
        ("import os\nfrom tests.support.otlp import span", False),
        ("from clickhouse_connect.driver.client import Client", False),
        ("SUBPROCESS = 'import subprocess'", False),
    ],
)
def test_a_file_starts_something_if_an_import_of_it_or_of_its_support_modules_does(tmp_path: Path, code: str, starts: bool) -> None:
    file = tmp_path / "test_something.py"
    file.write_text(code)
    assert starts_something(file) is starts


def test_this_test_is_not_marked(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("engine") is None

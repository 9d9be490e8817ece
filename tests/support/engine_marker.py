"""Marks of tests by their imports: a file that imports the engine or starts processes, itself or through a support module, holds engine tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
_STARTERS: Final = frozenset({"chdb", "clickhouse_connect", "multiprocessing", "subprocess"})
"""Modules by which a test opens an engine or starts a server or git."""


@cache
def starts_something(file: Path) -> bool:
    """Return whether a test file uses the engine, a server process or git."""
    for name in _imported(file):
        if name in _STARTERS:
            return True
        support = _ROOT / f"{name.replace('.', '/')}.py"
        if name.startswith("tests.") and support.exists() and starts_something(support):
            return True
    return False


def _imported(file: Path) -> Iterator[str]:
    """Give the modules that a file imports anywhere in it, and names of packages that may be modules."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)

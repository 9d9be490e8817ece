"""File names of a spool. Imports the standard library alone, so that any program can look into a spool."""

from __future__ import annotations

from pathlib import Path
from typing import Final

OPEN: Final = ".open"
"""A segment that is being written."""
SEALED: Final = ".sealed"
"""A segment that waits for the store."""

DEAD_LETTERS: Final = "dead-letters"
LETTER: Final = ".otlp"
QUARANTINE: Final = "quarantine"
DAMAGED: Final = ".bin"
REASON: Final = ".json"
"""Suffix of the reason, beside each file of these two folders."""


def sealed(root: Path) -> list[Path]:
    """Return the segments that wait for the store, of all receive processes: oldest first, replayed dead letters last."""
    return sorted((*root.glob(f"*/*{SEALED}"), *root.glob(f"*{SEALED}")), key=lambda path: path.name)


def dead_letters(root: Path) -> list[Path]:
    """Return the requests that the store could not read."""
    return sorted((root / DEAD_LETTERS).glob(f"*{LETTER}"))


def damaged(root: Path) -> list[Path]:
    """Return the files of bytes that were damaged on disk."""
    return sorted((root / QUARANTINE).glob(f"*{DAMAGED}"))

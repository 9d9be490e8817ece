"""What the files of a spool are called. Needs the standard library alone, so that anybody can look into one."""

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
"""Beside each file of these two folders: why it is there."""


def sealed(root: Path) -> list[Path]:
    """The segments that wait for the store, those of all receive processes: oldest first, dead letters that are tried again last."""
    return sorted((*root.glob(f"*/*{SEALED}"), *root.glob(f"*{SEALED}")), key=lambda path: path.name)


def dead_letters(root: Path) -> list[Path]:
    """The requests that the store could not read."""
    return sorted((root / DEAD_LETTERS).glob(f"*{LETTER}"))


def damaged(root: Path) -> list[Path]:
    """What was damaged on disk."""
    return sorted((root / QUARANTINE).glob(f"*{DAMAGED}"))

"""Replay of dead letters: moves them back into the spool as sealed segments, which a server stores at once, or when it starts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from spanhouse.exporter.owned_directory import sync
from spanhouse.exporter.spool import record
from spanhouse.exporter.spool.file_names import DEAD_LETTERS, REASON, SEALED, dead_letters

_MOVING: Final = ".moving"


def replay(directory: Path) -> int:
    """Move every dead letter of a spool back into it. A request that the store still can't read becomes a dead letter again.

    Args:
        directory: the spool's directory. A server may be using it.

    Returns:
        Number of dead letters moved.

    Raises:
        OSError: the directory can't be written. The letters not moved stay dead letters.
    """
    # Renamed first: the server may write a letter again before its former file is gone.
    for letter in dead_letters(directory):
        letter.rename(letter.with_suffix(_MOVING))
    moving = sorted((directory / DEAD_LETTERS).glob(f"*{_MOVING}"))
    for letter in moving:
        _enter(directory, letter)
        letter.unlink()
    return len(moving)


def _enter(directory: Path, letter: Path) -> None:
    reason = letter.with_suffix(REASON)
    said = json.loads(reason.read_text(encoding="utf-8")) if reason.exists() else {}
    reason.unlink(missing_ok=True)
    body = letter.read_bytes()
    draft = directory / f"replay-{letter.stem}.draft"
    with draft.open("wb") as file:
        file.write(record.header(body, said.get("spans", 0), said.get("received_ns", 0), 0) + body)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(draft.with_suffix(SEALED))
    sync(directory)

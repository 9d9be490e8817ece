"""``spanhouse metadata``: metadata that the processor stamps. The processor runs as a process of its own; nothing here imports it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence


def run(words: Sequence[str]) -> int:
    """Hand the words on to ``python -m spanhouse.processor`` and return its exit code, 128 and more for a signal as shells count it."""
    sys.stdout.flush()
    process = subprocess.Popen([sys.executable, "-m", "spanhouse.processor", *words])  # noqa: S603 (our own interpreter, the user's words)
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # it was sent Ctrl-C as well and ends by itself
            continue
        return code if code >= 0 else 128 - code

"""SIGKILL at random points, in flight and while the drain writes: a short run of what `make faults` does at length."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_killed_servers_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.cycles", "--cycles", "6", "--seed", "1", "--directory", str(tmp_path / "cycles")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["acknowledged"] > 0
    assert 2 * found["both"] >= found["kills"] - found["in_recovery"]
    assert (found["lost"], found["doubled"], found["disagreeing"], found["dead_letters"], found["trouble"]) == (0, 0, 0, 0, [])

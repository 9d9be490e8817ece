"""A disk without room for the spool: requests are refused as retryable, nothing is acknowledged that is not there, and it goes on by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_a_full_disk_refuses_what_does_not_fit_until_it_does(tmp_path: Path) -> None:
    command = ["unshare", "--map-root-user", "--mount", sys.executable, "-m", "tests.faults.full_disk", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["before"] == [200, None]
    assert found["http"] == [[503, "2"]] * 3
    assert found["grpc"] == [["UNAVAILABLE", 2.0]] * 3
    assert found["meanwhile"] == [[200, None]] * 5
    assert found["http after"] == [200, None]
    assert found["grpc after"] == ["OK", 0]
    assert found["stored"] == {"before": [1, 1], **{f"meanwhile {number}": [1, 1] for number in range(5)}, "http": [100, 100], "grpc": [100, 100]}
    assert "Traceback" not in found["log"]

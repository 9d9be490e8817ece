"""A spool that can't be written: the receiver says that it is not ready, and takes requests again by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_WITHOUT_ROOTS_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("lost")
    command = ["unshare", "--map-root-user", "--mount", *_WITHOUT_ROOTS_RIGHTS, sys.executable, "-m", "tests.faults.lost_spool", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    log = Path(directory / "serve.log")
    assert done.returncode == 0, done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("permissions", "Permission denied"),
        ("a file in its place", "Not a directory|File exists"),
        ("mounted read-only", "Read-only file system"),
        ("gone, and its parent shut", "Permission denied"),
    ],
)
def test_a_receiver_whose_spool_cannot_be_written_is_not_ready_until_it_can(fault: str, reason: str, found: Any) -> None:
    readyz, words, health, over_grpc, health_after, after = found[fault]
    assert (readyz, health, over_grpc) == (503, "NOT_SERVING", "UNAVAILABLE")
    assert words in {f"can't be written: {one}" for one in reason.split("|")}
    assert (health_after, after) == ("SERVING", 200)


@pytest.mark.parametrize("fault", ["removed", "removed and made"])
def test_a_spool_that_somebody_removes_is_made_again(fault: str, found: Any) -> None:
    assert found[fault] == [200, "", "SERVING"]
    assert found["kept"]


def test_what_was_acknowledged_before_between_and_after_is_stored_once(found: Any) -> None:
    assert found["stored"]
    assert "Traceback" not in found["log"]

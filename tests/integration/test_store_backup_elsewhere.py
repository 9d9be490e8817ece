"""A backup of a store that is served, put on another file system than the store's: one of its own, mounted for the command alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.test_resent_requests import post
from tests.support.serve import Serve
from tests.support.standard_load import standard_request


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with Serve(tmp_path_factory.mktemp("kept")) as running:
        post(running, standard_request(400, 1))
        running.drained()
        yield running


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    directory = tmp_path / "mounted"
    directory.mkdir()
    return directory


def there(mounted: Path, script: str, *, size: str = "64m", **words: str) -> subprocess.CompletedProcess[str]:
    """Run a shell's script where a file system of its own is mounted; ``$spanhouse`` is the command."""
    names = {"spanhouse": f"{sys.executable} -m spanhouse.cli", "mounted": str(mounted), "size": size, **words}
    mounting = 'mount -t tmpfs -o "size=$size" none "$mounted" && '
    command = ["unshare", "--map-root-user", "--mount", "env", *(f"{name}={value}" for name, value in names.items()), "sh", "-c", mounting + script]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def lying_about(kept: Serve) -> list[Path]:
    return list((kept.data_dir / "store-backups").iterdir())


@pytest.mark.parametrize("name", ["monday", "new/monday", "."], ids=["directory", "directories", "mount"])
def test_a_backup_gets_to_another_file_system_whole_and_is_restored_from_there(kept: Serve, mounted: Path, tmp_path: Path, name: str) -> None:
    script = '$spanhouse store backup "$to" --store "$store" && $spanhouse store restore "$to" --store "chdb://$again"'
    done = there(mounted, script, to=str((mounted / name).absolute()), store=kept.store, again=str(tmp_path / "again"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "400 spans are in chdb:" in done.stdout
    assert lying_about(kept) == []


def test_a_backup_that_does_not_fit_stays_where_it_is_and_leaves_nothing_of_itself_elsewhere(kept: Serve, mounted: Path) -> None:
    script = '$spanhouse store backup "$mounted/monday" --store "$store"; code=$?; find "$mounted" -type f; exit $code'
    done = there(mounted, script, size="64k", store=kept.store)
    (stays,) = lying_about(kept)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"it is in {stays}, and can't be put into {mounted}/monday: no space left" in done.stderr
    assert done.stderr.count("\n") == 1

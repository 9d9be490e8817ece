"""A spool belongs to one process and to one store."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.spool import append, checked, limits

from spanhouse.exporter.spool.appender import SpoolAppender
from spanhouse.exporter.spool.directory import SpoolDirectory
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.schema.address.dsn import StoreError

DIGEST = bytes(16)


def test_a_second_process_is_refused_in_one_line(tmp_path: Path) -> None:
    refusal = pytest.raises(StoreError, match=r"belongs to another process; stop it, or choose another --spool\Z")
    with closing(SpoolDirectory.open(tmp_path, "store")), refusal:
        SpoolDirectory.open(tmp_path, "store")
    SpoolDirectory.open(tmp_path, "store").close()


def test_requests_never_end_in_another_store(tmp_path: Path) -> None:
    SpoolDirectory.open(tmp_path, "store").close()
    append(tmp_path, checked("a"))
    with pytest.raises(StoreError, match="holds requests for store store"):
        SpoolDirectory.open(tmp_path, "other")
    with closing(SpoolDirectory.open(tmp_path, "store")) as root:
        (waiting,) = root.sealed()
        waiting.unlink()
    SpoolDirectory.open(tmp_path, "other").close()


def test_what_was_stored_in_another_store_is_stored_again(tmp_path: Path) -> None:
    SpoolDirectory.open(tmp_path, "store").close()
    SeenRequests.load(tmp_path).add([DIGEST])
    SpoolDirectory.open(tmp_path, "store").close()
    assert DIGEST in SeenRequests.load(tmp_path)
    SpoolDirectory.open(tmp_path, "other").close()
    assert DIGEST not in SeenRequests.load(tmp_path)


def test_a_process_that_dies_while_it_claims_the_spool_leaves_the_old_name_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SpoolDirectory.open(tmp_path, "store").close()
    append(tmp_path, checked("a"))
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    SpoolDirectory.open(tmp_path, "store").close()
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before

    class Death(BaseException):
        """Stands for SIGKILL."""

    def dies(_: int) -> None:
        raise Death

    (tmp_path / "0/000000000001.sealed").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", dies)
        with pytest.raises(Death):
            SpoolDirectory.open(tmp_path, "other")
    append(tmp_path, checked("b"))
    SpoolDirectory.open(tmp_path, "store").close()


def test_a_segment_that_a_living_receiver_writes_is_left_to_it(tmp_path: Path) -> None:
    with closing(SpoolAppender.open(tmp_path, 1, limits())) as log:
        assert log.append([checked("a")]) == [None]
        with closing(SpoolDirectory.open(tmp_path, "store")) as root:
            assert root.sealed() == []
            assert log.append([checked("b")]) == [None]
            log.seal(now=True)
            (path,) = root.sealed()
            assert not root.doubtful(path)
    assert path.exists()


def test_segments_of_receivers_that_are_no_more_are_sealed(tmp_path: Path) -> None:
    log = SpoolAppender.open(tmp_path, 7, limits())
    assert log.append([checked("a")]) == [None]
    log._folder.close()  # as a killed process does
    with closing(SpoolDirectory.open(tmp_path, "store")) as root:
        (path,) = root.sealed()
        assert root.doubtful(path)


def test_a_spool_that_somebody_removes_is_owned_again_with_its_store_and_identity(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with closing(SpoolDirectory.open(spool, "store")) as root:
        identity = root.identity
        shutil.rmtree(spool)
        root.keep()
        assert (spool / "identity").read_text() == root.identity == identity
        with pytest.raises(StoreError, match="belongs to another process"):
            SpoolDirectory.open(spool, "store")
    append(spool, checked("a"))
    with pytest.raises(StoreError, match="holds requests for store store"):
        SpoolDirectory.open(spool, "other")


def test_a_spool_that_was_put_in_its_place_is_read_only_if_it_is_for_the_same_store(tmp_path: Path) -> None:
    spool, other, same = tmp_path / "spool", tmp_path / "other", tmp_path / "same"
    for path, store in ((other, "other"), (same, "store")):
        SpoolDirectory.open(path, store).close()
        append(path, checked(store))
    with closing(SpoolDirectory.open(spool, "store")) as root:
        shutil.rmtree(spool)
        other.rename(spool)
        with pytest.raises(StoreError, match="holds requests for store other"):
            root.keep()
        shutil.rmtree(spool)
        same.rename(spool)
        root.keep()
        (path,) = root.sealed()
        assert root.doubtful(path)

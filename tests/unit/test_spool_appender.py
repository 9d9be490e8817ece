"""The log acknowledges what the disk has, refuses the rest as retryable, and goes on by itself."""

from __future__ import annotations

import os
import resource
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.spool import append, bodies, checked, limits, segments

from spanhouse.exporter.errors import UnavailableError
from spanhouse.exporter.spool import appender as appender_module
from spanhouse.exporter.spool import capacity as capacity_module
from spanhouse.exporter.spool import disk_probe, open_segment
from spanhouse.exporter.spool.appender import SpoolAppender
from spanhouse.exporter.spool.file_names import OPEN, SEALED
from spanhouse.exporter.spool.record import HEADER_BYTES


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SpoolAppender]:
    opened = SpoolAppender.open(tmp_path, 0, limits())
    yield opened
    opened.close()


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "0").iterdir() if path.suffix in {OPEN, SEALED})


def refused(log: SpoolAppender, *names: str) -> str:
    """The reason for which two requests are refused, both alike and as retryable."""
    first, second = log.append([checked(*names), checked("neighbour")])
    assert isinstance(first, UnavailableError)
    assert first.retry_seconds
    assert second == first
    return first.message


def taken(log: SpoolAppender, *names: str) -> bytes:
    request = checked(*names)
    assert log.append([request]) == [None]
    return request.body


def test_requests_of_one_write_share_one_sync(log: SpoolAppender, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = open_segment.sync_data

    def sync(descriptor: int) -> None:
        synced.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(open_segment, "sync_data", sync)
    assert log.append([checked(str(number)) for number in range(700)]) == [None] * 700
    assert len(synced) == 1


def test_more_requests_than_one_system_call_takes_are_written_in_order(tmp_path: Path) -> None:
    requests = [checked(str(number)) for number in range(1500)]
    append(tmp_path, *requests)
    assert bodies(tmp_path) == [request.body for request in requests]


def test_a_full_segment_is_sealed_and_the_next_one_begun(log: SpoolAppender, tmp_path: Path) -> None:
    for number in range(3):
        assert log.append([checked(*(f"{number}-{index}" for index in range(999)))]) == [None]
        taken(log, "one more")
    assert files(tmp_path) == ["000000000001.sealed", "000000000002.sealed", "000000000003.sealed"]


def test_nothing_is_sealed_while_the_drain_is_busy_unless_it_has_to_be(log: SpoolAppender, tmp_path: Path) -> None:
    taken(log, "first")
    log.seal()
    taken(log, "second")
    log.seal()
    assert files(tmp_path) == ["000000000001.sealed", "000000000002.open"]
    (tmp_path / "0/000000000001.sealed").unlink()
    log.seal()
    assert files(tmp_path) == ["000000000002.sealed"]


def test_what_a_killed_process_left_open_is_sealed_when_the_folder_is_opened_again(tmp_path: Path) -> None:
    first = SpoolAppender.open(tmp_path, 0, limits())
    kept = taken(first, "kept")
    first._folder.close()  # as a killed process does
    with closing(SpoolAppender.open(tmp_path, 0, limits())) as second:
        after = taken(second, "after")
    assert bodies(tmp_path) == [kept, after]


def test_two_processes_never_write_one_folder(log: SpoolAppender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appender_module, "_ENDING_SECONDS", 0.05)
    with pytest.raises(BlockingIOError):
        SpoolAppender.open(tmp_path, 0, limits())
    with closing(SpoolAppender.open(tmp_path, 1, limits())) as other:
        taken(other, "in a folder of its own")


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A disk on which no file grows beyond a size: the kernel writes what fits and refuses the rest."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_the_disk_takes_in_part_leaves_nothing_behind_and_costs_nothing_before_it(log: SpoolAppender, tmp_path: Path) -> None:
    kept = taken(log, "kept")
    size = (tmp_path / "0/000000000001.open").stat().st_size
    with file_size_limit(size + 100):
        assert "can't be written" in refused(log, "large", *map(str, range(100)))
    after = taken(log, "after")
    log.close()
    assert bodies(tmp_path) == [kept, after]
    assert not any(segment.damages for segment in segments(tmp_path))


@pytest.mark.parametrize("call", ["writev", "fdatasync"])
def test_a_disk_that_fails_refuses_and_goes_on_in_another_segment(
    call: str, log: SpoolAppender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = taken(log, "kept")

    def fails(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        if call == "writev":
            patched.setattr(os, call, fails)
        else:
            patched.setattr(open_segment, "sync_data", fails)
        assert "Input/output error" in refused(log, "lost")
    after = taken(log, "after")
    log.close()
    assert bodies(tmp_path) == [kept, after]
    assert files(tmp_path) == ["000000000001.sealed", "000000000002.sealed"]


def test_a_new_segment_whose_name_is_not_durable_takes_nothing(log: SpoolAppender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(appender_module, "sync", fails)
        refused(log, "first")
        refused(log, "again")
    assert files(tmp_path) == []
    kept = taken(log, "kept")
    log.close()
    assert bodies(tmp_path) == [kept]


def test_a_segment_that_could_not_be_sealed_is_sealed_later(log: SpoolAppender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = taken(log, "kept")

    def fails(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fails)
        log.seal()
        log.seal()
        assert files(tmp_path) == ["000000000001.open"]
    after = taken(log, "after")
    log.seal()
    assert files(tmp_path) == ["000000000001.sealed", "000000000002.open"]
    log.close()
    assert bodies(tmp_path) == [kept, after]


def test_a_full_spool_refuses_until_it_was_drained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity_module, "_WALK_SECONDS", -1)
    with closing(SpoolAppender.open(tmp_path, 0, limits(spool_bytes=2000))) as log:
        while log.append([checked("x" * 100)]) == [None]:
            pass
        assert "full (it may hold 2000 bytes)" in refused(log, "x" * 100)
        log.seal(now=True)
        assert "full (it may hold 2000 bytes)" in refused(log, "x" * 100)
        for path in (tmp_path / "0").glob(f"*{SEALED}"):
            path.unlink()
        log.seal()
        taken(log, "room again")


def test_a_spool_that_has_no_room_for_an_append_is_full_until_there_is_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity_module, "_WALK_SECONDS", -1)
    with closing(SpoolAppender.open(tmp_path, 0, limits(spool_bytes=8000))) as log:
        while log.append([checked("x" * 100)]) == [None]:
            pass
        log.seal(now=True)
        assert "full (it may hold 8000 bytes)" in log.capacity.full
        for path in (tmp_path / "0").glob(f"*{SEALED}"):
            path.unlink()
        log.seal()
        assert log.capacity.full == ""


def test_appended_bytes_are_counted_before_the_files_are_measured_again(log: SpoolAppender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity_module, "_WALK_SECONDS", 3600)
    taken(log, "first")
    free = log.capacity.free
    body = taken(log, "second")
    assert log.capacity.free == free - len(body) - HEADER_BYTES


def test_a_disk_with_little_room_refuses_until_there_is_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs
    free = 10_000

    def statvfs(path: Path) -> os.statvfs_result:
        found = list(real(path))
        found[1], found[4] = 1, free  # f_frsize, f_bavail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", statvfs)
    with closing(SpoolAppender.open(tmp_path, 0, limits(free_bytes=8000))) as log:
        taken(log, "room")
        free = 8999
        log.seal()
        assert "keeps 8000 bytes free" in log.capacity.refuses(1, reserve=True)
        taken(log, "room for retries")
        free = 7999
        log.seal()
        assert "keeps 8000 bytes free" in refused(log, "no room")
        free = 10_000
        log.seal()
        taken(log, "room again")


def test_a_full_spool_of_a_directory_that_is_gone_is_an_error_and_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SpoolAppender.open(tmp_path, 0, limits())) as log:
        with monkeypatch.context() as patched:

            def fails(_: Path) -> os.statvfs_result:
                raise OSError(5, "Input/output error")

            patched.setattr(os, "statvfs", fails)
            log.seal()
            refused(log, "no disk")
        taken(log, "there again")


def test_appends_and_seals_of_many_threads_lose_nothing(tmp_path: Path) -> None:
    kept: list[bytes] = []
    with closing(SpoolAppender.open(tmp_path, 0, limits(segment_bytes=5000))) as log:
        stop = threading.Event()

        def seal() -> None:
            while not stop.is_set():
                log.seal(now=True)

        def send(client: int) -> None:
            kept.extend([taken(log, f"{client}-{number}") for number in range(20)])

        sealing = threading.Thread(target=seal)
        clients = [threading.Thread(target=send, args=(client,)) for client in range(4)]
        sealing.start()
        for client in clients:
            client.start()
        for client in clients:
            client.join(60)
        stop.set()
        sealing.join(60)
    assert sorted(bodies(tmp_path)) == sorted(kept)


def test_no_request_is_acknowledged_into_a_segment_that_somebody_removed(
    log: SpoolAppender, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken(log, "stored by nobody")
    (tmp_path / "0/000000000001.open").unlink()
    assert "No such file" in refused(log, "refused")
    assert "000000000001.open is gone before it was stored: its 1 acknowledged spans are lost" in caplog.text
    kept = taken(log, "kept")
    log.seal(now=True)
    assert log.unwritable == ""
    log.close()
    assert bodies(tmp_path) == [kept]


def test_a_folder_that_somebody_removes_is_made_again_by_the_next_request(log: SpoolAppender, tmp_path: Path) -> None:
    taken(log, "stored by nobody")
    shutil.rmtree(tmp_path / "0")
    kept = taken(log, "kept")
    log.close()
    assert bodies(tmp_path) == [kept]
    assert files(tmp_path) == ["000000000002.sealed"]


def test_nothing_is_written_into_a_folder_that_another_process_took(log: SpoolAppender, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "0")
    with closing(SpoolAppender.open(tmp_path, 0, limits())) as other:
        assert "another process owns it" in refused(log, "refused")
        log.seal()
        assert log.unwritable == "can't be written: another process owns it"
        theirs = taken(other, "theirs")
    log.seal()
    assert log.unwritable == ""
    ours = taken(log, "ours")
    log.close()
    assert bodies(tmp_path) == [theirs, ours]


def test_it_is_unwritable_until_the_disk_takes_as_much_as_it_refused(log: SpoolAppender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_probe, "_PROBE_SECONDS", 0)
    log.seal()
    with file_size_limit(2000):
        refused(log, "x" * 3000)
        for _ in range(2):
            log.seal()
            assert log.unwritable == "can't be written: File too large"
            taken(log, "small")
    log.seal()
    assert log.unwritable == ""


def test_a_disk_that_refuses_is_probed_once_a_second_at_most(log: SpoolAppender, monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[int] = []

    def fails(_: Path, size: int) -> None:
        probes.append(size)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(disk_probe, "write_and_remove", fails)
    monkeypatch.setattr(disk_probe, "_PROBE_SECONDS", 3600)
    with file_size_limit(100):
        refused(log, "x" * 3000)
    for _ in range(5):
        log.seal()
    assert len(probes) == 1
    assert log.unwritable == "can't be written: Input/output error"

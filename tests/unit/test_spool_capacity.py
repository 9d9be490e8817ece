"""The capacity knows what the spool holds and its disk has left, keeps a reserve for retries, and says when it is full."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spanhouse.exporter.spool import capacity as capacity_module
from spanhouse.exporter.spool.capacity import SpoolCapacity

FULL = "the spool is full (it may hold 8000 bytes)"


@pytest.fixture(autouse=True)
def always_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity_module, "_WALK_SECONDS", -1)


@pytest.fixture
def capacity(tmp_path: Path) -> SpoolCapacity:
    return SpoolCapacity(tmp_path, 8000, 0)


def hold(root: Path, size: int) -> Path:
    """A file of that size in a folder of the spool."""
    file = root / "0" / f"{size}.sealed"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(bytes(size))
    return file


class Disk:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 10**6
        self._real = os.statvfs
        monkeypatch.setattr(os, "statvfs", self.statvfs)

    def statvfs(self, path: Path) -> os.statvfs_result:
        found = list(self._real(path))
        found[1], found[4] = 1, self.free  # f_frsize, f_bavail
        return os.statvfs_result(found)


def test_bytes_up_to_the_limit_are_taken_and_up_to_the_reserve_from_first_time_requests(capacity: SpoolCapacity) -> None:
    assert [capacity.refuses(size) for size in (8000, 8001)] == ["", FULL]
    assert [capacity.refuses(size, reserve=True) for size in (7000, 7001)] == ["", FULL]


def test_files_that_are_there_and_bytes_appended_since_are_counted(capacity: SpoolCapacity, tmp_path: Path) -> None:
    hold(tmp_path, 3000)
    hold(tmp_path, 1000)
    capacity.measure()
    assert capacity.free == 4000
    capacity.add(500)
    assert capacity.free == 3500
    assert [capacity.refuses(size) for size in (3500, 3501)] == ["", FULL]


def test_a_walk_replaces_the_count_and_comes_a_few_times_a_second(capacity: SpoolCapacity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = hold(tmp_path, 3000)
    capacity.add(3000)
    capacity.measure()
    assert capacity.free == 5000
    file.unlink()
    monkeypatch.setattr(capacity_module, "_WALK_SECONDS", 3600)
    capacity.measure()
    assert capacity.free == 5000
    monkeypatch.setattr(capacity_module, "_WALK_SECONDS", -1)
    capacity.measure()
    assert capacity.free == 8000


def test_the_disk_keeps_its_free_bytes_and_an_eighth_of_them_more_for_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    capacity = SpoolCapacity(tmp_path, 2**30, 8000)
    refusal = "the spool's disk is full (it keeps 8000 bytes free)"
    found = []
    for free in (9000, 8999, 8000, 7999):
        disk.free = free
        capacity.measure()
        found.append((capacity.refuses(1, reserve=True), capacity.refuses(1)))
    assert found == [("", ""), (refusal, ""), (refusal, ""), (refusal, refusal)]


def test_only_an_append_counts_its_size_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk may have got room since the last measurement."""
    disk = Disk(monkeypatch)
    capacity = SpoolCapacity(tmp_path, 2**30, 8000)
    disk.free = 9100
    capacity.measure()
    assert capacity.refuses(2000) == ""
    assert [capacity.lacks(size) for size in (1100, 1101)] == ["", "the spool's disk is full (it keeps 8000 bytes free)"]


def test_a_disk_that_does_not_answer_is_an_error_and_changes_nothing(capacity: SpoolCapacity, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Path) -> os.statvfs_result:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "statvfs", fails)
    with pytest.raises(OSError, match="Input/output error"):
        capacity.measure()
    assert capacity.refuses(8000) == ""


def test_it_is_full_from_the_first_refused_retry_until_there_is_room_for_one_as_large(capacity: SpoolCapacity, tmp_path: Path) -> None:
    files = [hold(tmp_path, 7100), hold(tmp_path, 300)]
    capacity.measure()
    assert capacity.refuses(1, reserve=True) == FULL
    assert capacity.full == "", "retries are taken"
    assert capacity.refuses(700) == FULL
    assert capacity.full == FULL
    files[1].unlink()
    capacity.measure()
    assert capacity.full == ""
    hold(tmp_path, 300)
    capacity.measure()
    assert capacity.full == "", "the refused retry is forgotten"


def test_a_request_larger_than_the_reserve_does_not_make_it_full(capacity: SpoolCapacity) -> None:
    assert capacity.refuses(8001) == FULL
    assert capacity.full == ""


def test_the_log_tells_once_that_requests_are_refused_and_once_that_they_are_taken(
    capacity: SpoolCapacity, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = hold(tmp_path, 7001)
    for _ in range(2):
        capacity.measure()
    file.unlink()
    for _ in range(2):
        capacity.measure()
    assert caplog.messages == [f"requests are refused: {FULL}", "requests are taken again: the spool has room"]

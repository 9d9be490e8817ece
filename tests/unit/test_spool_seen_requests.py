"""Which requests were stored is remembered for a window, over restarts, whatever a crash leaves of the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanhouse.exporter.spool.seen_requests import SeenRequests, forget


def digests(begin: int, end: int) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(begin, end)]


def known(stored: SeenRequests, begin: int, end: int) -> bool:
    return all(one in stored for one in digests(begin, end))


def test_a_restart_remembers(tmp_path: Path) -> None:
    SeenRequests.load(tmp_path).add(digests(0, 10))
    assert known(SeenRequests.load(tmp_path), 0, 10)
    assert digests(10, 11)[0] not in SeenRequests.load(tmp_path)


def test_at_least_a_window_is_remembered_and_at_most_two(tmp_path: Path) -> None:
    stored = SeenRequests.load(tmp_path, window=100)
    for begin in range(0, 1000, 10):
        stored.add(digests(begin, begin + 10))
        assert known(stored, max(0, begin - 90), begin + 10)
        assert known(SeenRequests.load(tmp_path, window=100), max(0, begin - 90), begin + 10)
    assert not any(one in stored for one in digests(0, 790))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 200 * 16


@pytest.mark.parametrize("torn", range(1, 16))
def test_a_torn_end_costs_its_own_digest_alone(torn: int, tmp_path: Path) -> None:
    SeenRequests.load(tmp_path).add(digests(0, 3))
    with (tmp_path / "stored-requests").open("ab") as file:
        file.write(digests(3, 4)[0][:torn])
    stored = SeenRequests.load(tmp_path)
    stored.add(digests(4, 6))
    assert known(SeenRequests.load(tmp_path), 0, 3)
    assert known(SeenRequests.load(tmp_path), 4, 6)


def test_a_disk_that_fails_is_told_and_costs_no_memory_of_this_process(tmp_path: Path) -> None:
    stored = SeenRequests.load(tmp_path / "gone")
    with pytest.raises(OSError, match="gone"):
        stored.add(digests(0, 2))
    assert known(stored, 0, 2)


def test_what_was_stored_elsewhere_is_forgotten(tmp_path: Path) -> None:
    SeenRequests.load(tmp_path, window=2).add(digests(0, 5))
    SeenRequests.load(tmp_path, window=2).add(digests(5, 6))
    forget(tmp_path)
    assert not any(one in SeenRequests.load(tmp_path) for one in digests(0, 6))

"""A segment's requests are read when they are asked for, and only as they were checked."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.spool import append, checked

from spanhouse.exporter.spool.segment import Bodies, Segment


def opened(root: Path) -> Segment:
    (path,) = root.glob("0/*.sealed")
    return Segment.open(path)


def test_the_requests_of_a_segment_are_a_sequence(tmp_path: Path) -> None:
    requests = [checked(str(number)) for number in range(4)]
    append(tmp_path, *requests)
    segment = opened(tmp_path)
    bodies = Bodies([(segment, record) for record in segment.records])
    assert list(bodies) == [request.body for request in requests]
    assert list(bodies[1:3]) == [request.body for request in requests[1:3]]
    assert len(bodies) == 4


def test_a_request_that_changes_on_the_disk_after_it_was_checked_is_not_handed_on(tmp_path: Path) -> None:
    requests = [checked("first"), checked("second")]
    append(tmp_path, *requests)
    segment = opened(tmp_path)
    data = bytearray(segment.path.read_bytes())
    data[segment.records[0].end - 1] ^= 1
    segment.path.write_bytes(data)
    with pytest.raises(OSError, match="changed while it was read"):
        segment.body(segment.records[0])
    assert segment.body(segment.records[1]) == requests[1].body
    assert [damage.begin for damage in Segment.open(segment.path).damages] == [0]


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.sealed"
    path.touch()
    assert Segment.open(path) == Segment(path, (), ())

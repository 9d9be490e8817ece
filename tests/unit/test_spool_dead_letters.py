"""What can't be stored and what was damaged is kept, named and counted."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from tests.support.spool import append, checked, segments

from spanhouse.exporter.metrics import CORRUPT_RECORDS
from spanhouse.exporter.spool.dead_letters import DeadLetters


def sealed(root: Path) -> Path:
    (path,) = (root / "0").glob("*.sealed")
    return path


def corrupt() -> float:
    (metric,) = CORRUPT_RECORDS.collect()
    return metric.samples[0].value


def test_a_dead_letter_is_the_request_with_its_reason_beside_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    request = checked("odd", "odder")
    append(tmp_path, request)
    (segment,) = segments(tmp_path)
    for _ in range(2):  # a process that dies before the segment is removed writes it again
        DeadLetters(tmp_path).dead_letter(segment.body(segment.records[0]), segment.records[0], "the engine can't read it")
    (letter,) = (tmp_path / "dead-letters").glob("*.otlp")
    assert letter.read_bytes() == request.body
    said = json.loads(letter.with_suffix(".json").read_text())
    assert said["reason"] == "the engine can't read it"
    assert said["spans"] == 2
    assert said["received_ns"] == segment.records[0].received_ns
    assert "2 spans can't be stored and is kept as dead letter" in caplog.text


def test_a_damaged_record_is_quarantined_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    append(tmp_path, checked("a"), checked("b"), checked("c"))
    data = bytearray(sealed(tmp_path).read_bytes())
    data[len(data) // 2] ^= 1
    sealed(tmp_path).write_bytes(data)
    (segment,) = segments(tmp_path)
    (damage,) = segment.damages
    before = corrupt()
    DeadLetters(tmp_path).quarantine(segment, damage, left=True)
    assert corrupt() == before + 1
    (kept,) = (tmp_path / "quarantine").glob("*.bin")
    assert kept.read_bytes() == data[damage.begin : damage.end]
    assert json.loads(kept.with_suffix(".json").read_text())["offset"] == damage.begin
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert kept.stem in caplog.text


def test_a_torn_end_is_an_end_only_where_a_process_was_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    append(tmp_path, checked("a"), checked("b"))
    sealed(tmp_path).write_bytes(sealed(tmp_path).read_bytes()[:-3])
    (segment,) = segments(tmp_path)
    (damage,) = segment.damages
    before = corrupt()
    DeadLetters(tmp_path).quarantine(segment, damage, left=True)
    assert corrupt() == before
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    DeadLetters(tmp_path).quarantine(segment, damage, left=False)
    assert corrupt() == before + 1
    assert caplog.records[-1].levelno == logging.ERROR


def test_segments_of_one_number_do_not_replace_what_was_kept_of_each_other(tmp_path: Path) -> None:
    for name in ("first", "second"):
        append(tmp_path, checked(name))
        data = sealed(tmp_path).read_bytes()
        sealed(tmp_path).write_bytes(data[:-1] + b"?")
        (segment,) = segments(tmp_path)
        for damage in segment.damages:
            DeadLetters(tmp_path).quarantine(segment, damage, left=True)
        sealed(tmp_path).unlink()
    assert len(list((tmp_path / "quarantine").glob("*.bin"))) == 2

"""A short run of the fuzzer; `make fuzz` is the long one."""

from __future__ import annotations

from pathlib import Path

from tests.faults.fuzz import fuzz


def test_a_few_thousand_damaged_requests_get_legal_answers_and_leave_the_server_well(tmp_path: Path) -> None:
    found = fuzz(tmp_path, requests=4000, seed=4)
    assert {"grpc OK whole", "grpc INVALID_ARGUMENT", "grpc UNIMPLEMENTED", "http 200 whole", "http 200 partial", "http 400", "http 404"} <= set(
        found["answers"]
    )

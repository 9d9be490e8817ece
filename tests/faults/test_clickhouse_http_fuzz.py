"""A short run of the endpoint's fuzzer; `make fuzz` is the long one."""

from __future__ import annotations

from pathlib import Path

from tests.faults.fuzz_endpoint import fuzz


def test_a_thousand_damaged_requests_get_the_answers_that_clickhouse_has_for_them_and_leave_the_server_well(tmp_path: Path) -> None:
    found = fuzz(tmp_path, requests=1000, seed=6)
    assert {"200", "400, 62", "400, 271", "400, 40", "403, 164", "403, 497", "404, 73", "405"} <= set(found["answers"])

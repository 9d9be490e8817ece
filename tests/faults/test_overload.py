"""A server that is offered more than it can take refuses the rest so that clients come back, stays small, and loses nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.benchmarks.clients import standard_load
from tests.benchmarks.overload import SPANS, Answer, Flood, flood
from tests.support.serve import Serve

_MOST_MEGABYTES = 600


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    return standard_load(20 * SPANS, SPANS, now_ns=time.time_ns())


def test_a_flood_is_refused_with_a_hint_and_the_sdks_exporters_deliver_all_in_the_end(bodies: list[bytes], tmp_path: Path) -> None:
    with Serve(tmp_path, "--spool-bytes", str(8 * 2**20)) as serve:
        found = flood(serve, bodies, per_second=100, seconds=5)
        log = serve.log.read_text()
    assert found.answers[Answer.STORED] > 0, log
    assert found.answers[Answer.LATER] > 0, log
    assert found.answers[Answer.REFUSED] == found.answers[Answer.NONE] == 0, log
    assert found.stored_spans == found.flood_spans
    assert found.given_up == 0
    assert found.delivered == found.delivered_stored > 0
    assert found.peak_megabytes < _MOST_MEGABYTES


def test_what_cannot_be_taken_is_refused_before_it_is_read(bodies: list[bytes], tmp_path: Path) -> None:
    with Serve(tmp_path, "--spool-free-bytes", str(10**15)) as serve:
        serve.logged("requests are refused")
        send = Flood(serve, [bodies[0] + b"\xff"])
        answers = [send(number) for number in range(4)]
        send.close()
    assert answers == [Answer.LATER] * 4

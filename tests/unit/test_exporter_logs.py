"""The log has one line a problem, says a problem that repeats once and counts it, and holds no credentials."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator

import pytest

from spanhouse.exporter.logs import Handler, LogFormat


class Written:
    """What was written to standard error so far."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured
        self._text = ""

    @property
    def text(self) -> str:
        self._text += self._captured.readouterr().err
        return self._text

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    return Written(capsys)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("spanhouse.tests.log")
    made.propagate = False
    yield made
    made.setLevel(logging.NOTSET)
    for handler in tuple(made.handlers):
        made.removeHandler(handler)
        handler.close()
    made.propagate = True


def fail(logger: logging.Logger, error: Exception, message: str = "it failed") -> None:
    try:
        raise error
    except type(error):
        logger.exception(message)


def test_a_line_has_time_level_place_and_message(logger: logging.Logger, written: Written) -> None:
    logger.addHandler(Handler(LogFormat.TEXT))
    logger.warning("the spool is full: %d bytes", 5)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING spanhouse\.tests\.log: the spool is full: 5 bytes\n", written.text)


def test_a_problem_is_one_line_and_its_trace_is_indented(logger: logging.Logger, written: Written) -> None:
    logger.addHandler(Handler(LogFormat.TEXT))
    fail(logger, ValueError("first\nsecond"), "a message\nof two lines")
    first, *others = written.lines
    assert first.endswith(r"a message\nof two lines")
    assert others[-2:] == ["    ValueError: first", "    second"]
    assert all(line.startswith("    ") for line in others)


def test_json_has_one_object_a_line(logger: logging.Logger, written: Written) -> None:
    logger.addHandler(Handler(LogFormat.JSON))
    logger.error("bad\nthing")
    fail(logger, ValueError("reason"))
    plain, failed = map(json.loads, written.lines)
    assert plain.keys() == {"time", "level", "logger", "message"}
    assert (plain["level"], plain["logger"], plain["message"]) == ("ERROR", "spanhouse.tests.log", "bad\nthing")
    assert failed["trace"].endswith("ValueError: reason")


def test_a_problem_that_repeats_is_said_once_and_counted_at_the_end(logger: logging.Logger, written: Written) -> None:
    handler = Handler(LogFormat.TEXT)
    logger.addHandler(handler)
    for number in range(5):
        logger.warning("connection %d failed", number)
    logger.warning("something else")
    said = [line.partition("log: ")[2] for line in written.lines]
    assert said == ["connection 0 failed", "something else"]
    handler.close()
    assert written.lines[2].endswith("connection 4 failed (4 more since this was last said)")
    assert len(written.lines) == 3


def test_what_is_no_problem_is_said_each_time(logger: logging.Logger, written: Written) -> None:
    logger.addHandler(Handler(LogFormat.TEXT))
    logger.setLevel(logging.INFO)
    for number in range(3):
        logger.info("migration %d", number)
    assert len(written.lines) == 3


def test_repeats_are_counted_while_they_go_on(logger: logging.Logger, written: Written) -> None:
    logger.addHandler(Handler(LogFormat.JSON, repeat_seconds=0.05))
    deadline = time.monotonic() + 30
    sent = 0
    while written.text.count("repeated") < 2:
        assert time.monotonic() < deadline
        logger.warning("again")
        sent += 1
    lines = list(map(json.loads, written.lines))
    assert "repeated" not in lines[0]
    assert sent > 2
    assert len(lines) < sent


def test_other_exceptions_with_the_same_words_are_other_problems(logger: logging.Logger, written: Written) -> None:
    logger.addHandler(Handler(LogFormat.JSON))
    fail(logger, ValueError("a"))
    fail(logger, KeyError("b"))
    fail(logger, KeyError("c"))
    assert len(written.lines) == 2


def test_messages_that_differ_each_time_are_not_kept_for_ever(logger: logging.Logger, written: Written) -> None:
    handler = Handler(LogFormat.TEXT)
    logger.addHandler(handler)
    for number in range(3000):
        logger.warning(f"made of values {number}")  # noqa: G004 as libraries do
    assert len(written.lines) == 3000
    assert len(handler._said) <= 1000


@pytest.mark.parametrize("form", LogFormat)
@pytest.mark.parametrize(
    "message",
    [
        "Authorization: Bearer hunter2secret",
        "authorization=Basic YW55Omh1bnRlcjJzZWNyZXQ=",
        "{'x-api-key': 'hunter2secret'}",
        "[(b'x-clickhouse-key', b'hunter2secret')]",
        "http://user:hunter2secret@host:8123/db failed",
        "https://host/?password=hunter2secret&database=db",
        "password: hunter2secret",
        'token="hunter2secret"',
        "http://user:hunter2secret@[host/ is no URL",
    ],
)
def test_credentials_are_never_written(logger: logging.Logger, written: Written, form: LogFormat, message: str) -> None:
    logger.addHandler(Handler(form))
    logger.warning("client said %s", message)
    fail(logger, RuntimeError(message))
    assert "***" in written.text
    assert "hunter2secret" not in written.text
    assert "YW55Omh1bnRlcjJzZWNyZXQ" not in written.text


def test_what_an_operator_needs_is_left_in(logger: logging.Logger, written: Written) -> None:
    logger.addHandler(Handler(LogFormat.TEXT))
    said = "--token-file /etc/spanhouse/tokens, line 2: expected name:sha256-of-token; store chdb:///data/store?database=db, 3 tokens"
    logger.warning("%s", said)
    assert written.text.rstrip("\n").endswith(said)

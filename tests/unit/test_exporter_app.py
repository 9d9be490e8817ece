"""How the process ends when a query does not."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spanhouse.exporter.access.tokens import TokenFile
from spanhouse.exporter.serve import app
from spanhouse.exporter.serve.config import ServeConfig
from spanhouse.schema.address.dsn import parse_store


class EndedError(Exception):
    """The process has ended, with this code."""


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A query runs that nothing ends, and the process's end is an EndedError."""
    ends = threading.Event()

    def end(code: int) -> None:
        raise EndedError(code)

    monkeypatch.setattr("spanhouse.exporter.serve.app.Reader.open", lambda *_, **__: None)
    monkeypatch.setattr(app, "_close", lambda *_: ends.wait())
    monkeypatch.setattr(app, "_LAST_SECONDS", 0.0)
    monkeypatch.setattr(app, "ClickHouseHttp", lambda *_, **__: None)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    yield
    ends.set()


def ended(tmp_path: Path, error: BaseException | None, monkeypatch: pytest.MonkeyPatch) -> EndedError:
    """Serve until the error comes, and end."""

    async def serve(config: ServeConfig, _: object, open_engine: app._OpenEngine) -> None:
        with ThreadPoolExecutor(1) as engine:
            async with app._clickhouse_http(config, TokenFile.read(None), engine, open_engine):
                if error is not None:
                    raise error

    monkeypatch.setattr(app, "_serve", serve)
    with pytest.raises(EndedError) as caught:
        app.run(ServeConfig(store=parse_store(f"chdb://{tmp_path}/store")))
    return caught.value


@pytest.mark.usefixtures("endless")
@pytest.mark.parametrize("error", [None, asyncio.CancelledError()], ids=["nothing", "cancelled"])
def test_a_stop_ends_well_though_a_query_does_not_end(
    error: BaseException | None, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ended(tmp_path, error, monkeypatch).args == (0,)
    assert caplog.messages == ["a query does not end: stopped without waiting for it"]


@pytest.mark.usefixtures("endless")
def test_an_error_is_told_of_though_a_query_does_not_end(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(tmp_path, OSError("the disk is gone"), monkeypatch).args == (3,)
    assert "OSError: the disk is gone" in caplog.text

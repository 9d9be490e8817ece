"""Rows of traces that real packages send: an agent with a tool, a model that is missing, a tool that fails.

Run by ``make test-vendors``, as ``providers.py``. The programs in ``apps`` are what a user of the package writes; beside each stands what the rows
of its three traces must say, by session, and under ``wrong`` the columns of which this is not so yet.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
import pytest
from tests.support.environment import InstallError, interpreter
from tests.support.fake_openai import FakeOpenAI
from tests.support.programs import finish, start
from tests.support.serve import Serve
from tests.support.sink import Sink

HERE: Final = Path(__file__).parent
APPS: Final = HERE / "apps"
PINNED: Final = tomllib.loads((HERE / "pinned.toml").read_text(encoding="utf-8"))
PACKAGES: Final[Mapping[str, str]] = {
    "openai-v2": "openai_v2_app",
    "langfuse": "langfuse_app",
    "traceloop": "traceloop_app",
    "pydantic-ai": "pydantic_ai_app",
    "openinference-langchain": "langchain_app",
    "strands": "strands_app",
}
ABSENT: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("SourceType", "RequestPreview", "ResponsePreview", "ErrorMessage"), ""),
    **dict.fromkeys(("InputTokens", "OutputTokens", "CachedTokens", "ReasoningTokens", "Cost"), None),
    **{name: [] for name in ("Models", "SpanTypes", "ErrorTypes", "FinishReasons", "Tools")},
    "ErrorCount": 0,
    "Tags": {},
}
"""Columns of which a row may have nothing."""
OF_THE_PROCESS: Final = ("service.", "telemetry.")
"""Begins of the keys of metadata that the SDK writes."""
SAID: Final = {package: tomllib.loads((APPS / f"{app}.toml").read_text(encoding="utf-8")) for package, app in PACKAGES.items()}
SESSIONS: Final = ("s-1", "s-2", "s-3")

pytestmark = pytest.mark.timeout(1500)  # an environment may take minutes

Rows = dict[str, dict[str, Any]]


def expected(package: str, session: str) -> dict[str, Any]:
    """Return what the row of a session's trace must say."""
    common, trace = SAID[package]["common"], SAID[package]["trace"][session]
    identity = {"mlflow.trace.session": session, "mlflow.trace.user": trace["UserId"]}
    metadata = {**common.get("Metadata", {}), **trace.get("Metadata", {}), **identity}
    return {**ABSENT, "SessionId": session, "ServiceName": "shop", **common, **trace, "Metadata": metadata}


def stored(serve: Serve) -> Rows:
    """Return the stored rows by session, without what each process and each trace has."""
    client = clickhouse_connect.get_client(dsn=serve.dsn)
    try:
        rows = {row["SessionId"]: dict(row) for row in client.query("SELECT * FROM traces").named_results()}
        assert client.command("SELECT count() FROM traces") == len(rows), "one trace a session"
    finally:
        client.close()
    for row in rows.values():
        row["Metadata"] = {key: value for key, value in row["Metadata"].items() if not key.startswith(OF_THE_PROCESS)}
        row["Tags"] = {key: value for key, value in row["Tags"].items() if key != "mlflow.traceName"}
    return rows


def run(package: str, serve: Serve, models: FakeOpenAI, own: Sink) -> None:
    """Run the program of a package in its environment."""
    pinned = PINNED[package]
    try:
        python = interpreter(package, *pinned["requirements"], alone=pinned.get("alone", ()))
    except InstallError as error:
        pytest.skip(f"left out, since it does not install here: {package}: {error}")
    variables = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://{serve.http}/v1/traces",
        "OTEL_SERVICE_NAME": "shop",
        "OPENAI_BASE_URL": models.url,
        "OPENAI_API_KEY": "k",
        "LANGFUSE_BASE_URL": f"http://127.0.0.1:{own.http_port}",
        "LANGFUSE_PUBLIC_KEY": "pk",
        "LANGFUSE_SECRET_KEY": "sk",
    }
    finish(start([python, str(APPS / f"{PACKAGES[package]}.py")], cwd=serve.data_dir, environ=variables))


@pytest.fixture(scope="module", params=PACKAGES)
def package(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def rows(package: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """Rows of the traces of one package, by session."""
    directory, own = tmp_path_factory.mktemp("serve"), Sink()
    try:
        with Serve(directory) as serve, FakeOpenAI() as models:
            run(package, serve, models, own)
            serve.drained()
            yield stored(serve)
    finally:
        own.close()
        shutil.rmtree(directory)


def test_the_rows_say_what_is_written_beside_the_program(package: str, rows: Rows) -> None:
    assert sorted(rows) == list(SESSIONS)
    wrong = {session: differences(rows[session], package, session) for session in SESSIONS}
    noted = SAID[package].get("wrong", {})
    assert {
        session: {column: pair for column, pair in pairs.items() if column not in noted.get(session, ())} for session, pairs in wrong.items()
    } == {session: {} for session in SESSIONS}


def test_the_columns_that_are_noted_as_wrong_are_still_wrong(package: str, rows: Rows) -> None:
    noted = {session: sorted(columns) for session, columns in SAID[package].get("wrong", {}).items()}
    found = {session: sorted(differences(rows[session], package, session)) for session in noted}
    assert found == noted, "what the rows say right is taken from `wrong`"


def differences(row: Mapping[str, Any], package: str, session: str) -> dict[str, tuple[Any, Any]]:
    """Return the columns that differ, as (got, right)."""
    return {column: (row[column], right) for column, right in expected(package, session).items() if row[column] != right}

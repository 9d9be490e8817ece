"""The check of a repository that is too large for an application's start: in the background, for spans that are exported later."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.application import App
from tests.support.checkout import Checkout
from tests.support.programs import finish, start

from spanhouse.processor import configure, process
from spanhouse.processor.git import dirty
from spanhouse.processor.process import Process
from spanhouse.processor.sources.capture import Capture
from spanhouse.processor.sources.entry_point import EntryPoint
from spanhouse.schema import vocabulary

DIRTY = vocabulary.GIT_DIRTY.mlflow
THREAD = "spanhouse-git-dirty"


@pytest.fixture
def checkout(checkout: Checkout) -> Checkout:
    """A repository whose index is beyond what is read at the start."""
    for number in range(700):
        checkout.write(f"a-directory-with-a-long-name/and-a-file-with-a-long-name-{number}.py")
    checkout.commit()
    return checkout


@pytest.fixture
def started(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Process:
    """A process that runs in that repository and has not looked at it yet."""
    made = Process()
    monkeypatch.setattr(process, "_PROCESS", made)
    monkeypatch.setattr(process, "entry_point", lambda: EntryPoint("script", "app.py", str(checkout.root / "app.py"), str(checkout.root)))
    return made


def join_checks() -> None:
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join()


@pytest.mark.parametrize("changed", [False, True])
def test_the_answer_reaches_the_resource_of_spans_exported_later(checkout: Checkout, started: Process, changed: bool) -> None:
    if changed:
        checkout.write("a-directory-with-a-long-name/and-a-file-with-a-long-name-3.py", "changed\n")
    app = App()
    app.run()
    join_checks()
    assert app.run().resource.attributes[DIRTY] == ("true" if changed else "false")
    assert started.capture().commit is not None


@pytest.mark.usefixtures("checkout", "started")
def test_the_answer_reaches_local_roots_where_nothing_of_ours_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    monkeypatch.setattr(trace, "set_tracer_provider", lambda _: None)
    exporter = InMemorySpanExporter()
    provider = configure(export=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    join_checks()
    with provider.get_tracer("tests").start_as_current_span("root", context=Context()):
        pass
    provider.shutdown()
    (span,) = exporter.get_finished_spans()
    assert DIRTY not in span.resource.attributes
    assert dict(span.attributes or {}) == {DIRTY: "false"}


@pytest.mark.usefixtures("checkout")
def test_a_check_that_takes_more_than_its_time_leaves_the_key_out(started: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_BACKGROUND_SECONDS", -1.0)
    started.capture()
    join_checks()
    assert DIRTY not in App().run().resource.attributes


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_is_forked_while_the_check_runs_does_it_again(started: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, release = threading.Event(), threading.Event()
    check = dirty.is_dirty
    parent = os.getpid()

    def wait_in_the_parent(*arguments: object, **options: object) -> bool:
        if os.getpid() == parent:
            entered.set()
            release.wait()
        return check(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(dirty, "is_dirty", wait_in_the_parent)
    started.capture()
    entered.wait()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            join_checks()
            os.write(writing, str(App().run().resource.attributes.get(DIRTY)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    answer = os.read(reading, 100)
    os.close(reading)
    os.waitpid(child, 0)
    release.set()
    join_checks()
    assert answer == b"false"


def test_a_small_repository_is_checked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = Checkout(tmp_path / "small")
    checkout.commit("app.py")
    monkeypatch.setattr(process, "_START_UP_SECONDS", 60.0)
    monkeypatch.setattr(process, "entry_point", lambda: EntryPoint("script", "app.py", str(checkout.root / "app.py"), str(checkout.root)))
    made = Process()
    assert made.detect()[DIRTY] == "false"
    assert THREAD not in {thread.name for thread in threading.enumerate()}


START = """
import sys
import opentelemetry.sdk.trace.export
loaded = "hashlib" in sys.modules
from spanhouse.processor import configure, process
process._START_UP_SECONDS = 60.0
resource = configure(export=False).resource
print(resource.attributes.get("mlflow.source.git.dirty"), loaded == ("hashlib" in sys.modules))
"""


@pytest.mark.parametrize(("change", "answer"), [("", "false"), ("changed", "true")])
def test_a_start_does_not_wait_for_openssl_to_be_loaded(tmp_path: Path, change: str, answer: str) -> None:
    checkout = Checkout(tmp_path / "small")
    checkout.write("app.py", START)
    checkout.commit("app.py", "data.txt")
    if change:
        checkout.write("data.txt", change)
    assert finish(start([sys.executable, "app.py"], cwd=checkout.root)).split() == [answer, "True"]


def test_a_changed_file_that_takes_long_to_read_is_left_to_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = Checkout(tmp_path / "small")
    checkout.write("data.bin", bytes(1 << 20))
    checkout.commit()
    checkout.write("data.bin", bytes(1 << 20) + b"x")
    monkeypatch.setattr(process, "_START_UP_SECONDS", 60.0)
    monkeypatch.setattr(process, "entry_point", lambda: EntryPoint("session", None, None, str(checkout.root)))
    made = Process()
    assert DIRTY not in made.detect()
    join_checks()
    assert made.late_for({}) == {DIRTY: "true"}


def test_the_surroundings_are_looked_up_once_for_all_threads(started: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Capture] = []

    class Counting(Capture):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(process, "Capture", Counting)
    threads = [threading.Thread(target=started.capture) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    join_checks()
    assert len(made) == 1

"""Process metadata on local roots, where resources are out of reach, and concurrency: tasks, threads, forks."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.application import App, made_up_process

from spanhouse.processor import (
    MetadataResourceDetector,
    MetadataSpanExporter,
    set_active_model,
    trace_context,
    update_current_trace,
)
from spanhouse.processor.process import Process
from spanhouse.schema import vocabulary

METADATA, TAG = vocabulary.TRACE_METADATA_PREFIX, vocabulary.TRACE_TAG_PREFIX
MODEL, TYPE = vocabulary.MODEL_ID.mlflow, vocabulary.SOURCE_TYPE.mlflow


@pytest.fixture(autouse=True)
def this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    yield from made_up_process(monkeypatch)


def test_a_provider_whose_exporter_is_out_of_reach_has_the_keys_on_local_roots_only() -> None:
    app = App(all_keys=True, wrap=False)
    with app.tracer.start_as_current_span("root"), app.tracer.start_as_current_span("child"):
        pass
    expected = {
        "mlflow.source.name": "app.py",
        TYPE: "production",
        MODEL: "m-start",
        "mlflow.user": "ada",
        "deployment.environment.name": "production",
    }
    assert app.attributes("root") == expected
    assert app.attributes("child") == {}


def test_keys_that_readers_do_not_know_go_to_local_roots_as_metadata_of_the_trace(this_process: Process) -> None:
    this_process.set_arguments({"team": "search", "service.name": "shop", "app_version": "2"}, "argument")
    attributes = dict(App(all_keys=True, wrap=False).run().attributes or {})
    assert (attributes[METADATA + "team"], attributes["app_version"]) == ("search", "2")
    assert "team" not in attributes
    assert "service.name" not in attributes


def test_what_the_detector_put_on_the_resource_is_not_repeated_on_local_roots(this_process: Process) -> None:
    app = App(resource=MetadataResourceDetector().detect().merge(Resource({"deployment.environment.name": "production"})), all_keys=True, wrap=False)
    assert dict(app.run().attributes or {}) == {}
    this_process.set_arguments({TYPE: "canary"}, "argument")
    assert dict(app.run().attributes or {}) == {TYPE: "canary"}


def test_once_an_exporter_stamps_resources_local_roots_are_left_alone() -> None:
    app = App(all_keys=True, wrap=False)
    assert app.run().attributes
    MetadataSpanExporter(InMemorySpanExporter())
    assert not app.run().attributes


def test_a_new_model_reaches_local_roots_of_a_provider_with_the_detector_only() -> None:
    app = App(resource=MetadataResourceDetector().detect(), wrap=False)
    assert not app.run().attributes
    set_active_model(model_id="m-new")
    assert dict(app.run().attributes or {}) == {MODEL: "m-new"}


def test_asyncio_tasks_keep_their_traces_apart() -> None:
    app = App()

    async def request(number: int) -> None:
        with trace_context(session_id=f"s-{number}"), app.tracer.start_as_current_span(f"root {number}"):
            await asyncio.sleep(0)
            with app.tracer.start_as_current_span("child"):
                await asyncio.sleep(0)
                update_current_trace(metadata={"number": number})

    async def requests() -> None:
        await asyncio.gather(*(request(number) for number in range(50)))

    asyncio.run(requests())
    for number in range(50):
        attributes = app.attributes(f"root {number}")
        assert (attributes["session.id"], attributes[METADATA + "number"]) == (f"s-{number}", str(number))


def test_threads_keep_their_traces_apart() -> None:
    app = App()
    barrier = threading.Barrier(8)

    def work(worker: int) -> None:
        barrier.wait()
        for number in range(200):
            with app.tracer.start_as_current_span(f"root {worker}.{number}"), app.tracer.start_as_current_span("child"):
                update_current_trace(metadata={"own": f"{worker}.{number}"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    roots = [span for span in app.exporter.get_finished_spans() if span.name.startswith("root")]
    assert len(roots) == 1600
    assert all((span.attributes or {})[METADATA + "own"] == span.name.removeprefix("root ") for span in roots)


def in_child(action: Callable[[], str]) -> str:
    """What ``action`` returns in a forked child."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, action().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:  # noqa: PTH123 a descriptor
        answer = file.read().decode()
    os.waitpid(pid, 0)
    return answer


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_stamps_its_own_spans_even_if_a_lock_was_held(this_process: Process) -> None:
    app = App()
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with this_process._lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def child() -> str:
        set_active_model(model_id="m-child")
        with app.tracer.start_as_current_span("below the parent's"):
            update_current_trace(metadata={"k": "current"})
        with app.tracer.start_as_current_span("own root", context=Context()), app.tracer.start_as_current_span("below"):
            update_current_trace(metadata={"k": "root"})
        model = app.span("own root").resource.attributes[MODEL]
        return json.dumps([model, app.attributes("below the parent's"), app.attributes("own root"), app.attributes("below")])

    with app.tracer.start_as_current_span("parent's root"):
        answer = in_child(child)
        update_current_trace(metadata={"k": "parent"})
    release.set()
    thread.join()
    assert json.loads(answer) == ["m-child", {METADATA + "k": "current"}, {METADATA + "k": "root"}, {}]
    assert app.attributes("parent's root") == {METADATA + "k": "parent"}
    assert app.span("parent's root").resource.attributes[MODEL] == "m-start"

"""Odd surroundings: who runs the application, from where, and what is missing around it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipapp
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.checkout import Checkout
from tests.support.programs import finish, start

COMMIT, NAME, USER = "mlflow.source.git.commit", "mlflow.source.name", "mlflow.user"
APP = """
import json, os
from opentelemetry import trace
from spanhouse.processor import configure, set_active_model, trace_context, update_current_trace
def stamp():
    resource = configure(export=False).resource
    with trace_context(session_id="s"), trace.get_tracer("t").start_as_current_span("span"):
        set_active_model(name="m", params={"a": 1})
        update_current_trace(metadata={"a": "b"})
    return dict(resource.attributes)
print(json.dumps(stamp()))
"""
ELSEWHERE = "import os\nos.chdir('/')\n"


@pytest.fixture
def checkout(checkout: Checkout) -> Checkout:
    checkout.write("src/app.py", APP)
    checkout.write("shop/__init__.py", "")
    checkout.write("shop/web.py", APP)
    checkout.write("package/__main__.py", ELSEWHERE + APP)
    checkout.write("run.py", "import runpy, sys\nsys.argv[:] = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n")
    checkout.commit()
    return checkout


def stamped(checkout: Checkout, *arguments: str, cwd: Path | None = None, environ: Mapping[str, str] | None = None) -> tuple[str | None, str | None]:
    """Name and commit; what else the program prints is left aside."""
    output = finish(start([sys.executable, *arguments], cwd=cwd or checkout.root, environ=environ))
    attributes = next(json.loads(line) for line in output.splitlines() if line.startswith("{"))
    return attributes.get(NAME), attributes.get(COMMIT)


@pytest.mark.parametrize("file", ["src/app.py", "{root}/src/app.py"])
@pytest.mark.parametrize("runner", [["-m", "pdb", "-c", "continue", "-c", "quit"], ["run.py"], ["{root}/run.py"]])
def test_an_application_in_a_debugger_is_called_by_its_own_file(checkout: Checkout, runner: list[str], file: str) -> None:
    arguments = [argument.format(root=checkout.root) for argument in (*runner, file)]
    assert stamped(checkout, *arguments) == ("src/app.py", checkout.git("rev-parse", "HEAD"))


def test_an_archive_and_a_directory_are_called_by_their_names_wherever_they_go(checkout: Checkout, tmp_path: Path) -> None:
    zipapp.create_archive(checkout.root / "package", checkout.root / "app.pyz")
    commit = checkout.git("rev-parse", "HEAD")
    assert stamped(checkout, "app.pyz") == ("app.pyz", commit)
    assert stamped(checkout, "package") == ("package", commit)
    assert stamped(checkout, ".", cwd=checkout.root / "package") == ("package", commit)
    (tmp_path / "link").symlink_to(checkout.root / "app.pyz")
    assert stamped(checkout, str(tmp_path / "link"), cwd=tmp_path) == ("app.pyz", commit)


@pytest.mark.parametrize(
    ("arguments", "name", "is_in_repository"),
    [(["{root}/src/app.py"], "src/app.py", True), (["-m", "shop.web"], "shop.web", True), (["-c", APP], None, False)],
)
def test_a_current_directory_that_is_gone_costs_only_what_is_known_by_it(
    checkout: Checkout, tmp_path: Path, arguments: list[str], name: str | None, is_in_repository: bool
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = [sys.executable, *(argument.format(root=checkout.root) if argument != APP else APP for argument in arguments)]
    code = f"import os, shutil, sys\nshutil.rmtree({str(gone)!r})\nos.execv(sys.executable, {command!r})"
    attributes = json.loads(finish(start([sys.executable, "-c", code], cwd=gone, environ={"PYTHONPATH": str(checkout.root)})))
    assert (attributes.get(NAME), COMMIT in attributes) == (name, is_in_repository)


@pytest.mark.parametrize(
    "before",
    [
        "del sys.orig_argv, sys.argv",
        "sys.orig_argv, sys.argv = [], []",
        "del sys.modules['__main__'].__file__",
        "sys.path[:0] = [None, 3, b'x', '']",
        "os.environ.clear()",
    ],
)
def test_an_interpreter_that_lacks_something_usual_is_stamped_by_what_is_left(checkout: Checkout, before: str) -> None:
    checkout.write("src/app.py", f"import os, sys\n{before}\n{APP}")
    assert stamped(checkout, "src/app.py") == ("src/app.py", checkout.git("rev-parse", "HEAD"))


@pytest.mark.parametrize("before", ["del sys.modules['__main__']", "sys.orig_argv, sys.argv = [], []; del __file__"])
def test_without_a_main_module_or_any_trace_of_it_the_current_directory_counts(checkout: Checkout, before: str) -> None:
    checkout.write("shop/web.py", f"import os, sys\n{before}\n{APP}")
    name, commit = stamped(checkout, "shop/web.py")
    assert (name, commit) == ("shop/web.py" if "argv" not in before else None, checkout.git("rev-parse", "HEAD"))


def test_code_in_an_archive_is_called_by_its_module_and_belongs_where_the_archive_lies(checkout: Checkout) -> None:
    shutil.make_archive(str(checkout.root / "code"), "zip", checkout.root, "shop")
    shutil.rmtree(checkout.root / "shop")
    assert stamped(checkout, "-m", "shop.web", environ={"PYTHONPATH": "code.zip"}) == ("shop.web", checkout.git("rev-parse", "HEAD"))


@pytest.mark.parametrize(("options", "environ"), [(["-I"], {}), ([], {"PYTHONSAFEPATH": "1"}), (["-OO", "-s", "-E"], {})])
def test_an_isolated_interpreter_is_stamped_all_the_same(checkout: Checkout, options: list[str], environ: dict[str, str]) -> None:
    assert stamped(checkout, *options, "src/app.py", environ=environ) == ("src/app.py", checkout.git("rev-parse", "HEAD"))


GUARD = """
import os, sys
def forbid(event, arguments):
    if event == "open" and (str(arguments[0]).startswith("/proc") or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        os._exit(3)
    if event in {"os.mkdir", "os.remove", "os.rename", "os.utime", "os.chmod", "subprocess.Popen", "socket.connect"}:
        os._exit(4)
sys.addaudithook(forbid)
"""


def test_nothing_is_written_and_proc_is_not_needed(checkout: Checkout) -> None:
    checkout.write("src/app.py", GUARD + APP)
    assert stamped(checkout, "src/app.py") == ("src/app.py", checkout.git("rev-parse", "HEAD"))


def test_without_any_variable_settings_of_git_are_not_looked_for_in_the_current_directory(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "attributes").write_text("* filter=x\n")
    (tmp_path / ".gitconfig").write_text(f"[core]\nattributesFile = {tmp_path / 'attributes'}\n")
    checkout.write("shop/web.py", APP + "\n")
    code = "from spanhouse.processor import process\nprocess._START_UP_SECONDS = 60.0\nimport runpy, sys\n"
    script = tmp_path / "shop" / "src" / "app.py"
    script.write_text(code + APP)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout)["mlflow.source.git.dirty"] == "true"


FORKING = """
import os, signal, sys, threading
from spanhouse.processor import configure, process
entered, release = threading.Event(), threading.Event()
class Slow(process.Capture):
    def __init__(self, *arguments):
        entered.set()
        release.wait()
        super().__init__(*arguments)
look = process.Capture
process.Capture = Slow
provider = []
thread = threading.Thread(target=lambda: provider.append(configure(export=False)))
thread.start()
entered.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    process.Capture = look
    os._exit(0 if "mlflow.source.git.commit" in configure(export=False).resource.attributes else 5)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
release.set()
thread.join()
assert "mlflow.source.git.commit" in provider[0].resource.attributes
sys.exit(code)
"""


def test_a_child_that_is_forked_while_the_surroundings_are_looked_up_looks_for_itself(checkout: Checkout) -> None:
    checkout.write("src/app.py", FORKING)
    finish(start([sys.executable, "src/app.py"], cwd=checkout.root))


TASKS = """
import asyncio, json
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from spanhouse.processor import configure, trace_context, update_current_trace
exporter = InMemorySpanExporter()
configure(export=False).add_span_processor(SimpleSpanProcessor(exporter))
tracer = trace.get_tracer("t")

async def inner(number):
    await asyncio.sleep(0)
    with tracer.start_as_current_span("inner"):
        await asyncio.to_thread(update_current_trace, metadata={"thread": number})
        await asyncio.sleep(0)

async def request(number):
    with trace_context(session_id=number):
        await asyncio.sleep(0)
        with tracer.start_as_current_span(f"request {number}"):
            await asyncio.gather(*(inner(number) for _ in range(3)))

async def main():
    await asyncio.gather(*(request(number) for number in range(50)))

asyncio.run(main())
spans = exporter.get_finished_spans()
print(json.dumps({span.name: dict(span.attributes) for span in spans}))
"""


def test_tasks_and_their_threads_keep_their_traces_apart(checkout: Checkout) -> None:
    checkout.write("src/app.py", TASKS)
    spans = json.loads(finish(start([sys.executable, "src/app.py"], cwd=checkout.root)))
    assert spans.pop("inner") == {}
    assert len(spans) == 50
    for name, attributes in spans.items():
        number = name.removeprefix("request ")
        attributes.pop("mlflow.source.git.dirty", None)  # comes when the check in the background is done
        session = {"session.id": number, "mlflow.traceMetadata.mlflow.trace.session": number}
        assert attributes == session | {"mlflow.traceMetadata.thread": number}

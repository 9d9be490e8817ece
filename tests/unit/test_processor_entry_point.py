"""Which entry point a command line starts."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from spanhouse.processor.sources import notebook as notebook_module
from spanhouse.processor.sources.entry_point import EntryPoint, entry_point, entry_point_of, parse_command

PYTHON = "/usr/bin/python3"


@pytest.mark.parametrize(
    ("arguments", "kind", "target", "rest"),
    [
        (["app.py", "--port", "1"], "script", "app.py", ("--port", "1")),
        (["-X", "dev", "-W", "error", "app.py"], "script", "app.py", ()),
        (["-Xdev", "-Wignore", "-uOB", "app.py"], "script", "app.py", ()),
        (["--check-hash-based-pycs", "never", "app.py"], "script", "app.py", ()),
        (["-m", "pkg.mod", "-c", "x"], "module", "pkg.mod", ("-c", "x")),
        (["-Im", "pkg"], "module", "pkg", ()),
        (["-mpkg"], "module", "pkg", ()),
        (["-c", "print(1)", "-m"], "code", "print(1)", ("-m",)),
        (["-Bc", "print(1)"], "code", "print(1)", ()),
        (["-", "x"], "code", "-", ("x",)),
        (["-i"], "prompt", "", ()),
        ([], "prompt", "", ()),
        (["-m"], "module", "", ()),
    ],
)
def test_a_command_line_is_split_as_the_interpreter_splits_it(arguments: list[str], kind: str, target: str, rest: tuple[str, ...]) -> None:
    command = parse_command([PYTHON, *arguments])
    assert (command.kind, command.target, command.arguments) == (kind, target, rest)


def fields(entry: EntryPoint) -> tuple[str, str | None, str | None, str | None]:
    return entry.kind, entry.name, entry.path, entry.directory


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an application in several shapes, which is the current one."""
    for name in ("app.py", "shop/__init__.py", "shop/__main__.py", "shop/web.py", "src/inner/api.py", "job"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path.resolve()


def test_a_script_is_called_by_its_file_and_found_where_it_lies(project: Path) -> None:
    assert fields(entry_point_of([PYTHON, "app.py"])) == ("script", "app.py", str(project / "app.py"), str(project))
    assert fields(entry_point_of([PYTHON, "job", "x"])) == ("script", "job", str(project / "job"), str(project))


def test_a_script_behind_a_link_is_found_where_the_link_leads(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("bin") / "start"
    link.symlink_to(project / "app.py")
    assert entry_point_of([PYTHON, str(link)]).directory == str(project)


def test_the_main_modules_file_counts_where_the_current_directory_has_changed(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("other"))
    assert entry_point_of([PYTHON, "app.py"], main_file=str(project / "app.py")).path == str(project / "app.py")


@pytest.mark.parametrize("module", ["shop", "shop.web"])
def test_a_module_keeps_its_name(project: Path, module: str) -> None:
    entry = entry_point_of([PYTHON, "-m", module])
    assert (entry.kind, entry.name, entry.directory) == ("module", module, str(project / "shop"))


@pytest.mark.parametrize("arguments", [["-c", "print(1)"], ["-"], [], ["-m", "IPython"]])
def test_code_from_the_command_line_or_a_prompt_has_no_name_and_works_in_the_current_directory(project: Path, arguments: list[str]) -> None:
    assert fields(entry_point_of([PYTHON, *arguments])) == ("session", None, None, str(project))


@pytest.mark.parametrize(
    ("arguments", "name", "directory"),
    [
        (["-m", "uvicorn", "app:app"], "app:app", "."),
        (["-m", "uvicorn", "--host", "0.0.0.0", "--port", "80", "shop.web:create", "--factory"], "shop.web:create", "shop"),
        (["/venv/bin/uvicorn", "--app-dir", "src", "inner.api:app"], "inner.api:app", "src/inner"),
        (["/venv/bin/uvicorn", "--app-dir=src", "inner.api:app"], "inner.api:app", "src/inner"),
        (["/venv/bin/gunicorn", "-w", "4", "-k", "uvicorn.workers.UvicornWorker", "app:app", "-b", "localhost:80"], "app:app", "."),
        (["/venv/bin/gunicorn", "--bind=unix:x.sock", "shop.web:make()"], "shop.web:make", "shop"),
        (["/venv/bin/gunicorn", "--chdir", "src", "-b", "unix:run.sock", "inner.api"], "inner.api", "src/inner"),
        (["/venv/bin/hypercorn", "shop.web:app"], "shop.web:app", "shop"),
        (["/venv/bin/celery", "-A", "shop.web", "worker", "-l", "info"], "shop.web", "shop"),
        (["-m", "celery", "--app=shop", "beat"], "shop", "shop"),
        (["/venv/bin/celery", "-Ashop", "worker"], "shop", "shop"),
        (["/venv/bin/flask", "--app", "shop.web", "run"], "shop.web", "shop"),
    ],
)
def test_a_server_is_called_by_the_app_that_it_serves(project: Path, arguments: list[str], name: str, directory: str) -> None:
    entry = entry_point_of([PYTHON, *arguments])
    assert (entry.kind, entry.name, entry.directory) == ("app", name, str((project / directory).resolve()))


@pytest.mark.parametrize(
    "arguments", [["/venv/bin/streamlit", "run", "app.py"], ["/venv/bin/fastapi", "dev", "app.py"], ["/venv/bin/flask", "--app", "app.py", "run"]]
)
def test_a_server_of_a_file_is_called_by_that_file(project: Path, arguments: list[str]) -> None:
    assert fields(entry_point_of([PYTHON, *arguments])) == ("script", "app.py", str(project / "app.py"), str(project))


def test_celery_takes_its_app_from_its_variable(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP", "shop.web")
    entry = entry_point_of([PYTHON, "/venv/bin/celery", "worker", "-P", "prefork"])
    assert (entry.name, entry.directory) == ("shop.web", str(project / "shop"))


@pytest.mark.parametrize(
    ("arguments", "name", "directory"),
    [
        (["-m", "pytest"], None, "."),
        (["-m", "pytest", "-q", "-k", "app.py", "shop"], "shop", "shop"),
        (["/venv/bin/pytest", "shop/web.py::test_it"], "web.py", "shop"),
        (["/venv/bin/pytest", "-x", "nowhere"], None, "."),
    ],
)
def test_tests_are_called_by_what_is_asked_for(project: Path, arguments: list[str], name: str | None, directory: str) -> None:
    entry = entry_point_of([PYTHON, *arguments])
    assert (entry.name, entry.directory) == (name, str((project / directory).resolve()))


def test_flask_takes_its_app_from_its_variable(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_APP", "shop.web")
    assert entry_point_of([PYTHON, "-m", "flask", "run"]).name == "shop.web"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "arguments", [["/venv/bin/gunicorn", "-c", "conf.py"], ["/venv/bin/celery", "worker"], ["-m", "flask", "run"], ["/venv/bin/streamlit", "run"]]
)
def test_a_server_that_does_not_say_what_it_serves_has_no_name_and_works_where_it_is_started(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLASK_APP", raising=False)
    assert fields(entry_point_of([PYTHON, *arguments])) == ("app", None, None, str(Path.cwd()))


def test_a_users_own_file_is_no_server_whatever_its_name(project: Path) -> None:
    (project / "celery.py").touch()
    assert entry_point_of([PYTHON, "celery.py", "-A", "x"]).kind == "script"


def test_installed_code_is_in_no_repository(project: Path) -> None:
    library = sysconfig.get_paths()["purelib"]
    assert entry_point_of([PYTHON, "-m", "pip"]).directory is None
    assert entry_point_of([PYTHON, f"{library}/pip/__main__.py"]).directory is None
    assert entry_point_of([PYTHON, "-m", "json.tool"]).directory is None


def test_an_installed_script_stands_for_the_module_that_it_calls(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = project / "env" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "shop").write_text("#!/x/python\nimport sys\nfrom shop.web import main\nsys.exit(main())\n")
    monkeypatch.setattr(sys, "prefix", str(project / "env"))
    monkeypatch.syspath_prepend(str(project))
    entry = entry_point_of([PYTHON, str(scripts / "shop")])
    assert (entry.kind, entry.name, entry.directory) == ("script", "shop", str(project / "shop"))


class Shell:
    """Stands for IPython's shell; only a notebook's has a kernel."""

    def __init__(self, *, kernel: bool, **names: str) -> None:
        self.user_ns = names
        if kernel:
            self.kernel = object()


def run_in(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> EntryPoint:
    ipython = type(sys)("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    for variable in ("__vsc_ipynb_file__", "IPYNB_FILE", "JPY_SESSION_NAME"):
        monkeypatch.delenv(variable, raising=False)
    return entry_point()


def test_a_notebook_is_called_by_the_file_that_its_editor_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = run_in(Shell(kernel=True, __vsc_ipynb_file__=str(project / "src/study.ipynb")), monkeypatch)
    assert fields(entry) == ("notebook", "study.ipynb", str(project / "src/study.ipynb"), str(project / "src"))


@pytest.mark.parametrize("variable", ["__vsc_ipynb_file__", "IPYNB_FILE", "JPY_SESSION_NAME"])
def test_a_notebook_is_called_by_the_file_that_a_variable_names(project: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    run_in(Shell(kernel=True), monkeypatch)
    monkeypatch.setenv(variable, "lab/study.ipynb")
    assert fields(entry_point()) == ("notebook", "study.ipynb", "lab/study.ipynb", str(project))


def test_a_notebook_that_nobody_names_is_still_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fields(run_in(Shell(kernel=True), monkeypatch)) == ("notebook", None, None, str(project))
    assert entry_point_of([PYTHON, "-m", "ipykernel_launcher", "-f", "x.json"]).kind == "notebook"


def test_ipython_at_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    run_in(Shell(kernel=False), monkeypatch)
    assert notebook_module.notebook_path() == (False, None)

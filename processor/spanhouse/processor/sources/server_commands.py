"""Command lines of servers and workers, and variables of platforms that start the application (AWS Lambda, Databricks)."""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH100, PTH110, PTH119

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal


class Launched:
    """An application run by a launcher or a platform.

    Attributes:
        kind: kind of the entry point.
        name: name on the command line, ``package.module:attribute``; None if absent.
        module: module that holds its code.
        directory: first directory of the search for the module; without a module, the code's directory; None for the current one.
        path: file, for launchers that take one.
    """

    __slots__ = ("directory", "kind", "module", "name", "path")

    def __init__(
        self,
        kind: Literal["app", "job", "notebook", "session"],
        name: str | None = None,
        *,
        module: str | None = None,
        directory: str | None = None,
        path: str | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.module = module
        self.directory = directory
        self.path = path


_DIRECTORY_OPTIONS: Final = ("--app-dir", "--chdir", "--workdir", "--working-dir")
# Options of these launchers whose value could be taken for an application.
_VALUE_OPTIONS: Final = frozenset(
    {
        *("-b", "--bind", "--fd", "--uds", "-u", "--unix-socket", "-k", "--worker-class", "-c", "--config", "--env-file", "--log-config"),
        *("--root-path", "-n", "--name", "--access-log-format", "--http", "--loop", "--ws", "--log-level", "-p", "--pid", "--user", "--group"),
        *("--interface", "--server-name", "--loglevel", "-l", "--logfile", "-f", "-P", "--pool", "-Q", "--queues", "--umask", "-m"),
    }
)


def app_of(launcher: str, arguments: tuple[str, ...]) -> Launched | None:
    """Return the application that ``launcher`` runs with ``arguments``; None if the launcher is unknown."""
    found = _LAUNCHERS.get(launcher.lower().removesuffix(".exe"))
    return found(arguments) if found else None


def _positional(arguments: tuple[str, ...]) -> Launched:
    """Read the command line of an ASGI or WSGI server, which takes ``module:attribute`` among options."""
    plain: str | None = None
    for number, argument in enumerate(arguments):
        if argument.startswith("-") or (number and arguments[number - 1] in _VALUE_OPTIONS):
            continue
        module, colon, attribute = argument.partition(":")
        if _is_dotted(module) and colon and _is_dotted(attribute.partition("(")[0]):
            return _app(argument.partition("(")[0], arguments)
        if _is_dotted(module) and not colon and (number == 0 or not arguments[number - 1].startswith("-")):
            plain = plain or argument
    return _app(plain, arguments) if plain else _unnamed(arguments)


def _celery(arguments: tuple[str, ...]) -> Launched:
    name = _option(arguments, "-A", "--app") or os.environ.get("APP", "").strip()
    return _app(name, arguments) if name else _unnamed(arguments)


def _flask(arguments: tuple[str, ...]) -> Launched:
    name = _option(arguments, "-A", "--app") or os.environ.get("FLASK_APP", "").strip()
    if name.endswith(".py"):
        return Launched("app", path=name)
    return _app(name, arguments) if name else _unnamed(arguments)


def _file(arguments: tuple[str, ...]) -> Launched:
    """Read the command line of a launcher with a verb and a file: ``streamlit run app.py``, ``fastapi dev main.py``."""
    for argument in arguments[1:]:
        if argument.endswith(".py"):
            return Launched("app", path=argument)
    return _unnamed(arguments)


def _pytest(arguments: tuple[str, ...]) -> Launched:
    """Read pytest's command line: tests take the name of the first file or directory, without one that of the current directory."""
    for number, argument in enumerate(arguments):
        path = argument.partition("::")[0]
        if argument.startswith("-") or not os.path.exists(path) or (number and arguments[number - 1] in _VALUE_OPTIONS):
            continue
        if path.endswith(".py"):
            return Launched("app", path=path)
        return Launched("app", os.path.basename(os.path.abspath(path)), directory=os.path.abspath(path))
    return _unnamed(arguments)


def _unnamed(arguments: tuple[str, ...]) -> Launched:
    """Return an app that only a settings file names; servers look for it in their current directory."""
    return Launched("app", directory=_directory(arguments))


def _directory(arguments: tuple[str, ...]) -> str | None:
    return _option(arguments, *_DIRECTORY_OPTIONS) or None


def _app(name: str, arguments: tuple[str, ...]) -> Launched:
    return Launched("app", name, module=name.partition(":")[0], directory=_directory(arguments))


def _option(arguments: tuple[str, ...], *names: str) -> str:
    for number, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else (arguments[number + 1] if number + 1 < len(arguments) else "")
        for short in names:
            if len(short) == 2 and argument.startswith(short) and not argument.startswith("--"):
                return argument[2:]
    return ""


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


_LAUNCHERS: Final[Mapping[str, Callable[[tuple[str, ...]], Launched]]] = MappingProxyType(
    {
        **dict.fromkeys(("uvicorn", "hypercorn", "daphne", "granian", "gunicorn", "waitress-serve", "waitress"), _positional),
        "celery": _celery,
        "flask": _flask,
        **dict.fromkeys(("pytest", "py.test"), _pytest),
        "fastapi": _file,
        "streamlit": _file,
        **dict.fromkeys(("ipython", "ipython3"), lambda _: Launched("session")),
        **dict.fromkeys(("ipykernel_launcher", "ipykernel", "colab_kernel_launcher"), lambda _: Launched("notebook")),
    }
)


def app_of_host(environ: Mapping[str, str]) -> Launched | None:
    """Return the application that the platform names; None without one.

    For Lambda: the configured handler. For Databricks: a job as ``jobs/<id>/run/<id>``, else the notebook's path, from variables that a
    job's or a cluster's settings pass on (``DATABRICKS_JOB_ID`` and ``DATABRICKS_JOB_RUN_ID`` or ``DATABRICKS_RUN_ID``,
    ``DATABRICKS_NOTEBOOK_PATH``).
    """

    def value(variable: str) -> str:
        return environ.get(variable, "").strip()

    if value("AWS_LAMBDA_FUNCTION_NAME"):
        handler = value("_HANDLER")
        module = handler.replace("/", ".").rpartition(".")[0] or None
        return Launched("app", handler or value("AWS_LAMBDA_FUNCTION_NAME"), module=module, directory=value("LAMBDA_TASK_ROOT") or None)
    if value("DATABRICKS_RUNTIME_VERSION"):
        job, run = value("DATABRICKS_JOB_ID"), value("DATABRICKS_JOB_RUN_ID") or value("DATABRICKS_RUN_ID")
        if job and run:
            return Launched("job", f"jobs/{job}/run/{run}")
        if value("DATABRICKS_NOTEBOOK_PATH"):
            # A path in the workspace, not on this machine's disk.
            return Launched("notebook", value("DATABRICKS_NOTEBOOK_PATH"))
    return None

"""Entry point of the process: its kind, its name, and the place of its code."""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH100, PTH110, PTH112, PTH113, PTH117, PTH118, PTH119, PTH120, PTH206

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from spanhouse.processor.safe_read import read_file

if TYPE_CHECKING:
    from spanhouse.processor.sources.server_commands import Launched

Kind: TypeAlias = Literal["script", "module", "app", "notebook", "job", "session"]


class EntryPoint:
    """Entry point of a process.

    Attributes:
        kind: kind of the entry point; ``app`` runs in a server, ``session`` is a prompt, ``-c`` or standard input.
        name: module name, app or notebook; for a script its file name, replaced by its path within a repository; None if unknown.
        path: absolute path of the script or of the module's file; None if there is none or it is not found.
        directory: start of the search for the repository; None for installed code, whose surroundings are not its repository.
        code: absolute path of the module that an installed script calls, else None.
    """

    __slots__ = ("code", "directory", "kind", "name", "path")

    def __init__(self, kind: Kind, name: str | None, path: str | None, directory: str | None, *, code: str | None = None) -> None:
        self.kind = kind
        self.name = name
        self.path = path
        self.directory = directory
        self.code = code


class Command:
    """Target and arguments of an interpreter's command line."""

    __slots__ = ("arguments", "kind", "target")

    def __init__(self, kind: Literal["script", "module", "code", "prompt"], target: str, arguments: Sequence[str]) -> None:
        self.kind = kind
        self.target = target
        self.arguments = tuple(arguments)


_FLAGS_WITH_VALUE = "WX"
_LONG_WITH_VALUE = frozenset({"--check-hash-based-pycs"})
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_SCRIPT_HEAD_BYTES = 2048
_MAIN_FILE = "__main__.py"
_HOST_VARIABLES = ("AWS_LAMBDA_FUNCTION_NAME", "DATABRICKS_RUNTIME_VERSION")


def entry_point() -> EntryPoint:
    """Return the entry point of this process."""
    if any(variable in os.environ for variable in _HOST_VARIABLES):
        from spanhouse.processor.sources.server_commands import app_of_host  # start-up: most processes run on neither host

        hosted = app_of_host(os.environ)
        if hosted:
            return _launched(hosted)
    if "IPython" in sys.modules:
        from spanhouse.processor.sources.notebook import notebook_path  # start-up: most processes are no notebook

        in_notebook, path = notebook_path()
        if in_notebook:
            return notebook(path)
    if getattr(sys, "frozen", False):
        # A program with its interpreter built in: no argument is a script, and the main module has no file on disk.
        return _script(sys.executable)
    main = sys.modules.get("__main__")
    main_file = getattr(main, "__file__", None)
    main_file = _absolute(main_file) if isinstance(main_file, str) and (os.path.isabs(main_file) or os.path.isfile(main_file)) else None
    command_line = _command_line()
    if main_file and getattr(main, "__spec__", None) is None and _is_run_by_another(parse_command(command_line), main_file):
        return _script(main_file)
    return entry_point_of(command_line, main_file=main_file)


def entry_point_of(command_line: Sequence[str], *, main_file: str | None = None) -> EntryPoint:
    """Return the entry point of an interpreter's command line.

    Args:
        command_line: arguments as in ``sys.orig_argv``; paths are relative to the current directory.
        main_file: absolute path of the main module's file, if it is loaded already: the current directory may have changed since.
    """
    command = parse_command(command_line)
    if command.kind in {"code", "prompt"}:
        return _session()
    if command.kind == "script" and command.target.endswith(".py") and os.path.basename(command.target) != _MAIN_FILE:
        # A launcher is an installed script or a module; celery.py is a user's own file.
        return _script(_file_of(command, main_file))
    from spanhouse.processor.sources.server_commands import app_of  # start-up: often not needed, as above

    app = app_of(_launcher(command), command.arguments)
    if app is not None:
        return _launched(app)
    if command.kind == "module":
        path = os.path.realpath(main_file) if main_file else locate_module(command.target, _absolute(""))
        return EntryPoint("module", command.target, path, code_directory(path))
    return _script(_file_of(command, main_file))


def parse_command(command_line: Sequence[str]) -> Command:
    """Split a command line as python(1) does."""
    arguments = list(command_line[1:])
    while arguments:
        argument = arguments.pop(0)
        if argument == "-":
            return Command("code", "-", arguments)
        if argument.startswith("--"):
            if argument in _LONG_WITH_VALUE and arguments:
                arguments.pop(0)
            continue
        if not argument.startswith("-"):
            return Command("script", argument, arguments)
        for position, letter in enumerate(argument[1:], start=2):
            if letter in "cm" or letter in _FLAGS_WITH_VALUE:
                value = argument[position:] or (arguments.pop(0) if arguments else "")
                if letter in "cm":
                    return Command("code" if letter == "c" else "module", value, arguments)
                break
    return Command("prompt", "", ())


def notebook(path: str | None) -> EntryPoint:
    """Return the entry point of a notebook; its code lies in its directory, or else in its kernel's current directory."""
    directory = os.path.dirname(path) if path and os.path.isabs(path) else _absolute("")
    return EntryPoint("notebook", os.path.basename(path) if path else None, path, directory)


def locate_module(module: str, first: str | None) -> str | None:
    """Return the file (for a namespace package the directory) of a module without importing it.

    ``first`` is searched before ``sys.path``. If the module is not found, its nearest package counts.
    """
    steps = module.split(".")
    if not all(step.isidentifier() for step in steps):
        return None
    namespace: str | None = None
    search: Sequence[object] = sys.path  # applications put other things there, too
    for entry in (first, *(_absolute(path) for path in search if isinstance(path, str))):
        if entry is None:
            continue
        base = os.path.join(entry, steps[0])
        if not (os.path.isdir(base) or os.path.isfile(base + ".py")):
            continue
        for depth in range(len(steps), 0, -1):
            base = os.path.join(entry, *steps[:depth])
            for candidate in (os.path.join(base, "__main__.py"), os.path.join(base, "__init__.py"), base + ".py"):
                if os.path.exists(candidate):
                    return os.path.realpath(candidate)
            if namespace is None and os.path.isdir(base):
                # As for the interpreter, a directory without a file that makes it a package counts only if there is no other.
                namespace = os.path.realpath(base)
    return namespace


def code_directory(path: str | None) -> str | None:
    """Return the directory of ``path``, or ``path`` if it is one; None for installed code: packages, scripts, the standard library."""
    if path is None:
        return None
    directory = path if os.path.isdir(path) else os.path.dirname(path)
    parts = directory.split(os.sep)
    own_scripts = os.path.join(sys.prefix, "Scripts" if os.name == "nt" else "bin")
    if (
        not _INSTALLED.isdisjoint(parts)
        or directory == os.path.realpath(own_scripts)
        or (directory + os.sep).startswith(os.path.dirname(os.__file__) + os.sep)
    ):
        return None
    return directory


def _command_line() -> Sequence[str]:
    command_line = list(getattr(sys, "orig_argv", ()))  # an application that embeds the interpreter may leave it out
    command = parse_command(command_line)
    if command.kind == "code" and "multiprocessing" in command.target and sys.argv and sys.argv[0] not in {"", "-c"}:
        # A worker of multiprocessing has its parent's arguments in sys.argv; only the main module tells that the parent ran with -m.
        specification = getattr(sys.modules.get("__main__"), "__spec__", None)
        module = getattr(specification, "name", None)
        if isinstance(module, str):
            return [sys.executable, "-m", module.removesuffix(".__main__"), *sys.argv[1:]]
        return [sys.executable, *sys.argv]
    return command_line


def _launcher(command: Command) -> str:
    """Return the launcher's name: for ``-m`` the package, else the file or, for ``__main__.py``, its directory."""
    if command.kind == "module":
        return command.target.partition(".")[0]
    directory, name = os.path.split(command.target)
    return os.path.basename(directory) if name == _MAIN_FILE else name


def _file_of(command: Command, main_file: str | None) -> str:
    """Return the script's path, from the main module if it is the same file."""
    if main_file and os.path.basename(main_file) == os.path.basename(command.target):
        return main_file
    if main_file and os.path.basename(main_file) == _MAIN_FILE:
        # A directory or a zip archive with a main module.
        return os.path.dirname(main_file)
    return command.target


def _is_run_by_another(command: Command, main_file: str) -> bool:
    """Tell whether the command line names a debugger or a similar tool that runs ``main_file`` as the main module.

    ``main_file`` has no module specification here, as it would have after ``-m``; code and prompts have no file.
    """
    if command.kind != "script":
        return True
    name = os.path.basename(command.target)
    return os.path.basename(main_file) not in {name, _MAIN_FILE} and code_directory(os.path.realpath(main_file)) is not None


def _launched(app: Launched) -> EntryPoint:
    if app.path is not None:
        return _script(app.path)
    start = _absolute(app.directory or "")
    path = locate_module(app.module, start) if app.module else None
    return EntryPoint(app.kind, app.name, path, code_directory(path) if app.module else start)


def _session() -> EntryPoint:
    return EntryPoint("session", None, None, _absolute(""))


def _absolute(path: str) -> str | None:
    """Return ``path`` as an absolute path; None if the current directory has been removed."""
    try:
        return os.path.abspath(path)
    except OSError:
        return None


def _script(target: str) -> EntryPoint:
    path = os.path.realpath(target)
    directory, code = code_directory(path), None
    if directory is None:
        # The code of a console script is the function that it calls.
        module = _console_script_module(path)
        code = locate_module(module, None) if module else None
        directory = code_directory(code)
    return EntryPoint("script", os.path.basename(path), path, directory, code=code)


def _console_script_module(path: str) -> str | None:
    """Return the module from which an installed script imports the function that it calls."""
    try:
        head = read_file(path, _SCRIPT_HEAD_BYTES)
    except OSError:
        return None
    for line in head.decode("utf-8", "replace").splitlines():
        words = line.split()
        if len(words) >= 4 and words[0] == "from" and words[2] == "import":
            return words[1]
    return None

"""Report of an entry point's metadata with the origin of each value, and the stamp file written from it."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from spanhouse.processor.git.dirty import DirtyUnknownError, is_dirty
from spanhouse.processor.metadata_values import printable
from spanhouse.processor.sources.capture import Capture
from spanhouse.processor.sources.entry_point import EntryPoint, entry_point_of
from spanhouse.processor.sources.environment import STAMP_FILE_NAME
from spanhouse.processor.sources.first_found import Resolved, resolve
from spanhouse.processor.sources.stamp import KEYS

DONE, MISTAKE = 0, 2
_TIMEOUT_SECONDS = 10.0
_PROGRAM = "python -m spanhouse.processor"


class MistakeError(Exception):
    """A mistake of the user; the message is one line with the reason and the remedy."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise MistakeError(f"{message}; see {_PROGRAM} --help")


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    try:
        options = _parser().parse_args(_split_module(arguments))
        values = report(_entry_point(options.script, options.module, options.arguments), os.environ)
        if options.write:
            _write(options.write, values)
    except MistakeError as mistake:
        sys.stderr.write(f"spanhouse metadata: {mistake}\n")
        return MISTAKE
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # values may be in any script, the locale may be ASCII
    sys.stdout.write(printable(_as_json(values) if options.json else _as_table(values)))
    return DONE


def report(entry: EntryPoint, environ: Mapping[str, str]) -> dict[str, Resolved]:
    """Return the values for ``entry`` with those they outrank; the dirty check may take 10 seconds here."""
    capture = Capture(entry, environ, complete=True)
    dirty: bool | None = None
    if capture.repository and capture.commit:
        try:
            dirty = is_dirty(capture.repository, capture.commit, environ=environ, timeout_seconds=_TIMEOUT_SECONDS)
        except DirtyUnknownError:
            dirty = None
    return resolve(capture.sources(dirty))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=_PROGRAM,
        description="Print the metadata stamped on the spans of an entry point, with the origin of each value.",
        epilog="Without SCRIPT or MODULE: the metadata of an interactive session in the current directory.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write", metavar="PATH", type=Path, help=f"also write a stamp file ({STAMP_FILE_NAME}) for an image or a package")
    parser.add_argument("-m", dest="module", metavar="MODULE", help="entry point started with python -m")
    parser.add_argument("script", metavar="SCRIPT", nargs="?", help="entry point started by its path")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _split_module(arguments: Sequence[str]) -> list[str]:
    """Hide the arguments after ``-m MODULE`` from argparse: they are the module's own, as for python."""
    given = list(arguments)
    if "-m" in given[:-1]:
        end = given.index("-m") + 2
        if all(argument.startswith("-") or given[number - 1] == "--write" for number, argument in enumerate(given[: end - 2])):
            return [*given[:end], *(["--", *given[end:]] if given[end:] else [])]
    return given


def _entry_point(script: str | None, module: str | None, arguments: Sequence[str]) -> EntryPoint:
    if module:
        rest = [*([script] if script else []), *arguments]
        entry = entry_point_of([sys.executable, "-m", module, *rest])
        if entry.path is None:
            missing = f"the app of {module} {' '.join(rest)}".rstrip() if entry.kind == "app" else f"module {module}"
            raise MistakeError(f"{missing} is not found from {Path.cwd()}; run this where the application is started")
        return entry
    if script:
        if os.path.sep not in script and not Path(script).exists() and (Path(sys.prefix) / "bin" / script).exists():
            # The name of an installed command, as typed at the prompt.
            script = str(Path(sys.prefix) / "bin" / script)
        if not Path(script).exists():
            raise MistakeError(f"script {script} does not exist; give its path from {Path.cwd()}")
        return entry_point_of([sys.executable, script, *arguments])
    return entry_point_of([sys.executable])


def _write(path: Path, values: Mapping[str, Resolved]) -> None:
    stamp = {key: values[key].value.text for key in KEYS if key in values}
    target = path / STAMP_FILE_NAME if path.is_dir() else path
    try:
        target.write_text(json.dumps(stamp, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise MistakeError(f"cannot write {target}: {error.strerror}; choose a path in a directory that exists and can be written") from error


def _as_json(values: Mapping[str, Resolved]) -> str:
    entries = {
        key: {
            "value": entry.value.text,
            "source": entry.value.origin,
            "lost": [{"value": lost.text, "source": lost.origin} for lost in entry.outranked],
        }
        for key, entry in values.items()
    }
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


def _as_table(values: Mapping[str, Resolved]) -> str:
    if not values:
        return "nothing is known\n"
    key_width = max(map(len, values))
    value_width = max(len(entry.value.text) for entry in values.values())
    lines = []
    for key, entry in values.items():
        lines.append(f"{key:{key_width}}  {entry.value.text:{value_width}}  {entry.value.origin}")
        lines += [f"{'':{key_width}}  {'lost: ' + lost.text:{value_width}}  {lost.origin}" for lost in entry.outranked]
    return "".join(line.rstrip() + "\n" for line in lines)

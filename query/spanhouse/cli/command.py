"""From the command line to a verb and back to an exit code."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Final, NoReturn

from spanhouse.cli.errors import CommandError, Exit, explain_failure
from spanhouse.cli.settings import Option, resolve
from spanhouse.cli.verb_table import ALL_OPTIONS, VERBS, Verb

_PASSED_THROUGH: Final = "metadata"
"""The verb whose words belong to another program, its ``--help`` included."""
_COMPLETING: Final = "_ARGCOMPLETE"
"""Set by a shell that wants to know what a word can be."""
_THIS_MACHINE: Final = ("127.0.0.1", "localhost", "::1")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message} (see `{self.prog} --help`)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: its words, without the program's name; None for those of this process.

    Returns:
        The exit code, see ``spanhouse.cli.errors.Exit``.
    """
    if _COMPLETING in os.environ:
        from spanhouse.cli.verbs.completion import complete

        complete(build_parser())
    words = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            code = _run(words)
        except SystemExit as stopped:  # argparse, after --help and --version
            code = stopped.code if isinstance(stopped.code, int) else Exit.DONE
        sys.stdout.flush()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains when it flushes at its end
        return Exit.CLOSED_PIPE
    except Exception as error:
        failure = explain_failure(error)
        if failure is None:
            raise
        code, line = failure
        print(f"spanhouse: {line}", file=sys.stderr)
    return code


def _run(words: list[str]) -> int:
    if words[:1] == [_PASSED_THROUGH]:
        from spanhouse.cli.verbs import metadata

        return metadata.run(words[1:])
    parser = build_parser()
    if not words:
        parser.print_help()
        return Exit.DONE
    if not words[0].startswith("-") and words[0] not in {verb.name for verb in VERBS}:
        near = get_close_matches(words[0], [verb.name for verb in VERBS], n=1)
        raise CommandError(f"{words[0]!r} is no verb" + (f", do you mean `spanhouse {near[0]}`?" if near else "; `spanhouse --help` lists them"))
    known, unknown = parser.parse_known_args(words)
    parsed = vars(known)
    verb = next(verb for verb in VERBS if verb.name == parsed["verb"])
    if unknown:
        raise CommandError(f"{verb.name}: {unknown[0]!r} is too much, or no option of this verb (see `spanhouse {verb.name} --help`)")
    arguments = resolve(verb.options, parsed, known=ALL_OPTIONS)
    for argument in verb.arguments:
        setattr(arguments, argument.name.replace("-", "_"), parsed[argument.name])
    if verb.name != "serve":  # which logs; the other verbs say in one line of their own what a driver has to say
        logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
        logging.getLogger("clickhouse_connect").propagate = False
    _reach_this_machine_directly()
    try:
        return int(import_module(f"spanhouse.cli.verbs.{verb.module}").run(arguments))
    except ImportError as error:
        if (missing := _missing_extra(verb, error)) is None:
            raise
        raise missing from error


def _reach_this_machine_directly() -> None:
    """A proxy of the surroundings is for other machines; drivers would ask it for a server on this one, too."""
    excepted = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    if "*" not in excepted:
        os.environ["no_proxy"] = ",".join(dict.fromkeys(name for name in (*excepted, *_THIS_MACHINE) if name))


def _missing_extra(verb: Verb, error: ImportError) -> CommandError | None:
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error  # drivers say it in their own words, from the real one
    package = (cause.name or "").partition(".")[0]
    if package in {"", "spanhouse"} or not verb.extra:
        return None
    extra = "server" if package == "chdb" and verb.extra == "query" else verb.extra
    return CommandError(f"{verb.name} needs the module {cause.name}: pip install 'spanhouse[{extra}]'")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command. Values stay text: ``resolve`` gives them their types, wherever they come from."""
    parser = _Parser(
        prog="spanhouse",
        description="Which commit, branch, entry point, environment and model produced this trace? And did the new one make it worse?",
        epilog="Options can also be set as environment variables SPANHOUSE_<OPTION>, or in a TOML file (--config). `spanhouse VERB --help` has more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"spanhouse {version('spanhouse')}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs", parser_class=_Parser)
    for verb in VERBS:
        added = verbs.add_parser(
            verb.name,
            help=verb.summary,
            description=verb.summary[0].upper() + verb.summary[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  {example}" for example in verb.examples) if verb.examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        for argument in verb.arguments:
            how_many = "?" if argument.optional else None
            word = added.add_argument(argument.name, metavar=argument.name.upper(), help=argument.help, nargs=how_many, default="")
            _complete(word, argument.choices)
        for option in verb.options:
            _add(added, option)
    return parser


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    default = option.shown_default or ("" if option.default is None or option.kind is bool else str(option.default))
    text = (option.help + (f" (default: {default})" if default else "")).replace("%", "%%")
    if option.kind is bool:
        parser.add_argument(f"--{option.name}", dest=option.key, action="store_true", default=None, help=text)
    else:
        metavar = option.metavar or "|".join(option.choices)
        added = parser.add_argument(f"--{option.name}", dest=option.key, default=None, metavar=metavar, help=text)
        if option.kind is not Path:
            _complete(added, option.choices)


def _complete(added: argparse.Action, words: Sequence[str] = ()) -> None:
    """Say what a word can be, for shells that complete it; a file, where nothing is said."""
    added.completer = lambda prefix, **_: [word for word in words if word.startswith(prefix)]  # type: ignore[attr-defined]

"""Run of one command line: its words are parsed, its options resolved, its verb run, its errors turned into exit codes."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NoReturn

from spanhouse.cli.errors import CommandError, Exit, explain_failure
from spanhouse.cli.option import Option
from spanhouse.cli.settings import resolve
from spanhouse.cli.text import nearest
from spanhouse.cli.verb_table import GROUPS, VERBS, all_options
from spanhouse.cli.verb_table.verb import Verb

_PASSED_THROUGH: Final = "metadata"
"""Verb whose words belong to another program, its ``--help`` included."""
_COMPLETING: Final = "_ARGCOMPLETE"
"""Environment variable of a shell that asks for the completions of a word."""
_THIS_MACHINE: Final = ("127.0.0.1", "localhost", "::1")


class _Parser(argparse.ArgumentParser):
    """Parser whose errors are one line."""

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
    parser = build_parser(words[0] if words else "")
    if not words:
        parser.print_help()
        return Exit.DONE
    _refuse_unknown_words(words)
    known, unknown = parser.parse_known_args(words)
    parsed = vars(known)
    verb = next(verb for verb in VERBS if verb.name == " ".join(filter(None, (parsed["verb"], parsed.get("action")))))
    if unknown:
        raise CommandError(_unknown(verb, unknown[0]))
    arguments = resolve(verb.options, parsed, known=all_options())
    arguments.action = verb.action
    for argument in verb.arguments:
        setattr(arguments, argument.name.replace("-", "_"), parsed[argument.name])
    if verb.name != "serve":  # serve logs; the other verbs put a driver's message into one line of their own
        logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
        logging.getLogger("clickhouse_connect").propagate = False
    _reach_this_machine_directly()
    try:
        return int(import_module(f"spanhouse.cli.verbs.{verb.module}").run(arguments))
    except ImportError as error:
        if (missing := _missing_extra(verb, error)) is None:
            raise
        raise missing from error


def _refuse_unknown_words(words: Sequence[str]) -> None:
    """Refuse a verb, or an action of a group, that does not exist.

    Raises:
        CommandError: names the nearest one.
    """
    verbs = {verb.action: verb.name for verb in VERBS if verb.group} | {name: name for name in (verb.group or verb.name for verb in VERBS)}
    if not words[0].startswith("-") and words[0] not in {verb.group or verb.name for verb in VERBS}:
        raise CommandError(f"{words[0]!r} is no verb; the nearest one is `spanhouse {verbs[nearest(words[0], verbs)]}`, `spanhouse --help` lists all")
    actions = {verb.action for verb in VERBS if verb.group == words[0]}
    if actions and len(words) > 1 and not words[1].startswith("-") and words[1] not in actions:
        raise CommandError(f"{words[0]}: {words[1]!r} is none of {', '.join(sorted(actions))}; the nearest one is {nearest(words[1], actions)}")


def _unknown(verb: Verb, word: str) -> str:
    """Return the error of a word that the verb does not take."""
    see = f"see `spanhouse {verb.name} --help`"
    if not word.startswith("-"):
        return f"{verb.name}: {word!r} is one word too many ({see})"
    name = word.partition("=")[0].lstrip("-")
    options = [option.name for option in verb.options]
    return (
        f"{verb.name}: unknown option {word!r}; the nearest one is --{nearest(name, options)} ({see})"
        if options
        else f"{verb.name}: takes no options"
    )


def _reach_this_machine_directly() -> None:
    """Keep drivers from asking a proxy for a server on this machine: the proxy of the environment is for other machines."""
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


def build_parser(verb_in_use: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of the whole command. Values stay text: ``resolve`` gives them their types, wherever they come from.

    Args:
        verb_in_use: the only verb or group that gets its options; None for all.
    """
    parser = _Parser(
        prog="spanhouse",
        description="Which commit, branch, entry point, environment and model produced this trace? And did the new one make it worse?",
        epilog="Options can also be set as environment variables SPANHOUSE_<OPTION>, or in a TOML file (--config). `spanhouse VERB --help` has more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"spanhouse {version('spanhouse')}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs", parser_class=_Parser)
    actions: dict[str, Any] = {}
    for verb in VERBS:
        if verb.group and verb.group not in actions:
            actions[verb.group] = _add_group(verbs, verb.group)
        _add_verb(actions.get(verb.group, verbs), verb, complete=verb_in_use in {None, verb.group or verb.name})
    return parser


def _add_group(verbs: Any, name: str) -> Any:
    summary = next(group.summary for group in GROUPS if group.name == name)
    added = verbs.add_parser(name, help=summary, description=_sentence(summary), allow_abbrev=False)
    return added.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions", parser_class=_Parser)


def _add_verb(verbs: Any, verb: Verb, *, complete: bool) -> None:
    added = verbs.add_parser(
        verb.action or verb.name,
        help=verb.summary,
        description=_sentence(verb.summary),
        epilog="examples:\n" + "\n".join(f"  {example}" for example in verb.examples) if verb.examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for argument in verb.arguments:
        how_many = "?" if argument.optional else None
        word = added.add_argument(
            argument.name, metavar=argument.placeholder or argument.name.upper(), help=argument.help, nargs=how_many, default=""
        )
        _complete(word, argument.choices)
    for option in verb.options if complete else ():
        _add_option(added, option)


def _sentence(summary: str) -> str:
    return summary[0].upper() + summary[1:] + ("" if summary.endswith("?") else ".")


def _add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    text = f"{option.help} ({option.bounds}{'; ' if option.bounds else ''}default: {option.described_default})".replace("%", "%%")
    if option.kind is bool:
        parser.add_argument(f"--{option.name}", dest=option.key, action="store_true", default=None, help=text)
    else:
        added = parser.add_argument(f"--{option.name}", dest=option.key, default=None, metavar=option.placeholder, help=text)
        if option.kind is not Path:
            _complete(added, option.choices)


def _complete(added: argparse.Action, words: Sequence[str] = ()) -> None:
    """Set the completions of a word; shells complete a file where none are set."""
    added.completer = lambda prefix, **_: [word for word in words if word.startswith(prefix)]  # type: ignore[attr-defined]

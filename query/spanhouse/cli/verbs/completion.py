"""``spanhouse completion``: code by which a shell completes words of the command."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import Final

from argcomplete.finders import CompletionFinder
from argcomplete.shell_integration import shellcode

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.verb_table.tools import SHELLS

PROGRAM: Final = "spanhouse"


def run(arguments: Namespace) -> int:
    """Print the shell's code."""
    if arguments.shell not in SHELLS:
        raise CommandError(f"completion: {arguments.shell!r} is none of {', '.join(SHELLS)}")
    print(shellcode([PROGRAM], shell=arguments.shell).strip())
    return Exit.DONE


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, which asked by environment variables for completions of the word under its cursor, and end the process."""
    CompletionFinder()(parser, always_complete_options=False)

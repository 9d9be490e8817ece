"""Docstrings name the thing or the action first, and prose says things directly."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("processor", "exporter", "schema", "query")
MOST_PER_1000_WORDS: Final = 2
_DOCUMENTED: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_INDIRECT: Final = re.compile(r"(What|Who|Whether|Which|How|That which)\b")
_WHAT: Final = re.compile(r"\bwhat\b", re.IGNORECASE)


def _files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def _docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the docstring of each module, class and function that has one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _DOCUMENTED) and (docstring := ast.get_docstring(node)):
            yield node.body[0].lineno, docstring


def _comments(source: str) -> Iterator[str]:
    return (token.string for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.COMMENT)


@pytest.mark.parametrize("room", ROOMS)
def test_no_docstring_opens_with_an_indirect_question(room: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {docstring.splitlines()[0]}"
        for path in _files(room)
        for line, docstring in _docstrings(path.read_text(encoding="utf-8"))
        if _INDIRECT.match(docstring)
    ]
    assert not found, "open with a verb (functions) or a noun (classes, modules):\n" + "\n".join(found)


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_rare_in_docstrings_and_comments(room: str) -> None:
    words, by_file = 0, {}
    for path in _files(room):
        source = path.read_text(encoding="utf-8")
        prose = "\n".join([*(docstring for _, docstring in _docstrings(source)), *_comments(source)])
        words += len(prose.split())
        by_file[str(path.relative_to(ROOT))] = len(_WHAT.findall(prose))
    count = sum(by_file.values())
    most = sorted(((number, name) for name, number in by_file.items() if number), reverse=True)
    assert words
    assert count * 1000 <= MOST_PER_1000_WORDS * words, f"{count} in {words} words:\n" + "\n".join(f"{number} {name}" for number, name in most)

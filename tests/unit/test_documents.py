"""Documents for contributors name files that exist, and the index of the tests names every support module."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md", "tests/README.md")
ROOMS = [
    ROOT,
    *ROOT.glob("*/spanhouse"),
    *ROOT.glob("*/spanhouse/*"),
    *ROOT.glob("*/spanhouse/*/*/"),
    ROOT / "schema/spanhouse/schema/tables/sql",
    ROOT / "tests/support",
]
"""Folders that a path may start from: boxes of pictures name files in short."""
PATH = re.compile(r"(?<![\w/.*-])[\w*][\w*./-]*\.(?:py|sql|csv|md|toml|proto)(?![\w/])|(?<![\w/.*-])[a-z][\w./-]*/(?= ─|`)")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def paths(text: str) -> Iterator[str]:
    """Give each path that a text names, but for those that stand for any."""
    yield from (found for found in PATH.findall(text) if "NNNN" not in found)


def exists(path: str) -> bool:
    return any(any(room.glob(path.rstrip("/"))) for room in ROOMS)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_is_named_exists(document: str) -> None:
    text = re.sub(r"\[[^]]*\]\([^)]*\)", "", (ROOT / document).read_text(encoding="utf-8"))
    assert [path for path in paths(text) if not exists(path)] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings get where it is shown."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", sorted({"README.md", *DOCUMENTS, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))}))
def test_every_linked_file_and_heading_exists(document: str) -> None:
    page = ROOT / document
    for link, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        linked = page.parent / link if link else page
        assert linked.exists(), link
        assert not anchor or anchor in anchors(linked), f"{link}#{anchor}"


def test_a_path_that_does_not_exist_is_found() -> None:
    named = "`tests/unit/test_documents.py`, `tests/unit/test_nothing.py`, spool/appender.py, spool/log.py, 01_otel_traces.sql, `tests/nowhere/`"
    assert [path for path in paths(named) if not exists(path)] == ["tests/unit/test_nothing.py", "spool/log.py", "tests/nowhere/"]


def test_every_support_module_is_in_the_index() -> None:
    listed = re.findall(r"^\| `(\w+\.py)` \|", (ROOT / "tests/README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == sorted(path.name for path in (ROOT / "tests/support").glob("*.py") if path.name != "__init__.py")


def test_every_test_is_in_the_index_by_room() -> None:
    index = (ROOT / "tests/README.md").read_text(encoding="utf-8").partition("## By room")[2].partition("\n## ")[0]
    listed = {file for pattern in paths(index) for file in ROOT.glob(pattern)}
    kinds = ("unit", "integration", "property", "faults", "golden")
    assert {file for kind in kinds for file in (ROOT / "tests" / kind).glob("test_*.py")} - listed == set()

"""The page about conventions says what the vocabulary has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tests.support.conventions_page import page

_PAGE: Final = Path(__file__).parents[2] / "docs" / "conventions.md"


def test_the_page_about_conventions_is_made_from_the_vocabulary() -> None:
    if os.environ.get("REGENERATE_GOLDEN"):
        _PAGE.write_text(page())
    assert page() == _PAGE.read_text()

"""The page about options says what the table of verbs has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tests.support.options_page import page

_PAGE: Final = Path(__file__).parents[2] / "docs" / "options.md"


def test_the_page_about_options_is_made_from_the_table_of_verbs() -> None:
    if os.environ.get("REGENERATE_GOLDEN"):
        _PAGE.write_text(page())
    assert page() == _PAGE.read_text()

"""Stamp files: metadata written when an image or a package is built, for where no repository is at hand later."""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH113, PTH118, PTH120, PTH123

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from spanhouse.processor.environment import STAMP_FILE
from spanhouse.processor.values import Value, given
from spanhouse.schema import vocabulary

FILE_NAME = "spanhouse-stamp.json"
KEYS = tuple(
    key.mlflow
    for key in (
        vocabulary.SOURCE_NAME,
        vocabulary.GIT_COMMIT,
        vocabulary.GIT_BRANCH,
        vocabulary.GIT_REPO_URL,
        vocabulary.GIT_DIRTY,
        vocabulary.APP_VERSION,
    )
)
"""What a stamp holds: what is true of the code wherever it runs."""
_LIMIT = 1 << 20

_logger = logging.getLogger("spanhouse.processor")


def from_stamp(environ: Mapping[str, str], start: str | None) -> dict[str, Value]:
    """What the stamp file says that ``SPANHOUSE_STAMP_FILE`` names, or else the nearest one in ``start`` or above it.

    The file is a JSON object of resource attributes. One that is named but cannot be read is worth a warning.
    """
    named = environ.get(STAMP_FILE, "").strip()
    path = named or _nearest(start)
    if not path:
        return {}
    import json  # loaded by the SDK, needed only here

    try:
        with open(path, "rb") as file:
            values = json.loads(file.read(_LIMIT))
    except (OSError, ValueError) as error:
        _logger.log(logging.WARNING if named else logging.DEBUG, "stamp file %s is left out: %s", path, error)
        return {}
    if not isinstance(values, dict):
        _logger.log(logging.WARNING if named else logging.DEBUG, "stamp file %s is left out: it must be a JSON object", path)
        return {}
    return given(values, f"stamp file {path}")


def _nearest(start: str | None) -> str | None:
    directory = start
    while directory:
        path = os.path.join(directory, FILE_NAME)
        if os.path.isfile(path):
            return path
        parent = os.path.dirname(directory)
        directory = None if parent == directory else parent
    return None

"""Stamp files: metadata written when an image or a package is built, for processes without a repository."""

from __future__ import annotations

import json
import logging

from spanhouse.processor.metadata_values import Value, given
from spanhouse.processor.safe_read import read_file
from spanhouse.schema import vocabulary

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
"""Keys of a stamp: properties of the code, not of the machine that runs it."""
_LIMIT = 1 << 20

_logger = logging.getLogger("spanhouse.processor")


def read_stamp(path: str, *, is_named: bool) -> dict[str, Value]:
    """Read a stamp file: a JSON object of resource attributes. An unreadable file is a warning if it was named explicitly."""
    level = logging.WARNING if is_named else logging.DEBUG
    try:
        values = json.loads(read_file(path, _LIMIT))
    except (OSError, ValueError) as error:
        _logger.log(level, "stamp file %s is left out: %s", path, error)
        return {}
    if not isinstance(values, dict):
        _logger.log(level, "stamp file %s is left out: it must be a JSON object", path)
        return {}
    return given(values, f"stamp file {path}")

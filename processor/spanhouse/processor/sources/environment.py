"""Metadata from environment variables: OTel's, our own, MLflow's and platforms'."""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH113, PTH118, PTH120

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from spanhouse.processor.metadata_values import Value, given
from spanhouse.schema import vocabulary

RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
SERVICE_NAME = "OTEL_SERVICE_NAME"
METADATA = "SPANHOUSE_METADATA"
USER = "SPANHOUSE_USER"
STAMP_FILE = "SPANHOUSE_STAMP_FILE"
STAMP_FILE_NAME = "spanhouse-stamp.json"

_OWN = (
    ("SPANHOUSE_SOURCE_NAME", vocabulary.SOURCE_NAME.mlflow),
    ("SPANHOUSE_SOURCE_TYPE", vocabulary.SOURCE_TYPE.mlflow),
    ("SPANHOUSE_GIT_COMMIT", vocabulary.GIT_COMMIT.mlflow),
    ("SPANHOUSE_GIT_BRANCH", vocabulary.GIT_BRANCH.mlflow),
    ("SPANHOUSE_GIT_REPO_URL", vocabulary.GIT_REPO_URL.mlflow),
)
_MODEL_VARIABLES = ("MLFLOW_ACTIVE_MODEL_ID", "_MLFLOW_ACTIVE_MODEL_ID")
_ENVIRONMENT_NAME = vocabulary.SOURCE_TYPE.aliases[0]
_PLATFORM_ENVIRONMENTS = (("Vercel", "VERCEL_ENV"), ("Railway", "RAILWAY_ENVIRONMENT_NAME"))
_OFF = frozenset({"off", "false", "no", "0", "none"})

_logger = logging.getLogger("spanhouse.processor")


def from_otel(environ: Mapping[str, str]) -> dict[str, Value]:
    """Return the attributes that the SDK's own detector will put on the resource, read by its rules; blank ones count as unset."""
    pairs = environ.get(RESOURCE_ATTRIBUTES, "")
    found: dict[str, Value] = {}
    if pairs:
        from urllib.parse import unquote  # loaded by the SDK, needed only here

        split = (pair.partition("=") for pair in pairs.split(","))
        found = given({key: unquote(value.strip()) for key, equals, value in split if equals}, RESOURCE_ATTRIBUTES)
    return found | given({vocabulary.SERVICE_NAME: environ.get(SERVICE_NAME)}, SERVICE_NAME)


def from_own(environ: Mapping[str, str]) -> dict[str, Value]:
    """Return the values of the ``SPANHOUSE_*`` variables; those for one key win over ``SPANHOUSE_METADATA``."""
    found = _metadata(environ.get(METADATA, ""))
    for variable, key in _OWN:
        found |= given({key: environ.get(variable)}, variable)
    user = environ.get(USER, "").strip()
    if user and user.lower() not in _OFF:
        found |= given({vocabulary.USER.mlflow: user}, USER)
    return found


def from_mlflow(environ: Mapping[str, str]) -> dict[str, Value]:
    """Return the active model by MLflow's rule: the old variable counts only if the new one is unset."""
    for variable in _MODEL_VARIABLES:
        found = given({vocabulary.MODEL_ID.mlflow: environ.get(variable)}, variable)
        if found:
            return found
    return {}


def from_platform(environ: Mapping[str, str]) -> dict[str, Value]:
    """Return the environment that a platform names, such as ``production`` or ``preview``."""
    for name, variable in _PLATFORM_ENVIRONMENTS:
        found = given({_ENVIRONMENT_NAME: environ.get(variable)}, f"{name} ({variable})")
        if found:
            return found
    return {}


def user(environ: Mapping[str, str]) -> dict[str, Value]:
    """Return the operating system's user, unless ``SPANHOUSE_USER`` is ``off``."""
    if environ.get(USER, "").strip().lower() in _OFF:
        return {}
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        found = given({vocabulary.USER.mlflow: environ.get(variable)}, f"operating system ({variable})")
        if found:
            return found
    try:
        import pwd  # not on every platform

        return given({vocabulary.USER.mlflow: pwd.getpwuid(os.getuid()).pw_name}, "operating system")
    except (ImportError, KeyError, OSError):
        # Containers run under user ids without a name.
        return {}


def stamp_file(environ: Mapping[str, str], start: str | None) -> str | None:
    """Return the stamp file that ``SPANHOUSE_STAMP_FILE`` names, or else the nearest one in the directory ``start`` or above it."""
    named = environ.get(STAMP_FILE, "").strip()
    if named:
        return named
    directory = start
    while directory:
        path = os.path.join(directory, STAMP_FILE_NAME)
        if os.path.isfile(path):
            return path
        parent = os.path.dirname(directory)
        directory = None if parent == directory else parent
    return None


def _metadata(text: str) -> dict[str, Value]:
    if not text.strip():
        return {}
    import json  # loaded by the SDK, needed only here

    try:
        values = json.loads(text)
    except ValueError as error:
        _logger.warning('%s is left out: it must be a JSON object such as {"team": "search"} (%s)', METADATA, error)
        return {}
    if not isinstance(values, dict):
        _logger.warning('%s is left out: it must be a JSON object such as {"team": "search"}, not %s', METADATA, type(values).__name__)
        return {}
    return given(values, METADATA)

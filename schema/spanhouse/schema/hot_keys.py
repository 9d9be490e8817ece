"""Metadata keys that are asked for most: each has a column of its own in ``trace_carriers``, so that no map is read to judge a filter."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from spanhouse.schema.vocabulary import APP_VERSION, GIT_BRANCH, GIT_COMMIT, MODEL_ID, SESSION, SOURCE_TYPE, TRACE_USER

HOT_COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        SOURCE_TYPE.mlflow: "SourceType",
        APP_VERSION.mlflow: "AppVersion",
        GIT_COMMIT.mlflow: "GitCommit",
        GIT_BRANCH.mlflow: "GitBranch",
        MODEL_ID.mlflow: "ModelId",
        SESSION: "SessionId",
        TRACE_USER: "UserId",
    }
)
"""Metadata key -> column that holds what a row says of it, '' if nothing. Their order is that of the bits of the column ``Own``."""

FEW_VALUES: Final = frozenset(HOT_COLUMNS) - {SESSION, TRACE_USER}
"""Keys with few enough values for a dictionary."""


def own_bit(key: str) -> int:
    """The number of a hot key's bit in ``Own``, which is set where a row has the key as trace metadata."""
    return list(HOT_COLUMNS).index(key)

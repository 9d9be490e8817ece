"""Hot metadata keys: each has a column of its own in ``traces``, so that a filter need not read the map of metadata."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from spanhouse.schema.vocabulary import APP_VERSION, GIT_BRANCH, GIT_COMMIT, GIT_DIRTY, MODEL_ID, SESSION, SOURCE_TYPE, TRACE_USER

HOT_COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        SOURCE_TYPE.mlflow: "SourceType",
        APP_VERSION.mlflow: "AppVersion",
        GIT_COMMIT.mlflow: "GitCommit",
        GIT_BRANCH.mlflow: "GitBranch",
        GIT_DIRTY.mlflow: "GitDirty",
        MODEL_ID.mlflow: "ModelId",
        SESSION: "SessionId",
        TRACE_USER: "UserId",
    }
)
"""Metadata key -> column that holds its value, '' if a trace has none."""

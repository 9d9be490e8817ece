"""Every key, column and alias that Spanhouse knows, once. All other mappings are derived from here.

Three tables:

* ``PROCESS_KEYS``: metadata of the process, sent as OTel resource attributes (in a fallback, as attributes of local root spans).
* ``TRACE_PREFIXES`` and ``TRACE_FIELDS``: what an application sets for one trace, sent as attributes of one of its spans.
* ``ATTRIBUTES``: the trace attributes of the filter language and the columns of the table ``traces`` that hold them.

Applications load this module at their start; its classes are named tuples because making a dataclass takes four times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class ProcessKey(NamedTuple):
    """A metadata key with the same value for every span of a process.

    Attributes:
        mlflow: the key that queries use; MLflow's where MLflow has one.
        otel: OTel semantic-convention key that the processor also sets; None where there is none.
        read: further keys that readers accept, oldest spelling last.
    """

    mlflow: str
    otel: str | None = None
    read: tuple[str, ...] = ()

    @property
    def aliases(self) -> tuple[str, ...]:
        """All keys but the MLflow one, in the order in which readers try them."""
        return ((self.otel,) if self.otel else ()) + self.read


SOURCE_NAME: Final = ProcessKey(mlflow="mlflow.source.name")
"""Entry point. Written by the processor; absent when unknown."""
SOURCE_TYPE: Final = ProcessKey(mlflow="mlflow.source.type", read=("deployment.environment.name", "deployment.environment"))
"""LOCAL, NOTEBOOK, JOB or what the user set, such as ``production``. An environment stands in for it."""
GIT_COMMIT: Final = ProcessKey(mlflow="mlflow.source.git.commit", otel="vcs.ref.head.revision", read=("vcs.repository.ref.revision",))
"""Full SHA of HEAD."""
GIT_BRANCH: Final = ProcessKey(mlflow="mlflow.source.git.branch", otel="vcs.ref.head.name", read=("vcs.repository.ref.name",))
"""Branch; absent for a detached HEAD that nothing names."""
GIT_REPO_URL: Final = ProcessKey(mlflow="mlflow.source.git.repoURL", otel="vcs.repository.url.full")
"""URL of the remote, without credentials; never a local path."""
GIT_DIRTY: Final = ProcessKey(mlflow="mlflow.source.git.dirty")
"""``true`` or ``false``: whether tracked files differ from HEAD. Absent when that is not known."""
MODEL_ID: Final = ProcessKey(mlflow="mlflow.modelId")
"""Id of the LoggedModel that is active in the process."""
USER: Final = ProcessKey(mlflow="mlflow.user")
"""Operating-system user."""
APP_VERSION: Final = ProcessKey(mlflow="app_version", read=("service.version",))
"""The application's version. Applications set it per trace; ``service.version`` stands in for it."""

PROCESS_KEYS: Final = (SOURCE_NAME, SOURCE_TYPE, GIT_COMMIT, GIT_BRANCH, GIT_REPO_URL, GIT_DIRTY, MODEL_ID, USER, APP_VERSION)

GIT_REF_TYPE: Final = "vcs.ref.head.type"
"""``branch``: what kind of name ``vcs.ref.head.name`` is. Written beside it, read by nobody here."""

SERVICE_NAME: Final = "service.name"

TRACE_METADATA_PREFIX: Final = "mlflow.traceMetadata."
"""Span attributes below it are trace metadata: the rest of the key is the metadata's key."""
TRACE_TAG_PREFIX: Final = "mlflow.traceTag."
"""Span attributes below it are tags of the trace. MLflow sends them, too."""

CLIENT_REQUEST_ID: Final = "mlflow.traceClientRequestId"
STATE: Final = "mlflow.traceState"
REQUEST_PREVIEW: Final = "mlflow.traceRequestPreview"
RESPONSE_PREVIEW: Final = "mlflow.traceResponsePreview"
TRACE_FIELDS: Final = (CLIENT_REQUEST_ID, STATE, REQUEST_PREVIEW, RESPONSE_PREVIEW)
"""Span attributes that set one field of the trace each."""

SESSION: Final = "mlflow.trace.session"
"""Metadata key of the session; the span attributes ``SESSION_ATTRIBUTES`` stand in for it."""
TRACE_USER: Final = "mlflow.trace.user"
"""Metadata key of the end user; the span attributes ``USER_ATTRIBUTES`` stand in for it."""
SESSION_ATTRIBUTES: Final = ("session.id", "gen_ai.conversation.id")
USER_ATTRIBUTES: Final = ("user.id", "enduser.id")

TRACE_NAME_TAG: Final = "mlflow.traceName"
"""Tag that always holds the trace's name, as in MLflow."""

SPAN_TYPE: Final = "mlflow.spanType"


class Type(StrEnum):
    """Types of the values that a filter can compare."""

    TEXT = "text"
    MILLISECONDS = "milliseconds"
    """Unix time or a length of time, in whole milliseconds."""
    STATE = "state"
    """One of ``STATES``."""


class TraceState(StrEnum):
    """How a trace ended. Compares equal to its name."""

    OK = "OK"
    ERROR = "ERROR"
    IN_PROGRESS = "IN_PROGRESS"
    STATE_UNSPECIFIED = "STATE_UNSPECIFIED"


class Attribute(NamedTuple):
    """A trace attribute of the filter language.

    Attributes:
        name: the name that filters use.
        sql: the expression over columns of ``traces`` that gives its value. NULL or '' where a trace has none, see ``absent``.
        type: what it can be compared with.
        absent: SQL literal that stands for "no value"; None if every trace has one.
    """

    name: str
    sql: str
    type: Type
    absent: str | None = None


_TIMESTAMP: Final = "toUnixTimestamp64Milli(Timestamp)"
_EXECUTION_TIME: Final = "if(RootSpanId = '', NULL, toInt64(intDiv(Duration, 1000000)))"
_END_TIME: Final = "if(RootSpanId = '', NULL, toUnixTimestamp64Milli(Timestamp) + toInt64(intDiv(Duration, 1000000)))"

ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType(
    {
        attribute.name: attribute
        for attribute in (
            Attribute(name="timestamp", sql=_TIMESTAMP, type=Type.MILLISECONDS),
            Attribute(name="timestamp_ms", sql=_TIMESTAMP, type=Type.MILLISECONDS),
            Attribute(name="execution_time", sql=_EXECUTION_TIME, type=Type.MILLISECONDS, absent="NULL"),
            Attribute(name="execution_time_ms", sql=_EXECUTION_TIME, type=Type.MILLISECONDS, absent="NULL"),
            Attribute(name="end_time", sql=_END_TIME, type=Type.MILLISECONDS, absent="NULL"),
            Attribute(name="end_time_ms", sql=_END_TIME, type=Type.MILLISECONDS, absent="NULL"),
            Attribute(name="status", sql="State", type=Type.STATE),
            Attribute(name="name", sql="Name", type=Type.TEXT, absent="''"),
            Attribute(name="request_id", sql="concat('tr-', TraceId)", type=Type.TEXT),
            Attribute(name="client_request_id", sql="ClientRequestId", type=Type.TEXT, absent="''"),
        )
    }
)
"""Names that stand alone in a filter, or after ``attribute.``, ``attributes.`` or ``trace.``."""


def process_key_names() -> tuple[str, ...]:
    """All spellings of all process keys, for readers that must recognise them among span attributes."""
    return tuple(name for key in PROCESS_KEYS for name in (key.mlflow, *key.aliases))

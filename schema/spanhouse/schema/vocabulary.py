"""Vocabulary of metadata: every key and alias that Spanhouse knows, once. All other mappings are derived from here.

Two tables:

* ``PROCESS_KEYS``: metadata of the process, sent as OTel resource attributes (in a fallback, as attributes of local root spans).
* ``TRACE_METADATA_PREFIX``, ``TRACE_TAG_PREFIX`` and ``TRACE_FIELDS``: metadata, tags and fields that an application sets for one trace, sent
  as attributes of a span.

Applications load this module at start-up, so it defines no dataclass and no enum: each would take longer than the rest of the module. Names
that only readers need are in ``trace_attributes``.
"""

from __future__ import annotations

from typing import Final


class ProcessKey:
    """A metadata key with the same value for every span of a process.

    Attributes:
        mlflow: key that queries use; MLflow's if MLflow has one.
        otel: OTel semantic-convention key that the processor also sets; None without one.
        read: further keys that readers accept, oldest spelling last.
    """

    __slots__ = ("mlflow", "otel", "read")

    def __init__(self, mlflow: str, *, otel: str | None = None, read: tuple[str, ...] = ()) -> None:
        self.mlflow = mlflow
        self.otel = otel
        self.read = read

    @property
    def aliases(self) -> tuple[str, ...]:
        """All keys except the MLflow one, in the order in which readers try them."""
        return ((self.otel,) if self.otel else ()) + self.read

    @property
    def names(self) -> tuple[str, ...]:
        """All keys, in the order in which readers try them."""
        return (self.mlflow, *self.aliases)


SOURCE_NAME: Final = ProcessKey("mlflow.source.name")
"""Entry point. Written by the processor; absent when unknown."""
SOURCE_TYPE: Final = ProcessKey("mlflow.source.type", read=("deployment.environment.name", "deployment.environment", "langfuse.environment"))
"""LOCAL, NOTEBOOK, JOB or the user's own value, such as ``production``. Readers also accept an environment's name."""
DETECTED_SOURCE_TYPES: Final = ("LOCAL", "NOTEBOOK", "JOB")
"""Values of ``SOURCE_TYPE`` that are only detected: a named environment outranks them."""
GIT_COMMIT: Final = ProcessKey("mlflow.source.git.commit", otel="vcs.ref.head.revision", read=("vcs.repository.ref.revision",))
"""Full SHA of HEAD."""
GIT_BRANCH: Final = ProcessKey("mlflow.source.git.branch", otel="vcs.ref.head.name", read=("vcs.repository.ref.name",))
"""Branch; absent for a detached HEAD without a CI variable that names the branch."""
GIT_REPO_URL: Final = ProcessKey("mlflow.source.git.repoURL", otel="vcs.repository.url.full")
"""URL of the remote, without credentials; never a local path."""
GIT_DIRTY: Final = ProcessKey("mlflow.source.git.dirty")
"""``true`` if tracked files differ from HEAD, else ``false``. Absent when unknown."""
MODEL_ID: Final = ProcessKey("mlflow.modelId")
"""Id of the LoggedModel that is active in the process."""
MODEL_NAME: Final = "mlflow.model.name"
"""Name of the active model, if the application gave one."""
USER: Final = ProcessKey("mlflow.user")
"""Operating-system user."""
APP_VERSION: Final = ProcessKey("app_version", read=("service.version", "langfuse.version", "langfuse.release"))
"""The application's version. Applications set it per trace; readers also accept ``service.version``."""

PROCESS_KEYS: Final = (SOURCE_NAME, SOURCE_TYPE, GIT_COMMIT, GIT_BRANCH, GIT_REPO_URL, GIT_DIRTY, MODEL_ID, USER, APP_VERSION)

GIT_REF_TYPE: Final = "vcs.ref.head.type"
"""Kind of the name in ``vcs.ref.head.name``: ``branch``. Written beside it; no reader here uses it."""

SERVICE_NAME: Final = "service.name"
PROJECT_NAME: Final = "openinference.project.name"
"""Resource attribute that names the service if ``service.name`` is not set."""
UNNAMED_SERVICE: Final = "unknown_service"
"""Prefix of the ``service.name`` that SDKs send if it is not set."""

TRACE_METADATA_PREFIX: Final = "mlflow.traceMetadata."
"""Prefix of span attributes that are trace metadata: the rest of the key is the metadata's key."""
TRACE_TAG_PREFIX: Final = "mlflow.traceTag."
"""Prefix of span attributes that are tags of the trace. MLflow sends them, too."""

CLIENT_REQUEST_ID: Final = "mlflow.traceClientRequestId"
STATE: Final = "mlflow.traceState"
SETTABLE_STATES: Final = ("OK", "ERROR")
"""Values of ``STATE`` that applications may set; ``TraceState`` has all that readers know."""
REQUEST_PREVIEW: Final = "mlflow.traceRequestPreview"
RESPONSE_PREVIEW: Final = "mlflow.traceResponsePreview"
TRACE_FIELDS: Final = (CLIENT_REQUEST_ID, STATE, REQUEST_PREVIEW, RESPONSE_PREVIEW)
"""Span attributes that set one field of the trace each."""

SESSION: Final = "mlflow.trace.session"
"""Metadata key of the session; readers also accept span attributes such as ``SESSION_ATTRIBUTE``."""
TRACE_USER: Final = "mlflow.trace.user"
"""Metadata key of the end user; readers also accept span attributes such as ``USER_ATTRIBUTE``."""
SESSION_ATTRIBUTE: Final = "session.id"
USER_ATTRIBUTE: Final = "user.id"

TRACE_NAME_TAG: Final = "mlflow.traceName"
"""Tag that always holds the trace's name, as in MLflow."""

SPAN_TYPE: Final = "mlflow.spanType"


def process_key_names() -> tuple[str, ...]:
    """Return all spellings of all process keys, for readers that must recognise them among span attributes."""
    return tuple(name for key in PROCESS_KEYS for name in key.names)

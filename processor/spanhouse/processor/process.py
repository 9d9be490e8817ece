"""Metadata of this process: captured once, then changed by the dirty check, by arguments and by a new active model."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping

from opentelemetry import context as otel_context

from spanhouse.processor.metadata_values import Value, given, printable, to_text
from spanhouse.processor.sources.capture import Capture
from spanhouse.processor.sources.entry_point import EntryPoint, entry_point
from spanhouse.processor.sources.environment import RESOURCE_ATTRIBUTES, SERVICE_NAME
from spanhouse.processor.sources.first_found import Resolved, resolve, texts
from spanhouse.schema import vocabulary

# Limit of the dirty check at start-up. The size of the index predicts its duration: about 80 bytes and 4 microseconds per file.
_SMALL_INDEX_BYTES = 32 << 10
_START_UP_SECONDS = 0.0015
_BACKGROUND_SECONDS = 1.0
_MODELS_KEPT = 4096
_PROPAGATE = vocabulary.PROPAGATE_VARIABLE
_SDK_ORIGINS = frozenset({RESOURCE_ATTRIBUTES, SERVICE_NAME})
_PROVIDER = "resource of the tracer provider"
_TYPE = vocabulary.SOURCE_TYPE.mlflow
PROCESS_NAMES = frozenset({*vocabulary.process_key_names(), vocabulary.GIT_REF_TYPE})
"""Keys that readers know as process metadata wherever they find them."""

_logger = logging.getLogger("spanhouse.processor")


class Model:
    """A model that was active for some time.

    Attributes:
        since_ns: time of its activation, Unix ns.
        attributes: span attributes: its id, and name and parameters as far as they are known.
    """

    __slots__ = ("attributes", "since_ns")

    def __init__(self, since_ns: int, attributes: Mapping[str, str]) -> None:
        self.since_ns = since_ns
        self.attributes = attributes


class Process:
    """Metadata stamped on this process's spans.

    Attributes:
        version: counter of changes, models included.
        models: models that ``set_active_model`` set, the latest last.
        wrappers: number of exporters that put metadata on resources; exporters added beside a provider's own are not counted.
        detected: attributes that the resource detector or ``configure`` gave to a tracer provider's resource.
        propagated: baggage key to metadata key, see ``propagation``; None until ``propagate`` is called.
        configuring: lock held while ``configure`` adds processors to a provider.
    """

    def __init__(self) -> None:
        self.propagated: Mapping[str, str] | None = None
        self.version = 0
        self.models: tuple[Model, ...] = ()
        self.wrappers = 0
        self.detected: dict[str, str] = {}
        self.configuring = threading.RLock()
        self._arguments: dict[str, Value] = {}
        self._capture: Capture | None = None
        self._dirty: bool | None = None
        self._checking = False
        self._lock = threading.RLock()

    def capture(self) -> Capture:
        """Return the metadata of the surroundings, captured at the first call."""
        captured = self._capture
        if captured is None:
            with self._lock, suppressed_instrumentation():
                captured = self._capture
                if captured is None:
                    captured = self._capture = Capture(_entry_point(), dict(os.environ))
                    self._check_files(captured)
        return captured

    def values(self, provider: Mapping[str, object] | None = None) -> dict[str, Resolved]:
        """Return the winning value of every key.

        ``provider`` has the attributes of a tracer provider's resource; they rank after arguments.
        """
        captured = self.capture()
        return resolve([self._arguments, given(self._without_detected(provider or {}), _PROVIDER), *captured.sources(self._dirty)])

    def detect(self) -> dict[str, str]:
        """Return the attributes for the SDK's resource, without those that the SDK itself reads from the environment."""
        values = self.values()
        otel = self.capture().otel
        self.detected = {key: text for key, text in texts(values).items() if key not in otel}
        return self.detected

    def attributes_of_new_provider(self) -> dict[str, str]:
        """Return the attributes for ``Resource.create``, whose argument overrides the environment's values."""
        otel = self.capture().otel
        values = self.values()
        self.detected = {key: entry.value.text for key, entry in values.items() if key not in otel or entry.value.origin not in _SDK_ORIGINS}
        return self.detected

    def missing_from(self, provider: Mapping[str, object]) -> dict[str, str]:
        """Return the attributes that a provider's resource lacks or has with another value, without the model of ``set_active_model``."""
        otel = self.capture().otel
        own = self._without_detected(provider)
        missing = {}
        for key, entry in self.values(provider).items():
            value = entry.value
            is_for_sdk = key in otel and value.origin in _SDK_ORIGINS and key not in PROCESS_NAMES
            is_there = provider.get(key) == value.text or (value.origin == _PROVIDER and key in own and _can_be_sent(own[key]))
            if not is_for_sdk and not is_there:
                missing[key] = value.text
        return missing

    def set_arguments(self, values: Mapping[str, object], origin: str) -> None:
        """Take values that outrank all others; later ones replace earlier ones of the same key."""
        found = given(values, origin)
        with self._lock:
            if any(self._arguments.get(key) != value for key, value in found.items()):
                self._arguments = {**self._arguments, **found}
                self.version += 1

    def set_model(self, attributes: Mapping[str, str]) -> None:
        """Make a model the active one for spans that start from now on."""
        with self._lock:
            self.models = (*self.models, Model(time.time_ns(), attributes))[-_MODELS_KEPT:]
            self.version += 1

    def propagate(self, names: Iterable[str] | None) -> None:
        """Send trace metadata of these names to other services; None takes the names from the environment unless names are set already."""
        if names is None:
            if self.propagated is not None:
                return
            names = os.environ.get(_PROPAGATE, "").split(",")
        keys = [name.strip() for name in names if name.strip()]
        if keys:
            from spanhouse.processor.propagation import baggage_keys  # start-up: most processes propagate nothing

            self.propagated = baggage_keys(keys)
        else:
            self.propagated = {}

    def add_wrapper(self, count: int) -> None:
        """Add (1) or remove (-1) an exporter that puts metadata on resources."""
        with self._lock:
            self.wrappers += count
            self.version += 1

    def late_for(self, provider: Mapping[str, object]) -> dict[str, str]:
        """Return the attributes that the detector could not know: the dirty flag, and an environment that code names."""
        if not self.detected:
            return {}
        is_late = {vocabulary.GIT_DIRTY.mlflow: vocabulary.GIT_DIRTY.mlflow not in self.detected, _TYPE: _TYPE in provider}
        return {key: text for key, text in self.missing_from(provider).items() if is_late.get(key)}

    def after_fork(self) -> None:
        """Replace locks, which the parent may have held, and restart the background check in a forked child."""
        self._lock = threading.RLock()
        self.configuring = threading.RLock()
        if self._checking and self._capture is not None:
            self._check_in_background(self._capture)

    def _without_detected(self, provider: Mapping[str, object]) -> dict[str, object]:
        """Return the attributes that others put on a resource; values that came from ``detect`` may be outdated and are left out."""
        return {key: value for key, value in provider.items() if key not in self.detected or to_text(value) != self.detected[key]}

    def _check_files(self, captured: Capture) -> None:
        """Check the files for changes: at once for a small index, else in a background thread."""
        if captured.repository is None or captured.commit is None:
            return
        from spanhouse.processor.git.dirty import OutOfTimeError, index_bytes  # start-up: often there is no repository

        if index_bytes(captured.repository) <= _SMALL_INDEX_BYTES:
            try:
                self._dirty = _are_files_changed(captured, _START_UP_SECONDS, at_start=True)
            except OutOfTimeError:
                pass
            else:
                return
        self._check_in_background(captured)

    def _check_in_background(self, captured: Capture) -> None:
        self._checking = True
        thread = threading.Thread(target=self._check_slowly, args=(captured,), name="spanhouse-git-dirty", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # Python refuses new threads while it shuts down.
            _logger.debug("no %s: %r", vocabulary.GIT_DIRTY.mlflow, error)

    def _check_slowly(self, captured: Capture) -> None:
        from spanhouse.processor.git.dirty import OutOfTimeError  # as above

        dirty = None
        try:
            dirty = _are_files_changed(captured, _BACKGROUND_SECONDS)
        except OutOfTimeError as error:
            _logger.debug("no %s: %s", vocabulary.GIT_DIRTY.mlflow, error)
        with self._lock:
            self._checking = False
            self._dirty = dirty
            self.version += 1


def _are_files_changed(captured: Capture, seconds: float, *, at_start: bool = False) -> bool | None:
    """Tell whether tracked files differ from the commit; None if unknown.

    Raises:
        OutOfTimeError: the check took longer than ``seconds``.
    """
    from spanhouse.processor.git.dirty import DirtyUnknownError, OutOfTimeError, is_dirty  # as above

    if captured.repository is None or captured.commit is None:
        return None
    try:
        return is_dirty(captured.repository, captured.commit, environ=os.environ, timeout_seconds=seconds, at_start=at_start)
    except OutOfTimeError:
        raise
    except DirtyUnknownError as error:
        _logger.debug("no %s: %s", vocabulary.GIT_DIRTY.mlflow, error)
    except Exception as error:  # noqa: BLE001 as in capture: any fault of the files makes the answer unknown
        _logger.debug("no %s: %r", vocabulary.GIT_DIRTY.mlflow, error)
    return None


def _can_be_sent(value: object) -> bool:
    """Tell whether UTF-8 can hold a value; the SDK leaves out a service name that an ASCII locale has garbled."""
    return not isinstance(value, str) or value.isascii() or printable(value) == value


def model_at(models: tuple[Model, ...], time_ns: int | None) -> Model | None:
    """Return the model that was active at a time (Unix ns), None before the first one; without a time, the latest."""
    if time_ns is None:
        return models[-1] if models else None
    position = bisect_right(models, time_ns, key=lambda model: model.since_ns)
    return models[position - 1] if position else None


@contextlib.contextmanager
def suppressed_instrumentation() -> Iterator[None]:
    """Keep instrumentations, which look for this key, from tracing the code inside."""
    token = otel_context.attach(otel_context.set_value("suppress_instrumentation", True))
    try:
        yield
    finally:
        otel_context.detach(token)


def this_process() -> Process:
    """Return the process's single instance."""
    return _PROCESS


def _entry_point() -> EntryPoint | None:
    try:
        return entry_point()
    except Exception as error:  # noqa: BLE001 as in capture
        _logger.debug("no %s: %r", vocabulary.SOURCE_NAME.mlflow, error)
        return None


_PROCESS = Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: this_process().after_fork())

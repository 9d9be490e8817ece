"""A stored copy of a span, and what it says of its trace, in plain Python."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support import reference_words as words
from tests.support.expected import text


@dataclass(frozen=True, slots=True)
class Copy:
    """One stored copy of a span; ``parent`` is '' for a span without parent and for one that is its own."""

    span_id: str
    parent: str
    name: str
    start: int
    duration: int
    status: int
    message: str
    flags: int
    attributes: Mapping[str, str]
    resource: Mapping[str, str]
    exceptions: tuple[tuple[str, str], ...]
    """Type and message of each exception event that has a type."""

    @classmethod
    def of(cls, span: Span, resource: Mapping[str, Any]) -> Copy:
        """Return the copy that a span of a request is stored as."""
        parent = "" if span.parent_span_id in {span.span_id, bytes(8)} else span.parent_span_id.hex()
        events = [{attribute.key: text(attribute.value) for attribute in event.attributes} for event in span.events]
        return cls(
            span_id=span.span_id.hex(),
            parent=parent,
            name=span.name,
            start=span.start_time_unix_nano,
            duration=max(0, span.end_time_unix_nano - span.start_time_unix_nano),
            status=span.status.code,
            message=span.status.message,
            flags=span.flags,
            attributes={attribute.key: text(attribute.value) for attribute in span.attributes},
            resource=resource,
            exceptions=tuple((event["exception.type"], event.get("exception.message", "")) for event in events if event.get("exception.type")),
        )

    @property
    def error(self) -> bool:
        """True if the span failed."""
        return self.status == 2

    @property
    def owner(self) -> tuple[str, str, str, str, str]:
        """The service and version that the span belongs to: of its process, whatever the span's own attributes say."""
        process = effective(self.resource)
        keys = ("service.name", "app_version", "mlflow.source.git.commit", "mlflow.source.git.branch", "mlflow.source.type")
        name, version, commit, branch, environment = (process.get(key, "") for key in keys)
        return name, version, commit, branch, environment

    @property
    def stamped(self) -> bool:
        """True if the process says where it comes from."""
        process = effective(self.resource)
        return bool(process.get("mlflow.source.git.commit") or process.get("mlflow.source.name"))

    def says(self, key: str) -> str:
        """Return the value of an attribute, '' for one that a scrubber took."""
        value = self.attributes.get(key, "")
        return "" if value.startswith(words.SCRUBBED) else value

    def first(self, keys: Sequence[str]) -> tuple[int, str]:
        """Return the place and the value of the first of some attributes that says something; the number of keys and '' if none does."""
        return next(((place, value) for place, key in enumerate(keys) if (value := self.says(key))), (len(keys), ""))

    def value(self, keys: Sequence[str]) -> str:
        """Return the value of the first of some attributes that says something."""
        return self.first(keys)[1]

    def number(self, column: str) -> float | None:
        """Return the number that the span reports for a column."""
        keys, objects, paths = words.NUMBERS[column]
        if said := self.value(keys):
            return _sensible(said)
        inside = parsed(self.value(objects))
        return next((_sensible(number) for path in paths if _is_number(number := _at(inside, path))), None)

    def of_trace(self) -> dict[str, str]:
        """Return the attributes that tell of the trace."""
        known = ("mlflow.trace", *words.OF_TOOLS)
        named = {"metadata", *words.TAG_LISTS}
        return {key: value for key, value in self.attributes.items() if (key in named or key.startswith(known)) and key != "mlflow.traceRequestId"}

    def tool_metadata(self) -> dict[str, str]:
        """Return the metadata of the trace in other tools' words: of a key the first counts, but the object ``metadata`` above all."""
        found: dict[str, str] = {}
        for key, value in self.attributes.items():
            for prefix in words.OF_TOOLS:
                bare, told = key.removeprefix(prefix), as_text(parsed(value)) if value.startswith('"') else value
                if key.startswith(prefix) and _says(bare, told):
                    found.setdefault(bare, told)
        inside = parsed(self.attributes.get("metadata", ""))
        if isinstance(inside, dict):
            found |= {key: as_text(value) for key, value in inside.items()}
        return {key: value for key, value in found.items() if _says(key, value)}

    def set_for_trace(self) -> dict[str, str]:
        """Return what was set for the trace in MLflow's words, and the lists of tags. Nothing is said by '', but of metadata and tags."""
        scrubbed = {words.METADATA + words.SESSION, words.METADATA + words.USER}
        return {
            key: value
            for key, value in self.of_trace().items()
            if key.startswith("mlflow.trace") or key in words.TAG_LISTS
            if value or key.startswith((words.METADATA, words.TAG))
            if not (key in scrubbed and value.startswith(words.SCRUBBED))
        }

    def types(self) -> Iterator[str]:
        """Give the type of the span: any word of MLflow's attribute, else the first known word."""
        if said := self.says(words.MLFLOW_TYPE):
            bare = said.strip('"')
            if bare:
                yield words.TYPES.get(bare.lower(), bare)
            return
        yield from [known for key in words.TYPE if (known := words.TYPES.get(self.says(key).lower()))][:1]

    def tools(self) -> Iterator[str]:
        """Give the tools that the span is a call of."""
        if named := self.value(words.TOOL):
            yield named
        kinds = [self.says(key) for key in (words.MLFLOW_TYPE, *words.TYPE)]
        if "tool" in kinds and (entity := self.says("traceloop.entity.name")):
            yield entity

    def finish_reasons(self) -> Iterator[str]:
        """Give the reasons to stop: a word, or a JSON list of words."""
        said = self.value(words.FINISH_REASONS)
        if said.startswith("["):
            yield from _texts(said)
        elif said:
            yield said

    def error_types(self) -> Iterator[str]:
        """Give the types of the span's exceptions, and what a failed span calls its error."""
        yield from (kind for kind, _ in self.exceptions)
        if self.error and (said := self.says("error.type")):
            yield said

    def failure(self) -> tuple[str, str]:
        """Return type and message of a failed span: of its first exception, else of its attribute and status."""
        kind, message = next(iter(self.exceptions), (self.says("error.type"), ""))
        return kind, (message or self.message)[:1000]

    def prompts(self) -> Iterator[str]:
        """Give the versions of prompts that the span used."""
        linked = parsed(self.says("mlflow.linkedPrompts"))
        for one in linked if isinstance(linked, list) else ():
            yield f"{one.get('name', '')}/{one.get('version', '')}"
        if name := self.says("langfuse.observation.prompt.name"):
            yield f"{name}/{self.says('langfuse.observation.prompt.version')}"
        if version := self.says("llm.prompt_template.version"):
            template = self.says("llm.prompt_template.template")
            yield f"{template[:64]}/{version}" if template else version


def effective(process: Mapping[str, str]) -> dict[str, str]:
    """Return process metadata with each alias under its own key; what somebody named beats what was only detected."""
    found = dict(process)
    for key, aliases in {**words.ALIASES, "service.name": ("openinference.project.name",)}.items():
        values = [value for name in (key, *aliases) if (value := process.get(name, ""))]
        if key == "mlflow.source.type":
            values = [value for value in values if value not in words.DETECTED] or values
        if key == "service.name":
            values = [value for value in values if not value.startswith("unknown_service")] or values
        if values:
            found[key] = values[0]
    return found


def parsed(said: str) -> Any:
    """Return what a JSON text says, None for another text."""
    try:
        return json.loads(said)
    except ValueError:
        return None


def as_text(value: Any) -> str:
    """Return a value of a JSON object as text: a text as it is, another value as compact JSON, '' for null."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def tags_of(lists: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that lists name, of attributes that tell of a trace."""
    return {tag: "true" for key in words.TAG_LISTS for tag in _texts(lists.get(key, ""))}


def _says(key: str, told: str) -> bool:
    """Return whether metadata says something; a user whom a scrubber took is nobody."""
    return bool(told) and not (key == "user_id" and told.startswith(words.SCRUBBED))


def _texts(said: str) -> list[str]:
    items = parsed(said)
    return [as_text(item) for item in items] if isinstance(items, list) else []


def _at(inside: Any, path: str) -> Any:
    for name in path.split("."):
        inside = inside.get(name) if isinstance(inside, dict) else None
    return inside


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return True
    return isinstance(value, int | float)


def _sensible(said: str | float) -> float | None:
    """Return a number that is finite, not negative and below 10**18, else None."""
    try:
        number = float(said)
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number < 10**18 else None

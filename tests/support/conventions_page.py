"""The page of docs/ that says which attribute becomes what, made from the vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from spanhouse.schema import conventions, vocabulary

_COLUMNS: Final[Mapping[str, tuple[str, str]]] = {
    "model": ("`Models`", "each distinct one of the trace"),
    "type": ("`SpanTypes`, `span.type`", "in MLflow's words, see below"),
    "tool": ("`Tools`", ""),
    "entity": ("`Tools`", "of a span whose kind is `tool`"),
    "finish_reasons": ("`FinishReasons`", "a word, or a JSON list of them"),
    "error_type": ("`ErrorTypes`", "of a span with status Error; besides `exception.type` of any span's exception events"),
    "linked_prompts": ("`Prompts`", 'as `name/version`, of a JSON list of `{"name", "version"}`'),
    "prompt_name": ("`Prompts`", "as `name/version`"),
    "prompt_version": ("`Prompts`", "with the name"),
    "template": ("`Prompts`", "its first 64 characters, with the version"),
    "template_version": ("`Prompts`", "alone, or after the template"),
    "input_tokens": ("`InputTokens`", ""),
    "output_tokens": ("`OutputTokens`", ""),
    "cached_tokens": ("`CachedTokens`", "part of the input tokens"),
    "reasoning_tokens": ("`ReasoningTokens`", "part of the output tokens"),
    "cost": ("`Cost`", "USD; computed from prices where none was sent"),
    "usage": ("tokens", "a JSON object, where no attribute above says the number"),
    "costs": ("`Cost`", "a JSON object, where no attribute above says the number"),
    "session": ("`SessionId`", ""),
    "user": ("`UserId`", "at last `user_id` in the object `metadata`"),
    "request": ("`RequestPreview`", "of the root, else of the earliest span that has one"),
    "response": ("`ResponsePreview`", "of the root, else of the span that ended last of those that have one"),
}

_INTRODUCTION: Final = """# What a trace says, in whose words

<!-- Made from the vocabulary in schema/; REGENERATE_GOLDEN=1 makes it anew with the test of this page. -->

Spans come from many instrumentations, each with names of its own. Spanhouse reads all of those below, from any span of a trace, and nothing has
to be changed in the app. Where a span has several names of one thing, the first in the list counts.

## Columns of `traces`

| column | attributes, the first counts | |
| --- | --- | --- |
"""

_RULES: Final = """
Of several spans that say a session or a user, the name decides first (the order of the list), then the root's word, then the later start, then the
greater span id. `mlflow.traceMetadata.mlflow.trace.session` and `.user` outrank all of these.

Tokens and cost count once: a span adds what it says less what the nearest spans below it that say the same number say, but never less than 0. So an
agent's sum over its model calls adds nothing, and a number that nobody says is NULL, not 0. These are sums, and never read: {sums}.

A value that begins with `{scrubbed}` was taken away by a scrubber and counts as absent, but for other metadata and tags, which are kept as they
came; `spanhouse doctor` says which key of sessions and users that happens to.
Previews and error messages have {characters:,} characters at most.

## Metadata and tags

`Metadata` is, each over the one before: the resource of the root; what other tools set for the trace ({prefixes}, and each key of the JSON object
`{metadata}`); session and user; what is below `{own}`. Items of the lists {lists} are tags with the value `true`; what is below `{tag}`
outranks them.

| metadata key | resource attributes, the first counts |
| --- | --- |
"""

_TYPES: Final = """
An environment that somebody named outranks {detected}, which are only detected, and a project's name outranks `{unnamed}...`.

## Types of spans

`mlflow.spanType` is taken as it is. Other attributes count if they say one of these words, in any case.

| word | type |
| --- | --- |
"""


def page() -> str:
    """Return the page's text."""
    columns = "".join(f"| {column} | {_listed(conventions.FIELDS[name])} | {note} |\n" for name, (column, note) in _COLUMNS.items())
    rules = _RULES.format(
        sums=_listed(conventions.SUMS),
        scrubbed=conventions.SCRUBBED,
        characters=conventions.PREVIEW_CHARACTERS,
        prefixes=_listed(f"{prefix}*" for prefix in conventions.METADATA_PREFIXES),
        metadata=conventions.METADATA_OBJECT,
        own=vocabulary.TRACE_METADATA_PREFIX,
        lists=_listed(conventions.TAG_LISTS),
        tag=vocabulary.TRACE_TAG_PREFIX,
    )
    keys = "".join(f"| `{key.mlflow}` | {_listed(key.names)} |\n" for key in vocabulary.PROCESS_KEYS)
    keys += f"| `{vocabulary.SERVICE_NAME}` | {_listed((vocabulary.SERVICE_NAME, vocabulary.PROJECT_NAME))} |\n"
    types = _TYPES.format(detected=_listed(vocabulary.DETECTED_SOURCE_TYPES), unnamed=vocabulary.UNNAMED_SERVICE)
    words = "".join(f"| `{word}` | `{named}` |\n" for word, named in conventions.SPAN_TYPES.items())
    return _INTRODUCTION + columns + rules + keys + types + words


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)

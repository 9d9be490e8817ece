"""Conventions of span attributes: the names that instrumentations give to each field of a trace's row.

``FIELDS`` has for each field its attributes, in their order of precedence. The SQL that reads spans, the filters on them and the page in docs/ are
derived from it. ``PREFIXES`` and ``TRACE_ATTRIBUTES`` name the attributes with a trace's metadata and tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from spanhouse.schema.vocabulary import SESSION, SESSION_ATTRIBUTE, SPAN_TYPE, TRACE_METADATA_PREFIX, TRACE_TAG_PREFIX, TRACE_USER, USER_ATTRIBUTE

FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "model": (
            "gen_ai.response.model",
            "gen_ai.request.model",
            "llm.model_name",
            "embedding.model_name",
            "mlflow.llm.model",
            "langfuse.observation.model.name",
            "ai.response.model",
            "ai.model.id",
        ),
        "type": (SPAN_TYPE, "openinference.span.kind", "gen_ai.operation.name", "traceloop.span.kind", "langfuse.observation.type"),
        "tool": ("gen_ai.tool.name", "tool.name", "ai.toolCall.name"),
        "entity": ("traceloop.entity.name",),
        "finish_reasons": ("gen_ai.response.finish_reasons", "ai.response.finishReason", "llm.finish_reason"),
        "error_type": ("error.type",),
        "linked_prompts": ("mlflow.linkedPrompts",),
        "prompt_name": ("langfuse.observation.prompt.name",),
        "prompt_version": ("langfuse.observation.prompt.version",),
        "template": ("llm.prompt_template.template",),
        "template_version": ("llm.prompt_template.version",),
        "input_tokens": (
            "gen_ai.usage.input_tokens",
            "llm.token_count.prompt",
            "gen_ai.usage.prompt_tokens",
            "ai.usage.inputTokens",
            "ai.usage.promptTokens",
        ),
        "output_tokens": (
            "gen_ai.usage.output_tokens",
            "llm.token_count.completion",
            "gen_ai.usage.completion_tokens",
            "ai.usage.outputTokens",
            "ai.usage.completionTokens",
        ),
        "cached_tokens": (
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "llm.token_count.prompt_details.cache_read",
            "ai.usage.cachedInputTokens",
        ),
        "reasoning_tokens": (
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "llm.token_count.completion_details.reasoning",
            "ai.usage.reasoningTokens",
        ),
        "cost": ("gen_ai.usage.cost", "gen_ai.usage.total_cost", "llm.cost.total", "operation.cost"),
        "usage": ("mlflow.chat.tokenUsage", "langfuse.observation.usage_details"),
        "costs": ("mlflow.llm.cost", "langfuse.observation.cost_details"),
        "session": (
            SESSION_ATTRIBUTE,
            "langfuse.session.id",
            "traceloop.association.properties.session_id",
            "ai.telemetry.metadata.sessionId",
            "gen_ai.conversation.id",
        ),
        "user": (
            USER_ATTRIBUTE,
            "enduser.id",
            "langfuse.user.id",
            "traceloop.association.properties.user_id",
            "ai.telemetry.metadata.userId",
        ),
        "request": (
            "input.value",
            "mlflow.spanInputs",
            "gen_ai.input.messages",
            "traceloop.entity.input",
            "langfuse.observation.input",
            "ai.prompt",
            "logfire.msg",
        ),
        "response": (
            "output.value",
            "mlflow.spanOutputs",
            "gen_ai.output.messages",
            "traceloop.entity.output",
            "langfuse.observation.output",
            "ai.response.text",
            "final_result",
        ),
    }
)
"""Field -> its span attributes; the first one that a span has counts. ``usage`` and ``costs`` are JSON objects."""

WORDS: Final = tuple(FIELDS)[:7]
"""Fields that give a trace a set of words; the first seven of ``FIELDS``."""

JSON_NUMBERS: Final[Mapping[str, tuple[str, tuple[tuple[str, ...], ...]]]] = MappingProxyType(
    {
        "input_tokens": ("usage", (("input_tokens",), ("prompt_tokens",), ("input",))),
        "output_tokens": ("usage", (("output_tokens",), ("completion_tokens",), ("output",))),
        "cached_tokens": ("usage", (("cache_read_input_tokens",), ("prompt_tokens_details", "cached_tokens"), ("input_cached_tokens",))),
        "reasoning_tokens": ("usage", (("reasoning_tokens",), ("completion_tokens_details", "reasoning_tokens"), ("output_reasoning_tokens",))),
        "cost": ("costs", (("total_cost",), ("total",))),
    }
)
"""Field -> JSON object used if the field has no attribute of its own, with the paths of the number there; the first path with a number counts."""

SUMS: Final = (
    "gen_ai.aggregated_usage.*",
    "llm.usage.total_tokens",
    "llm.token_count.total",
    "gen_ai.usage.total_tokens",
    "gen_ai.usage.raw",
)
"""Attributes that are never read: sums of other attributes."""

METADATA_PREFIXES: Final = ("langfuse.trace.metadata.", "traceloop.association.properties.", "ai.telemetry.metadata.")
"""Prefixes of span attributes that are trace metadata under the rest of the key; ``mlflow.traceMetadata.`` outranks them."""
METADATA_OBJECT: Final = "metadata"
"""Span attribute of OpenInference: a JSON object of trace metadata."""
TAG_LISTS: Final = ("langfuse.trace.tags", "tag.tags", "logfire.tags")
"""Span attributes that list tags; each is a tag with the value ``true``."""
TOOL_METADATA: Final = "mlflow.toolMetadata."
"""Prefix of the keys under which metadata of other tools is merged, before it becomes trace metadata."""
MESSAGES: Final = ("gen_ai.input.messages", "gen_ai.output.messages")
JSON_TEXTS: Final = ("mlflow.spanInputs", "mlflow.spanOutputs", "traceloop.entity.input", "traceloop.entity.output")
SCRUBBED: Final = "[Scrubbed due to"
"""Prefix of the text that replaces a value removed by a scrubber; the value counts as absent."""

PREFIXES: Final = ("mlflow.trace", *METADATA_PREFIXES)
TRACE_ATTRIBUTES: Final = (METADATA_OBJECT, *TAG_LISTS)
NOT_OF_TRACE: Final = "mlflow.traceRequestId"
"""Attribute that begins with one of ``PREFIXES`` but is no trace metadata: MLflow puts it on every span."""

SPAN_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "llm": "LLM",
        "chat": "CHAT_MODEL",
        "text_completion": "LLM",
        "generate_content": "LLM",
        "generation": "LLM",
        "embeddings": "EMBEDDING",
        "embedding": "EMBEDDING",
        "execute_tool": "TOOL",
        "tool": "TOOL",
        "invoke_agent": "AGENT",
        "create_agent": "AGENT",
        "agent": "AGENT",
        "invoke_workflow": "WORKFLOW",
        "workflow": "WORKFLOW",
        "task": "TASK",
        "chain": "CHAIN",
        "retriever": "RETRIEVER",
        "retrieval": "RETRIEVER",
        "reranker": "RERANKER",
        "guardrail": "GUARDRAIL",
        "evaluator": "EVALUATOR",
        "chat_model": "CHAT_MODEL",
        "parser": "PARSER",
        "memory": "MEMORY",
        "unknown": "UNKNOWN",
    }
)
"""Word of a convention, in lower case -> MLflow's word. Any other word is a type only in MLflow's attribute, else it is ignored."""


PREVIEW_CHARACTERS: Final = 1000
"""Longest preview and error message."""


def codes() -> tuple[tuple[str, int], ...]:
    """Return each attribute of ``FIELDS`` with its code: ``code DIV 16`` is the field, and codes order a field's attributes."""
    return tuple((key, 16 * field + rank) for field, keys in enumerate(FIELDS.values(), 1) for rank, key in enumerate(keys))


def letter(name: str) -> str:
    """Return the prefix letter of a field's words in ``spanhouse_trace_parts``; ``P`` is the prefix of prompts."""
    return chr(ord("A") + WORDS.index(name))


def words_sql() -> str:
    """Render SQL for the words of a span, each after its field's letter; over the columns ``Fields``, ``Values``, ``failed``."""
    counts = (
        f"field <= {len(WORDS)} AND nth = 1 AND (field != {field_number('error_type')} OR failed) "
        f"AND (field != {field_number('entity')} OR has(Values, 'tool'))"
    )
    word = f"if({counts}, concat(char({ord('A') - 1} + field), value), '')"
    return f"arrayFilter(word -> word != '', arrayMap((field, nth, value) -> {word}, Fields, arrayEnumerateUniq(Fields), Values))"


def words_of_sql(name: str) -> str:
    """Render SQL for the words of a field, over the column ``Words``."""
    return f"arrayMap(word -> substring(word, 2), arrayFilter(word -> startsWith(word, {literal(letter(name))}), Words))"


def field_number(name: str) -> int:
    """Return the number of a field in codes."""
    return list(FIELDS).index(name) + 1


def literal(text: str) -> str:
    """Render a text as a SQL literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def literals(texts: Iterable[str]) -> str:
    """Render texts as SQL literals, with commas between them."""
    return ", ".join(map(literal, texts))


def type_sql(text: str) -> str:
    """Render SQL that translates a span type of any convention to MLflow's word; MLflow's own values are in JSON's quotes."""
    bare = f"trim(BOTH '\"' FROM {text})"
    return f"transform(lower({bare}), [{literals(SPAN_TYPES)}], [{literals(SPAN_TYPES.values())}], {bare})"


def span_type_sql(attributes: str) -> str:
    """Render SQL for the type of a span in MLflow's words, '' without one.

    Args:
        attributes: SQL of the span's map of attributes.
    """
    first, *others = (f"{attributes}[{literal(key)}]" for key in FIELDS["type"])
    known = f"arrayFirst(said -> lower(said) IN ({literals(SPAN_TYPES)}), [{', '.join(others)}])"
    return type_sql(f"if({first} != '', {first}, {known})")


def numbers_sql() -> str:
    """Render SQL for the numbers among the values of a span, -1 for other values; over the columns ``Fields`` and ``Values``.

    NaN, infinities, texts and numbers of 18 digits or more are no numbers.
    """
    first, last = field_number("input_tokens"), field_number("cost")
    number = "(toFloat64OrDefault(value, -1.) AS number) >= 0 AND number < 1e18"
    return f"arrayMap((value, field) -> if(field BETWEEN {first} AND {last} AND {number}, number, -1.), Values, Fields)"


def number_sql(name: str) -> str:
    """Render SQL for the number in a field of a span, -1 if absent; over the columns ``Fields``, ``Values`` and ``Numbers``."""
    source, paths = JSON_NUMBERS[name]
    inside = ", ".join(f"JSONExtract({said_sql(source)}, {literals(path)}, 'Nullable(Float64)')" for path in paths)
    from_json = f"if(has(Fields, {field_number(source)}), greatest(coalesce({inside}, -1.), -1.), -1.)"
    return f"if((indexOf(Fields, {field_number(name)}) AS at_{name}) > 0, Numbers[at_{name}], {from_json})"


def said_sql(name: str) -> str:
    """Render SQL for the value of a field of a span, '' if absent; over the columns ``Fields`` and ``Values``."""
    return f"Values[indexOf(Fields, {field_number(name)})]"


def tells_sql(key: str) -> str:
    """Render SQL that is true for attributes of the trace, false for attributes of the span.

    Args:
        key: SQL of the attribute's key.
    """
    prefixes = " OR ".join(f"startsWith({key}, {literal(prefix)})" for prefix in PREFIXES)
    return f"({prefixes} OR {key} IN ({literals(TRACE_ATTRIBUTES)})) AND {key} != {literal(NOT_OF_TRACE)}"


def told_sql(attributes: str) -> str:
    """Render SQL that normalises a map of trace attributes: other tools' keys get the prefix ``mlflow.toolMetadata.``, objects are flattened.

    Absent values are left out: '' unless the app set it for the trace, and a session or user removed by a scrubber.
    """
    prefixed = " OR ".join(f"startsWith(k, {literal(prefix)})" for prefix in METADATA_PREFIXES)
    bare = f"(concat('{TOOL_METADATA}', replaceRegexpOne(k, '^[^.]*[.][^.]*[.][^.]*[.]', '')), if(startsWith(v, '\"'), JSONExtractString(v), v))"
    inside = f"JSONExtract({attributes}[{literal(METADATA_OBJECT)}], 'Map(String, String)')"
    objects = f"mapApply((k, v) -> (concat('{TOOL_METADATA}', k), v), {inside})"
    people = literals((TRACE_METADATA_PREFIX + SESSION, TRACE_METADATA_PREFIX + TRACE_USER, TOOL_METADATA + "user_id"))
    scrubbed = f"k IN ({people}) AND startsWith(v, {literal(SCRUBBED)})"
    said = f"v != '' OR startsWith(k, {literal(TRACE_METADATA_PREFIX)}) OR startsWith(k, {literal(TRACE_TAG_PREFIX)})"
    merged = f"mapUpdate(mapApply((k, v) -> if({prefixed}, {bare}, (k, v)), {attributes}), {objects})"
    return f"mapFilter((k, v) -> ({said}) AND NOT ({scrubbed}), {merged})"


def messages_sql(source: str, text: str) -> str:
    """Render SQL for the messages of a trace's input or output as pairs (is a user's, text); an empty array for other formats.

    Args:
        source: SQL of the attribute's code.
        text: SQL of the attribute's value.
    """
    contents = "arrayMap(part -> JSONExtractString(part, 'content'), JSONExtractArrayRaw(one, 'parts'))"
    spoken = f"arrayStringConcat(arrayFilter(told -> told != '', {contents}), '\\n')"
    message = f"(JSONExtractString(one, 'role') = 'user', {spoken})"
    return f"arrayMap(one -> {message}, if({source} IN ({codes_of(MESSAGES)}), JSONExtractArrayRaw({text}), []))"


def preview_sql(source: str, text: str) -> str:
    """Render SQL for a trace's input or output in readable form, '' if the value is readable as it is.

    For messages of the GenAI conventions: the text of the last message, of a user's if there is one. For MLflow's and Traceloop's attributes: the
    JSON text, or the only text in a JSON object.

    Args:
        source: SQL of the attribute's code.
        text: SQL of the attribute's value; its messages are in the column ``spoken``.
    """
    lone = f"startsWith({text}, '{{') AND JSONLength({text}) = 1"
    only = f"multiIf(startsWith({text}, '\"'), JSONExtractString({text}), {lone}, JSONExtractString({text}, 1), '')"
    user, last = "arrayLast(one -> one.1 AND one.2 != '', spoken).2", "arrayLast(one -> one.2 != '', spoken).2"
    return f"if({source} IN ({codes_of(JSON_TEXTS)}), {only}, arrayFirst(told -> told != '', [{user}, {last}]))"


def codes_of(keys: Iterable[str]) -> str:
    """Render the codes of some attributes, with commas between them."""
    return ", ".join(str(code) for key, code in codes() if key in keys)


def template_sql(name: str) -> str:
    """Render SQL that replaces ids in the path of a name: segments of digits, and UUIDs."""
    uuid = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    segment = f"if(match(one, '^([0-9]+|{uuid})$'), '{{id}}', one)"
    return f"arrayStringConcat(arrayMap(one -> {segment}, splitByChar('/', {name})), '/')"

"""Attributes that strangers' spans have, in the words of many instrumentations, and events of exceptions."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tests.support import reference_words as words

SUMS: Final = (
    "gen_ai.aggregated_usage.input_tokens",
    "llm.usage.total_tokens",
    "llm.token_count.total",
    "gen_ai.usage.total_tokens",
    "gen_ai.usage.raw",
)
"""Attributes that nobody reads."""
_TAKEN: Final = "[Scrubbed due to 'session']"


def attributes(rng: random.Random) -> Iterator[tuple[str, Any]]:
    """Give attributes that a row is made of, and some that say nothing."""
    word = rng.choice(["x", "y", "", "it's é", '"quoted"'])
    yield "http.route", "/chat"
    yield from _set_for_trace(rng, word)
    yield from _named(rng, word)
    yield from _of_tools(rng, word)
    yield from _numbers(rng)
    yield from _words(rng, word)
    yield from _prompts(rng, word)
    for keys in (words.REQUEST, words.RESPONSE):
        for key in rng.sample([*keys, *words.MESSAGES.intersection(keys)], rng.choice([1, 1, 2])):
            yield key, _told(rng, key)
    if rng.random() < 0.1:
        yield rng.choice(sorted(words.PROCESS_KEYS)), rng.choice(["own", "own", "LOCAL", ""])


def exceptions(rng: random.Random) -> Iterator[dict[str, str]]:
    """Give the attributes of events, exceptions among them."""
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        kind = {"exception.type": rng.choice(["KeyError", "app.Timeout", ""])} if rng.random() < 0.9 else {}
        yield kind | ({"exception.message": message(rng)} if rng.random() < 0.8 else {})


def message(rng: random.Random) -> str:
    """Return the message of an error."""
    return rng.choice(["", f"order {rng.randint(1, 99)} of {rng.choice(['a1', 'zoo'])} is late", "é" * 1100, "no answer"])


def name(rng: random.Random, number: int) -> str:
    """Return the name of a span, often with ids in its path."""
    return rng.choice(
        [
            f"span {number}",
            f"GET /orders/{rng.randint(0, 999)}/items/0f8fad5b-d9cb-469f-a165-70867728950{number % 10}",
            f"/{number}/x{number}/{number}",
            f"GET /{number}?page=2",
            "/0f8fad5b-d9cb-469f-a165-70867728950/é/",
            "",
        ]
    )


def _set_for_trace(rng: random.Random, word: str) -> Iterator[tuple[str, Any]]:
    keys = ["k", "user_id", "app_version", words.SESSION, words.USER, "mlflow.modelId", "mlflow.source.type", "mlflow.source.git.commit"]
    yield words.METADATA + rng.choice(keys), rng.choice([word, word, word, _TAKEN])
    yield words.TAG + rng.choice(["t", "u"]), word
    yield "mlflow.traceState", rng.choice(["OK", "ERROR", "IN_PROGRESS", "STATE_UNSPECIFIED", "GREAT", ""])
    yield rng.choice(["mlflow.traceClientRequestId", "mlflow.traceRequestPreview", "mlflow.traceResponsePreview", "mlflow.traceRequestId"]), word
    tags = rng.sample(["t", "v", "w", "LLM", "é"], rng.randint(0, 3))
    yield rng.choice(words.TAG_LISTS), rng.choice([tags, json.dumps(tags), "t", ""])


def _named(rng: random.Random, word: str) -> Iterator[tuple[str, Any]]:
    for keys, value in ((words.SESSIONS, f"session {word}"), (words.USERS, word)):
        for key in rng.sample(keys, rng.choice([1, 1, 1, 2])):
            yield key, rng.choice([value, value, value, _TAKEN, ""])


def _of_tools(rng: random.Random, word: str) -> Iterator[tuple[str, Any]]:
    keys = ["k", "plan", "a.b", "user_id", "mlflow.modelId"]
    for prefix in rng.sample(words.OF_TOOLS, rng.choice([1, 1, 2])):
        yield prefix + rng.choice(keys), rng.choice([word, word, json.dumps(word), '"', 5, _TAKEN, '{"a": 1}'])
    values = [word, 1.5, 42, True, None, ["a", 1], {"b": {"c": "é"}}, _TAKEN]
    yield "metadata", rng.choice([json.dumps({key: rng.choice(values) for key in rng.sample(keys, 2)}), '{"k":', '["k"]', word])


def _numbers(rng: random.Random) -> Iterator[tuple[str, Any]]:
    for keys, objects, paths in words.NUMBERS.values():
        if rng.random() < 0.5:
            for key in rng.sample(keys, rng.choice([1, 1, 1, 2])):
                yield key, _number(rng)
        if rng.random() < 0.3:
            yield rng.choice(objects), _counts(rng, paths)
    if rng.random() < 0.5:
        yield rng.choice(SUMS), rng.choice([100_000, '{"input_tokens": 100000}'])


def _number(rng: random.Random) -> Any:
    if rng.random() < 0.1:
        return rng.choice(["", "many", -5, float("nan"), float("inf"), 1e30, "7", "1e1", _TAKEN])
    return rng.choice([rng.randint(0, 50), rng.randint(0, 50), rng.randint(0, 50), 0, 2.5])


def _counts(rng: random.Random, paths: Sequence[str]) -> str:
    """Return a JSON object with numbers at some of the paths."""
    made: dict[str, Any] = {"total": 5} if rng.random() < 0.1 else {}
    for path in rng.sample(paths, rng.randint(1, len(paths))):
        outer, _, inner = path.partition(".")
        value: Any = rng.choice([rng.randint(0, 50), rng.randint(0, 50), 2.5, 0, None, "many", "7", -1, {}])
        made[outer] = {inner: value} if inner else value
    return rng.choice([json.dumps(made), json.dumps(made), json.dumps(made), json.dumps(made)[:-1], "[1]", _TAKEN])


def _words(rng: random.Random, word: str) -> Iterator[tuple[str, Any]]:
    for key in rng.sample(words.MODEL, rng.choice([1, 2])):
        yield key, rng.choice([f"model {rng.choice('45')}", '"model 4"', word, _TAKEN])
    kinds = [*words.TYPES, *(kind.upper() for kind in words.TYPES), "tool", "event", ""]
    for key in rng.sample(words.TYPE, rng.choice([1, 1, 2])):
        yield key, rng.choice(kinds)
    if rng.random() < 0.4:
        yield words.MLFLOW_TYPE, rng.choice(["LLM", '"CHAT_MODEL"', "Mine", '"tool"', '""', "", _TAKEN])
    yield rng.choice(words.TOOL), rng.choice(["search", "clock", word])
    yield "traceloop.entity.name", rng.choice(["search", "entity", ""])
    for key in rng.sample(words.FINISH_REASONS, rng.choice([1, 2])):
        yield key, rng.choice(["stop", ["stop", "length"], [], '["stop"', '["tool-calls"]', ""])
    yield "error.type", rng.choice(["500", "ValueError", "", _TAKEN])


def _prompts(rng: random.Random, word: str) -> Iterator[tuple[str, Any]]:
    linked = [{"name": rng.choice("ab"), "version": str(number)} for number in range(rng.randint(0, 2))]
    yield "mlflow.linkedPrompts", rng.choice([json.dumps(linked), json.dumps(linked), "[", '{"name": "a"}'])
    yield "langfuse.observation.prompt.name", rng.choice(["qa", word])
    yield "langfuse.observation.prompt.version", rng.choice([4, "4", ""])
    yield "llm.prompt_template.template", rng.choice(["é" * 80, "Answer {question}", ""])
    yield "llm.prompt_template.version", rng.choice(["v1", "2", ""])


def _told(rng: random.Random, key: str) -> str:
    """Return an input or output, as the attribute's instrumentation would write it, or as somebody else would."""
    plain = rng.choice(["Where?", "", "x" * 1100, 'say "é"', _TAKEN])
    one_text = json.dumps(rng.choice([plain, {"question": plain}, {"question": plain, "n": 3}, {"n": 3}, {"q": {"a": [1]}}, [plain], None]))
    if key in words.MESSAGES:
        return rng.choice([_messages(rng), _messages(rng), one_text, plain])
    return rng.choice([one_text, one_text, plain, one_text[:-1]])


def _messages(rng: random.Random) -> str:
    made = []
    for number in range(rng.randint(0, 6)):
        spoken = [rng.choice([f"word {number}", "two\nlines", 'é "x"', "", 7, None]) for _ in range(rng.choice([0, 1, 1, 1, 2]))]
        parts: list[Any] = [{"type": "text", "content": one} for one in spoken]
        if rng.random() < 0.2:
            parts.append({"type": "tool_call", "name": "search", "arguments": {"q": "x"}})
        made.append({"role": rng.choice(["user", "user", "assistant", "system"]), "parts": parts})
    return json.dumps(made, ensure_ascii=rng.random() < 0.5)

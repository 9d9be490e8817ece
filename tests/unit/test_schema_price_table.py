"""Prices by a model's name: which form of it counts, whose prices come first, from which day on, and as of which version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest

from spanhouse.schema.prices.model_names import names
from spanhouse.schema.prices.price import ALWAYS, UNKNOWN, Price, fault, midnight_ns
from spanhouse.schema.prices.price_table import PriceTable, PriceVersion, current_version, read_shipped, resolve, shipped, shipped_on

LONG_AGO, LATER = date(2024, 1, 1), date(2026, 6, 1)

SAME = {
    "gpt-4o": "gpt-4o",
    "GPT-4o": "gpt-4o",
    " gpt-4o ": "gpt-4o",
    "openai/gpt-4o": "gpt-4o",
    "openai:gpt-4o": "gpt-4o",
    "openrouter/openai/gpt-4o": "gpt-4o",
    "litellm_proxy/azure/gpt-4o": "gpt-4o",
    "azure/gpt-4o-2024-08-06": "gpt-4o",
    "azure/eu/gpt-4o-2024-11-20": "gpt-4o",
    "azure/gpt-35-turbo": "gpt-35-turbo",
    "gpt-4o-2024-08-06": "gpt-4o",
    "gpt-4o-2024-05-13": "gpt-4o-2024-05-13",
    "gpt-4o-mini": "gpt-4o-mini",
    "gpt-4o-mini-2024-07-18": "gpt-4o-mini",
    "chatgpt-4o-latest": "chatgpt-4o-latest",
    "gpt-4-0613": "gpt-4",
    "gpt-4-1106-preview": "gpt-4-1106-preview",
    "gpt-4-turbo-preview": "gpt-4-turbo",
    "gpt-4-turbo-2024-04-09": "gpt-4-turbo",
    "gpt-3.5-turbo-0125": "gpt-3.5-turbo",
    "gpt-3.5-turbo-0613": "gpt-3.5-turbo-0613",
    "gpt-4.1-mini-2025-04-14": "gpt-4.1-mini",
    "gpt-4-1-nano": "gpt-4.1-nano",
    "gpt-5-2025-08-07": "gpt-5",
    "gpt-5-chat-latest": "gpt-5-chat",
    "o1-preview-2024-09-12": "o1",
    "o3-mini-2025-01-31": "o3-mini",
    "text-embedding-3-small": "text-embedding-3-small",
    "text-embedding-ada-002": "text-embedding-ada-002",
    "anthropic/claude-3.5-sonnet": "claude-3-5-sonnet",
    "anthropic/claude-3.5-sonnet:beta": None,
    "claude-3-5-sonnet-20241022": "claude-3-5-sonnet",
    "claude-3-5-sonnet-latest": "claude-3-5-sonnet",
    "claude-3-5-sonnet@20240620": "claude-3-5-sonnet",
    "vertex_ai/claude-3-5-sonnet-v2@20241022": None,
    "vertex_ai/claude-3-7-sonnet@20250219": "claude-3-7-sonnet",
    "anthropic.claude-3-5-sonnet-20240620-v1:0": "claude-3-5-sonnet",
    "us.anthropic.claude-3-5-sonnet-20241022-v2:0": "claude-3-5-sonnet",
    "us.anthropic.claude-3-5-sonnet-20241022-v2:0:18k": "claude-3-5-sonnet",
    "bedrock/us.anthropic.claude-3-5-sonnet-20241022-v2:0": "claude-3-5-sonnet",
    "bedrock/us-east-1/anthropic.claude-3-haiku-20240307-v1:0": "claude-3-haiku",
    "bedrock:anthropic.claude-3-haiku-20240307-v1:0": "claude-3-haiku",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0": "claude-sonnet-4",
    "global.anthropic.claude-opus-4-6-v1": "claude-opus-4-6",
    "claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
    "claude-sonnet-4-0": "claude-sonnet-4-0",
    "claude-opus-4-20250514": "claude-opus-4",
    "models/gemini-1.5-pro": "gemini-1.5-pro",
    "models/gemini-1.5-pro-002": "gemini-1.5-pro",
    "google-gla:gemini-2.5-flash": "gemini-2.5-flash",
    "publishers/google/models/gemini-2.0-flash-001": "gemini-2.0-flash",
    "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro": "gemini-2.5-pro",
    "gemini-2.5-pro-preview-05-06": "gemini-2.5-pro",
    "gemini-2.5-pro-exp-03-25": "gemini-2.5-pro",
    "gemini-2.5-flash-preview-05-20": "gemini-2.5-flash-preview-05-20",
    "gemini-2.5-flash-preview-09-2025": "gemini-2.5-flash",
    "gemini-3.1-pro-preview-05-06": "gemini-3.1-pro-preview",
    "gemini-1.5-flash-8b": None,
    "mistral/mistral-large-latest": "mistral-large",
    "mistral-large-2411": "mistral-large",
    "mistral-large-2512": "mistral-large-2512",
    "mistral.mistral-large-2407-v1:0": "mistral-large",
    "open-mistral-nemo-2407": "open-mistral-nemo",
    "codestral-2501": "codestral",
    "deepseek/deepseek-chat": "deepseek-chat",
    "command-r-plus-08-2024": "command-r-plus",
    "cohere.command-r-plus-v1:0": "command-r-plus",
    "embed-v4.0": "embed-v4.0",
    "voyage/voyage-3.5-lite": "voyage-3.5-lite",
    "xai/grok-4-0709": "grok-4",
    "x-ai/grok-3-beta": "grok-3",
    "groq/llama-3.3-70b-versatile": "llama-3.3-70b-versatile",
    "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo": "meta-llama/llama-3.3-70b-instruct-turbo",
    "us.meta.llama3-3-70b-instruct-v1:0": "llama3-3-70b-instruct",
    "amazon.nova-pro-v1:0": "nova-pro",
    "amazon.titan-embed-text-v2:0": "titan-embed-text-v2:0",
    "amazon.titan-embed-text-v1": None,
    # Not the model that they begin with, or of a host with prices of its own.
    "gpt-4o-audio-preview": None,
    "gpt-4o-mini-tts": None,
    "gpt-4-32k": None,
    "gpt-4o-2024-08-06-finetuned": None,
    "ft:gpt-4o-mini-2024-07-18:acme::abc": None,
    "my-gpt-4o": None,
    "acme/gpt-4o": None,
    "ollama/llama3.1:8b": None,
    "deepseek-ai/DeepSeek-V3": None,
    "meta-llama/llama-3.1-8b-instruct:free": None,
    "openai/gpt-oss-120b": None,
    "openai/": None,
    "": None,
    "-latest": None,
}
"""Names as spans have them, and whose shipped prices they get."""


def price(model: str, usd: float, *, since: date = ALWAYS, version: int = 1, deleted: bool = False) -> Price:
    return Price(model=model, valid_from=since, input=usd, output=2 * usd, version=version, deleted=deleted)


def found(model: str, *rows: Price, version: str = "") -> list[tuple[float, date]]:
    return [(one.input, one.valid_from) for one in PriceTable(rows, version).find(model)]


@pytest.mark.parametrize(("model", "counts"), SAME.items(), ids=str)
def test_a_name_gets_the_shipped_prices_of_the_longest_of_its_forms(model: str, counts: str | None) -> None:
    assert {one.model for one in PriceTable().find(model)} == (set() if counts is None else {counts})


def test_the_forms_of_a_name_begin_with_the_name_and_get_shorter() -> None:
    assert names("bedrock/us.anthropic.claude-3.5-sonnet-20241022-v2:0") == (
        "bedrock/us.anthropic.claude-3-5-sonnet-20241022-v2:0",
        "us.anthropic.claude-3-5-sonnet-20241022-v2:0",
        "claude-3-5-sonnet-20241022-v2:0",
        "claude-3-5-sonnet-20241022",
        "claude-3-5-sonnet",
    )


def test_the_shipped_table_says_where_its_figures_come_from_and_holds_no_price_twice() -> None:
    rows = shipped()
    assert len({row.model for row in rows}) > 60
    assert len({(row.key, row.added) for row in rows}) == len(rows)
    assert [fault(row) for row in rows if fault(row)] == []
    assert all(row.source.startswith("genai-prices ") and date.fromisoformat(row.added) for row in rows)
    assert shipped_on() == max(row.added for row in rows)


def test_prices_of_the_store_come_before_shipped_ones_even_for_a_shorter_form() -> None:
    assert found("gpt-4o-2024-05-13") == [(5, ALWAYS)]
    assert found("gpt-4o-2024-05-13", price("gpt-4o", 1)) == [(1, ALWAYS)]
    assert found("gpt-4o-mini", price("gpt-4o", 1)) == [(0.15, ALWAYS)]


def test_before_the_first_day_of_the_stores_prices_shipped_ones_count() -> None:
    assert found("gpt-4o", price("gpt-4o", 1, since=LATER)) == [(1, LATER), (2.5, ALWAYS)]
    assert found("o3", price("o3", 1, since=LATER), price("o3", 7, since=LONG_AGO)) == [(1, LATER), (7, LONG_AGO), (10, ALWAYS)]


def test_before_the_first_day_of_a_longer_forms_prices_a_shorter_ones_count() -> None:
    rows = (price("gpt-4o-2024-08-06", 1, since=LATER), price("gpt-4o", 2, since=LONG_AGO))
    assert found("gpt-4o-2024-08-06", *rows) == [(1, LATER), (2, LONG_AGO), (2.5, ALWAYS)]
    assert found("gpt-4o", *rows) == [(2, LONG_AGO), (2.5, ALWAYS)]


def test_a_price_can_be_of_one_host_or_of_a_tuned_model_alone() -> None:
    rows = (price("azure/gpt-4o", 3), price("ft:gpt-4o-mini", 0.3), price("ollama/llama3.1:8b", 0))
    assert found("azure/gpt-4o-2024-08-06", *rows) == [(2.5, ALWAYS)]
    assert found("azure/gpt-4o", *rows) == [(3, ALWAYS)]
    assert found("ft:gpt-4o-mini-2024-07-18:acme::abc", *rows) == [(0.3, ALWAYS)]
    assert found("ollama/llama3.1:8b", *rows) == [(0, ALWAYS)]


def test_a_later_write_takes_the_place_of_an_earlier_one_and_a_deletion_of_both() -> None:
    rows = (price("m", 3, version=3, deleted=True), price("m", 1), price("m", 2, version=2), price("M.1", 5, version=4), price("m-1", 6, version=5))
    assert found("m", *rows) == []
    assert found("m", *rows, version=f"{shipped_on()}+2") == [(2, ALWAYS)]
    assert found("m", *rows, version=f"{shipped_on()}+1") == [(1, ALWAYS)]
    assert found("m", *rows, version=shipped_on()) == []
    assert found("gpt-4o", price("gpt-4o", 1), price("gpt-4o", 1, version=2, deleted=True)) == [(2.5, ALWAYS)]


def test_names_that_are_compared_as_one_have_one_price() -> None:
    assert found("claude-9.1", price("claude-9.1", 1), price("claude-9-1", 2, version=2)) == [(2, ALWAYS)]


SHIPPED = """# for people
added,model,valid_from,input,output,cached,reasoning,source
2026-01-01,m,,1,2,,,a list
2026-01-01,m,2026-06-01,3,4,0.5,6,a list
2026-05-01,m,,10,20,,,a list
"""


def test_the_shipped_table_can_be_read_as_of_an_earlier_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanhouse.schema.prices.price_table.shipped", lambda: read_shipped(SHIPPED))
    assert current_version([]) == "2026-05-01"
    assert found("m") == [(3, LATER), (10, ALWAYS)]
    assert found("m", version="2026-05-01") == found("m")
    assert found("m", version="2026-01-01") == [(3, LATER), (1, ALWAYS)]
    assert found("m", version="2025-01-01") == []
    assert [(one.cached, one.reasoning) for one in PriceTable().find("m")] == [(0.5, 6), (UNKNOWN, UNKNOWN)]


def test_a_version_names_the_shipped_table_and_the_last_write() -> None:
    rows = [price("m", 1, version=3), price("m", 1, version=7)]
    assert current_version(rows) == f"{shipped_on()}+7"
    assert PriceVersion.parse("2026-12-01+7") == PriceVersion("2026-12-01", 7)
    assert PriceVersion.parse("2026-12-01") == PriceVersion("2026-12-01", 0)
    for text in ("+7", "7", "2026-12-01+", "2026-12-01+x"):
        with pytest.raises(ValueError, match=r"."):
            PriceVersion.parse(text)


def test_what_sql_gets_is_in_the_order_of_names_as_they_were_sent_the_latest_first() -> None:
    rows = [Price(model="b", input=1, output=2, cached=0.5, reasoning=3, version=1), price("a", 4, since=LATER)]
    wanted = [("A", midnight_ns(LATER), 4, 8, UNKNOWN, UNKNOWN), ("openai/b", 0, 1, 2, 0.5, 3)]
    assert resolve(["openai/b", "unknown", "A", "A"], rows) == wanted
    assert resolve(iter(["A", "openai/b"]), reversed(rows)) == wanted
    assert resolve(["A", "openai/b"], rows, shipped_on()) == []
    assert midnight_ns(date(2026, 6, 1)) == 1_780_272_000 * 10**9


GOOD: Mapping[str, object] = {"model": "M", "input": 1, "output": "2.5"}


def test_a_row_of_csv_or_json_is_read_and_written_alike() -> None:
    read = Price.read(GOOD)
    assert read == Price(model="m", input=1, output=2.5)
    assert Price.read(read.fields) == read
    every = {"model": "m", "from": "2026-06-01", "input": 1.0, "output": 2.0, "cached": 0.5, "reasoning": 3.0, "source": "s", "deleted": False}
    assert Price.read(every).fields == every
    assert Price.read({"model": "m", "deleted": True}).deleted


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": ""}, "a name has 1 to 200 characters"),
        ({"model": "x" * 201}, "a name has 1 to 200 characters"),
        ({"model": "a\nb"}, "a name has 1 to 200 characters that can be printed"),
        ({"source": "x" * 201}, "it has at most 200 characters"),
        ({"input": ""}, "input is missing"),
        ({"output": None}, "output is missing"),
        ({"input": "much"}, "input 'much' is no price in USD per million tokens"),
        ({"input": -1}, "-1.0 is no price of input tokens"),
        ({"cached": -0.5}, "-0.5 is no price of cached input tokens"),
        ({"input": "nan"}, "nan is no price of input tokens"),
        ({"output": "inf"}, "inf is no price of output tokens"),
        ({"input": 2e6}, "it is 0 to 1,000,000 USD per million"),
        ({"from": "yesterday"}, "'yesterday' is no day; write it as 2026-01-31"),
        ({"from": "1969-12-31"}, "1969-12-31 is no day from 1970-01-01 to 2149-06-06"),
        ({"deleted": 1}, "deleted is neither true nor false"),
        ({"prize": 1}, "unknown field 'prize'; there are model, from, input"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_price_is_refused_in_one_line(changed: Mapping[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        Price.read({**GOOD, **changed})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)

"""Adds to the table of prices that comes with spanhouse what ``genai-prices``, as it is installed, says otherwise: ``make prices``.

Rows that are there are never changed, so that costs that were computed with an earlier table can be computed again.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from genai_prices.data import providers
from genai_prices.types import Provider

from spanhouse.cli.price_files import GENAI_PRICES, prices_of
from spanhouse.schema.prices.price import ALWAYS, UNKNOWN, Price
from spanhouse.schema.prices.price_table import read_shipped

FILE: Final = Path(__file__).parents[2] / "schema/spanhouse/schema/prices/prices.csv"
HEAD: Final = """\
# Prices of models in USD per million tokens. Figures: {source} (PyPI, MIT license), read on {day} by `make prices`.
# Each row has the date on which it was added. Rows are only added: a row with the same model and valid_from takes the place of those above it.
# valid_from: first day in UTC; empty: always. cached, reasoning: empty where not known. Prices of small prompts, and of most of the day.
"""
COLUMNS: Final = ("added", "model", "valid_from", "input", "output", "cached", "reasoning", "source")

MODELS: Final = """\
openai gpt-6.1-sol gpt-6.1-terra gpt-6-astra gpt-6-sol gpt-6-luna gpt-5.6 gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna gpt-5.5 gpt-5.4
openai gpt-5.4-mini gpt-5.4-nano gpt-5.2 gpt-5.1 gpt-5.1-codex gpt-5 gpt-5-mini gpt-5-nano gpt-5-chat gpt-5-codex gpt-4.1 gpt-4.1-mini
openai gpt-4.1-nano gpt-4o gpt-4o-2024-05-13 gpt-4o-mini chatgpt-4o-latest gpt-4-turbo gpt-4-0125-preview gpt-4-1106-preview gpt-4
openai gpt-3.5-turbo gpt-3.5-turbo-1106 gpt-3.5-turbo-0613 gpt-35-turbo o1 o1-mini o3 o3-mini o4-mini text-embedding-3-small
openai text-embedding-3-large text-embedding-ada-002
anthropic claude-fable-5-2 claude-opus-5-5 claude-opus-5 claude-sonnet-5-5 claude-sonnet-5 claude-haiku-5-5 claude-opus-4-8 claude-opus-4-7
anthropic claude-opus-4-6 claude-opus-4-5 claude-opus-4-1 claude-opus-4-0 claude-opus-4 claude-sonnet-4-6 claude-sonnet-4-5
anthropic claude-sonnet-4-0 claude-sonnet-4 claude-haiku-4-5 claude-3-7-sonnet claude-3-5-sonnet claude-3-5-haiku claude-3-opus
anthropic claude-3-haiku
google gemini-4-argon gemini-3.8-flash gemini-3.7-flash gemini-3.6-flash gemini-3.5-flash gemini-3.5-flash-lite gemini-3.1-pro-preview
google gemini-3.1-flash-lite gemini-3-pro-preview gemini-3-flash-preview gemini-2.5-pro gemini-2.5-flash gemini-2.5-flash-preview-05-20
google gemini-2.5-flash-preview-04-17 gemini-2.5-flash-lite gemini-2.0-flash gemini-2.0-flash-lite gemini-1.5-pro gemini-1.5-flash
google gemini-embedding-2 gemini-embedding-001
mistral mistral-large-4 mistral-large mistral-large-2512 mistral-medium mistral-medium-latest mistral-medium-3.5 mistral-medium-2604
mistral mistral-small-latest mistral-small-2603 mistral-small-2506 ministral-8b-latest magistral-medium magistral-small codestral
mistral codestral-2508 devstral-2512 open-mistral-nemo pixtral-large mistral-embed codestral-embed
deepseek deepseek-chat deepseek-reasoner deepseek-v4-pro deepseek-v4-flash
cohere command-a command-r-plus command-r command-r7b embed-v4.0
voyageai voyage-4-large voyage-4 voyage-4-lite voyage-3.5 voyage-3.5-lite voyage-code-3
x-ai grok-4.7 grok-4.6 grok-4.5 grok-4.3 grok-4 grok-3 grok-3-mini grok-code-fast-1
meta muse-spark-1.3 muse-spark-1.2
groq llama-3.3-70b-versatile llama-3.1-8b-instant
together meta-llama/Llama-3.3-70B-Instruct-Turbo meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo
aws meta.llama3-3-70b-instruct-v1:0 meta.llama3-1-70b-instruct-v1:0 meta.llama3-1-8b-instruct-v1:0 amazon.nova-premier-v1:0
aws amazon.nova-pro-v1:0 amazon.nova-lite-v1:0 amazon.nova-micro-v1:0 amazon.titan-embed-text-v2:0
"""
"""Models that come with spanhouse after their provider in ``genai-prices``: names that stand for one price, wherever they are used."""


def shipped_name(model: str) -> str:
    """Return the name in the table: at Amazon Bedrock without the vendor, and without the first revision."""
    return model.partition(".")[2].removesuffix("-v1:0") if model.endswith(":0") else model.lower()


def listed() -> list[Price]:
    """Return the prices of the models above as the package has them."""
    by_id = {provider.id: provider for provider in providers}
    rows = [line.split() for line in MODELS.splitlines()]
    return [price for provider, *models in rows for model in models for price in _prices(by_id[provider], model)]


def _prices(provider: Provider, model: str) -> list[Price]:
    found = next((one for name in (model, f"{model}-latest") for one in provider.models if one.is_match(name)), None)
    prices = [] if found is None else list(prices_of(found, shipped_name(model), provider.id))
    if not prices:
        raise LookupError(f"{provider.id} has no prices of {model}")
    return prices


def changed(present: Sequence[Price], wanted: Sequence[Price]) -> list[Price]:
    """Return what is wanted and the last row of the same model and day does not say."""
    last = {row.key: row for row in present}

    def same(one: Price, other: Price | None) -> bool:
        return other is not None and (one.input, one.output, one.cached, one.reasoning) == (other.input, other.output, other.cached, other.reasoning)

    return [price for price in wanted if not same(price, last.get(price.key))]


def as_line(price: Price, added: str) -> str:
    """Return a price as a line of the file."""

    def usd(value: float) -> str:
        return "" if value == UNKNOWN else f"{value:g}"

    first = "" if price.valid_from == ALWAYS else price.valid_from.isoformat()
    line = io.StringIO()
    cells = (added, price.model, first, usd(price.input), usd(price.output), usd(price.cached), usd(price.reasoning), price.source)
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def main() -> int:
    """Add to the file what changed."""
    text = FILE.read_text(encoding="utf-8") if FILE.exists() else ",".join(COLUMNS) + "\n"
    day = datetime.now(UTC).date().isoformat()
    rows = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    new = changed(read_shipped(text), listed())
    if new:
        head = HEAD.format(source=f"{GENAI_PRICES} {version(GENAI_PRICES)}", day=day)
        FILE.write_text(head + rows + "".join(as_line(price, day) for price in new), encoding="utf-8")
    print(f"{len(new)} rows were added to {FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

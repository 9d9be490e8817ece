"""Langfuse: its decorator, its OpenAI client, and a tracer provider that sends elsewhere as well."""

# mypy: ignore-errors
# Its packages are in an environment of their own.

from contextlib import suppress

import openai
import plain
from langfuse import Langfuse, observe, propagate_attributes
from langfuse.openai import OpenAI

Langfuse(tracer_provider=plain.provider, environment="production")
client = OpenAI(max_retries=0)
ORDER = {"type": "object", "properties": {"order": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "lookup_order", "description": "Look an order up.", "parameters": ORDER}}


@observe(as_type="tool")
def lookup_order(order: int, failing: bool) -> str:
    if failing:
        raise ValueError(f"no order {order}")
    return "shipped"


@observe(as_type="agent")
def shop(question: str, model: str, failing: bool) -> str:
    messages = [{"role": "user", "content": question}]
    first = client.chat.completions.create(model=model, messages=messages, tools=[TOOL])
    (call,) = first.choices[0].message.tool_calls
    told = {"role": "tool", "tool_call_id": call.id, "content": lookup_order(7, failing)}
    last = client.chat.completions.create(model=model, messages=[*messages, first.choices[0].message, told], tools=[TOOL])
    return last.choices[0].message.content


@observe()
def answer(question: str, session: str, user: str, model: str, failing: bool = False) -> str:
    with propagate_attributes(session_id=session, user_id=user, tags=["support"], metadata={"tenant": "acme"}):
        return shop(question, model, failing)


answer("Where is my order?", "s-1", "u-1", "gpt-4o-mini")
with suppress(openai.NotFoundError):
    answer("Where is my order?", "s-2", "u-2", "gpt-missing")
with suppress(ValueError):
    answer("Where is my order?", "s-3", "u-3", "gpt-4o-mini", failing=True)
plain.provider.shutdown()

"""Traceloop: its decorators over OpenLLMetry's instrumentation of OpenAI, with an exporter of OTLP."""

# mypy: ignore-errors
# Its packages are in an environment of their own.

from contextlib import suppress

import openai
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent, tool, workflow
from traceloop.sdk.instruments import Instruments

Traceloop.init(app_name="shop", exporter=OTLPSpanExporter(), disable_batch=True, telemetry_enabled=False, instruments={Instruments.OPENAI})
client = openai.OpenAI(max_retries=0)
ORDER = {"type": "object", "properties": {"order": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "lookup_order", "description": "Look an order up.", "parameters": ORDER}}


@tool(name="lookup_order")
def lookup_order(order: int, failing: bool) -> str:
    if failing:
        raise ValueError(f"no order {order}")
    return "shipped"


@agent(name="shop")
def shop(question: str, model: str, failing: bool) -> str:
    messages = [{"role": "user", "content": question}]
    first = client.chat.completions.create(model=model, messages=messages, tools=[TOOL])
    (call,) = first.choices[0].message.tool_calls
    told = {"role": "tool", "tool_call_id": call.id, "content": lookup_order(7, failing)}
    last = client.chat.completions.create(model=model, messages=[*messages, first.choices[0].message, told], tools=[TOOL])
    return last.choices[0].message.content


@workflow(name="answer")
def answer(question: str, session: str, user: str, model: str, failing: bool = False) -> str:
    Traceloop.set_association_properties({"session_id": session, "user_id": user, "tenant": "acme"})
    return shop(question, model, failing)


answer("Where is my order?", "s-1", "u-1", "gpt-4o-mini")
with suppress(openai.NotFoundError):
    answer("Where is my order?", "s-2", "u-2", "gpt-missing")
with suppress(ValueError):
    answer("Where is my order?", "s-3", "u-3", "gpt-4o-mini", failing=True)

"""pydantic-ai: an agent with a tool."""

# mypy: ignore-errors
# Its packages are in an environment of their own.

from contextlib import suppress

import plain
from opentelemetry import trace
from pydantic_ai import Agent, ModelHTTPError, RunContext
from pydantic_ai.models.openai import OpenAIChatModel

Agent.instrument_all()
tracer = trace.get_tracer("shop")
agent = Agent(name="shop", deps_type=bool)


@agent.tool
def lookup_order(context: RunContext[bool], order: int) -> str:
    if context.deps:
        raise ValueError(f"no order {order}")
    return "shipped"


def answer(session: str, user: str, model: str, failing: bool = False) -> None:
    with tracer.start_as_current_span("answer", attributes={"session.id": session, "user.id": user}):
        agent.run_sync("Where is my order?", model=OpenAIChatModel(model), deps=failing)


answer("s-1", "u-1", "gpt-4o-mini")
with suppress(ModelHTTPError):
    answer("s-2", "u-2", "gpt-missing")
with suppress(ValueError):
    answer("s-3", "u-3", "gpt-4o-mini", failing=True)
plain.provider.shutdown()

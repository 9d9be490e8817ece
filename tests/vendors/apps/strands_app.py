"""Strands: an agent with a tool and a session."""

# mypy: ignore-errors
# Its packages are in an environment of their own.

from contextlib import suppress

import openai
import plain
from strands import Agent, tool
from strands.models.openai import OpenAIModel
from strands.tools.decorator import DecoratedFunctionTool


@tool
def lookup_order(order: int) -> str:
    """Look an order up."""
    return "shipped"


@tool(name="lookup_order")
def lost_order(order: int) -> str:
    """Look an order up."""
    raise ValueError(f"no order {order}")


def answer(session: str, user: str, model: str, used: DecoratedFunctionTool = lookup_order) -> None:
    said = {"session.id": session, "user.id": user}
    asked = OpenAIModel(client_args={"max_retries": 0}, model_id=model)
    Agent(name="shop", model=asked, tools=[used], trace_attributes=said, callback_handler=None)("Where is my order?")


answer("s-1", "u-1", "gpt-4o-mini")
with suppress(openai.NotFoundError):
    answer("s-2", "u-2", "gpt-missing")
answer("s-3", "u-3", "gpt-4o-mini", lost_order)
plain.provider.shutdown()

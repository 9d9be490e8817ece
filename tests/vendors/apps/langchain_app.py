"""LangChain under OpenInference: an agent with a tool."""

# mypy: ignore-errors
# Its packages are in an environment of their own.

from contextlib import suppress

import openai
import plain
from langchain.agents import create_agent
from langchain_core.tools import BaseTool, tool
from langchain_openai import ChatOpenAI
from openinference.instrumentation import using_attributes
from openinference.instrumentation.langchain import LangChainInstrumentor

LangChainInstrumentor().instrument()


@tool
def lookup_order(order: int) -> str:
    """Look an order up."""
    return "shipped"


@tool("lookup_order")
def lost_order(order: int) -> str:
    """Look an order up."""
    raise ValueError(f"no order {order}")


def answer(session: str, user: str, model: str, used: BaseTool = lookup_order) -> None:
    agent = create_agent(ChatOpenAI(model=model, max_retries=0), [used], name="shop")
    with using_attributes(session_id=session, user_id=user, metadata={"tenant": "acme"}, tags=["support"]):
        agent.invoke({"messages": [{"role": "user", "content": "Where is my order?"}]})


answer("s-1", "u-1", "gpt-4o-mini")
with suppress(openai.NotFoundError):
    answer("s-2", "u-2", "gpt-missing")
with suppress(ValueError):
    answer("s-3", "u-3", "gpt-4o-mini", lost_order)
plain.provider.shutdown()

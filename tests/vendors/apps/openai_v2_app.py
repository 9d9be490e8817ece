"""OpenTelemetry's instrumentation of OpenAI, under an agent that is traced by hand as the GenAI conventions have it."""

# mypy: ignore-errors
# Its packages are in an environment of their own.

import os
from contextlib import suppress

import openai
import plain
from openai.types.chat import ChatCompletionMessageFunctionToolCall
from opentelemetry import trace
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

os.environ |= {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY"}
OpenAIInstrumentor().instrument()
tracer, client = trace.get_tracer("shop"), openai.OpenAI(max_retries=0)
ORDER = {"type": "object", "properties": {"order": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "lookup_order", "description": "Look an order up.", "parameters": ORDER}}


def lookup_order(call: ChatCompletionMessageFunctionToolCall, failing: bool) -> str:
    named = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": call.function.name}
    with tracer.start_as_current_span(f"execute_tool {call.function.name}", attributes=named):
        if failing:
            raise ValueError("no order 7")
        return "shipped"


def answer(session: str, user: str, model: str, failing: bool = False) -> None:
    with tracer.start_as_current_span("answer", attributes={"session.id": session, "user.id": user}):
        messages = [{"role": "user", "content": "Where is my order?"}]
        with tracer.start_as_current_span("invoke_agent shop", attributes={"gen_ai.operation.name": "invoke_agent"}) as agent:
            first = client.chat.completions.create(model=model, messages=messages, tools=[TOOL])
            (call,) = first.choices[0].message.tool_calls
            told = {"role": "tool", "tool_call_id": call.id, "content": lookup_order(call, failing)}
            last = client.chat.completions.create(model=model, messages=[*messages, first.choices[0].message, told], tools=[TOOL])
            agent.set_attribute("gen_ai.usage.input_tokens", first.usage.prompt_tokens + last.usage.prompt_tokens)
            agent.set_attribute("gen_ai.usage.output_tokens", first.usage.completion_tokens + last.usage.completion_tokens)


answer("s-1", "u-1", "gpt-4o-mini")
with suppress(openai.NotFoundError):
    answer("s-2", "u-2", "gpt-missing")
with suppress(ValueError):
    answer("s-3", "u-3", "gpt-4o-mini", failing=True)
plain.provider.shutdown()

"""Names that instrumentations give to things, as the reference merge knows them: written out, apart from the vocabulary that the SQL is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ALIASES: Final = {
    "mlflow.source.type": ("deployment.environment.name", "deployment.environment", "langfuse.environment"),
    "mlflow.source.git.commit": ("vcs.ref.head.revision", "vcs.repository.ref.revision"),
    "mlflow.source.git.branch": ("vcs.ref.head.name", "vcs.repository.ref.name"),
    "mlflow.source.git.repoURL": ("vcs.repository.url.full",),
    "app_version": ("service.version", "langfuse.version", "langfuse.release"),
}
"""Keys of a process, and what stands in for each, the first that says something."""
PROCESS_KEYS: Final = {*ALIASES, *(alias for names in ALIASES.values() for alias in names)} | {
    "mlflow.source.name",
    "mlflow.source.git.dirty",
    "mlflow.modelId",
    "mlflow.user",
}
DETECTED: Final = {"LOCAL", "NOTEBOOK", "JOB"}
STATES: Final = {"OK", "ERROR", "IN_PROGRESS", "STATE_UNSPECIFIED"}
METADATA: Final = "mlflow.traceMetadata."
TAG: Final = "mlflow.traceTag."
SESSION: Final = "mlflow.trace.session"
USER: Final = "mlflow.trace.user"
OF_TOOLS: Final = ("langfuse.trace.metadata.", "traceloop.association.properties.", "ai.telemetry.metadata.")
TAG_LISTS: Final = ("langfuse.trace.tags", "tag.tags", "logfire.tags")
SCRUBBED: Final = "[Scrubbed due to"

MODEL: Final = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "embedding.model_name",
    "mlflow.llm.model",
    "langfuse.observation.model.name",
    "ai.response.model",
    "ai.model.id",
)
MLFLOW_TYPE: Final = "mlflow.spanType"
TYPE: Final = ("openinference.span.kind", "gen_ai.operation.name", "traceloop.span.kind", "langfuse.observation.type")
TOOL: Final = ("gen_ai.tool.name", "tool.name", "ai.toolCall.name")
FINISH_REASONS: Final = ("gen_ai.response.finish_reasons", "ai.response.finishReason", "llm.finish_reason")
SESSIONS: Final = (
    "session.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId",
    "gen_ai.conversation.id",
)
USERS: Final = ("user.id", "enduser.id", "langfuse.user.id", "traceloop.association.properties.user_id", "ai.telemetry.metadata.userId")
REQUEST: Final = (
    "input.value",
    "mlflow.spanInputs",
    "gen_ai.input.messages",
    "traceloop.entity.input",
    "langfuse.observation.input",
    "ai.prompt",
    "logfire.msg",
)
RESPONSE: Final = (
    "output.value",
    "mlflow.spanOutputs",
    "gen_ai.output.messages",
    "traceloop.entity.output",
    "langfuse.observation.output",
    "ai.response.text",
    "final_result",
)
MESSAGES: Final = {"gen_ai.input.messages", "gen_ai.output.messages"}
JSON_TEXTS: Final = {"mlflow.spanInputs", "mlflow.spanOutputs", "traceloop.entity.input", "traceloop.entity.output"}

USAGE: Final = ("mlflow.chat.tokenUsage", "langfuse.observation.usage_details")
COSTS: Final = ("mlflow.llm.cost", "langfuse.observation.cost_details")
NUMBERS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {
    "InputTokens": (
        (
            "gen_ai.usage.input_tokens",
            "llm.token_count.prompt",
            "gen_ai.usage.prompt_tokens",
            "ai.usage.inputTokens",
            "ai.usage.promptTokens",
        ),
        USAGE,
        ("input_tokens", "prompt_tokens", "input"),
    ),
    "OutputTokens": (
        (
            "gen_ai.usage.output_tokens",
            "llm.token_count.completion",
            "gen_ai.usage.completion_tokens",
            "ai.usage.outputTokens",
            "ai.usage.completionTokens",
        ),
        USAGE,
        ("output_tokens", "completion_tokens", "output"),
    ),
    "CachedTokens": (
        (
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "llm.token_count.prompt_details.cache_read",
            "ai.usage.cachedInputTokens",
        ),
        USAGE,
        ("cache_read_input_tokens", "prompt_tokens_details.cached_tokens", "input_cached_tokens"),
    ),
    "ReasoningTokens": (
        (
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "llm.token_count.completion_details.reasoning",
            "ai.usage.reasoningTokens",
        ),
        USAGE,
        ("reasoning_tokens", "completion_tokens_details.reasoning_tokens", "output_reasoning_tokens"),
    ),
    "Cost": (
        ("gen_ai.usage.cost", "gen_ai.usage.total_cost", "llm.cost.total", "operation.cost"),
        COSTS,
        ("total_cost", "total"),
    ),
}
"""Column -> the attributes that say its number; if a span has none of these, the attributes that say it in a JSON object, and where there."""

TYPES: Final = {
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
"""Words for types of spans, in lower case, and MLflow's words for them."""

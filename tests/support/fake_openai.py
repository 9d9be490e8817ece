"""A stand-in for OpenAI's chat completions, with answers and token counts that a test knows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, Self

ANSWER: Final = "Your order is on its way."
MODEL: Final = "gpt-4o-mini-2024-07-18"
MISSING: Final = "gpt-missing"
Json = dict[str, Any]


class FakeOpenAI:
    """A server that asks for the first tool, says ``ANSWER`` once a tool has answered, and does not have the model ``MISSING``.

    A call that asks for a tool takes 100 tokens in, 10 out; one that has its answer 200 in, 20 out; one without tools 11 in, 7 out.
    """

    def __init__(self) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        Thread(target=self._http.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked["model"] == MISSING:
            error = {"message": f"The model `{MISSING}` does not exist", "type": "invalid_request_error", "param": None, "code": "model_not_found"}
            self._answer(404, "application/json", json.dumps({"error": error}))
        elif asked.get("stream"):
            self._answer(200, "text/event-stream", "".join(f"data: {event}\n\n" for event in events(completion(asked))))
        else:
            self._answer(200, "application/json", json.dumps(completion(asked)))

    def _answer(self, status: int, content_type: str, body: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


def completion(asked: Mapping[str, Any]) -> Json:
    """Return the chat completion for a request."""
    tools = asked.get("tools")
    if tools and asked["messages"][-1]["role"] != "tool":
        name = tools[0]["function"]["name"]
        call = {"id": "call-1", "type": "function", "function": {"name": name, "arguments": '{"order": 7}'}}
        return _completion({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls", 100, 10)
    return _completion({"role": "assistant", "content": ANSWER}, "stop", *((200, 20) if tools else (11, 7)))


def _completion(message: Json, finish_reason: str, tokens_in: int, tokens_out: int) -> Json:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": MODEL, "choices": [choice], "usage": usage}


def events(whole: Json) -> Iterator[str]:
    """Return the events by which a completion is streamed: the message, its end, the usage."""
    (choice,), usage = whole["choices"], whole["usage"]
    delta = {**choice["message"], "tool_calls": [{"index": 0, **call} for call in choice["message"].get("tool_calls", ())]}
    shared = {**whole, "object": "chat.completion.chunk", "usage": None}
    for changed, reason in ((delta, None), ({}, choice["finish_reason"])):
        yield json.dumps({**shared, "choices": [{"index": 0, "delta": changed, "finish_reason": reason, "logprobs": None}]})
    yield json.dumps({**shared, "choices": [], "usage": usage})
    yield "[DONE]"

"""Requests to the demo's application, the same in every run."""

from __future__ import annotations

import http.client
import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_AT_ONCE: Final = 12
_TIMEOUT_SECONDS: Final = 30
_QUESTIONS: Final = (
    "Can I return shoes after a month?",
    "Is the blue jacket waterproof?",
    "Do you ship to Norway?",
    "Does the warranty cover the battery?",
    "Can I pay by invoice?",
    "Is there a discount for students?",
)


def send(address: str, count: int, *, version: str) -> Counter[int]:
    """Send requests, several at once; every third asks for the topics. Return the number of answers by HTTP status."""
    chance = random.Random(version)  # noqa: S311 (not a secret: the same in every run)
    users = [f"user-{chance.randint(1, 40)}" for _ in range(count)]
    questions = ["" if number % 3 == 0 else chance.choice(_QUESTIONS) for number in range(count)]
    requests = [(f"req-{version}-{number}", users[number], questions[number]) for number in range(count)]
    executor = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="demo-traffic")
    try:
        return Counter(executor.map(lambda request: _ask(address, *request), requests))
    finally:
        executor.shutdown(cancel_futures=True)


def _ask(address: str, request_id: str, user: str, question: str) -> int:
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_SECONDS)
    headers = {"Content-Type": "application/json", "X-Request-ID": request_id, "X-Session-ID": f"session-of-{user}", "X-User-ID": user}
    try:
        if question:
            connection.request("POST", "/chat", json.dumps({"message": question}), headers)
        else:
            connection.request("GET", "/topics", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()

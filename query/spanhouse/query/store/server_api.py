"""The JSON API of a server that owns an embedded store: writes what its ClickHouse endpoint, which only reads, does not take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final
from urllib.parse import quote, urlsplit

from spanhouse.query.errors import FilterError, StoreUnavailableError
from spanhouse.schema.prices.price import Price

ADDRESS: Final = "X-Spanhouse-Api"
"""Header by which the endpoint's ``/ping`` says at which port the API is, or ``off``."""
_OFF: Final = "off"
_SECONDS: Final = 30
_TRIES: Final = 2


class Api:
    """The API of the server that a connection leads to.

    Args:
        http: urllib3's pool, with what the connection knows of proxies and TLS.
        url: the ClickHouse endpoint.
        headers: those that say who asks.
    """

    def __init__(self, http: Any, url: str, headers: Mapping[str, str]) -> None:
        self._http = http
        self._url = url
        self._headers = {name: value for name, value in headers.items() if name in {"Authorization", "User-Agent"}}

    def root(self) -> str | None:
        """Where the API is; None if the endpoint is a ClickHouse server's, which takes writes itself.

        Raises:
            StoreUnavailableError: nobody answers, or the server has no API.
        """
        port = self._ask("GET", f"{self._url}/ping").headers.get(ADDRESS)
        if port is None:
            return None
        if port == _OFF:
            raise StoreUnavailableError(
                f"the server at {self._url} takes no edits, since its console is off: start `spanhouse serve` with --console HOST:PORT"
            )
        address = urlsplit(self._url)
        host = f"[{address.hostname}]" if ":" in (address.hostname or "") else address.hostname
        return f"{address.scheme}://{host}:{port}/api/v1"

    def edit_tag(self, root: str, trace_id: str, key: str, value: str | None) -> None:
        """Set a tag, or delete it if the value is None.

        Raises:
            FilterError: the server does not take what was given.
            StoreUnavailableError: it does not let the caller write, or fails.
        """
        url = f"{root}/traces/{quote(trace_id, safe='')}/tags/{quote(key, safe='')}"
        answer = self._ask("DELETE", url) if value is None else self._ask("PUT", url, json.dumps({"value": value}).encode())
        if answer.status < 300:
            return
        said = _error_of(answer.data) or f"status {answer.status}"
        if answer.status == 400:
            raise FilterError(said)
        raise StoreUnavailableError(f"the server at {root} did not edit the tag: {said}")

    def write_prices(self, root: str, rows: Sequence[Price]) -> int:
        """Write prices, and return the number of the write.

        Raises:
            FilterError: the server does not take what was given.
            StoreUnavailableError: it does not let the caller write, or fails.
        """
        answer = self._ask("POST", f"{root}/prices", json.dumps({"prices": [row.fields for row in rows]}).encode(), tries=0)
        if answer.status == 200:
            return int(json.loads(answer.data)["version"])
        said = _error_of(answer.data) or f"status {answer.status}"
        if answer.status == 400:
            raise FilterError(said)
        raise StoreUnavailableError(f"the server at {root} did not write the prices: {said}")

    def look_after(self, root: str, action: str, body: object = None) -> Iterator[Mapping[str, Any]]:
        """Have the server look after its store; gives each step when it is done, the outcome last (see ``schema.maintenance.actions``).

        Args:
            root: where the API is.
            action: ``check``, ``compact``, ``settle``, ``prices``, ``backup`` or ``retention``.
            body: of the request, as JSON has it; None for none.

        Raises:
            StoreUnavailableError: the server does not let the caller do that, fails, or ends on the way.
        """
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        url = f"{root}/store/{action}"
        sent = {
            "body": None if body is None else json.dumps(body).encode(),
            "headers": self._headers,
            "timeout": Timeout(connect=_SECONDS, read=None),
        }
        try:
            with closing(self._http.request("POST", url, retries=False, redirect=False, preload_content=False, **sent)) as answer:
                if answer.status != 200:
                    said = _error_of(answer.read()) or f"status {answer.status}"
                    raise StoreUnavailableError(f"the server at {root} does not {action}: {said}")
                for line in answer:
                    event = json.loads(line)
                    if "error" in event:
                        raise StoreUnavailableError(f"{action}: {event['error']}")
                    yield event
        except (HTTPError, ValueError) as error:
            raise StoreUnavailableError(f"the server at {root} ended on the way ({type(error).__name__}): its log says why") from None

    def _ask(self, method: str, url: str, body: bytes | None = None, *, tries: int = _TRIES) -> Any:
        from urllib3.exceptions import HTTPError

        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        try:
            return self._http.request(method, url, body=body, headers=headers, retries=tries, redirect=False, timeout=_SECONDS)
        except HTTPError as error:
            raise StoreUnavailableError(
                f"{url.partition('?')[0]} does not answer ({type(error).__name__}): check that the server runs and listens there"
            ) from None


def _error_of(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return ""

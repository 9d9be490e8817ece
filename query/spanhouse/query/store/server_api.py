"""Client of the JSON API of a server that owns an embedded store: for writes, since its ClickHouse endpoint is read-only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final
from urllib.parse import quote, urlsplit

from spanhouse.query.errors import FilterError, StoreUnavailableError
from spanhouse.schema.prices.price import Price

ADDRESS: Final = "X-Spanhouse-Api"
"""Header of the endpoint's ``/ping`` with the port of the API, or ``off``."""
_OFF: Final = "off"
_SECONDS: Final = 30
_TRIES: Final = 2


class Api:
    """API of the server that a connection leads to.

    Args:
        http: urllib3's pool, with the connection's settings for proxies and TLS.
        url: address of the ClickHouse endpoint.
        headers: headers of the connection; the credentials among them are used.
    """

    def __init__(self, http: Any, url: str, headers: Mapping[str, str]) -> None:
        self._http = http
        self._url = url
        self._headers = {name: value for name, value in headers.items() if name in {"Authorization", "User-Agent"}}

    def root(self) -> str | None:
        """Return the root URL of the API; None if the endpoint is a ClickHouse server, which takes writes itself.

        Raises:
            StoreUnavailableError: the server does not answer, or has no API.
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
            FilterError: the server refuses an argument.
            StoreUnavailableError: the server does not let the caller write, or fails.
        """
        url = f"{root}/traces/{quote(trace_id, safe='')}/tags/{quote(key, safe='')}"
        answer = self._ask("DELETE", url) if value is None else self._ask("PUT", url, json.dumps({"value": value}).encode())
        if answer.status < 300:
            return
        reason = _error_of(answer.data) or f"status {answer.status}"
        if answer.status == 400:
            raise FilterError(reason)
        raise StoreUnavailableError(f"the server at {root} did not edit the tag: {reason}")

    def write_prices(self, root: str, rows: Sequence[Price]) -> int:
        """Write prices, and return the number of the write.

        Raises:
            FilterError: the server refuses a price.
            StoreUnavailableError: the server does not let the caller write, or fails.
        """
        answer = self._ask("POST", f"{root}/prices", json.dumps({"prices": [row.fields for row in rows]}).encode(), tries=0)
        if answer.status == 200:
            return int(json.loads(answer.data)["version"])
        reason = _error_of(answer.data) or f"status {answer.status}"
        if answer.status == 400:
            raise FilterError(reason)
        raise StoreUnavailableError(f"the server at {root} did not write the prices: {reason}")

    def maintain(self, root: str, action: str, body: object = None) -> Iterator[Mapping[str, Any]]:
        """Run a maintenance action on the server; yield each event as it comes, the outcome last (see ``schema.maintenance.actions``).

        Args:
            root: root URL of the API.
            action: ``check``, ``compact``, ``settle``, ``prices``, ``backup`` or ``retention``.
            body: JSON value for the request's body; None for none.

        Raises:
            StoreUnavailableError: the server does not let the caller do that, fails, or ends before the outcome.
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
                    reason = _error_of(answer.read()) or f"status {answer.status}"
                    raise StoreUnavailableError(f"the server at {root} does not {action}: {reason}")
                for line in answer:
                    event = json.loads(line)
                    if "error" in event:
                        raise StoreUnavailableError(f"{action}: {event['error']}")
                    yield event
        except (HTTPError, ValueError) as error:
            raise StoreUnavailableError(f"the server at {root} ended before the outcome ({type(error).__name__}): see its log") from None

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

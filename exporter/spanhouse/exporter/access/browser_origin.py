"""Protection against CSRF and DNS rebinding: any page that a user opens can make their browser send requests to a port of their machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

_FOREIGN_FETCHES = frozenset({"cross-site", "same-site"})


def is_cross_origin(headers: Mapping[str, str]) -> bool:
    """Tell whether a browser sent the request for a page of another origin.

    Args:
        headers: by lower-case name.
    """
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host", ""):
        return True
    return headers.get("sec-fetch-site", "none").lower() in _FOREIGN_FETCHES


def is_local_name(host: str, listening: str) -> bool:
    """Tell whether a Host header names this machine by an address, by localhost or by the listener's own name.

    No page can make these resolve to another place. A page's own host name can resolve to 127.0.0.1 once the page is loaded (DNS rebinding);
    the browser then takes this server for the page's.

    Args:
        host: the header, with or without port; '' if absent, as from no browser.
        listening: the address or name that the listener is bound to.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.removeprefix("[").removesuffix("]").rstrip(".").lower()
    if name in {"", "localhost", listening.lower()} or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

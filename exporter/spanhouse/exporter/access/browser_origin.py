"""Keeps web pages out: any page that a user opens can make their browser send requests to a port of their machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

_FOREIGN_FETCHES = frozenset({"cross-site", "same-site"})


def is_cross_origin(headers: Mapping[str, str]) -> bool:
    """Whether a browser sent the request for a page of another origin.

    Args:
        headers: by lower-case name.
    """
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host", ""):
        return True
    return headers.get("sec-fetch-site", "none").lower() in _FOREIGN_FETCHES


def is_local_name(host: str, listening: str) -> bool:
    """Whether a Host header names this machine by a name that no one else can make point here: an address, localhost, or where we listen.

    A page's own host name can be made to resolve to 127.0.0.1 once the page is loaded (DNS rebinding); then the browser takes us for its server.

    Args:
        host: the header, with or without port; '' for none, which no browser sends.
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

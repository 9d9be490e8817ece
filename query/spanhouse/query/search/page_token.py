"""Page tokens: opaque positions where the next page begins; and the check of a page's size.

A token has the order keys of a page's last row (keyset paging), so that new traces shift nothing; a hash of its search; and a checksum of both,
which reveals a changed token. A forged token only begins at another position of the same search.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Sequence
from typing import Final

from spanhouse.query.errors import FilterError
from spanhouse.query.language.names import field_type
from spanhouse.query.language.order_by import Sorting
from spanhouse.query.sql.resolved_search import Key, Search
from spanhouse.schema.trace_attributes import Type

MAX_RESULTS: Final = 50_000
_INT64: Final = range(-(2**63), 2**63)


def check_max_results(max_results: object, argument: str = "max_results") -> int:
    """Check the number of rows of a page, and return it; ``argument`` is its name in the error.

    Raises:
        FilterError: the number is no whole number from 1 to ``MAX_RESULTS``.
    """
    if isinstance(max_results, bool) or not isinstance(max_results, int) or not 1 <= max_results <= MAX_RESULTS:
        raise FilterError(f"{argument} is a whole number from 1 to {MAX_RESULTS}, not {max_results!r}")
    return max_results


def write_token(search: Search, keys: Sequence[Key]) -> str:
    """Return the token of the page that begins after the row with these order keys."""
    identity = _identity(search)
    text = json.dumps([identity, _digest(identity, keys), *keys], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_token(search: Search, token: str | None) -> tuple[Key, ...] | None:
    """Return the order keys of the row before a token's page; None for the first page, whose token is None or ''.

    Raises:
        FilterError: the text is no token, or the token of another search.
    """
    if token is None or token == "":
        return None
    try:
        identity, digest, *keys = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        expected = _digest(identity, keys)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise _invalid("it was not made by a search") from None
    if identity != _identity(search):
        raise _invalid("it belongs to a search with another filter or order")
    if digest != expected or len(keys) != len(search.order) or not all(map(_fits, search.order, keys)):
        raise _invalid("it was not made by a search")
    return tuple(keys)


def _fits(sorting: Sorting, key: object) -> bool:
    if key is None:
        return True
    if isinstance(key, bool):
        return False
    match field_type(sorting.field):
        case Type.TIME | Type.DURATION:
            return isinstance(key, int) and key in _INT64
        case Type.NUMBER:
            return (isinstance(key, int) and key in _INT64) or (isinstance(key, float) and math.isfinite(key))
        case Type.TEXT | Type.STATE:
            return isinstance(key, str)


def _invalid(reason: str) -> FilterError:
    return FilterError(f"invalid page token: {reason}", hint="pass the token of the page before, and the same filter and order as there")


def _digest(identity: object, keys: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps([identity, *keys], ensure_ascii=False).encode()).hexdigest()[:16]


def _identity(search: Search) -> str:
    """Return a hash that is equal for two searches if one may continue with the other's token."""
    return hashlib.sha256(repr((search.predicate, search.services, search.order)).encode()).hexdigest()[:16]

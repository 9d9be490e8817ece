"""Pages: how many rows one has, and the opaque token that says where the next one begins.

A token carries the order keys of a page's last row (keyset paging), so that traces which arrive meanwhile shift nothing, a hash of
the search it belongs to, and one of all that, by which a token that was changed is known. Whoever makes both anew gets another place to
begin at, and nothing that the search would not find.
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
    """The number of rows of a page, checked; the argument is named in the error.

    Raises:
        FilterError: it is not a whole number from 1 to ``MAX_RESULTS``.
    """
    if isinstance(max_results, bool) or not isinstance(max_results, int) or not 1 <= max_results <= MAX_RESULTS:
        raise FilterError(f"{argument} is a whole number from 1 to {MAX_RESULTS}, not {max_results!r}")
    return max_results


def write_token(search: Search, keys: Sequence[Key]) -> str:
    """The token of the page that begins after the row with these order keys."""
    identity = _identity(search)
    text = json.dumps([identity, _digest(identity, keys), *keys], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_token(search: Search, token: str | None) -> tuple[Key, ...] | None:
    """The order keys of the row after which a token's page begins. None and '' are the first page.

    Raises:
        FilterError: the text is not a token, or is one of another search.
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


def _invalid(why: str) -> FilterError:
    return FilterError(f"invalid page token: {why}", hint="pass the token of the page before, and the same filter and order as there")


def _digest(identity: object, keys: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps([identity, *keys], ensure_ascii=False).encode()).hexdigest()[:16]


def _identity(search: Search) -> str:
    """What two searches have in common if one may go on with the other's token."""
    return hashlib.sha256(repr((search.predicate, search.services, search.order)).encode()).hexdigest()[:16]

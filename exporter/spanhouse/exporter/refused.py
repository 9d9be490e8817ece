"""The requests that were refused lately: one that comes again is known by it, and let in before those that come for the first time.

A client tries a few times in some ten seconds, then gives its spans up. Under a load that never ends its tries would be as good as anybody's,
and some clients would lose all of them.
"""

from __future__ import annotations

from typing import Final

_MOST: Final = 20_000
_TAIL_BYTES: Final = 4096
"""The ids of a request's last span are in it, mostly. Who is taken for another gets in earlier, nothing more."""
_SLICES: Final = 32
_SLICE_BYTES: Final = 64
"""Ids of other spans are in these, where all requests of a client end in the same long text."""


class RefusedLately:
    """Remembers the last refused requests; for one thread.

    Args:
        most: how many.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._keys: dict[int, None] = {}

    def __contains__(self, body: bytes) -> bool:
        return bool(self._keys) and _key(body) in self._keys

    def add(self, body: bytes) -> None:
        """Remember a request."""
        key = _key(body)
        self._keys.pop(key, None)
        self._keys[key] = None
        if len(self._keys) > self._most:
            del self._keys[next(iter(self._keys))]

    def discard(self, body: bytes) -> None:
        """Forget a request that was taken."""
        if self._keys:
            self._keys.pop(_key(body), None)


def _key(body: bytes) -> int:
    spread = range(0, len(body), max(_SLICE_BYTES, len(body) // _SLICES))
    return hash((len(body), body[-_TAIL_BYTES:], *(body[begin : begin + _SLICE_BYTES] for begin in spread)))

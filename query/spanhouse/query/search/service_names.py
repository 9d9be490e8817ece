"""Check of service names against the services that have traces."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

from spanhouse.query.errors import FilterError
from spanhouse.query.search.executor import Runs
from spanhouse.query.sql.selects import ROWS
from spanhouse.query.sql.statement import Parameters, Statement
from spanhouse.schema.vocabulary import SERVICE_NAME

_LISTED: Final = f"SELECT Value FROM metadata_values WHERE Key = '{SERVICE_NAME}' AND Value IN "  # noqa: S608  our own words
_ALL: Final = Statement(f"SELECT DISTINCT arrayJoin(arrayPushBack(`Services.Name`, ServiceName)) FROM {ROWS}", {})  # noqa: S608  our own words
_NEAREST: Final = 3
_SHOWN: Final = 10


class Services:
    """Cache of the services that have traces; an unknown name is looked up in the store."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def check(self, connection: Runs, names: Sequence[str] | None) -> None:
        """Refuse names that no service has.

        Raises:
            FilterError: a name is unknown; the error names the nearest services.
        """
        for reading in (_compile_listed, lambda _: _ALL):
            missing = tuple(name for name in names or () if name not in self._known)
            if not missing:
                return
            self._known.update(str(name) for (name,) in connection.run(reading(missing)))
        for name in names or ():
            if name not in self._known:
                raise FilterError(f"no service is called {name!r}", hint=_nearest(name, self._known))


def _compile_listed(names: tuple[str, ...]) -> Statement:
    parameters = Parameters()
    return Statement(f"{_LISTED}{parameters.texts(names)}", parameters.bound())


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(filter(None, known))
    near = difflib.get_close_matches(name, names, n=_NEAREST)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"services are {', '.join(map(repr, names[:_SHOWN]))}{more}" if names else "no trace is stored yet"

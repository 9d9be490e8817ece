"""Choice of each key's value: the first source that has one. ``Capture.sources`` has the order; arguments go before it (``Process.values``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spanhouse.processor.git.remotes import browser_url, scrub
from spanhouse.processor.metadata_values import Found, Value
from spanhouse.schema import vocabulary
from spanhouse.schema.vocabulary import ProcessKey

_KEYS = tuple(key for key in vocabulary.PROCESS_KEYS if key is not vocabulary.APP_VERSION)
_REF_NAME = vocabulary.GIT_BRANCH.otel or ""
_OWN_NAMES = frozenset(name for key in _KEYS for name in (key.mlflow, key.otel))
_BRANCH = "branch"


class Resolved:
    """The winning value of a key and the outranked ones, the next best first."""

    __slots__ = ("outranked", "value")

    def __init__(self, value: Value, outranked: tuple[Value, ...]) -> None:
        self.value = value
        self.outranked = outranked


def resolve(sources: Sequence[Found]) -> dict[str, Resolved]:
    """Resolve ``sources``, the highest rank first, to resource attributes.

    A key given under one of its names is written under all of them; if one source gives several names, each keeps its own value. Unknown
    keys are passed through.
    """
    resolved: dict[str, Resolved] = {}
    for key in _KEYS:
        candidates = [candidate for candidate in (_candidate(key, found) for found in sources) if candidate]
        if key is vocabulary.GIT_DIRTY:
            candidates = [value for value in candidates if _is_about(resolved.get(vocabulary.GIT_COMMIT.mlflow), value, sources)]
        if candidates:
            resolved[key.mlflow] = Resolved(candidates[0], tuple(candidates[1:]))
    names_branch = next((found[vocabulary.GIT_REF_TYPE].text == _BRANCH for found in sources if vocabulary.GIT_REF_TYPE in found), True)
    for name in dict.fromkeys(name for found in sources for name in found):
        # A known key whose value was refused above must not pass here; a reference name that is a tag's may.
        if name not in _OWN_NAMES or (name == _REF_NAME and not names_branch):
            values = [found[name] for found in sources if name in found]
            resolved[name] = Resolved(values[0], tuple(values[1:]))
    for key in _KEYS:
        if key.otel and key.mlflow in resolved and key.otel not in resolved:
            resolved[key.otel] = _under_otel_name(key, resolved[key.mlflow], sources)
    branch = resolved.get(vocabulary.GIT_BRANCH.mlflow)
    if branch and _REF_NAME in resolved and resolved[_REF_NAME].value.text == branch.value.text:
        resolved[vocabulary.GIT_REF_TYPE] = Resolved(Value(_BRANCH, branch.value.origin), ())
    return resolved


def texts(resolved: Mapping[str, Resolved]) -> dict[str, str]:
    """Return the winning texts alone."""
    return {key: entry.value.text for key, entry in resolved.items()}


def _candidate(key: ProcessKey, found: Found) -> Value | None:
    """Return one source's value of ``key``, under any of its names."""
    for name in (key.mlflow, *key.aliases):
        value = found.get(name)
        if value is None:
            continue
        if name == _REF_NAME and vocabulary.GIT_REF_TYPE in found and found[vocabulary.GIT_REF_TYPE].text != _BRANCH:
            # A tag's name, not a branch.
            continue
        if key is vocabulary.GIT_REPO_URL:
            url = scrub(value.text)
            if url is None:
                continue
            value = Value(url, value.origin)
        return value
    return None


def _under_otel_name(key: ProcessKey, winner: Resolved, sources: Sequence[Found]) -> Resolved:
    named = (found[key.otel] for found in sources if key.otel and key.otel in found)
    own = next((value for value in named if value.origin == winner.value.origin), None)
    if key is vocabulary.GIT_REPO_URL:
        source = own or winner.value
        url = browser_url(source.text)
        return Resolved(Value(url, source.origin), winner.outranked) if url else winner
    return Resolved(own, winner.outranked) if own else winner


def _is_about(commit: Resolved | None, dirty: Value, sources: Sequence[Found]) -> bool:
    """Tell whether the source of the dirty flag names the commit that is stamped."""
    for found in sources:
        if found.get(vocabulary.GIT_DIRTY.mlflow) == dirty:
            own = _candidate(vocabulary.GIT_COMMIT, found)
            return own is None or (commit is not None and own.text == commit.value.text)
    return False

"""Commits in the order of a repository's history, read with git from a clone. Nothing is fetched, and no hook or filter of it runs."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_SHA: Final = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_SECONDS: Final = 30
_ENVIRONMENT: Final = {"GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
_REDIRECTING: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_CEILING_DIRECTORIES")
"""Variables of a surrounding git command, such as a hook's, that would have another repository read."""


def history(commits: Sequence[str], directory: Path) -> list[str]:
    """Sort the commits that the clone has, parents before their children (``git rev-list --topo-order``).

    Args:
        commits: whole ids; any other text counts as a commit that is not in the clone.
        directory: in the clone.

    Returns:
        The ids in that order; none where there is no clone, no git, or git takes over half a minute.
    """
    asked = [commit for commit in commits if _SHA.fullmatch(commit)]
    known = [line.split()[0] for line in _git(directory, "cat-file", "--batch-check", given=asked) if line.split()[1:2] == ["commit"]]
    if not known:
        return []
    # Their common ancestors bound the walk: parents of these ancestors are left out.
    below = [f"^{base}^@" for base in _git(directory, "merge-base", "--octopus", *known)]
    wanted = set(known)
    return [commit for commit in _git(directory, "rev-list", "--topo-order", "--reverse", "--stdin", given=[*known, *below]) if commit in wanted]


def in_order(seen: Sequence[str], known: Sequence[str]) -> list[str]:
    """Sort values in the order of ``known``; a value that is not in ``known`` follows the known one that was seen last before.

    Args:
        seen: all values, in the order of their first traces.
        known: some of them, in the order of a history.
    """
    places = {value: place for place, value in enumerate(known)}
    keys = {}
    place = -1
    for number, value in enumerate(seen):
        place = places.get(value, place)
        keys[value] = (place, value not in places, number)
    return sorted(seen, key=keys.__getitem__)


def _git(directory: Path, *words: str, given: Sequence[str] = ()) -> list[str]:
    """Run git and return the lines that it prints; none if it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in _REDIRECTING} | _ENVIRONMENT
    command = ["git", "-C", str(directory), "-c", "core.fsmonitor=false", *words]
    try:
        done = subprocess.run(  # noqa: S603 (git's words are ours, and ids of commits that hold digits alone)
            command, input="".join(f"{line}\n" for line in given), capture_output=True, text=True, env=environment, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []

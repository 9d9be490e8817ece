"""What a repository's files say about the checked-out version, read without the git executable.

Formats: gitrepository-layout(5), git-worktree(1), git-pack-refs(1). Only files are read, so neither their owner nor anything that the
repository configures to be run matters.
"""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH100, PTH109, PTH112, PTH113, PTH114, PTH115, PTH118, PTH120

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TypeAlias

from spanhouse.processor.git.config import GitConfig
from spanhouse.processor.git.remotes import scrub
from spanhouse.processor.safe_read import open_regular, read_file

_REF_DEPTH = 5
_HEAD_LIMIT = 4096
_PACKED_REFS_LIMIT = 4 << 20  # 50,000 references and more; in larger files they must be sorted to be found in time
_PACKED_REFS_PIECE = 1 << 16
_HEXADECIMAL = frozenset("0123456789abcdef")

_logger = logging.getLogger("spanhouse.processor")


class Repository:
    """A checkout on disk.

    Attributes:
        root: absolute path of the work tree.
        git_dir: where HEAD and the index are; a worktree and a submodule have their own.
        common_dir: where branches, objects and the configuration are; the same as ``git_dir`` but for worktrees.
        config: the repository's own configuration.
    """

    __slots__ = ("common_dir", "config", "git_dir", "root")

    def __init__(self, root: str, git_dir: str, common_dir: str, config: GitConfig) -> None:
        self.root = root
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.config = config

    @property
    def hash_bytes(self) -> int:
        """Length of object ids: 20 for SHA-1, 32 for SHA-256."""
        return 32 if (self.config.get("extensions", "objectformat") or "").lower() == "sha256" else 20

    @property
    def uses_reftable(self) -> bool:
        """Whether references are in a format that this module does not read."""
        return (self.config.get("extensions", "refstorage") or "").lower().startswith("reftable")


Head: TypeAlias = tuple[str | None, str | None]
"""Commit, None before the first one, and branch, None for a detached HEAD."""


def find_repository(start: str, environ: Mapping[str, str]) -> Repository | None:
    """The repository whose work tree holds the directory ``start``: that of GIT_DIR if it does, else the nearest one upwards.

    As in git, a ``.git`` directory that is none is passed over, a ``.git`` file that leads nowhere ends the search, and what lies in a
    bare repository, such as a hook, belongs to it.
    """
    start = os.path.realpath(start)
    named = environ.get("GIT_DIR")
    if named:
        root = environ.get("GIT_WORK_TREE")
        repository = _open(os.path.abspath(named), os.path.realpath(root or os.getcwd()), follow_worktree=not root)
        if repository and _is_within(start, repository.root):
            return repository
    directory = start
    while True:
        dot_git = os.path.join(directory, ".git")
        if os.path.isdir(dot_git):
            repository = _open(dot_git, directory, follow_worktree=True)
            if repository:
                return repository
        elif os.path.isfile(dot_git):
            git_dir = _gitdir_file(dot_git)
            return _open(git_dir, directory, follow_worktree=True) if git_dir else None
        bare = _open(directory, directory, follow_worktree=False)
        if bare and bare.config.flag("core", "bare", default=False):
            return bare
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def read_head(repository: Repository) -> Head:
    """Commit and branch of HEAD, from loose and packed references."""
    target, branch = _read_ref(repository.git_dir, "HEAD"), None
    for _ in range(_REF_DEPTH):
        if target is None:
            return None, _as_text(branch)
        if not target.startswith("refs/"):
            return (target if len(target) == 2 * repository.hash_bytes else None), _as_text(branch)
        branch = target.removeprefix("refs/heads/") if target.startswith("refs/heads/") else None
        per_worktree = target.startswith(("refs/bisect/", "refs/worktree/", "refs/rewritten/"))
        directory = repository.git_dir if per_worktree else repository.common_dir
        # A damaged loose reference must not let an older, packed one through.
        path = os.path.join(directory, target)
        is_loose = os.path.lexists(path) and not os.path.isdir(path)
        target = _read_ref(directory, target) if is_loose else _packed_ref(repository, target)
    return None, _as_text(branch)


def _as_text(branch: str | None) -> str | None:
    """Read a branch as UTF-8, as git does, where the locale's encoding made a path of it."""
    return None if branch is None else os.fsencode(branch).decode("utf-8", "surrogateescape")


def remote_url(repository: Repository) -> str | None:
    """The URL of the remote ``origin``, else of the first one that has a URL fit to leave the machine."""
    remotes = repository.config.remotes()
    for _, url in sorted(remotes, key=lambda remote: remote[0] != "origin"):
        scrubbed = scrub(url)
        if scrubbed:
            return scrubbed
    return None


def _open(git_dir: str, root: str, *, follow_worktree: bool) -> Repository | None:
    """The repository at ``git_dir``, if it has what git asks of one: HEAD, objects and refs."""
    if not os.path.lexists(os.path.join(git_dir, "HEAD")):
        return None
    common_dir = git_dir
    common = _first_line(os.path.join(git_dir, "commondir"))
    if common:
        common_dir = os.path.normpath(os.path.join(git_dir, common))
    if not (os.path.isdir(os.path.join(common_dir, "objects")) and os.path.isdir(os.path.join(common_dir, "refs"))):
        return None
    config = GitConfig()
    config.read(os.path.join(common_dir, "config"))
    if config.flag("extensions", "worktreeconfig", default=False):
        config.read(os.path.join(git_dir, "config.worktree"))
    work_tree = config.path("core", "worktree") if follow_worktree and common_dir == git_dir else None
    if work_tree:
        root = os.path.realpath(os.path.join(git_dir, work_tree))
    return Repository(root, git_dir, common_dir, config)


def _is_within(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _gitdir_file(path: str) -> str | None:
    line = _first_line(path)
    if not line or not line.startswith("gitdir:"):
        return None
    return os.path.normpath(os.path.join(os.path.dirname(path), line.removeprefix("gitdir:").strip()))


def _first_line(path: str) -> str | None:
    try:
        content = read_file(path, _HEAD_LIMIT)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _logger.debug("%s tells nothing: %s", path, error)
        return None
    return os.fsdecode(content.split(b"\n", 1)[0].strip()) or None


def _read_ref(directory: str, name: str) -> str | None:
    """What a loose reference holds: the name of another one or an object id; None if it is missing or damaged."""
    path = os.path.join(directory, name)
    # A link is the old form of a symbolic reference.
    line = f"ref: {os.readlink(path)}" if name == "HEAD" and os.path.islink(path) else _first_line(path) or ""
    if line.startswith("ref:"):
        target = line.removeprefix("ref:").strip()
        if _is_ref_name(target):
            return target
    else:
        object_id = line.partition(" ")[0].partition("\t")[0].lower()
        if _is_object_id(object_id):
            return object_id
    _logger.debug("%s holds neither an object id nor the name of a reference", path)
    return None


def _packed_ref(repository: Repository, name: str) -> str | None:
    path, wanted = os.path.join(repository.common_dir, "packed-refs"), os.fsencode(name)
    try:
        with open_regular(path) as file:
            content = _search(file.fileno(), wanted) if os.fstat(file.fileno()).st_size > _PACKED_REFS_LIMIT else None
        content = read_file(path, _PACKED_REFS_LIMIT) if content is None else content
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _logger.debug("%s tells nothing: %s", path, error)
        return None
    position = (content + b"\n").find(b" " + wanted + b"\n")
    if position < 0:
        return None
    line_start = content.rfind(b"\n", 0, position) + 1
    object_id = content[line_start:position].decode("ascii", "replace").lower()
    return object_id if _is_object_id(object_id) else None


def _search(descriptor: int, name: bytes) -> bytes:
    """The part of a large ``packed-refs`` where a reference has to be, if it is there: git sorts that file, and says so in its first line."""
    head = os.pread(descriptor, _HEAD_LIMIT, 0).partition(b"\n")[0]
    if not (head.startswith(b"# pack-refs with:") and b"sorted" in head.split()):
        raise ValueError("it is too large to be searched")
    low, high = 0, os.fstat(descriptor).st_size
    while high - low > _PACKED_REFS_PIECE:
        middle = (low + high) // 2
        piece = os.pread(descriptor, _HEAD_LIMIT, middle)
        # A line that starts in here and belongs to a reference, not to what a tag leads to.
        lines = [line for line in piece.split(b"\n")[1:-1] if line[:1] not in (b"#", b"^")]
        if not lines:
            raise ValueError("it is too large and not in order")
        if lines[0].partition(b" ")[2] <= name:
            low = middle
        else:
            high = middle + len(piece)
    return os.pread(descriptor, high - low + _HEAD_LIMIT, low)


def _is_object_id(text: str) -> bool:
    return len(text) in {40, 64} and _HEXADECIMAL.issuperset(text) and text.strip("0") != ""


def _is_ref_name(name: str) -> bool:
    """Whether git would take ``name`` for a reference (git-check-ref-format); such a name cannot lead out of the repository."""
    steps = name.split("/")
    return (
        len(steps) > 1
        and steps[0] == "refs"
        and not any(step == "" or step.startswith(".") or step.endswith((".lock", ".")) for step in steps)
        and ".." not in name
        and "@{" not in name
        and not any(letter in " ~^:?*[\\\x7f" or letter < " " for letter in name)
    )

"""Checked-out version of a repository, read from its files without the git executable.

Formats: gitrepository-layout(5), git-worktree(1), git-pack-refs(1). Only files are read, so their owner does not matter, and no program
that the repository configures is run.
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
_PACKED_REFS_LIMIT = 4 << 20  # 50,000 references and more; a larger file must be sorted, for binary search
_PACKED_REFS_PIECE = 1 << 16
_HEXADECIMAL = frozenset("0123456789abcdef")

_logger = logging.getLogger("spanhouse.processor")


class Repository:
    """A checkout on disk.

    Attributes:
        root: absolute path of the work tree.
        git_dir: directory of HEAD and the index; a worktree and a submodule have their own.
        common_dir: directory of branches, objects and the configuration; ``git_dir`` except for worktrees.
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
        """True if references are in the reftable format, which this module does not read."""
        return (self.config.get("extensions", "refstorage") or "").lower().startswith("reftable")


Head: TypeAlias = tuple[str | None, str | None]
"""Commit (None before the first one) and branch (None for a detached HEAD)."""


def find_repository(start: str, environ: Mapping[str, str]) -> Repository | None:
    """Find the repository whose work tree holds the directory ``start``: GIT_DIR's if it does, else the nearest one upwards.

    As in git, an invalid ``.git`` directory is skipped, a ``.git`` file that leads nowhere ends the search, and files in a bare repository,
    such as hooks, belong to it.
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
    """Return commit and branch of HEAD, from loose and packed references."""
    target, branch = _read_ref(repository.git_dir, "HEAD"), None
    for _ in range(_REF_DEPTH):
        if target is None:
            return None, _as_text(branch)
        if not target.startswith("refs/"):
            return (target if len(target) == 2 * repository.hash_bytes else None), _as_text(branch)
        branch = target.removeprefix("refs/heads/") if target.startswith("refs/heads/") else None
        per_worktree = target.startswith(("refs/bisect/", "refs/worktree/", "refs/rewritten/"))
        directory = repository.git_dir if per_worktree else repository.common_dir
        # If the loose reference is damaged, an older packed one must not be used.
        path = os.path.join(directory, target)
        is_loose = os.path.lexists(path) and not os.path.isdir(path)
        target = _read_ref(directory, target) if is_loose else _packed_ref(repository, target)
    return None, _as_text(branch)


def _as_text(branch: str | None) -> str | None:
    """Decode a branch as UTF-8, as git does; the name was read as a path, in the locale's encoding."""
    return None if branch is None else os.fsencode(branch).decode("utf-8", "surrogateescape")


def remote_url(repository: Repository) -> str | None:
    """Return the scrubbed URL of the remote ``origin``, else of the first remote whose URL may leave the machine."""
    remotes = repository.config.remotes()
    for _, url in sorted(remotes, key=lambda remote: remote[0] != "origin"):
        scrubbed = scrub(url)
        if scrubbed:
            return scrubbed
    return None


def _open(git_dir: str, root: str, *, follow_worktree: bool) -> Repository | None:
    """Open the repository at ``git_dir``; None unless it has HEAD, objects and refs, as git requires."""
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
        _logger.debug("%s is unreadable: %s", path, error)
        return None
    return os.fsdecode(content.split(b"\n", 1)[0].strip()) or None


def _read_ref(directory: str, name: str) -> str | None:
    """Read a loose reference: the name of another reference or an object id; None if it is missing or damaged."""
    path = os.path.join(directory, name)
    # A symbolic link is the old form of a symbolic reference.
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
        _logger.debug("%s is unreadable: %s", path, error)
        return None
    position = (content + b"\n").find(b" " + wanted + b"\n")
    if position < 0:
        return None
    line_start = content.rfind(b"\n", 0, position) + 1
    object_id = content[line_start:position].decode("ascii", "replace").lower()
    return object_id if _is_object_id(object_id) else None


def _search(descriptor: int, name: bytes) -> bytes:
    """Return the part of a large ``packed-refs`` that would hold a reference; git sorts that file, and marks it so in its first line."""
    head = os.pread(descriptor, _HEAD_LIMIT, 0).partition(b"\n")[0]
    if not (head.startswith(b"# pack-refs with:") and b"sorted" in head.split()):
        raise ValueError("it is too large to be searched")
    low, high = 0, os.fstat(descriptor).st_size
    while high - low > _PACKED_REFS_PIECE:
        middle = (low + high) // 2
        piece = os.pread(descriptor, _HEAD_LIMIT, middle)
        # Lines that start in this piece and name a reference, not a tag's target.
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
    """Tell whether ``name`` is a valid reference name (git-check-ref-format); such a name cannot lead out of the repository."""
    steps = name.split("/")
    return (
        len(steps) > 1
        and steps[0] == "refs"
        and not any(step == "" or step.startswith(".") or step.endswith((".lock", ".")) for step in steps)
        and ".." not in name
        and "@{" not in name
        and not any(letter in " ~^:?*[\\\x7f" or letter < " " for letter in name)
    )

"""Dirty check: do tracked files differ from HEAD, as ``git diff-index --quiet HEAD`` answers, without running git.

Three comparisons: the tree of HEAD with the tree of the index; each file's stat data with the index; and the content of files whose stat
data differs or is too recent to be trusted. Nothing that a repository configures is run and nothing is written into it, so the index is
never refreshed. A difference that a filter or an encoding could explain makes the answer unknown.
"""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH115, PTH116, PTH118

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from typing import cast

from spanhouse.processor.git.index import DIRECTORY, EXECUTABLE, GITLINK, SYMLINK, Entry, IndexUnreadableError, has_valid_checksum, parse_index
from spanhouse.processor.git.objects import Hash, ObjectMissingError, read_object
from spanhouse.processor.git.repository import Repository, find_repository, read_head
from spanhouse.processor.safe_read import open_regular, read_file

_INDEX_LIMIT = 64 << 20  # half a million files
_CHUNK = 1 << 20
_SECOND_NS = 1_000_000_000
_LOW_32 = 0xFFFFFFFF
_ENTRIES_PER_CLOCK = 32
_QUICK_BYTES = 256 << 10  # hashed within half a millisecond


class DirtyUnknownError(Exception):
    """The dirty state is unknown; the message says why."""


class OutOfTimeError(DirtyUnknownError):
    """The check did not end in time."""


def index_bytes(repository: Repository) -> int:
    """Return the size of the index, 0 if there is none. It predicts the duration of a check: 80 to 130 bytes per tracked file."""
    try:
        return os.stat(os.path.join(repository.git_dir, "index")).st_size
    except OSError:
        return 0


def is_dirty(repository: Repository, commit: str, *, environ: Mapping[str, str], timeout_seconds: float, at_start: bool = False) -> bool:
    """Tell whether a tracked file differs from ``commit``, which HEAD names.

    Args:
        repository: checkout to compare.
        commit: id of HEAD's commit.
        environ: variables that locate git's settings of the user and of the machine.
        timeout_seconds: limit of the check's duration.
        at_start: give up (``OutOfTimeError``) instead of loading hashlib or reading a large file.

    Raises:
        DirtyUnknownError: the answer is not certain.
        OutOfTimeError: the check took longer than ``timeout_seconds``.
    """
    try:
        return _Check(repository, commit, environ, time.monotonic() + timeout_seconds, at_start=at_start).run()
    except (IndexUnreadableError, ObjectMissingError, OSError, ValueError) as error:
        raise DirtyUnknownError(str(error)) from error


class _Check:
    def __init__(self, repository: Repository, commit: str, environ: Mapping[str, str], deadline: float, *, at_start: bool) -> None:
        self._repository = repository
        self._root = os.fsencode(repository.root)
        self._commit = bytes.fromhex(commit)
        self._environ = environ
        self._deadline = deadline
        self._at_start = at_start
        self._real_directories: set[bytes] = {b""}

    def run(self) -> bool:
        repository = self._repository
        if repository.config.flag("core", "bare", default=False):
            raise DirtyUnknownError("the repository is bare")
        path = os.path.join(repository.git_dir, "index")
        seen = os.stat(path)
        if seen.st_size > _INDEX_LIMIT:
            raise DirtyUnknownError("the index is too large to be compared in time")
        written_ns = seen.st_mtime_ns
        data = read_file(path, _INDEX_LIMIT)
        index = parse_index(data, hash_bytes=repository.hash_bytes)
        suspects = list(self._suspects(index.entries, written_ns))
        if not suspects and not index.unmerged and not index.added_empty and index.root_tree == self._head_tree(None):
            # Damaged data would not agree in so many places: the usual answer needs no hash function.
            return False
        hash_ = self._hash()
        if not has_valid_checksum(data, hash_bytes=repository.hash_bytes, hash_=hash_):
            raise DirtyUnknownError("the index is damaged")
        if index.unmerged or index.added_empty:
            return True
        staged_tree = index.root_tree or self._tree_of(index.entries, hash_)
        if staged_tree != self._head_tree(hash_):
            return True
        return self._any_changed(suspects, [entry.path for entry in index.entries if entry.skipped], hash_)

    def _hash(self) -> Hash:
        if self._at_start and self._repository.hash_bytes == 20:
            with contextlib.suppress(ImportError):
                # As the standard library's random does: hashlib loads OpenSSL, which takes the whole start-up budget.
                from _sha1 import sha1  # type: ignore[import-not-found]

                return cast("Hash", sha1)
        import hashlib  # not needed for a clean tree

        return hashlib.sha256 if self._repository.hash_bytes == 32 else lambda data: hashlib.sha1(data, usedforsecurity=False)

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise OutOfTimeError("the check took too long")

    def _head_tree(self, hash_: Hash | None) -> bytes:
        kind, content = read_object(self._repository.common_dir, self._commit, hash_=hash_)
        line = content.split(b"\n", 1)[0]
        if kind != b"commit" or not line.startswith(b"tree "):
            raise DirtyUnknownError("HEAD is no commit")
        return bytes.fromhex(line[5:].decode("ascii", "replace"))

    def _tree_of(self, entries: list[Entry], hash_: Hash) -> bytes:
        """Return the id of the tree that ``git write-tree`` would make; the index and trees have the same order."""
        open_directories: list[tuple[bytes, list[bytes]]] = [(b"", [])]

        def close() -> None:
            name, children = open_directories.pop()
            content = b"".join(children)
            tree = hash_(b"tree %d\x00" % len(content) + content).digest()
            open_directories[-1][1].append(b"40000 " + name + b"\x00" + tree)

        for number, entry in enumerate(entries):
            if number % _ENTRIES_PER_CLOCK == 0:
                self._check_time()
            *directories, name = entry.path.rstrip(b"/").split(b"/")
            common = 0
            while common < min(len(directories), len(open_directories) - 1) and open_directories[common + 1][0] == directories[common]:
                common += 1
            while len(open_directories) - 1 > common:
                close()
            open_directories.extend((directory, []) for directory in directories[common:])
            open_directories[-1][1].append(b"%o " % entry.mode + name + b"\x00" + entry.object_id)
        while len(open_directories) > 1:
            close()
        content = b"".join(open_directories[0][1])
        return bytes(hash_(b"tree %d\x00" % len(content) + content).digest())

    def _suspects(self, entries: list[Entry], written_ns: int) -> Iterator[tuple[Entry, os.stat_result | None]]:
        """Yield the entries whose files are missing, have other stat data, or changed too close to the index's own time ("racily clean")."""
        root = self._root + b"/"
        written_second = written_ns // _SECOND_NS
        for number, entry in enumerate(entries):
            if number % _ENTRIES_PER_CLOCK == 0:
                self._check_time()
            if entry.skipped or entry.mode == DIRECTORY:
                continue
            try:
                if not self._is_below_real_directories(entry.path):
                    yield entry, None
                    continue
                seen = os.lstat(root + entry.path)
            except (FileNotFoundError, NotADirectoryError):
                yield entry, None
                continue
            if (
                entry.mode == GITLINK
                or seen.st_mtime_ns != entry.mtime_ns
                or seen.st_ctime_ns != entry.ctime_ns
                or seen.st_size & _LOW_32 != entry.size
                or seen.st_ino & _LOW_32 != entry.inode
                or entry.mtime_ns // _SECOND_NS >= written_second
                or not self._has_kind(entry, seen)
            ):
                yield entry, seen

    def _is_below_real_directories(self, path: bytes) -> bool:
        """Tell whether no directory above a file is a symbolic link; git counts a file below a link as deleted."""
        directory = path.rpartition(b"/")[0]
        if directory in self._real_directories:
            return True
        if not self._is_below_real_directories(directory) or not stat.S_ISDIR(os.lstat(self._root + b"/" + directory).st_mode):
            return False
        self._real_directories.add(directory)
        return True

    def _has_kind(self, entry: Entry, seen: os.stat_result) -> bool:
        config = self._repository.config
        if entry.mode == GITLINK:
            return stat.S_ISDIR(seen.st_mode)
        if entry.mode == SYMLINK and not (stat.S_ISREG(seen.st_mode) and not config.flag("core", "symlinks", default=True)):
            return stat.S_ISLNK(seen.st_mode)
        if not stat.S_ISREG(seen.st_mode):
            return False
        executable = bool(seen.st_mode & stat.S_IXUSR)
        return entry.mode == SYMLINK or executable == (entry.mode == EXECUTABLE) or not config.flag("core", "filemode", default=True)

    def _any_changed(self, suspects: list[tuple[Entry, os.stat_result | None]], skipped: list[bytes], hash_: Hash) -> bool:
        """Compare contents. One sure difference decides; without one, a doubtful file leaves the answer open."""
        from spanhouse.processor.git.attributes import Attributes  # small clean trees do without it

        attributes = Attributes(self._repository, self._environ)
        doubts: list[str] = []
        for entry, seen in suspects:
            self._check_time()
            if seen is None or not self._has_kind(entry, seen):
                return True
            if entry.mode == GITLINK:
                if self._is_moved_submodule(entry):
                    return True
                continue
            path = os.path.join(self._root, entry.path)
            if stat.S_ISLNK(seen.st_mode):
                target = os.readlink(path)
                if hash_(b"blob %d\x00" % len(target) + target).digest() != entry.object_id:
                    return True
                continue
            if self._at_start and seen.st_size > _QUICK_BYTES:
                raise OutOfTimeError("a changed file is too large for the start")
            content = self._read(path)
            if hash_(b"blob %d\x00" % len(content) + content).digest() == entry.object_id:
                continue
            unixed = content.replace(b"\r\n", b"\n")
            if len(unixed) != len(content) and hash_(b"blob %d\x00" % len(unixed) + unixed).digest() == entry.object_id:
                doubts.append("line endings differ, which settings may or may not allow")
            elif attributes.may_convert(entry.path) or any(path.endswith(b".gitattributes") for path in skipped):
                doubts.append("a filter may make up for a difference")
            else:
                return True
        if doubts:
            raise DirtyUnknownError(doubts[0])
        return False

    def _read(self, path: bytes) -> bytes:
        chunks: list[bytes] = []
        with open_regular(path) as file:
            while chunk := file.read(_CHUNK):
                chunks.append(chunk)
                self._check_time()
        return b"".join(chunks)

    def _is_moved_submodule(self, entry: Entry) -> bool:
        """Tell whether a submodule is at another commit than the recorded one; changes inside it do not count."""
        directory = os.fsdecode(os.path.join(self._root, entry.path))
        submodule = find_repository(directory, {})
        if submodule is None or submodule.root != os.path.realpath(directory) or submodule.uses_reftable:
            return False
        commit, _ = read_head(submodule)
        return commit is not None and commit != entry.object_id.hex()

"""Reader of a repository's index: staged entries with the stat data of git's last comparison (gitformat-index(5))."""

from __future__ import annotations

from spanhouse.processor.git.objects import Hash

REGULAR, EXECUTABLE, SYMLINK, GITLINK, DIRECTORY = 0o100644, 0o100755, 0o120000, 0o160000, 0o040000

_ASSUME_VALID, _EXTENDED, _STAGE = 0x8000, 0x4000, 0x3000
_SECOND_NS = 1_000_000_000
_SKIP_WORKTREE, _INTENT_TO_ADD = 0x4000, 0x2000
_FIXED_BYTES = 40
# Extensions whose names start with a small letter change the meaning of the entries.
_SPARSE_INDEX = b"sdir"


class IndexUnreadableError(Exception):
    """The index is damaged, or has a feature that is not read here (split index)."""


class Entry:
    """A tracked path, with the stat data of its last comparison; times in ns, ``inode`` and ``size`` modulo 2**32.

    ``skipped``: git ignores the file, as it is assumed unchanged or outside of a sparse checkout.
    """

    __slots__ = ("ctime_ns", "inode", "mode", "mtime_ns", "object_id", "path", "size", "skipped")

    # Made once for each tracked file; keywords would take longer.
    def __init__(  # noqa: PLR0917
        self, path: bytes, mode: int, object_id: bytes, ctime_ns: int, mtime_ns: int, inode: int, size: int, skipped: bool
    ) -> None:
        self.path = path
        self.mode = mode
        self.object_id = object_id
        self.ctime_ns = ctime_ns
        self.mtime_ns = mtime_ns
        self.inode = inode
        self.size = size
        self.skipped = skipped


class Index:
    """The readable part of an index.

    Attributes:
        entries: tracked paths, in their order.
        unmerged: true if there are conflicts.
        added_empty: true if a path is only announced (``git add --intent-to-add``).
        root_tree: id of the tree of all entries, if the index has it cached.
    """

    __slots__ = ("added_empty", "entries", "root_tree", "unmerged")

    def __init__(self, entries: list[Entry], *, unmerged: bool, added_empty: bool, root_tree: bytes | None) -> None:
        self.entries = entries
        self.unmerged = unmerged
        self.added_empty = added_empty
        self.root_tree = root_tree


def parse_index(data: bytes, *, hash_bytes: int) -> Index:
    """Read an index of version 2, 3 or 4; its checksum is left to ``has_valid_checksum``.

    Args:
        data: content of the file.
        hash_bytes: length of object ids.

    Raises:
        IndexUnreadableError: the index is damaged or has an unsupported feature.
    """
    try:
        return _parse(data, hash_bytes)
    except (IndexError, ValueError) as error:
        raise IndexUnreadableError(str(error)) from error


def has_valid_checksum(data: bytes, *, hash_bytes: int, hash_: Hash) -> bool:
    """Tell whether the file is as git wrote it. The checksum is all zero if ``index.skipHash`` is set."""
    checksum = data[-hash_bytes:]
    return not checksum.strip(b"\x00") or hash_(data[:-hash_bytes]).digest() == checksum


def _parse(data: bytes, hash_bytes: int) -> Index:
    if data[:4] != b"DIRC":
        raise IndexUnreadableError("not an index")
    version, count = _number(data, 4), _number(data, 8)
    end = len(data) - hash_bytes
    if version not in {2, 3, 4}:
        raise IndexUnreadableError("unknown version")
    entries: list[Entry] = []
    unmerged = added_empty = False
    position, path = 12, b""
    for _ in range(count):
        start = position
        if start + _FIXED_BYTES > end:
            raise IndexUnreadableError("damaged")
        ctime_ns = _number(data, start) * _SECOND_NS + _number(data, start + 4)
        mtime_ns = _number(data, start + 8) * _SECOND_NS + _number(data, start + 12)
        inode, mode, size = _number(data, start + 20), _number(data, start + 24), _number(data, start + 36)
        position += _FIXED_BYTES
        object_id = data[position : position + hash_bytes]
        position += hash_bytes
        flags = (data[position] << 8) | data[position + 1]
        position += 2
        extended = 0
        if flags & _EXTENDED:
            extended = (data[position] << 8) | data[position + 1]
            position += 2
        if version == 4:
            strip, position = _strip_length(data, position)
            if strip > len(path):
                raise IndexUnreadableError("damaged")
            path = path[: len(path) - strip]
        else:
            path = b""
        stop = data.index(b"\x00", position, end)
        path += data[position:stop]
        # Versions 2 and 3 pad an entry with 1 to 8 NULs to a multiple of 8 bytes.
        position = stop + 1 if version == 4 else start + ((stop - start + 8) & ~7)
        unmerged = unmerged or bool(flags & _STAGE)
        added_empty = added_empty or bool(extended & _INTENT_TO_ADD)
        skipped = bool(flags & _ASSUME_VALID or extended & _SKIP_WORKTREE)
        entries.append(Entry(path, mode, object_id, ctime_ns, mtime_ns, inode, size, skipped))
    return Index(entries, unmerged=unmerged, added_empty=added_empty, root_tree=_root_tree(data, position, end, hash_bytes))


def _number(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4])


def _strip_length(data: bytes, position: int) -> tuple[int, int]:
    """Read the variable-width number of version 4, encoded as in offset deltas."""
    byte = data[position]
    value = byte & 0x7F
    while byte & 0x80:
        position += 1
        byte = data[position]
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, position + 1


def _root_tree(data: bytes, position: int, end: int, hash_bytes: int) -> bytes | None:
    root = None
    while position < end:
        name = data[position : position + 4]
        length = _number(data, position + 4)
        position += 8
        if position + length > end:
            raise IndexUnreadableError("damaged")
        if name == b"TREE":
            root = _cached_root(data[position : position + length], hash_bytes)
        elif name[:1].islower() and name != _SPARSE_INDEX:
            raise IndexUnreadableError("unknown extension")
        position += length
    return root


def _cached_root(extension: bytes, hash_bytes: int) -> bytes | None:
    """Return the id in the first record, the root's, whose path is empty; None if a negative count marks it as outdated."""
    path, _, rest = extension.partition(b"\x00")
    counts, newline, ids = rest.partition(b"\n")
    entry_count = counts.partition(b" ")[0]
    if path or not newline or not entry_count.isdigit() or len(ids) < hash_bytes:
        return None
    return ids[:hash_bytes]

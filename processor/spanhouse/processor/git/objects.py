"""Reader of single git objects: loose ones and those in packs, deltas included (gitformat-pack(5))."""

# pathlib is left out: loading and using it would take its share of every application's start.
# ruff: noqa: PTH118, PTH208

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from spanhouse.processor.safe_read import open_regular, read_file

Hash: TypeAlias = Callable[[bytes], Any]
"""``hashlib.sha1`` or ``hashlib.sha256``."""

_SIZE_LIMIT = 4 << 20  # commits and trees of ordinary size; larger ones would take too long at an application's start
_DELTA_DEPTH = 64
_ALTERNATES_DEPTH = 5
_TYPES = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
_OFFSET_DELTA, _REFERENCE_DELTA = 6, 7
_INDEX_MAGIC = b"\xfftOc\x00\x00\x00\x02"
_FANOUT_BYTES = 256 * 4


class ObjectMissingError(Exception):
    """The object is not there, is damaged, or is beyond the limits."""


def read_object(common_dir: str, object_id: bytes, *, hash_: Hash | None) -> tuple[bytes, bytes]:
    """Return type and content of an object, checked against its id unless ``hash_`` is None.

    Raises:
        ObjectMissingError: it cannot be read.
    """
    try:
        kind, content = _find(os.path.join(common_dir, "objects"), object_id)
    except (OSError, ValueError, IndexError, zlib.error) as error:
        raise ObjectMissingError(str(error)) from error
    if hash_ is not None and hash_(b"%s %d\x00" % (kind, len(content)) + content).digest() != object_id:
        raise ObjectMissingError("the object does not match its id")
    return kind, content


def _find(objects: str, object_id: bytes) -> tuple[bytes, bytes]:
    for directory in _object_directories(objects, _ALTERNATES_DEPTH):
        found = _read_loose(directory, object_id) or _read_packed(directory, object_id)
        if found:
            return found
    raise ObjectMissingError("no such object")


def _object_directories(objects: str, depth: int) -> Iterator[str]:
    yield objects
    if depth == 0:
        return
    try:
        lines = read_file(os.path.join(objects, "info", "alternates"), _SIZE_LIMIT).splitlines()
    except OSError:
        return
    for line in lines:
        if line and not line.startswith(b"#"):
            yield from _object_directories(os.path.normpath(os.path.join(objects, os.fsdecode(line))), depth - 1)


def _inflate(data: bytes, limit: int) -> bytes:
    return zlib.decompressobj().decompress(data, limit)


def _read_loose(directory: str, object_id: bytes) -> tuple[bytes, bytes] | None:
    name = object_id.hex()
    try:
        data = _inflate(read_file(os.path.join(directory, name[:2], name[2:]), _SIZE_LIMIT), _SIZE_LIMIT)
    except FileNotFoundError:
        return None
    header, _, content = data.partition(b"\x00")
    kind, _, size = header.partition(b" ")
    if not size.isdigit() or int(size) != len(content):
        raise ObjectMissingError("damaged or too large")
    return kind, content


def _read_packed(directory: str, object_id: bytes) -> tuple[bytes, bytes] | None:
    packs = os.path.join(directory, "pack")
    try:
        names = [name for name in os.listdir(packs) if name.endswith(".idx")]
    except FileNotFoundError:
        return None
    for name in names:
        offset = _offset_in(os.path.join(packs, name), object_id)
        if offset is not None:
            with open_regular(os.path.join(packs, name.removesuffix(".idx") + ".pack")) as pack:
                return _unpack(pack.fileno(), offset, len(object_id), directory, _DELTA_DEPTH)
    return None


def _offset_in(index_path: str, object_id: bytes) -> int | None:
    """Return the offset of an object in the pack, from the pack's index (version 2)."""
    with open_regular(index_path) as file:
        descriptor = file.fileno()
        if os.pread(descriptor, len(_INDEX_MAGIC), 0) != _INDEX_MAGIC:
            return None
        # The fan-out: for each first byte, the number of ids up to it.
        first, last, count = (
            _number(descriptor, 4, len(_INDEX_MAGIC) + byte * 4) if byte >= 0 else 0 for byte in (object_id[0] - 1, object_id[0], 255)
        )
        width, start = len(object_id), len(_INDEX_MAGIC) + _FANOUT_BYTES
        if not first <= last <= count <= os.fstat(descriptor).st_size // width:
            raise ObjectMissingError("damaged index of a pack")
        ids = os.pread(descriptor, (last - first) * width, start + first * width)
        low, high = 0, last - first
        while low < high:
            middle = (low + high) // 2
            if ids[middle * width : (middle + 1) * width] < object_id:
                low = middle + 1
            else:
                high = middle
        if ids[low * width : (low + 1) * width] != object_id:
            return None
        offsets = start + count * (width + 4)
        offset = _number(descriptor, 4, offsets + (first + low) * 4)
        if offset & 0x80000000:
            offset = _number(descriptor, 8, offsets + count * 4 + (offset & 0x7FFFFFFF) * 8)
        return offset


def _number(descriptor: int, width: int, position: int) -> int:
    data = os.pread(descriptor, width, position)
    if len(data) < width:
        raise ObjectMissingError("damaged index of a pack")
    return int.from_bytes(data)


def _unpack(pack: int, offset: int, width: int, directory: str, depth: int) -> tuple[bytes, bytes]:
    if depth == 0:
        raise ObjectMissingError("too many deltas upon each other")
    head = os.pread(pack, 64 + width, offset)
    kind, size, position = (head[0] >> 4) & 7, head[0] & 15, 1
    shift = 4
    while head[position - 1] & 0x80:
        size |= (head[position] & 0x7F) << shift
        shift += 7
        position += 1
    if size > _SIZE_LIMIT:
        raise ObjectMissingError("too large")
    if kind in _TYPES:
        return _TYPES[kind], _content(pack, offset + position, size)
    if kind == _OFFSET_DELTA:
        back = head[position] & 0x7F
        while head[position] & 0x80:
            position += 1
            back = ((back + 1) << 7) | (head[position] & 0x7F)
        position += 1
        if not 0 < back <= offset:
            raise ObjectMissingError("damaged")
        base_kind, base = _unpack(pack, offset - back, width, directory, depth - 1)
    elif kind == _REFERENCE_DELTA:
        # Only thin packs refer to other packs, and git completes those on receipt: loose or packed, the base is in this directory.
        base_kind, base = _find(directory, head[position : position + width])
        position += width
    else:
        raise ObjectMissingError("damaged")
    return base_kind, _apply_delta(base, _content(pack, offset + position, size))


def _content(pack: int, offset: int, size: int) -> bytes:
    inflated = zlib.decompressobj()
    content = b""
    while len(content) < size:
        data = os.pread(pack, max(4096, size), offset)
        if not data:
            raise ObjectMissingError("damaged")
        offset += len(data)
        content += inflated.decompress(data, size - len(content))
        if inflated.eof or inflated.unconsumed_tail:
            break
    if len(content) != size:
        raise ObjectMissingError("damaged")
    return content


def _apply_delta(base: bytes, delta: bytes) -> bytes:
    base_size, position = _delta_size(delta, 0)
    size, position = _delta_size(delta, position)
    if base_size != len(base) or size > _SIZE_LIMIT:
        raise ObjectMissingError("damaged or too large")
    parts: list[bytes] = []
    while position < len(delta):
        instruction = delta[position]
        position += 1
        if instruction & 0x80:
            start = length = 0
            for bit in range(4):
                if instruction & (1 << bit):
                    start |= delta[position] << (8 * bit)
                    position += 1
            for bit in range(3):
                if instruction & (0x10 << bit):
                    length |= delta[position] << (8 * bit)
                    position += 1
            length = length or 0x10000
            parts.append(base[start : start + length])
        elif instruction:
            parts.append(delta[position : position + instruction])
            position += instruction
        else:
            raise ObjectMissingError("damaged")
    content = b"".join(parts)
    if len(content) != size:
        raise ObjectMissingError("damaged")
    return content


def _delta_size(delta: bytes, position: int) -> tuple[int, int]:
    size = shift = 0
    while True:
        byte = delta[position]
        position += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return size, position

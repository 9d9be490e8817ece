"""How the embedded engine is opened: with memory and caches that a laptop can spare.

By itself it takes up to nine tenths of the machine's memory and caches of 5 GB each, as befits a server that has the machine for itself.
Whoever opens it first in a process decides; connections that follow get the engine that is there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_ALLOCATOR: Final = "JE_MALLOC_CONF"
"""Read once, when the engine is loaded."""
_GIVE_BACK: Final = "dirty_decay_ms:250"
"""What was freed goes back to the system after a quarter of a second, not after five: a quarter less memory at the peak of inserts."""
_SHARES: Final = {"mark_cache_size": 8, "primary_index_cache_size": 4, "index_mark_cache_size": 2, "query_condition_cache_size": 2}
"""Of the memory for caches, sixteenths."""
_COMPILED_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the engine may take.

    Attributes:
        memory_bytes: of memory in all: inserts, merges, queries. What would go beyond fails, and only that: an insert is tried again.
        cache_bytes: of that for caches of marks and indexes. Blocks of data are cached by the operating system alone.
    """

    memory_bytes: int = 2 * 2**30
    cache_bytes: int = 128 * 2**20


DEFAULT_BOUNDS: Final = Bounds()


def client_arguments(directory: Path, database: str, *, bounds: Bounds = DEFAULT_BOUNDS, backups: Path | None = None) -> dict[str, Any]:
    """Arguments of ``clickhouse_connect.get_client`` for the embedded engine. To be asked for before the engine is loaded.

    Args:
        directory: the store's.
        database: must exist.
        bounds: what the engine may take.
        backups: the directory in which it may write and read backups; None for nowhere.
    """
    os.environ.setdefault(_ALLOCATOR, _GIVE_BACK)
    options: dict[str, object] = {
        "max_server_memory_usage": bounds.memory_bytes,
        # Merges that would take more than this wait; those that run finish.
        "merges_mutations_memory_usage_soft_limit": bounds.memory_bytes // 4,
        "compiled_expression_cache_size": _COMPILED_BYTES,
        **{cache: bounds.cache_bytes * share // 16 for cache, share in _SHARES.items()},
    }
    if backups is not None:
        options["backups.allowed_path"] = f"{backups}/"
    return {"interface": "chdb", "path": str(directory), "database": database, "chdb_options": options}

"""Options of the embedded engine: memory and caches that a laptop can spare.

Its own defaults are those of a dedicated server: up to nine tenths of the machine's memory, and caches of 5 GB each. The first connection of a
process sets the options; later connections share its engine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_ALLOCATOR: Final = "JE_MALLOC_CONF"
"""Variable of the allocator's options; read once, when the engine is loaded."""
_GIVE_BACK: Final = "dirty_decay_ms:250"
"""Freed memory returns to the system after 0.25 s, not after 5 s: a quarter less memory at the peak of inserts."""
_SHARES: Final = {"mark_cache_size": 8, "primary_index_cache_size": 4, "index_mark_cache_size": 2, "query_condition_cache_size": 2}
"""Shares of the memory for caches, in sixteenths."""
_COMPILED_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Memory budget of the engine.

    Attributes:
        memory_bytes: limit for inserts, merges and queries together. A statement that would exceed it fails alone; an insert is retried.
        cache_bytes: share for caches of marks and indexes. Blocks of data are cached by the operating system alone.
    """

    memory_bytes: int = 2 * 2**30
    cache_bytes: int = 128 * 2**20


DEFAULT_BOUNDS: Final = Bounds()


def client_arguments(directory: Path, database: str, *, bounds: Bounds = DEFAULT_BOUNDS, backups: Path | None = None) -> dict[str, Any]:
    """Return the arguments of ``clickhouse_connect.get_client`` for the embedded engine. Call it before the engine is loaded.

    Args:
        directory: directory of the store.
        database: existing database.
        bounds: memory budget of the engine.
        backups: directory in which the engine may write and read backups; None for no backups.
    """
    os.environ.setdefault(_ALLOCATOR, _GIVE_BACK)
    options: dict[str, object] = {
        "max_server_memory_usage": bounds.memory_bytes,
        # A merge that would exceed this waits; running merges finish.
        "merges_mutations_memory_usage_soft_limit": bounds.memory_bytes // 4,
        "compiled_expression_cache_size": _COMPILED_BYTES,
        **{cache: bounds.cache_bytes * share // 16 for cache, share in _SHARES.items()},
    }
    if backups is not None:
        options["backups.allowed_path"] = f"{backups}/"
    return {"interface": "chdb", "path": str(directory), "database": database, "chdb_options": options}

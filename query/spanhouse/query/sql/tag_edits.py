"""Edits of tags after their trace was stored: validation, and the statement that writes ``trace_tags``."""

from __future__ import annotations

import re
from typing import Final

from spanhouse.query.errors import FilterError
from spanhouse.query.language.resolver import bare_trace_id
from spanhouse.query.sql.statement import Statement

MAX_KEY_CHARACTERS: Final = 250
"""MLflow's limit on keys of tags (MAX_CHARS_IN_TRACE_INFO_TAGS_KEY)."""
MAX_VALUE_CHARACTERS: Final = 8000
"""MLflow's limit on values of tags (MAX_CHARS_IN_TRACE_INFO_TAGS_VALUE)."""

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
# An edit is later than earlier edits even if the clock steps back.
_WRITE: Final = """INSERT INTO trace_tags (TraceId, Key, Value, EditedAt, Deleted)
SETTINGS distributed_foreground_insert = 1
SELECT
    {trace_id:String},
    {key:String},
    {value:String},
    greatest(now64(9), (SELECT max(EditedAt) FROM trace_tags WHERE TraceId = {trace_id:String} AND Key = {key:String}) + toIntervalNanosecond(1)),
    {deleted:UInt8}"""


def write_tag(trace_id: str, key: str, value: str | None) -> Statement:
    """Return the statement that sets or deletes a tag of a trace. It ends when the edit is on disk.

    The trace may be stored later than its tags.

    Args:
        trace_id: 32 hex digits, with or without ``tr-``.
        key: 1 to 250 characters, no control characters.
        value: at most 8000 characters; None deletes the tag, existing or not.

    Raises:
        FilterError: an argument is invalid.
    """
    bare = bare_trace_id(trace_id)
    if not _TRACE_ID.fullmatch(bare):
        raise FilterError(f"{trace_id[:64]!r} is not the id of a trace", hint="it has 32 hex digits, with or without tr-")
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or any(ord(character) < 0x20 or ord(character) == 0x7F for character in key):
        raise FilterError(f"the key of a tag has 1 to {MAX_KEY_CHARACTERS} characters, none of them a control character")
    if value is not None and len(value) > MAX_VALUE_CHARACTERS:
        raise FilterError(f"the value of tag {key[:64]!r} has {len(value)} characters: {MAX_VALUE_CHARACTERS} are kept at most")
    for text in (key, value or ""):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise FilterError("a tag holds a lone surrogate, which is not text") from None
    return Statement(_WRITE, {"trace_id": bare, "key": key, "value": value or "", "deleted": int(value is None)})

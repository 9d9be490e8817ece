-- Edits of tags after the trace was stored: the last edit of a key wins. Settling applies them to the trace's row.
CREATE TABLE IF NOT EXISTS trace_tags
(
    TraceId String COMMENT '32 hex digits' CODEC(ZSTD(1)),
    Key String COMMENT 'Key of the tag' CODEC(ZSTD(1)),
    Value String COMMENT 'Its value' CODEC(ZSTD(1)),
    EditedAt DateTime64(9) DEFAULT now64(9) COMMENT 'When it was set' CODEC(Delta(8), ZSTD(1)),
    Deleted UInt8 DEFAULT 0 COMMENT '1: the tag was deleted'
)
ENGINE = ReplacingMergeTree(EditedAt, Deleted)
ORDER BY (TraceId, Key)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Edits of tags; read it with FINAL';

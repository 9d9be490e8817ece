-- Ids of deleted traces: their late spans get no row.
CREATE TABLE IF NOT EXISTS spanhouse_deleted_traces
(
    TraceId String COMMENT '32 hex digits' CODEC(ZSTD(1)),
    DeletedAt DateTime64(3) DEFAULT now64(3) COMMENT 'When it was deleted'
)
ENGINE = ReplacingMergeTree
ORDER BY TraceId
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Internal: ledger of deleted traces';

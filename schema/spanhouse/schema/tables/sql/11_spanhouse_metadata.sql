-- Values of metadata keys by day, for choosing from a list; fed from settled rows. A key with more than 256 values in a day, such as a session,
-- keeps some 256, so that no key fills the table. Texts over 256 bytes are left out.
CREATE TABLE IF NOT EXISTS spanhouse_metadata
(
    Day Date32 COMMENT 'Day of the traces'' starts' CODEC(ZSTD(1)),
    Key String COMMENT 'Key of metadata' CODEC(ZSTD(1)),
    Values SimpleAggregateFunction(groupUniqArrayArray(256), Array(String)) COMMENT 'Its values that day' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(Day)
ORDER BY (Key, Day)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Internal: values of metadata by day';

-- Turns of the processes that settle one store: only the holder of the turn decides where a row is stored.
-- A turn's number is the deduplication token of its insert: of two processes that take one turn the engine stores one.
CREATE TABLE IF NOT EXISTS spanhouse_turns
(
    Turn UInt64 COMMENT 'Number; the last one counts',
    Holder String COMMENT 'Process whose turn it is; empty if it was given back',
    Until DateTime64(3) COMMENT 'When it ends if it is neither prolonged nor given back, by the engine''s clock'
)
ENGINE = MergeTree
ORDER BY Turn
TTL toDateTime(Until) + INTERVAL 1 DAY
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Internal: which process writes rows of traces';

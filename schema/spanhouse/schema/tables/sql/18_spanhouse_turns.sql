-- Turns of those who write rows of traces: processes that settle one store take turns, so that none decides where a row stands while another does.
-- A turn has a number, which is the token of its insert: so of two that take the same turn the engine stores one.
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

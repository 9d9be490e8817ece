-- Settled arrivals: the watermark, as a set. Neither a clock nor the order of arrival decides which parts wait. A forgotten arrival is settled
-- again, which changes nothing.
CREATE TABLE IF NOT EXISTS spanhouse_arrivals
(
    Arrival UInt64 COMMENT 'Of spanhouse_trace_parts' CODEC(NONE),
    Settled DateTime DEFAULT now() COMMENT 'When it was settled'
)
ENGINE = MergeTree
PARTITION BY toDate(Settled)
ORDER BY Arrival
TTL Settled + INTERVAL 3 DAY
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Internal: arrivals of parts that are settled';

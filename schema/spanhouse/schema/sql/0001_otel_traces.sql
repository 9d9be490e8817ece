-- Spans, with the columns, types and spellings of the OpenTelemetry Collector's ClickHouse exporter.
-- What follows Links is ours: what the Collector does not keep, always with a DEFAULT, so that its INSERT works here unchanged.
-- Sorted by hour and trace id. The hour is a number, and the day a Date32, because toStartOfHour and toDate wrap around: a span from
-- a broken clock would be lost to queries.
CREATE TABLE IF NOT EXISTS otel_traces
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested
    (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested
    (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    -- W3C trace flags in the low byte; 0x100: whether the parent is remote is known, 0x200: it is.
    Flags UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    DroppedAttributesCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    DroppedEventsCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    DroppedLinksCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) DEFAULT map() CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate32(Timestamp)
ORDER BY (intDiv(toUnixTimestamp64Nano(Timestamp), 3600000000000), TraceId)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

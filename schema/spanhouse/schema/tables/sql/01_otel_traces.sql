-- One row per span, in the names, types and spellings of the Collector's ClickHouse exporter, whose own INSERT works here.
-- Sorted by time alone: merging rows interleaved by trace costs more than twice as much. A trace is found by the index on its id
-- and by the times in its row. Columns whose values repeat use LZ4: it measured less CPU and less disk than ZSTD there.
CREATE TABLE IF NOT EXISTS otel_traces
(
    Timestamp DateTime64(9) COMMENT 'Start of the span' CODEC(Delta(8), ZSTD(1)),
    TraceId String COMMENT '32 lower-case hex digits' CODEC(ZSTD(1)),
    SpanId String COMMENT '16 lower-case hex digits' CODEC(ZSTD(1)),
    ParentSpanId String COMMENT 'Span id of the parent; empty for a span without parent' CODEC(ZSTD(1)),
    TraceState String COMMENT 'W3C tracestate' CODEC(LZ4),
    SpanName LowCardinality(String) COMMENT 'Name of the span' CODEC(LZ4),
    SpanKind LowCardinality(String) COMMENT 'Unspecified, Internal, Server, Client, Producer or Consumer' CODEC(LZ4),
    ServiceName LowCardinality(String) COMMENT 'Resource attribute service.name' CODEC(LZ4),
    ResourceAttributes Map(LowCardinality(String), String) COMMENT 'Attributes of the process, as text' CODEC(LZ4),
    ScopeName String COMMENT 'Name of the instrumentation library' CODEC(LZ4),
    ScopeVersion String COMMENT 'Version of the instrumentation library' CODEC(LZ4),
    SpanAttributes Map(LowCardinality(String), String) COMMENT 'Attributes of the span, as text; arrays and maps as JSON' CODEC(ZSTD(1)),
    Duration UInt64 COMMENT 'Nanoseconds; 0 for a span that ends before it begins' CODEC(T64, ZSTD(1)),
    StatusCode LowCardinality(String) COMMENT 'Unset, Ok or Error' CODEC(LZ4),
    StatusMessage String COMMENT 'Message beside the status' CODEC(ZSTD(1)),
    Events Nested
    (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) COMMENT 'Events of the span, exceptions among them' CODEC(ZSTD(1)),
    Links Nested
    (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) COMMENT 'Links to other spans' CODEC(ZSTD(1)),
    Flags UInt32 DEFAULT 0 COMMENT 'W3C trace flags; 0x100: the parent is known to be remote or local, 0x200: it is remote' CODEC(LZ4),
    DroppedAttributesCount UInt32 DEFAULT 0 COMMENT 'Attributes that the SDK dropped' CODEC(LZ4),
    DroppedEventsCount UInt32 DEFAULT 0 COMMENT 'Events that the SDK dropped' CODEC(LZ4),
    DroppedLinksCount UInt32 DEFAULT 0 COMMENT 'Links that the SDK dropped' CODEC(LZ4),
    ScopeAttributes Map(LowCardinality(String), String) DEFAULT map() COMMENT 'Attributes of the instrumentation library' CODEC(LZ4),
    ResourceSchemaUrl LowCardinality(String) DEFAULT '' COMMENT 'Schema of the resource attributes' CODEC(LZ4),
    ScopeSchemaUrl LowCardinality(String) DEFAULT '' COMMENT 'Schema of the scope and its spans' CODEC(LZ4),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate32(Timestamp)
ORDER BY Timestamp
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 1000,
    -- Acknowledged spans survive a power loss, not only a crash of the process.
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    -- An insert syncs one file instead of one per column; large parts have a file per column, as usual.
    min_bytes_for_wide_part = 268435456,
    min_parts_to_merge_at_once = 8,
    index_granularity = 2048
COMMENT 'One row per span';

-- One row per trace, process and insert, in order of arrival: what an insert says of a trace, as far as the trace's row needs it. Settling merges
-- the parts of a trace into its row. A part of part, such as a repeated one, changes nothing: every column merges idempotently.
-- Rows live for hours; the partitions of settled arrivals are dropped. One file a part, uncompressed keys: cheap to write, cheap to find.
CREATE TABLE IF NOT EXISTS spanhouse_trace_parts
(
    Received DateTime64(3) COMMENT 'When the insert came, by the engine''s clock' CODEC(Delta(8), LZ4),
    Arrival UInt64 COMMENT 'Identity of the insert''s block; see spanhouse_arrivals' CODEC(LZ4),
    Key UInt64 COMMENT 'Hash of TraceId' CODEC(NONE),
    TraceId String COMMENT '32 hex digits' CODEC(LZ4),
    Whole UInt8 COMMENT '1: made from all spans that were stored then' CODEC(LZ4),
    Rank UInt8 COMMENT 'Kind of root that the candidate can be: 0 no parent, 1 a remote parent, 2 flags say nothing and its parent is not in the insert, 3 none' CODEC(LZ4),
    Start DateTime64(9) COMMENT 'Start of the candidate' CODEC(LZ4),
    SpanId String COMMENT 'Span id of the candidate' CODEC(LZ4),
    Parent UInt64 COMMENT 'Hash of the candidate''s parent' CODEC(LZ4),
    Name String COMMENT 'Name of the candidate' CODEC(LZ4),
    ServiceName String COMMENT 'Service of the process' CODEC(LZ4),
    StatusCode String COMMENT 'Status of the candidate' CODEC(LZ4),
    Duration UInt64 COMMENT 'Nanoseconds, of the candidate' CODEC(LZ4),
    Process Map(String, String) COMMENT 'Resource attributes' CODEC(LZ4),
    Own Map(String, String) COMMENT 'Process keys among the candidate''s attributes' CODEC(LZ4),
    OwnSession String COMMENT 'Session that the candidate names' CODEC(LZ4),
    OwnUser String COMMENT 'User that the candidate names' CODEC(LZ4),
    Session Tuple(start DateTime64(9), id String, value String) COMMENT 'Session that the latest span names' CODEC(LZ4),
    User Tuple(start DateTime64(9), id String, value String) COMMENT 'User that the latest span names' CODEC(LZ4),
    Said Array(Tuple(start DateTime64(9), id String, attributes Map(String, String))) COMMENT 'Spans that say something of their trace, and what' CODEC(LZ4),
    Spans Nested
    (
        id UInt64,
        parent UInt64,
        start Int64,
        duration UInt64,
        error UInt8,
        input Float64,
        output Float64,
        cached Float64,
        reasoning Float64,
        cost Float64
    ) COMMENT 'Spans: hashes of ids, Unix nanoseconds, tokens and USD; -1 where a span reports none' CODEC(LZ4),
    Models Array(String) COMMENT 'LLM models that spans name' CODEC(LZ4),
    SpanTypes Array(String) COMMENT 'Types of spans' CODEC(LZ4),
    ErrorTypes Array(String) COMMENT 'Types of exceptions and errors' CODEC(LZ4),
    FirstError Tuple(start DateTime64(9), id String, message String) COMMENT 'Message of the earliest error' CODEC(LZ4),
    FinishReasons Array(String) COMMENT 'Why models stopped' CODEC(LZ4),
    Tools Array(String) COMMENT 'Names of tools that were called' CODEC(LZ4),
    Prompts Array(String) COMMENT 'Versions of prompts, as name/version' CODEC(LZ4),
    RequestPreview Tuple(start DateTime64(9), id String, value String) COMMENT 'Input of the earliest span that has one' CODEC(LZ4),
    ResponsePreview Tuple(start DateTime64(9), id String, value String) COMMENT 'Output of the latest span that has one' CODEC(LZ4)
)
ENGINE = MergeTree
PARTITION BY toStartOfHour(Received)
ORDER BY (Received, Key)
SETTINGS
    min_bytes_for_wide_part = 1073741824,
    non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1,
    fsync_part_directory = 1
COMMENT 'Internal: what each insert says of each trace, until it is settled into traces';

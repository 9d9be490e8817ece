-- One row per trace, process and insert: the facts about a trace that one insert brought. Settling merges the parts of a trace into its row.
-- Every column merges idempotently, so a repeated part changes nothing.
-- Parts live for hours; partitions whose arrivals are settled are dropped. One file per part and uncompressed hashes: cheap to write and to find.
CREATE TABLE IF NOT EXISTS spanhouse_trace_parts
(
    Received DateTime64(3) COMMENT 'When the insert came, by the engine''s clock' CODEC(Delta(8), LZ4),
    Arrival UInt64 COMMENT 'Identity of the insert''s block; see spanhouse_arrivals' CODEC(LZ4),
    TraceHash UInt64 COMMENT 'Hash of TraceId' CODEC(NONE),
    TraceId String COMMENT '32 hex digits' CODEC(LZ4),
    Whole UInt8 COMMENT '1: made from all spans that were stored then' CODEC(LZ4),
    Rank UInt8 COMMENT 'Kind of root that the candidate can be: 0 no parent, 1 a remote parent, 2 flags say nothing and its parent is not in the insert, 3 none' CODEC(LZ4),
    Start DateTime64(9) COMMENT 'Start of the candidate' CODEC(LZ4),
    SpanId String COMMENT 'Span id of the candidate' CODEC(LZ4),
    Parent UInt64 COMMENT 'Hash of the candidate''s parent' CODEC(LZ4),
    Name String COMMENT 'Name of the candidate' CODEC(LZ4),
    StatusCode String COMMENT 'Status of the candidate' CODEC(LZ4),
    Duration UInt64 COMMENT 'Nanoseconds, of the candidate' CODEC(LZ4),
    Process Map(String, String) COMMENT 'Resource attributes' CODEC(LZ4),
    OwnProcess Map(String, String) COMMENT 'Process keys among the candidate''s attributes' CODEC(LZ4),
    OwnSession Tuple(code UInt16, value String) COMMENT 'Session that the candidate names, and the code of the attribute' CODEC(LZ4),
    OwnUser Tuple(code UInt16, value String) COMMENT 'User that the candidate names, and the code of the attribute' CODEC(LZ4),
    OwnRequest Tuple(code UInt16, value String) COMMENT 'Input of the candidate, and the code of the attribute' CODEC(LZ4),
    OwnResponse Tuple(code UInt16, value String) COMMENT 'Output of the candidate, and the code of the attribute' CODEC(LZ4),
    Session Tuple(rank UInt16, start DateTime64(9), id String, value String) COMMENT 'Session by the attribute that counts most (999 less its code), of spans with it the latest' CODEC(LZ4),
    User Tuple(rank UInt16, start DateTime64(9), id String, value String) COMMENT 'User by the attribute that counts most (999 less its code), of spans with it the latest' CODEC(LZ4),
    Request Tuple(start DateTime64(9), id String, code UInt16, value String) COMMENT 'Input of the earliest span that has one' CODEC(LZ4),
    Response Tuple(end Int64, id String, code UInt16, value String) COMMENT 'Output of the span that ended last of those that have one' CODEC(LZ4),
    TraceAttributes Array(Tuple(start DateTime64(9), id String, attributes Map(String, String))) COMMENT 'Trace metadata and tags that spans carry, by span' CODEC(LZ4),
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
        cost Float64,
        model UInt16
    ) COMMENT 'Spans: hashes of ids, Unix nanoseconds, tokens and USD, -1 where a span reports none, and the place of its model in Words' CODEC(LZ4),
    Words Array(String) COMMENT 'Models, types of spans, errors, reasons to finish, tools and prompts: each after the letter of its kind' CODEC(LZ4),
    FirstError Tuple(start DateTime64(9), id String, type String, message String) COMMENT 'Type and message of the earliest error' CODEC(LZ4)
)
ENGINE = MergeTree
PARTITION BY toStartOfHour(Received)
ORDER BY (Received, TraceHash)
SETTINGS
    min_bytes_for_wide_part = 1073741824,
    non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1,
    fsync_part_directory = 1
COMMENT 'Internal: facts about traces by insert, until they are settled into traces';

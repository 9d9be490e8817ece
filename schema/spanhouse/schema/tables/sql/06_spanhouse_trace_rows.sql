-- One row per trace, merged when written. A trace with a root is stored at the root's start (Sorted): rows of one time are neighbours and are
-- hardly ever replaced. A trace that waits for its root is stored at Sorted = 0, in a small partition of its own; a tombstone replaces that row
-- when the root comes, or when the trace has been quiet and moves to its start.
-- Version orders any two different rows of a trace: spans, stamped spans, time of the last edit, copies, certainty of the root, a digest.
CREATE TABLE IF NOT EXISTS spanhouse_trace_rows
(
    Sorted DateTime64(9) COMMENT 'Start of a trace that stands at its start; 0 for one that waits for its root' CODEC(Delta(8), ZSTD(1)),
    TraceId String COMMENT '32 hex digits' CODEC(ZSTD(1)),
    Version UInt128 COMMENT 'Of rows in one place the greatest counts: 32 bits of spans, 16 of stamped spans, 64 of the last edit, 10 of copies, 1 of a root without doubt, 5 of a digest' CODEC(ZSTD(1)),
    Gone UInt8 COMMENT '1: a tombstone' CODEC(LZ4),
    TraceHash UInt64 COMMENT '40 bits of a hash of TraceId' CODEC(T64, LZ4),
    Settled DateTime COMMENT 'When the row was made, by the engine''s clock' CODEC(Delta(4), LZ4),
    Rank UInt8 COMMENT 'Kind of the root: 0 no parent, 1 a remote parent, 2 a parent that is not stored, 3 no root' CODEC(LZ4),
    Doubt UInt8 COMMENT '1: the root is to be looked for among all spans' CODEC(LZ4),
    Partial UInt8 COMMENT '1: some spans had expired when the row was made' CODEC(LZ4),
    Timestamp DateTime64(9) COMMENT 'Start of the root, else of the earliest span' CODEC(Delta(8), ZSTD(1)),
    Duration UInt64 COMMENT 'Nanoseconds, of the root; 0 without root' CODEC(T64, ZSTD(1)),
    Name LowCardinality(String) COMMENT 'Name of the root' CODEC(LZ4),
    ServiceName LowCardinality(String) COMMENT 'Service of the root, else of the earliest span' CODEC(LZ4),
    State LowCardinality(String) COMMENT 'OK, ERROR, IN_PROGRESS or STATE_UNSPECIFIED' CODEC(LZ4),
    SpanCount UInt32 COMMENT 'Distinct spans' CODEC(T64, LZ4),
    ErrorCount UInt32 COMMENT 'Spans with status Error' CODEC(T64, LZ4),
    SessionId String COMMENT 'Session; empty without one' CODEC(ZSTD(1)),
    UserId String COMMENT 'End user; empty without one' CODEC(ZSTD(1)),
    ModelId LowCardinality(String) COMMENT 'MLflow LoggedModel; empty without one' CODEC(LZ4),
    SourceType LowCardinality(String) COMMENT 'Environment: mlflow.source.type' CODEC(LZ4),
    AppVersion LowCardinality(String) COMMENT 'Version of the application' CODEC(LZ4),
    GitCommit LowCardinality(String) COMMENT 'Full SHA' CODEC(LZ4),
    GitBranch LowCardinality(String) COMMENT 'Branch' CODEC(LZ4),
    GitDirty LowCardinality(String) COMMENT 'true, false, or empty where not known' CODEC(LZ4),
    ClientRequestId String COMMENT 'Request id that the application set' CODEC(LZ4),
    RequestPreview String COMMENT 'Begin of the input' CODEC(ZSTD(1)),
    ResponsePreview String COMMENT 'Begin of the output' CODEC(ZSTD(1)),
    InputTokens Nullable(UInt64) COMMENT 'Tokens in, each counted once; NULL if no span reports them' CODEC(T64, LZ4),
    OutputTokens Nullable(UInt64) COMMENT 'Tokens out, each counted once; NULL if no span reports them' CODEC(T64, LZ4),
    CachedTokens Nullable(UInt64) COMMENT 'Tokens in that came from a cache; NULL if no span reports them' CODEC(T64, LZ4),
    ReasoningTokens Nullable(UInt64) COMMENT 'Tokens out that were reasoning; NULL if no span reports them' CODEC(T64, LZ4),
    Cost Nullable(Float64) COMMENT 'USD, each dollar counted once; NULL if not known' CODEC(ZSTD(1)),
    CostSource LowCardinality(String) COMMENT 'sent, or computed from a price table; empty without cost' CODEC(LZ4),
    PriceVersion LowCardinality(String) COMMENT 'Price table that a computed cost is from' CODEC(LZ4),
    Models Array(LowCardinality(String)) COMMENT 'LLM models that its spans name' CODEC(LZ4),
    SpanTypes Array(LowCardinality(String)) COMMENT 'Types of its spans, in MLflow''s words' CODEC(LZ4),
    ErrorTypes Array(LowCardinality(String)) COMMENT 'Types of its exceptions and errors' CODEC(LZ4),
    ErrorMessage String COMMENT 'Message of its earliest error' CODEC(ZSTD(1)),
    ErrorFingerprint UInt64 COMMENT 'Hash of type and message without numbers; 0 without error' CODEC(LZ4),
    FinishReasons Array(LowCardinality(String)) COMMENT 'Why its models stopped' CODEC(LZ4),
    Tools Array(LowCardinality(String)) COMMENT 'Names of tools that it called' CODEC(LZ4),
    Prompts Array(LowCardinality(String)) COMMENT 'Versions of prompts that it used, as name/version' CODEC(LZ4),
    NameTemplate LowCardinality(String) COMMENT 'Name with its ids replaced' CODEC(LZ4),
    Services Nested
    (
        Name LowCardinality(String),
        Version LowCardinality(String),
        Commit LowCardinality(String),
        Branch LowCardinality(String),
        Environment LowCardinality(String),
        Spans UInt32,
        Errors UInt32,
        SelfTime UInt64
    ) COMMENT 'Each service that took part, by version: its spans, errors, and nanoseconds that are not its spans'' children''s' CODEC(LZ4),
    Metadata Map(LowCardinality(String), String) COMMENT 'Resource attributes of the root, aliases under MLflow''s keys, and over them what was set for the trace' CODEC(LZ4),
    Tags Map(LowCardinality(String), String) COMMENT 'Tags, edits included, and the name as mlflow.traceName' CODEC(LZ4),
    RootSpanId String COMMENT 'Span id of the root; empty without one' CODEC(ZSTD(1)),
    Before UInt64 COMMENT 'Nanoseconds from the start of the earliest span to Timestamp' CODEC(T64, LZ4),
    After UInt64 COMMENT 'Nanoseconds from Timestamp to the start of the latest span' CODEC(T64, LZ4),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_timestamp Timestamp TYPE minmax GRANULARITY 1,
    INDEX idx_settled Settled TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(Version, Gone)
PARTITION BY toDate32(Sorted)
ORDER BY (Sorted, TraceId)
SETTINGS
    -- A page of scattered traces reads one granule for each: small granules make it 2.5 times cheaper, for 2 % more disk.
    index_granularity = 1024,
    -- Small parts have one file for all columns, which is cheap to insert; merged parts have one per column, which is cheap to read.
    min_bytes_for_wide_part = 1048576,
    min_rows_for_wide_part = 20000,
    non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    -- A partition of one part needs no merging while it is read, and merging it removes its tombstones.
    min_age_to_force_merge_seconds = 3600,
    min_age_to_force_merge_on_partition_only = 1,
    allow_experimental_replacing_merge_with_cleanup = 1,
    enable_replacing_merge_with_cleanup_for_min_age_to_force_merge = 1
COMMENT 'Internal: the rows of traces, of which the latest version counts';

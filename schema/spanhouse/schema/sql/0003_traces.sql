-- What is known of a trace, in parts that may come late, twice and in any order; every column merges idempotently.
-- Two kinds of row, told apart by SpanId:
--   * a carrier ('' never): a span that may be the trace's root, or that holds trace metadata. Written once per such span.
--   * a tally (SpanId = ''): what is counted over the spans of a trace. Written once per trace and insert, merged in the background.
-- Rank says what kind of root a carrier can be: 0 it has no parent; 1 its flags say that its parent is remote;
-- 2 its flags are silent and its parent was not in the same insert; 3 not a root.
CREATE TABLE IF NOT EXISTS traces_parts
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    Rank SimpleAggregateFunction(min, UInt8) CODEC(ZSTD(1)),
    ParentSpanId SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    Name SimpleAggregateFunction(max, LowCardinality(String)) CODEC(ZSTD(1)),
    ServiceName SimpleAggregateFunction(max, LowCardinality(String)) CODEC(ZSTD(1)),
    StatusCode SimpleAggregateFunction(max, LowCardinality(String)) CODEC(ZSTD(1)),
    Duration SimpleAggregateFunction(max, UInt64) CODEC(ZSTD(1)),
    ProcessMetadata SimpleAggregateFunction(max, Map(String, String)) CODEC(ZSTD(1)),
    TraceMetadata SimpleAggregateFunction(max, Map(String, String)) CODEC(ZSTD(1)),
    Tags SimpleAggregateFunction(max, Map(String, String)) CODEC(ZSTD(1)),
    State SimpleAggregateFunction(max, LowCardinality(String)) CODEC(ZSTD(1)),
    ClientRequestId SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    RequestPreview SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    ResponsePreview SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    Start SimpleAggregateFunction(min, DateTime64(9)) CODEC(Delta(8), ZSTD(1)),
    Spans SimpleAggregateFunction(groupUniqArrayArray, Array(Tuple(
        id UInt64, parent UInt64, error Bool, input_tokens UInt64, output_tokens UInt64, cost Float64))) CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_process_metadata mapValues(ProcessMetadata) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_trace_metadata mapValues(TraceMetadata) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_tags mapValues(Tags) TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(Timestamp)
ORDER BY (intDiv(toUnixTimestamp64Nano(Timestamp), 3600000000000), TraceId, SpanId)
SETTINGS non_replicated_deduplication_window = 1000;

-- Old tables and Collectors write STATUS_CODE_ERROR where new ones write Error; readers take both.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_to_tallies TO traces_parts AS
SELECT
    min(Time) AS Timestamp,
    TraceId,
    '' AS SpanId,
    3 AS Rank,
    max(Service) AS ServiceName,
    Timestamp AS Start,
    groupUniqArray(Span) AS Spans
FROM
(
    SELECT
        Timestamp AS Time,
        TraceId,
        ServiceName AS Service,
        CAST((
            reinterpretAsUInt64(unhex(SpanId)),
            reinterpretAsUInt64(unhex(ParentSpanId)),
            StatusCode IN ('Error', 'STATUS_CODE_ERROR'),
            toUInt64OrZero(SpanAttributes['gen_ai.usage.input_tokens']),
            toUInt64OrZero(SpanAttributes['gen_ai.usage.output_tokens']),
            toFloat64OrZero(SpanAttributes['gen_ai.usage.cost'])),
            'Tuple(id UInt64, parent UInt64, error Bool, input_tokens UInt64, output_tokens UInt64, cost Float64)') AS Span
    FROM otel_traces
)
GROUP BY TraceId;

-- Carriers whose rank their own row tells. An alias gives its value to an MLflow key that the resource does not set itself.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_to_carriers TO traces_parts AS
WITH
    (m, name, fallback) -> if(m[name] != '', m[name], m[fallback]) AS either,
    (m, prefix) -> mapApply((k, v) -> (substring(k, length(prefix) + 1), v), mapFilter((k, v) -> startsWith(k, prefix), m)) AS below,
    CAST(SpanAttributes, 'Map(String, String)') AS Attributes
SELECT
    Timestamp,
    TraceId,
    SpanId,
    multiIf(ParentSpanId = '', 0, bitAnd(Flags, 0x300) = 0x300, 1, 3) AS Rank,
    ParentSpanId,
    SpanName AS Name,
    ServiceName,
    StatusCode,
    Duration,
    if(Rank = 3, map(), {process_metadata}) AS ProcessMetadata,
    mapUpdate(
        mapFilter((k, v) -> v != '', map(
            'mlflow.trace.session', either(Attributes, 'session.id', 'gen_ai.conversation.id'),
            'mlflow.trace.user', either(Attributes, 'user.id', 'enduser.id'))),
        below(Attributes, 'mlflow.traceMetadata.')) AS TraceMetadata,
    below(Attributes, 'mlflow.traceTag.') AS Tags,
    Attributes['mlflow.traceState'] AS State,
    Attributes['mlflow.traceClientRequestId'] AS ClientRequestId,
    Attributes['mlflow.traceRequestPreview'] AS RequestPreview,
    Attributes['mlflow.traceResponsePreview'] AS ResponsePreview,
    Timestamp AS Start
FROM otel_traces
WHERE ParentSpanId = ''
    OR bitAnd(Flags, 0x300) = 0x300
    OR arrayExists(k -> startsWith(k, 'mlflow.trace') AND k != 'mlflow.traceRequestId', mapKeys(SpanAttributes));

-- Spans whose flags do not say whether the parent is remote, and whose parent was not in the same insert.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_to_orphans TO traces_parts AS
SELECT
    Orphan.start AS Timestamp,
    TraceId,
    Orphan.id AS SpanId,
    2 AS Rank,
    Orphan.parent AS ParentSpanId,
    Orphan.name AS Name,
    Orphan.service AS ServiceName,
    Orphan.status AS StatusCode,
    Orphan.duration AS Duration,
    Orphan.metadata AS ProcessMetadata,
    Timestamp AS Start
FROM
(
    SELECT
        TraceId,
        groupArray(SpanId) AS Stored,
        groupArrayIf(
            CAST((Timestamp, SpanId, ParentSpanId, SpanName, ServiceName, StatusCode, Duration, {process_metadata}),
                'Tuple(start DateTime64(9), id String, parent String, name String, service String, status String, duration UInt64, metadata Map(String, String))'),
            ParentSpanId != '' AND bitAnd(Flags, 0x100) = 0) AS Candidates
    FROM otel_traces
    GROUP BY TraceId
)
ARRAY JOIN arrayFilter(candidate -> NOT has(Stored, candidate.parent), Candidates) AS Orphan;

-- One row per trace, always merged. The root is the part of lowest rank, the earliest of them.
-- A span without flags whose parent came in another insert is the root only if nothing earlier is: parents start before their children.
CREATE VIEW IF NOT EXISTS traces AS
WITH
    (part.Rank, part.Start, part.SpanId) AS Place,
    (part.Start, part.SpanId) AS Later,
    (root, latest) -> if(root != '', root, latest) AS root_else_latest,
    root_else_latest(argMin(part.State, Place), argMaxIf(part.State, Later, part.State != '')) AS SetState,
    -- argMin of a map costs four times what sorting the one map there is does.
    arraySort(groupArrayIf((Place, part.ProcessMetadata), part.Rank < 3))[1].2 AS RootProcess,
    (parts, root) -> mapUpdate(
        arrayFold((merged, found) -> mapUpdate(merged, found.3), arraySort(parts), CAST(map(), 'Map(String, String)')),
        arrayFirst(found -> found.2 = root, parts).3) AS root_over_latest,
    groupUniqArrayArray(part.Spans) AS AllSpans,
    arrayFilter(span -> span.input_tokens + span.output_tokens > 0 OR span.cost > 0, AllSpans) AS Reported,
    -- A span that repeats the sum of its children is not counted again.
    arrayFilter(span -> NOT has(Reported.parent, span.id), Reported) AS Spent
SELECT
    part.TraceId AS TraceId,
    argMin(part.Start, Place) AS Timestamp,
    argMin(part.Duration, Place) AS Duration,
    argMin(part.Name, Place) AS Name,
    argMin(part.ServiceName, Place) AS ServiceName,
    multiIf(
        SetState IN ('OK', 'ERROR', 'IN_PROGRESS', 'STATE_UNSPECIFIED'), SetState,
        min(part.Rank) = 3, 'IN_PROGRESS',
        argMin(part.StatusCode, Place) IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR',
        'OK') AS State,
    length(arrayDistinct(AllSpans.id)) AS SpanCount,
    length(arrayDistinct(arrayMap(span -> span.id, arrayFilter(span -> span.error, AllSpans)))) AS ErrorCount,
    Metadata['mlflow.trace.session'] AS SessionId,
    Metadata['mlflow.trace.user'] AS UserId,
    Metadata['mlflow.modelId'] AS ModelId,
    root_else_latest(argMin(part.ClientRequestId, Place), argMaxIf(part.ClientRequestId, Later, part.ClientRequestId != '')) AS ClientRequestId,
    root_else_latest(argMin(part.RequestPreview, Place), argMaxIf(part.RequestPreview, Later, part.RequestPreview != '')) AS RequestPreview,
    root_else_latest(argMin(part.ResponsePreview, Place), argMaxIf(part.ResponsePreview, Later, part.ResponsePreview != '')) AS ResponsePreview,
    arraySum(span -> span.input_tokens, Spent) AS InputTokens,
    arraySum(span -> span.output_tokens, Spent) AS OutputTokens,
    nullIf(arraySum(span -> span.cost, Spent), 0) AS Cost,
    mapUpdate(
        RootProcess,
        root_over_latest(groupArrayIf((part.Start, part.SpanId, part.TraceMetadata), notEmpty(part.TraceMetadata)), argMin(part.SpanId, Place))) AS Metadata,
    mapUpdate(
        root_over_latest(groupArrayIf((part.Start, part.SpanId, part.Tags), notEmpty(part.Tags)), argMin(part.SpanId, Place)),
        mapFilter((k, v) -> v != '', map('mlflow.traceName', argMin(CAST(part.Name, 'String'), Place)))) AS Tags,
    if(min(part.Rank) = 3, '', argMin(part.SpanId, Place)) AS RootSpanId
FROM traces_parts AS part
GROUP BY part.TraceId;
